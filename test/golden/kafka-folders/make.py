"""Makes the log folders of old Kafkas in this folder, and what a client read from those Kafkas: see README.md.

  python make.py zookeeper|kraft FOLDER_OF_JARS VERSION

Needs java and confluent-kafka. FOLDER_OF_JARS: what `mvn dependency:copy-dependencies` brings for
org.apache.kafka:kafka_2.13:VERSION and org.slf4j:slf4j-simple.
"""
import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import uuid

from confluent_kafka import TIMESTAMP_CREATE_TIME, Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

MODE, JARS, VERSION = sys.argv[1:]
HERE = os.path.dirname(os.path.abspath(__file__))
WORK = tempfile.mkdtemp(prefix="kafka-folders-")
PORT, CONTROLLER = 29192, 29193
BOOTSTRAP = f"127.0.0.1:{PORT}"
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
START = 1_700_000_000_000
DIRS = ["a", "b"] if MODE == "kraft" else ["a"]

COMMON = f"""
listeners=PLAINTEXT://{BOOTSTRAP}
log.dirs={",".join(os.path.join(WORK, d) for d in DIRS)}
log.index.size.max.bytes=1024
log.cleaner.backoff.ms=300
log.retention.check.interval.ms=1000
log.retention.ms=-1
offsets.topic.num.partitions=2
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
file.delete.delay.ms=600000
log.segment.delete.delay.ms=600000
"""
KRAFT = f"""
node.id=7
process.roles=broker,controller
controller.quorum.voters=7@127.0.0.1:{CONTROLLER}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
""" + COMMON.replace(BOOTSTRAP, f"{BOOTSTRAP},CONTROLLER://127.0.0.1:{CONTROLLER}")
# Brokers of 2.7 knew no topic ids: the folders have no partition.metadata.
ZOOKEEPER = f"""
broker.id=7
zookeeper.connect=127.0.0.1:{CONTROLLER}
inter.broker.protocol.version=2.7
""" + COMMON


def java(main, *args, log="server.log", wait=False):
    jvm = ["java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=info"]
    with open(os.path.join(WORK, log), "w") as out:
        child = subprocess.Popen([*jvm, "-cp", f"{JARS}/*", main, *args], stdout=out, stderr=out, cwd=WORK)
    if wait and child.wait() != 0:
        sys.exit(f"{main} failed: {WORK}/{log}")
    return child


def written(name, text):
    path = os.path.join(WORK, name)
    with open(path, "w") as file:
        file.write(text)
    return path


def start():
    if MODE == "kraft":
        properties = written("server.properties", KRAFT)
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", properties, log="format.log", wait=True)
        return [java("kafka.Kafka", properties)]
    keeper = written("zookeeper.properties", f"dataDir={WORK}/zookeeper\nclientPort={CONTROLLER}\nadmin.enableServer=false\n")
    servers = [java("org.apache.zookeeper.server.quorum.QuorumPeerMain", keeper, log="zookeeper.log")]
    time.sleep(5)
    return [java("kafka.Kafka", written("server.properties", ZOOKEEPER)), *servers]


def create(admin, name, partitions=1, **config):
    config = {key.replace("_", "."): value for key, value in config.items()}
    for future in admin.create_topics([NewTopic(name, partitions, 1, config=config)]).values():
        future.result()


def fill(admin):
    for codec in CODECS:
        create(admin, f"codec-{codec}", 2)
        producer = Producer({"bootstrap.servers": BOOTSTRAP, "compression.type": codec, "linger.ms": 50})
        for at in range(12):
            headers = [("index", str(at).encode()), ("nothing", None), ("index", b"")] if at % 3 == 0 else None
            value = None if at == 5 else f"{codec} {at} {'again ' * 20}".encode()
            key = None if at == 6 else f"key {at}".encode()
            producer.produce(f"codec-{codec}", value, key, partition=at % 2, headers=headers, timestamp=START + at)
        producer.flush()

    create(admin, "idempotent")
    for turn in range(2):
        producer = Producer({"bootstrap.servers": BOOTSTRAP, "enable.idempotence": True})
        for at in range(5):
            producer.produce("idempotent", f"{turn} {at}", partition=0, timestamp=START + at)
            producer.flush()

    create(admin, "transactions")
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "transactional.id": "t"})
    producer.init_transactions()
    for turn in range(4):
        producer.begin_transaction()
        for at in range(3):
            producer.produce("transactions", f"{turn} {at}", partition=0, timestamp=START + at)
        producer.flush()
        producer.abort_transaction() if turn % 2 else producer.commit_transaction()

    create(admin, "compacted", cleanup_policy="compact", segment_bytes="1000", min_cleanable_dirty_ratio="0.01")
    producer = Producer({"bootstrap.servers": BOOTSTRAP})
    for at in range(60):
        producer.produce("compacted", f"{at} {'x' * 50}", f"k{at % 4}", partition=0, timestamp=START + at)
        producer.flush()

    create(admin, "stamped", message_timestamp_type="LogAppendTime")
    create(admin, "trimmed", message_timestamp_difference_max_ms="9000000000000")
    for topic in ("stamped", "trimmed"):
        for at in range(6):
            producer.produce(topic, f"{at}", partition=0, timestamp=START + at)
        producer.flush()
    for future in admin.delete_records([TopicPartition("trimmed", 0, 4)]).values():
        future.result()
    create(admin, "deleted")
    producer.produce("deleted", "gone")
    producer.flush()


