"""Drives kafka-python for the compatibility tests: kafka_python_driver.py BOOTSTRAP. The protocol is protocol.py's."""

import re
import sys
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, NewTopic
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.errors import for_code
from kafka.structs import OffsetAndMetadata

from protocol import (
    PATIENCE_S,
    PollingMember,
    commands,
    error_name,
    failure,
    record_of,
    reply,
    send_fields,
    state_name,
)

ASSIGNORS = {
    "range": RangePartitionAssignor,
    "roundrobin": RoundRobinPartitionAssignor,
    "cooperative": CooperativeStickyAssignor,
}
SPECS = {"latest": -1, "earliest": -2, "max": -3}


class Member(PollingMember):
    def __init__(self, bootstrap, command):
        super().__init__()
        self.assigned = []
        self.topics = command["topics"]
        self.settings = {
            "bootstrap_servers": bootstrap,
            "group_id": command["group"],
            "group_instance_id": command.get("instance"),
            "auto_offset_reset": "earliest",
            "enable_auto_commit": False,
            "session_timeout_ms": command.get("sessionTimeoutMs", 6000),
            "heartbeat_interval_ms": 500,
            "partition_assignment_strategy": [ASSIGNORS[command.get("assignor", "range")]],
        }
        self.start()

    def open(self):
        consumer = KafkaConsumer(**self.settings)
        consumer.subscribe(self.topics)
        return consumer

    def poll(self, consumer):
        # Shorter polls now and then keep this client from ever finishing to join.
        for place, messages in consumer.poll(timeout_ms=500).items():
            self.positions[place] = messages[-1].offset + 1
            for message in messages:
                self.records.put(record_of(message))
        self.assigned = sorted(consumer.assignment())

    def commit(self, consumer):
        mine = consumer.assignment()
        offsets = {
            place: OffsetAndMetadata(offset, "", -1)
            for place, offset in self.positions.items()
            if place in mine
        }
        if offsets:
            consumer.commit(offsets)


