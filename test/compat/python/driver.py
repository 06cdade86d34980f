"""Drives confluent-kafka for the compatibility tests."""

import sys
import threading
import time

sys.dont_write_bytecode = True  # the folder of the sources stays as it is

from history import History
from protocol import (
    PATIENCE_S,
    PollingMember,
    Unsupported,
    commands,
    decode,
    encode,
    failure,
    reply,
)

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

# With pauseMs, a file is sent in parts of so many records.
PAUSE_RECORDS = 500


def error_of(error):
    return None if error is None else error.name().lstrip("_")


class Member(PollingMember):
    def __init__(self, bootstrap, command):
        super().__init__()
        self.settings = {
            "bootstrap.servers": bootstrap,
            "group.id": command["group"],
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": command.get("sessionTimeoutMs", 6000),
            "heartbeat.interval.ms": 500,
            "partition.assignment.strategy": {
                "range": "range",
                "roundrobin": "roundrobin",
                "cooperative": "cooperative-sticky",
            }[command.get("assignor", "range")],
        }
        if command.get("instance"):
            self.settings["group.instance.id"] = command["instance"]
        self.topics = command["topics"]
        self.assigned = set()
        self.start()

    def open(self):
        consumer = Consumer(self.settings)
        consumer.subscribe(
            self.topics, on_assign=self.gain, on_revoke=self.lose, on_lost=self.lose
        )
        return consumer

    def poll(self, consumer):
        message = consumer.poll(0.05)
        if message is not None and not message.error():
            self.positions[(message.topic(), message.partition())] = message.offset() + 1
            self.records.put(found(message))

    def commit(self, consumer):
        offsets = [
            TopicPartition(topic, partition, offset)
            for (topic, partition), offset in self.positions.items()
            if (topic, partition) in self.assigned
        ]
        if offsets:
            consumer.commit(offsets=offsets, asynchronous=False)

    def gain(self, consumer, partitions):
        self.assigned |= {(each.topic, each.partition) for each in partitions}

    def lose(self, consumer, partitions):
        self.assigned -= {(each.topic, each.partition) for each in partitions}


def found(message):
    kind, timestamp = message.timestamp()
    return {
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "key": encode(message.key()),
        "value": encode(message.value()),
        "headers": [[name, encode(value)] for name, value in message.headers() or []],
        "timestampMs": timestamp,
        "timestampType": {1: "create", 2: "append"}.get(kind, "none"),
    }


