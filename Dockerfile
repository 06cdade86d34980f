# LMQ in a container: docker build -t lmq . && docker run -p 9092:9092 -v lmq-data:/var/lib/lmq lmq
# Settings as in Kafka's image: -e KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://broker.example:9092 -e KAFKA_NUM_PARTITIONS=3

FROM node:22-bookworm AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc tsconfig.json tsconfig.build.json ./
RUN npm ci
COPY bin ./bin
COPY src ./src
RUN npm run build && npm prune --omit=dev

FROM node:22-bookworm-slim
WORKDIR /opt/lmq
COPY --from=build /build/node_modules ./node_modules
COPY --from=build /build/dist ./dist
COPY package.json LICENSE README.md ./
RUN install -d -o node -g node /var/lib/lmq
ENV NODE_ENV=production \
    KAFKA_LISTENERS=PLAINTEXT://0.0.0.0:9092 \
    KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://localhost:9092 \
    KAFKA_LOG_DIRS=/var/lib/lmq \
    LMQ_HTTP_HOST=0.0.0.0 \
    LMQ_HTTP_PORT=9644
USER node
VOLUME /var/lib/lmq
EXPOSE 9092 9644
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.LMQ_HTTP_PORT}/healthz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/opt/lmq/dist/bin/lmq.js"]
CMD ["start"]