def commit(admin):
    """A group whose members came and went, and one whose offsets an operator set."""
    consumer = Consumer({
        "bootstrap.servers": BOOTSTRAP, "group.id": "readers", "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    })
    consumer.subscribe(["codec-gzip"])
    for _ in range(5):
        message = consumer.poll(60)
        consumer.commit(message, asynchronous=False)
    consumer.close()
    wanted = ConsumerGroupTopicPartitions("operators", [TopicPartition("codec-none", 0, 3), TopicPartition("codec-none", 1, 1)])
    for future in admin.alter_consumer_group_offsets([wanted]).values():
        future.result()


def leave_open():
    """A transaction that nobody ends."""
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "transactional.id": "open"})
    producer.init_transactions()
    producer.begin_transaction()
    producer.produce("idempotent", "never ended", partition=0, timestamp=START)
    producer.flush()
    return producer


def text(data):
    return None if data is None else data.decode()


def read(topic, partitions, isolation):
    consumer = Consumer({
        "bootstrap.servers": BOOTSTRAP, "group.id": "unused", "auto.offset.reset": "earliest",
        "enable.auto.commit": False, "isolation.level": isolation, "enable.partition.eof": True,
    })
    consumer.assign([TopicPartition(topic, at, 0) for at in range(partitions)])
    found, ended = [], 0
    while ended < partitions:
        message = consumer.poll(60)
        if message.error():
            ended += 1
            continue
        kind, at = message.timestamp()
        time_ms = at if kind == TIMESTAMP_CREATE_TIME else f"appended {at}"
        headers = [[name, text(value)] for name, value in message.headers() or []]
        found.append([message.partition(), message.offset(), time_ms, text(message.key()), text(message.value()), headers])
    consumer.close()
    return sorted(found, key=lambda record: record[:2])


def readings(admin):
    topics = admin.list_topics(timeout=60).topics
    topics = {name: len(topics[name].partitions) for name in sorted(topics) if not name.startswith("__")}
    groups = {}
    for group in ("readers", "operators"):
        asked = [ConsumerGroupTopicPartitions(group)]
        [answer] = [future.result() for future in admin.list_consumer_group_offsets(asked).values()]
        groups[group] = sorted([each.topic, each.partition, each.offset] for each in answer.topic_partitions)
    return {
        "kafka": VERSION,
        "groups": groups,
        "uncommitted": {name: read(name, count, "read_uncommitted") for name, count in topics.items()},
        "committed": {name: read(name, count, "read_committed") for name, count in topics.items()},
    }


def stop(servers):
    """A broker of KRaft ends in order; that with ZooKeeper is killed."""
    for server in servers:
        server.send_signal(signal.SIGTERM if MODE == "kraft" else signal.SIGKILL)
        server.wait()


def pack():
    """Owners and times do not matter."""
    def plain(entry):
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = START // 1000
        return entry
    with tarfile.open(os.path.join(HERE, f"kafka-{VERSION}.tar.gz"), "w:gz", compresslevel=9, format=tarfile.USTAR_FORMAT) as tar:
        for each in DIRS:
            tar.add(os.path.join(WORK, each), each, filter=plain)


def main():
    servers = start()
    try:
        admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
        for _ in range(120):
            try:
                if admin.list_topics(timeout=2).brokers:
                    break
            except Exception:
                time.sleep(1)
        fill(admin)
        commit(admin)
        time.sleep(10)  # the cleaner's turn
        producer = leave_open() if MODE == "zookeeper" else None
        for future in admin.delete_topics(["deleted"]).values():
            future.result()
        time.sleep(5)
        found = readings(admin)
    finally:
        stop(servers)
    with open(os.path.join(HERE, f"kafka-{VERSION}.json"), "w") as file:
        parts = [f"{json.dumps(name)}: {told(value)}" for name, value in found.items()]
        file.write("{\n" + ",\n".join(parts) + "\n}\n")
    pack()
    shutil.rmtree(WORK)
    del producer
    os._exit(0)  # a producer with an open transaction waits for its broker


def told(value):
    """A line for each topic or group."""
    if not isinstance(value, dict):
        return json.dumps(value)
    return "{\n" + ",\n".join(f"  {json.dumps(name)}: {json.dumps(each)}" for name, each in value.items()) + "\n}"


main()