class Driver:
    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.admin = AdminClient({"bootstrap.servers": bootstrap})
        self.members = {}
        self.load = None
        self.histories = {}

    def producer(self, command):
        return Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "compression.type": command.get("codec", "none"),
                "acks": command.get("acks", "all"),
                "enable.idempotence": command.get("idempotent", False),
                "linger.ms": command.get("lingerMs", 5),
                "message.max.bytes": 20_000_000,
                "queue.buffering.max.messages": 1_000_000,
                "partitioner": command.get("partitioner", "murmur2_random"),
                "delivery.timeout.ms": command.get("deliveryTimeoutMs", 60_000),
                **command.get("settings", {}),
            }
        )

    def produce(self, command):
        producer = self.producer(command)
        records = command["records"]
        outcomes = [None] * len(records)

        def delivered(index):
            def note(error, message):
                outcomes[index] = {"error": error_of(error)} if error else {
                    "partition": message.partition(),
                    "offset": message.offset(),
                }
            return note

        for index, record in enumerate(records):
            extra = {}
            if record.get("timestampMs") is not None:
                extra["timestamp"] = record["timestampMs"]
            if record.get("partition") is not None:
                extra["partition"] = record["partition"]
            if record.get("headers"):
                extra["headers"] = [(name, decode(value)) for name, value in record["headers"]]
            producer.produce(
                command["topic"],
                value=decode(record["value"]),
                key=decode(record["key"]),
                on_delivery=delivered(index),
                **extra,
            )
            producer.poll(0)
        producer.flush(command.get("patienceS", PATIENCE_S))
        return {"outcomes": outcomes}

    def produceFile(self, command):
        producer = self.producer(command)
        state = {"acknowledged": 0, "errors": []}

        def note(error, message):
            if error:
                state["errors"].append(error_of(error))
            else:
                state["acknowledged"] += 1

        with open(command["path"], "rb") as lines:
            for number, line in enumerate(lines):
                if command.get("pauseMs") and number % PAUSE_RECORDS == 0:
                    time.sleep(command["pauseMs"] / 1000)
                key, _, value = line.rstrip(b"\n").partition(b"\t")
                while True:
                    try:
                        producer.produce(command["topic"], value=value, key=key, on_delivery=note)
                        break
                    except BufferError:
                        producer.poll(0.1)
                producer.poll(0)
        producer.flush(command.get("patienceS", 120))
        return state

    def reader(self, command):
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "unused",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                "fetch.message.max.bytes": 4_000_000,
                "isolation.level": command.get("isolation", "read_uncommitted"),
            }
        )
        metadata = consumer.list_topics(command["topic"], timeout=PATIENCE_S)
        known = sorted(metadata.topics[command["topic"]].partitions)
        partitions = command.get("partitions", known)
        start = {int(p): o for p, o in (command.get("from") or {}).items()}
        low = {}
        for p in partitions:
            low[p] = consumer.get_watermark_offsets(
                TopicPartition(command["topic"], p), timeout=PATIENCE_S
            )[0]
        consumer.assign(
            [TopicPartition(command["topic"], p, start.get(p, low[p])) for p in partitions]
        )
        return consumer, len(partitions)

    def read(self, command, visit):
        """Reads every partition to its end."""
        consumer, open_partitions = self.reader(command)
        deadline = time.monotonic() + command.get("patienceS", 120)
        try:
            while open_partitions > 0:
                if time.monotonic() > deadline:
                    raise TimeoutError("the end was not reached")
                for message in consumer.consume(10_000, 0.2):
                    error = message.error()
                    if error is None:
                        visit(message)
                    elif error.code() == KafkaError._PARTITION_EOF:
                        open_partitions -= 1
                    else:
                        raise KafkaException(error)
        finally:
            consumer.close()

    def consume(self, command):
        records = []
        self.read(command, lambda message: records.append(found(message)))
        return {"records": records}

    def consumeFile(self, command):
        with open(command["path"], "wb") as out:

            def write(message):
                place = b"%d\t%d\t" % (message.partition(), message.offset())
                out.write(place + message.key() + b"\t" + message.value() + b"\n")

            self.read(command, write)
        return {}

    # Groups

    def join(self, command):
        self.members[command["member"]] = Member(self.bootstrap, command)
        return {}

    def assignment(self, command):
        return {"partitions": sorted(self.members[command["member"]].assigned)}

    def take(self, command):
        return {"records": self.members[command["member"]].take()}

    def commit(self, command):
        self.members[command["member"]].order("commit")
        return {}

    def leave(self, command):
        self.members.pop(command["member"]).order("leave")
        return {}

    # Admin

    def results(self, futures):
        answers = {}
        for name, future in futures.items():
            try:
                future.result(PATIENCE_S)
                answers[str(name)] = None
            except KafkaException as error:
                answers[str(name)] = error_of(error.args[0])
        return {"results": answers}

    def createTopics(self, command):
        topics = [
            NewTopic(
                each["name"],
                num_partitions=each.get("partitions", -1),
                replication_factor=each.get("replicationFactor", -1),
                config=each.get("configs") or {},
            )
            for each in command["topics"]
        ]
        return self.results(self.admin.create_topics(topics, operation_timeout=30))

    def deleteTopics(self, command):
        return self.results(self.admin.delete_topics(command["names"], operation_timeout=30))

    def createPartitions(self, command):
        wanted = [NewPartitions(command["topic"], command["total"])]
        return self.results(self.admin.create_partitions(wanted, operation_timeout=30))

    def listTopics(self, command):
        metadata = self.admin.list_topics(timeout=PATIENCE_S)
        return {"topics": {t.topic: len(t.partitions) for t in metadata.topics.values()}}

    def resource(self, command):
        kinds = {"topic": ResourceType.TOPIC, "broker": ResourceType.BROKER}
        return ConfigResource(kinds[command["type"]], command["name"])

    def describeConfigs(self, command):
        resource = self.resource(command)
        configs = self.admin.describe_configs([resource])[resource].result(PATIENCE_S)
        return {"configs": {name: entry.value for name, entry in configs.items()}}

    def alterConfigs(self, command):
        resource = self.resource(command)
        for name, value in command.get("set", {}).items():
            resource.add_incremental_config(
                ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
            )
        for name in command.get("unset", []):
            resource.add_incremental_config(
                ConfigEntry(name, None, incremental_operation=AlterConfigOpType.DELETE)
            )
        return self.results(self.admin.incremental_alter_configs([resource]))

    def listGroups(self, command):
        listing = self.admin.list_consumer_groups(request_timeout=30).result(PATIENCE_S)
        return {"groups": [each.group_id for each in listing.valid]}

    def describeGroup(self, command):
        group = command["group"]
        described = self.admin.describe_consumer_groups([group])[group].result(PATIENCE_S)
        return {
            "state": described.state.name.replace("_", "").lower(),
            "members": len(described.members),
        }

    def deleteGroups(self, command):
        return self.results(self.admin.delete_consumer_groups(command["groups"]))

    def groupOffsets(self, command):
        wanted = [ConsumerGroupTopicPartitions(command["group"])]
        future = self.admin.list_consumer_group_offsets(wanted)[command["group"]]
        offsets = {}
        for each in future.result(PATIENCE_S).topic_partitions:
            offsets.setdefault(each.topic, {})[str(each.partition)] = each.offset
        return {"offsets": offsets}

    def setGroupOffsets(self, command):
        places = [
            TopicPartition(command["topic"], int(p), offset)
            for p, offset in command["offsets"].items()
        ]
        wanted = [ConsumerGroupTopicPartitions(command["group"], places)]
        self.admin.alter_consumer_group_offsets(wanted)[command["group"]].result(PATIENCE_S)
        return {}

    def deleteGroupOffsets(self, command):
        raise Unsupported("delete group offsets")

    def deleteRecords(self, command):
        places = [
            TopicPartition(command["topic"], int(p), offset)
            for p, offset in command["offsets"].items()
        ]
        lows = {}
        for place, future in self.admin.delete_records(places).items():
            lows[str(place.partition)] = future.result(PATIENCE_S).low_watermark
        return {"lows": lows}

    def listOffsets(self, command):
        at = command["at"]
        spec = {
            "earliest": OffsetSpec.earliest,
            "latest": OffsetSpec.latest,
            "max": OffsetSpec.max_timestamp,
        }.get(at, lambda: OffsetSpec.for_timestamp(at))()
        topics = self.admin.list_topics(command["topic"], timeout=PATIENCE_S).topics
        wanted = {
            TopicPartition(command["topic"], p): spec for p in topics[command["topic"]].partitions
        }
        offsets = {}
        futures = self.admin.list_offsets(
            wanted, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=30
        )
        for place, future in futures.items():
            offsets[str(place.partition)] = future.result(PATIENCE_S).offset
        return {"offsets": offsets}

    def describeCluster(self, command):
        described = self.admin.describe_cluster(request_timeout=30).result(PATIENCE_S)
        return {
            "clusterId": described.cluster_id,
            "brokers": len(described.nodes),
            "controller": described.controller.id,
        }

    # Load under a broker that dies and comes back

    def startLoad(self, command):
        self.load = Load(self.producer(command), command)
        return {}

    def stopLoad(self, command):
        return self.load.stop()

    def startHistory(self, command):
        self.histories[command["name"]] = History(self.bootstrap, command)
        return {}

    def stopHistory(self, command):
        return self.histories.pop(command["name"]).stop()


