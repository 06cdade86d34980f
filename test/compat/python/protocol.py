"""What the drivers of Python clients share: one JSON command a line on standard input, one JSON answer a line.

Bytes travel as base64. A command that a client has no call for answers {"unsupported": true}.
"""

import base64
import json
import queue
import sys
import threading

# An admin call or a read that takes longer has failed.
PATIENCE_S = 60


class Unsupported(Exception):
    """The client has no call for what is asked."""


def decode(text):
    return None if text is None else base64.b64decode(text)


def encode(data):
    return None if data is None else base64.b64encode(data).decode()


def error_name(error):
    """The protocol's name of an error: TOPIC_ALREADY_EXISTS."""
    return getattr(error, "message", None) or f"{type(error).__name__}: {error}"


def state_name(state):
    return str(getattr(state, "name", state)).replace("_", "").lower()


def record_of(message):
    """A consumer record of kafka-python or aiokafka, which have the same fields."""
    return {
        "topic": message.topic,
        "partition": message.partition,
        "offset": message.offset,
        "key": encode(message.key),
        "value": encode(message.value),
        "headers": [[name, encode(value)] for name, value in message.headers],
        "timestampMs": message.timestamp,
    }


def send_fields(record):
    """The named arguments of a producer's send, which both clients share."""
    fields = {
        "key": decode(record["key"]),
        "value": decode(record["value"]),
        "headers": [(name, decode(value)) for name, value in record.get("headers") or []],
    }
    if record.get("timestampMs") is not None:
        fields["timestamp_ms"] = record["timestampMs"]
    if record.get("partition") is not None:
        fields["partition"] = record["partition"]
    return fields


class PollingMember:
    """A group member that polls in a thread of its own until it leaves. Only that thread touches the consumer.

    A client's member starts it, and has `open()`, which gives the consumer, `poll(consumer)`, and `commit(consumer)`.
    """

    def __init__(self):
        self.positions = {}
        self.records = queue.SimpleQueue()
        self.orders = queue.SimpleQueue()

    def start(self):
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        consumer = self.open()
        running = True
        while running:
            self.poll(consumer)
            while running and not self.orders.empty():
                order, done = self.orders.get()
                running = order != "leave"
                try:
                    self.commit(consumer) if running else consumer.close()
                    done.put(None)
                except Exception as error:
                    done.put(error)

    def order(self, order):
        """Has the thread carry out `commit` or `leave`."""
        done = queue.SimpleQueue()
        self.orders.put((order, done))
        error = done.get(timeout=PATIENCE_S)
        if error:
            raise error

    def take(self):
        records = []
        while not self.records.empty():
            records.append(self.records.get())
        return records


def commands():
    """Each command of standard input as its fields."""
    for line in sys.stdin:
        yield json.loads(line)


def failure(error):
    if isinstance(error, Unsupported):
        return {"unsupported": True}
    return {"error": f"{type(error).__name__}: {error}"}


def reply(answer):
    print(json.dumps(answer), flush=True)