class Driver:
    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.admin = KafkaAdminClient(bootstrap_servers=bootstrap)
        self.members = {}

    def produce(self, command):
        acks = command.get("acks", "all")
        codec = command.get("codec", "none")
        producer = KafkaProducer(
            bootstrap_servers=self.bootstrap,
            acks=acks,
            compression_type=None if codec == "none" else codec,
            enable_idempotence=command.get("idempotent", False),
            linger_ms=5,
            max_request_size=20_000_000,
        )
        sent = [producer.send(command["topic"], **send_fields(r)) for r in command["records"]]
        outcomes = []
        for future in sent:
            try:
                place = future.get(PATIENCE_S)
                outcomes.append({"partition": place.partition, "offset": place.offset})
            except Exception as error:
                outcomes.append({"error": error_name(error)})
        producer.close()
        return {"outcomes": outcomes}

    def consume(self, command):
        """Reads every partition to the end that it has now."""
        consumer = KafkaConsumer(
            bootstrap_servers=self.bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=4_000_000,
        )
        topic = command["topic"]
        places = self.places(topic)
        consumer.assign(places)
        consumer.seek_to_beginning()
        ends = consumer.end_offsets(places)
        deadline = time.monotonic() + PATIENCE_S
        records = []
        while any(consumer.position(place) < ends[place] for place in places):
            if time.monotonic() > deadline:
                raise TimeoutError("the end was not reached")
            for messages in consumer.poll(timeout_ms=100).values():
                records.extend(record_of(message) for message in messages)
        consumer.close()
        return {"records": records}

    # Groups

    def join(self, command):
        self.members[command["member"]] = Member(self.bootstrap, command)
        return {}

    def assignment(self, command):
        assigned = self.members[command["member"]].assigned
        return {"partitions": [[place.topic, place.partition] for place in assigned]}

    def take(self, command):
        return {"records": self.members[command["member"]].take()}

    def commit(self, command):
        self.members[command["member"]].order("commit")
        return {}

    def leave(self, command):
        self.members.pop(command["member"]).order("leave")
        return {}

    # Admin

    def results(self, names, call):
        answers = {}
        for name in names:
            try:
                call(name)
                answers[name] = None
            except Exception as error:
                answers[name] = error_name(error)
        return {"results": answers}

    def places(self, topic):
        [found] = self.admin.describe_topics([topic])
        return [TopicPartition(topic, p["partition_index"]) for p in found["partitions"]]

    def createTopics(self, command):
        wanted = {each["name"]: each for each in command["topics"]}

        def create(name):
            each = wanted[name]
            topic = NewTopic(
                name,
                each.get("partitions", -1),
                each.get("replicationFactor", -1),
                topic_configs=each.get("configs") or {},
            )
            self.admin.create_topics([topic])

        return self.results(wanted, create)

    def deleteTopics(self, command):
        return self.results(command["names"], lambda name: self.admin.delete_topics([name]))

    def createPartitions(self, command):
        counts = {command["topic"]: command["total"]}
        return self.results(
            counts, lambda name: self.admin.create_partitions({name: counts[name]})
        )

    def listTopics(self, command):
        topics = self.admin.describe_topics()
        return {"topics": {each["name"]: len(each["partitions"]) for each in topics}}

    def describeConfigs(self, command):
        kind, name = command["type"], command["name"]
        resource = ConfigResource(kind.upper(), name)
        found = self.admin.describe_configs([resource], config_filter="all")[kind][name]
        return {"configs": {key: entry["value"] for key, entry in found.items()}}

    def alterConfigs(self, command):
        kind, name = command["type"], command["name"]
        resource = ConfigResource(kind.upper(), name, command.get("set", {}))
        result = self.admin.alter_configs([resource])[kind][name]
        # The client gives an error as a text: [Error 40] InvalidConfigurationError: ...
        code = re.match(r"\[Error (\d+)\]", result)
        return {"results": {name: error_name(for_code(int(code[1]))) if code else None}}

    def listGroups(self, command):
        return {"groups": [each["group_id"] for each in self.admin.list_groups()]}

    def describeGroup(self, command):
        found = self.admin.describe_groups([command["group"]])[command["group"]]
        return {"state": state_name(found["group_state"]), "members": len(found["members"])}

    def deleteGroups(self, command):
        names = {"OK": None, "GroupIdNotFoundError": "GROUP_ID_NOT_FOUND"}
        found = self.admin.delete_groups(command["groups"])
        return {"results": {group: names.get(result, result) for group, result in found.items()}}

    def groupOffsets(self, command):
        offsets = {}
        for place, found in self.admin.list_group_offsets(command["group"])[command["group"]].items():
            if found.offset >= 0:
                offsets.setdefault(place.topic, {})[str(place.partition)] = found.offset
        return {"offsets": offsets}

    def setGroupOffsets(self, command):
        offsets = {
            TopicPartition(command["topic"], int(p)): OffsetAndMetadata(offset, "", -1)
            for p, offset in command["offsets"].items()
        }
        self.admin.alter_group_offsets(command["group"], offsets)
        return {}

    def deleteGroupOffsets(self, command):
        places = [TopicPartition(command["topic"], p) for p in command["partitions"]]
        self.admin.delete_group_offsets(command["group"], places)
        return {}

    def deleteRecords(self, command):
        wanted = {TopicPartition(command["topic"], int(p)): o for p, o in command["offsets"].items()}
        found = self.admin.delete_records(wanted)
        return {"lows": {str(p.partition): low["low_watermark"] for p, low in found.items()}}

    def listOffsets(self, command):
        at = SPECS.get(command["at"], command["at"])
        wanted = {place: at for place in self.places(command["topic"])}
        found = self.admin.list_partition_offsets(wanted)
        return {"offsets": {str(place.partition): each.offset for place, each in found.items()}}

    def describeCluster(self, command):
        found = self.admin.describe_cluster()
        return {
            "clusterId": found["cluster_id"],
            "brokers": len(found["brokers"]),
            "controller": found["controller_id"],
        }


def main():
    driver = Driver(sys.argv[1])
    for command in commands():
        call = getattr(driver, command["do"], None)
        try:
            reply({"unsupported": True} if call is None else call(command))
        except Exception as error:
            reply(failure(error))


main()
