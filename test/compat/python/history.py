"""What a client did and saw, as a history for test/checker: one JSON line an event, written as it happens.

{"process", "type": invoke|ok|fail|info, "f": send|poll|assign|revoke|member|commit, "value", "t": milliseconds since 1970}
"""

import json
import threading
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

PATIENCE_S = 60
FIRST_COMMIT_S = 0.2
FILLING = "."

# What a consumer meets while brokers die and lead again; it goes on by itself.
PASSING = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._MAX_POLL_EXCEEDED,
    KafkaError._NO_OFFSET,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.REQUEST_TIMED_OUT,
}


class History:
    """One client in a thread of its own that notes what it does until it is told to stop."""

    def __init__(self, bootstrap, command):
        self.bootstrap = bootstrap
        self.command = command
        self.process = command["name"]
        self.topic = command["topic"]
        self.partitions = command["partitions"]
        self.out = open(command["path"], "a", buffering=1)
        self.running = True
        self.count = 0
        self.errors = []
        work = {"produce": self.produce, "assign": self.assign, "group": self.group}
        self.thread = threading.Thread(target=self.guard, args=(work[command["role"]],), daemon=True)
        self.thread.start()

    def guard(self, work):
        try:
            work()
        except Exception as error:
            self.errors.append(f"{type(error).__name__}: {error}")

    def note(self, kind, f, value, error=None):
        event = {"process": self.process, "type": kind, "f": f, "value": value, "t": time.time() * 1000}
        if error is not None:
            event["error"] = error
        self.out.write(json.dumps(event) + "\n")

    def stop(self):
        self.running = False
        self.thread.join(self.command.get("patienceS", 150))
        if self.thread.is_alive():
            self.errors.append("did not end in time")
        self.out.flush()
        return {"count": self.count, "errors": self.errors}

    # Sending

    def produce(self):
        idempotent = self.command.get("idempotent", True)
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "acks": self.command.get("acks", -1),
                "enable.idempotence": idempotent,
                **({} if idempotent else {"max.in.flight.requests.per.connection": 1}),
                "delivery.timeout.ms": self.command.get("deliveryTimeoutMs", 120_000),
                "linger.ms": self.command.get("lingerMs", 0),
                "compression.type": self.command.get("codec", "none"),
                **self.command.get("settings", {}),
            }
        )
        pause_s = self.command.get("pauseMs", 10) / 1000
        # With keys the client chooses the partition.
        keys = self.command.get("keys", 0)
        number = self.command.get("first", 0)
        due = time.monotonic()
        while self.running:
            for _ in range(self.command.get("burst", 1)):
                partition = self.partitions[number % len(self.partitions)]
                place = {"partition": partition}
                if keys:
                    partition = None
                    place = {"key": f"{number % keys}"}
                value = f"{self.process}:{number}"
                self.note("invoke", "send", [partition, None, value])
                try:
                    filled = value.ljust(self.command.get("valueBytes", 0), FILLING)
                    producer.produce(
                        self.topic, value=filled, on_delivery=self.delivered, **place
                    )
                    number += 1
                except BufferError:
                    self.note("fail", "send", [partition, None, value], "queue full")
                    break
            due = max(due + pause_s, time.monotonic() - 1)
            while True:
                producer.poll(max(0, min(due - time.monotonic(), 0.05)))
                if time.monotonic() >= due:
                    break
        if producer.flush(self.command.get("patienceS", 130)) > 0:
            self.errors.append("records are left unsent")

    def delivered(self, error, message):
        value = message.value().decode().rstrip(FILLING)
        if error is None:
            self.count += 1
            # With acks=0 nobody is told of an offset.
            offset = message.offset() if self.command.get("acks", -1) != 0 else None
            self.note("ok", "send", [message.partition(), offset, value])
        else:
            # Of an idempotent producer's record that timed out nobody knows whether it was stored.
            self.note("info", "send", [message.partition(), None, value], error.name())
            self.errors.append(error.name())

    # Reading

    def consumer(self, more):
        return Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 100,
                **more,
                **self.command.get("settings", {}),
            }
        )

    def take(self, consumer, timeout_s=0.1):
        """Notes what a poll gives; passing errors are none."""
        read = []
        for message in consumer.consume(1000, timeout_s):
            error = message.error()
            if error is None:
                value = message.value().decode().rstrip(FILLING)
                read.append([message.partition(), message.offset(), value])
            elif error.code() not in PASSING and not error.retriable():
                self.errors.append(error.name())
        if read:
            self.count += len(read)
            self.note("ok", "poll", read)
        return read

    def assign(self):
        """Reads all partitions from their beginnings, without a group; a position that is lost would show as a jump."""
        consumer = self.consumer({"group.id": "unused", "auto.offset.reset": "error"})
        consumer.assign([TopicPartition(self.topic, p, 0) for p in self.partitions])
        self.note("ok", "assign", self.partitions)
        while self.running:
            self.take(consumer)
        consumer.close()

    def group(self):
        consumer = self.consumer(
            {
                "group.id": self.command["group"],
                "session.timeout.ms": self.command.get("sessionTimeoutMs", 10_000),
                "heartbeat.interval.ms": 500,
                **(
                    {"group.instance.id": self.command["instance"]}
                    if self.command.get("instance")
                    else {}
                ),
            }
        )
        positions = {}

        def gain(consumer, places):
            positions.clear()
            self.note("ok", "assign", [each.partition for each in places])
            consumer.assign(places)

        def lose(consumer, places):
            # Who gets these partitions now begins where this one ended.
            if self.command.get("commitsOnRevoke"):
                self.commit(consumer, positions)
            positions.clear()
            self.note("ok", "revoke", [each.partition for each in places])
            consumer.unassign()

        consumer.subscribe([self.topic], on_assign=gain, on_revoke=lose, on_lost=lose)
        due = 0
        member = None
        while self.running:
            for partition, offset, _ in self.take(consumer):
                positions[partition] = offset + 1
            # Of generations this client does not tell.
            if consumer.memberid() != member:
                member = consumer.memberid()
                self.note("ok", "member", [member, None])
            if positions and time.monotonic() >= due:
                due = time.monotonic() + FIRST_COMMIT_S
                self.commit(consumer, positions)
        self.commit(consumer, positions)
        consumer.close()

    def commit(self, consumer, positions):
        if not positions:
            return
        value = {str(p): offset for p, offset in positions.items()}
        self.note("invoke", "commit", value)
        try:
            offsets = [TopicPartition(self.topic, p, offset) for p, offset in positions.items()]
            consumer.commit(offsets=offsets, asynchronous=False)
            self.note("ok", "commit", value)
            positions.clear()
        except KafkaException as error:
            # A commit that was refused, or that nobody answered: the next one says all of it again.
            self.note("info", "commit", value, error.args[0].name())
