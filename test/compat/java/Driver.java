import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedOutputStream;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Drives the Java clients for the compatibility tests: one JSON command a line on standard input, one JSON answer a line.
 * Bytes travel as base64. A command that Java has no call for answers {"unsupported": true}.
 */
public final class Driver {
  static final ObjectMapper JSON = new ObjectMapper();
  static final Duration PATIENCE = Duration.ofSeconds(60);

  /** With pauseMs, a file is sent in parts of so many records. */
  private static final int PAUSE_RECORDS = 500;

  private final String bootstrap;
  private final AdminCalls admin;
  private final Map<String, Member> members = new HashMap<>();
  private Load load;

  private Driver(String bootstrap) {
    this.bootstrap = bootstrap;
    this.admin = new AdminCalls(bootstrap);
  }

  public static void main(String[] args) throws Exception {
    Driver driver = new Driver(args[0]);
    PrintStream out = System.out;
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    System.setOut(System.err);
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      ObjectNode answer;
      try {
        answer = driver.serve(JSON.readTree(line));
      } catch (Exception error) {
        answer = JSON.createObjectNode().put("error", error.toString());
      }
      out.println(JSON.writeValueAsString(answer));
      out.flush();
    }
    System.exit(0);
  }

  private ObjectNode serve(JsonNode command) throws Exception {
    switch (command.get("do").asText()) {
      case "produce": return produce(command);
      case "produceFile": return produceFile(command);
      case "consume": return consume(command);
      case "consumeFile": return consumeFile(command);
      case "join":
        members.put(command.get("member").asText(), new Member(bootstrap, command));
        return JSON.createObjectNode();
      case "assignment": return member(command).assignment();
      case "take": return member(command).take();
      case "commit": return member(command).order("commit");
      case "leave": return members.remove(command.get("member").asText()).order("leave");
      case "startLoad":
        load = new Load(producer(command), command);
        return JSON.createObjectNode();
      case "stopLoad": return load.stop();
      case "tool": return Tool.run(command);
      default: return admin.serve(command);
    }
  }

  private Member member(JsonNode command) {
    return members.get(command.get("member").asText());
  }

  // Producing

  private KafkaProducer<byte[], byte[]> producer(JsonNode command) {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", bootstrap);
    settings.put("compression.type", command.path("codec").asText("none"));
    settings.put("acks", command.path("acks").asText("all"));
    settings.put("enable.idempotence", command.path("idempotent").asBoolean(false));
    settings.put("linger.ms", command.path("lingerMs").asInt(5));
    settings.put("max.request.size", 20_000_000);
    settings.put("buffer.memory", 100_000_000);
    settings.put("delivery.timeout.ms", command.path("deliveryTimeoutMs").asInt(60_000));
    settings.put("request.timeout.ms", 10_000);
    settings.put("reconnect.backoff.max.ms", 500);
    return new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
  }

  private ObjectNode produce(JsonNode command) {
    String topic = command.get("topic").asText();
    List<Future<RecordMetadata>> sent = new ArrayList<>();
    try (KafkaProducer<byte[], byte[]> producer = producer(command)) {
      for (JsonNode record : command.get("records")) sent.add(producer.send(outgoing(topic, record)));
      producer.flush();
    }
    ObjectNode answer = JSON.createObjectNode();
    var outcomes = answer.putArray("outcomes");
    for (Future<RecordMetadata> each : sent) {
      try {
        RecordMetadata place = each.get();
        outcomes.addObject().put("partition", place.partition()).put("offset", place.offset());
      } catch (Exception error) {
        outcomes.addObject().put("error", errorName(error));
      }
    }
    return answer;
  }

  private static ProducerRecord<byte[], byte[]> outgoing(String topic, JsonNode record) {
    Integer partition = record.hasNonNull("partition") ? record.get("partition").asInt() : null;
    Long timestamp = record.hasNonNull("timestampMs") ? record.get("timestampMs").asLong() : null;
    byte[] key = bytes(record.get("key"));
    var made = new ProducerRecord<>(topic, partition, timestamp, key, bytes(record.get("value")));
    for (JsonNode header : record.path("headers")) {
      made.headers().add(header.get(0).asText(), bytes(header.get(1)));
    }
    return made;
  }

  /** Each line is a key, a tab and a value. */
  private ObjectNode produceFile(JsonNode command) throws Exception {
    String topic = command.get("topic").asText();
    AtomicLong acknowledged = new AtomicLong();
    List<String> errors = new ArrayList<>();
    try (KafkaProducer<byte[], byte[]> producer = producer(command)) {
      byte[] all = Files.readAllBytes(Path.of(command.get("path").asText()));
      long pauseMs = command.path("pauseMs").asLong(0);
      int number = 0;
      for (int start = 0; start < all.length; ) {
        if (pauseMs > 0 && number++ % PAUSE_RECORDS == 0) Thread.sleep(pauseMs);
        int tab = indexOf(all, (byte) '\t', start);
        int end = indexOf(all, (byte) '\n', tab);
        byte[] key = java.util.Arrays.copyOfRange(all, start, tab);
        byte[] value = java.util.Arrays.copyOfRange(all, tab + 1, end);
        producer.send(
            new ProducerRecord<>(topic, key, value),
            (place, error) -> {
              if (error == null) acknowledged.incrementAndGet();
              else synchronized (errors) { errors.add(errorName(error)); }
            });
        start = end + 1;
      }
      producer.flush();
    }
    ObjectNode answer = JSON.createObjectNode().put("acknowledged", acknowledged.get());
    errors.forEach(answer.putArray("errors")::add);
    return answer;
  }

  private static int indexOf(byte[] all, byte wanted, int from) {
    int at = from;
    while (at < all.length && all[at] != wanted) at++;
    return at;
  }

  // Consuming

  private interface Visitor {
    void visit(ConsumerRecord<byte[], byte[]> record) throws Exception;
  }

  /** Reads every partition to the end that it has now. */
  private void read(JsonNode command, Visitor visitor) throws Exception {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", bootstrap);
    settings.put("auto.offset.reset", "earliest");
    settings.put("max.poll.records", 5_000);
    settings.put("isolation.level", command.path("isolation").asText("read_uncommitted"));
    var bytes = new ByteArrayDeserializer();
    try (var consumer = new KafkaConsumer<>(settings, bytes, bytes)) {
      List<TopicPartition> places = new ArrayList<>();
      for (PartitionInfo each : consumer.partitionsFor(command.get("topic").asText(), PATIENCE)) {
        places.add(new TopicPartition(each.topic(), each.partition()));
      }
      consumer.assign(places);
      consumer.seekToBeginning(places);
      Map<TopicPartition, Long> ends = consumer.endOffsets(places, PATIENCE);
      long deadline = System.nanoTime() + Duration.ofSeconds(120).toNanos();
      while (places.stream().anyMatch(place -> consumer.position(place, PATIENCE) < ends.get(place))) {
        if (System.nanoTime() > deadline) throw new IllegalStateException("the end was not reached");
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100))) {
          visitor.visit(record);
        }
      }
    }
  }

  private ObjectNode consume(JsonNode command) throws Exception {
    ObjectNode answer = JSON.createObjectNode();
    var records = answer.putArray("records");
    read(command, record -> records.add(found(record)));
    return answer;
  }

  private ObjectNode consumeFile(JsonNode command) throws Exception {
    Path path = Path.of(command.get("path").asText());
    try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(path), 1 << 20)) {
      read(
          command,
          record -> {
            String place = record.partition() + "\t" + record.offset() + "\t";
            out.write(place.getBytes(StandardCharsets.US_ASCII));
            out.write(record.key());
            out.write('\t');
            out.write(record.value());
            out.write('\n');
          });
    }
    return JSON.createObjectNode();
  }

  static ObjectNode found(ConsumerRecord<byte[], byte[]> record) {
    ObjectNode node = JSON.createObjectNode();
    node.put("topic", record.topic()).put("partition", record.partition());
    node.put("offset", record.offset()).put("timestampMs", record.timestamp());
    node.put("key", record.key()).put("value", record.value());
    var headers = node.putArray("headers");
    for (Header header : record.headers()) headers.addArray().add(header.key()).add(header.value());
    return node;
  }

  static byte[] bytes(JsonNode node) {
    try {
      return node == null || node.isNull() ? null : node.binaryValue();
    } catch (java.io.IOException error) {
      throw new IllegalArgumentException(error);
    }
  }

  static String errorName(Throwable error) {
    Throwable inner = error.getCause() != null ? error.getCause() : error;
    Errors found = Errors.forException(inner);
    return found == Errors.UNKNOWN_SERVER_ERROR ? inner.toString() : found.name();
  }
}