class Load:
    """Produces numbered records to fixed partitions until told to stop; notes what was acknowledged."""

    def __init__(self, producer, command):
        self.producer = producer
        self.command = command
        self.acknowledged = []
        self.errors = []
        self.running = True
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def note(self, error, message):
        if error:
            self.errors.append(error_of(error))
        else:
            number = int(message.value().split(b":")[1])
            self.acknowledged.append([number, message.partition(), message.offset()])

    def run(self):
        partitions = self.command["partitions"]
        name = self.command["name"]
        pause_s = self.command.get("pauseMs", 1) / 1000
        number = 0
        while self.running:
            for _ in range(self.command.get("burst", 20)):
                value = b"%s:%d:%s" % (name.encode(), number, b"x" * 100)
                try:
                    self.producer.produce(
                        self.command["topic"],
                        value=value,
                        key=name.encode(),
                        partition=partitions[number % len(partitions)],
                        on_delivery=self.note,
                    )
                    number += 1
                except BufferError:
                    break
            self.producer.poll(pause_s)
        self.sent = number

    def stop(self):
        self.running = False
        self.thread.join(PATIENCE_S)
        left = self.producer.flush(self.command.get("patienceS", 90))
        return {
            "sent": self.sent,
            "acknowledged": self.acknowledged,
            "errors": self.errors,
            "left": left,
        }


def main():
    driver = Driver(sys.argv[1])
    for command in commands():
        try:
            answer = getattr(driver, command["do"])(command)
        except Exception as error:
            answer = failure(error)
        reply(answer)


main()
