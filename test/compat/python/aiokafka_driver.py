"""Drives aiokafka for the compatibility tests: aiokafka_driver.py BOOTSTRAP. The protocol is protocol.py's."""

import asyncio
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import for_code

from protocol import (
    PATIENCE_S,
    Unsupported,
    commands,
    error_name,
    failure,
    record_of,
    reply,
    send_fields,
    state_name,
)

ASSIGNORS = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor}


class Member:
    """A group member that reads in a task of its own until it leaves."""

    def __init__(self, bootstrap, command):
        assignor = command.get("assignor", "range")
        if assignor not in ASSIGNORS:
            raise Unsupported(assignor)
        self.records = []
        self.positions = {}
        self.consumer = AIOKafkaConsumer(
            *command["topics"],
            bootstrap_servers=bootstrap,
            group_id=command["group"],
            group_instance_id=command.get("instance"),
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=command.get("sessionTimeoutMs", 6000),
            heartbeat_interval_ms=500,
            metadata_max_age_ms=5000,
            partition_assignment_strategy=[ASSIGNORS[assignor]],
        )

    async def start(self):
        await self.consumer.start()
        self.task = asyncio.create_task(self.run())

    async def run(self):
        async for message in self.consumer:
            place = TopicPartition(message.topic, message.partition)
            self.positions[place] = message.offset + 1
            self.records.append(record_of(message))

    async def commit(self):
        mine = self.consumer.assignment()
        offsets = {place: at for place, at in self.positions.items() if place in mine}
        if offsets:
            await self.consumer.commit(offsets)

    async def leave(self):
        await self.consumer.stop()
        self.task.cancel()

    def take(self):
        records, self.records = self.records, []
        return records


def check(code):
    if code:
        raise for_code(code)()


class Driver:
    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.members = {}

    async def start(self):
        self.admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await self.admin.start()

    async def produce(self, command):
        codec = command.get("codec", "none")
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            acks=command.get("acks", "all"),
            compression_type=None if codec == "none" else codec,
            enable_idempotence=command.get("idempotent", False),
            linger_ms=5,
            max_request_size=20_000_000,
        )
        await producer.start()
        sent = [
            await producer.send(command["topic"], **send_fields(record))
            for record in command["records"]
        ]
        outcomes = []
        for done in await asyncio.wait_for(asyncio.gather(*sent, return_exceptions=True), PATIENCE_S):
            if done is None:
                outcomes.append({"partition": -1, "offset": -1})  # acks=0 tells nothing
            elif isinstance(done, BaseException):
                outcomes.append({"error": error_name(done)})
            else:
                outcomes.append({"partition": done.partition, "offset": done.offset})
        await producer.stop()
        return {"outcomes": outcomes}

    async def reader(self):
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=4_000_000,
        )
        await consumer.start()
        return consumer

    async def consume(self, command):
        """Reads every partition to the end that it has now."""
        consumer = await self.reader()
        places = await self.places(command["topic"])
        consumer.assign(places)
        starts = await consumer.beginning_offsets(places)
        ends = await consumer.end_offsets(places)
        open_places = {place for place in places if ends[place] > starts[place]}
        records = []
        async with asyncio.timeout(PATIENCE_S):
            while open_places:
                for place, messages in (await consumer.getmany(timeout_ms=100)).items():
                    records.extend(record_of(message) for message in messages)
                    if messages[-1].offset >= ends[place] - 1:
                        open_places.discard(place)
        await consumer.stop()
        return {"records": records}

    # Groups

    async def join(self, command):
        member = Member(self.bootstrap, command)
        self.members[command["member"]] = member
        await member.start()
        return {}

    async def assignment(self, command):
        assigned = sorted(self.members[command["member"]].consumer.assignment())
        return {"partitions": [[place.topic, place.partition] for place in assigned]}

    async def take(self, command):
        return {"records": self.members[command["member"]].take()}

    async def commit(self, command):
        await self.members[command["member"]].commit()
        return {}

    async def leave(self, command):
        await self.members.pop(command["member"]).leave()
        return {}

    # Admin

    async def results(self, names, call):
        answers = {}
        for name in names:
            try:
                await call(name)
                answers[name] = None
            except Exception as error:
                answers[name] = error_name(error)
        return {"results": answers}

    async def places(self, topic):
        [found] = await self.admin.describe_topics([topic])
        return [TopicPartition(topic, each["partition"]) for each in found["partitions"]]

    async def createTopics(self, command):
        wanted = {each["name"]: each for each in command["topics"]}

        async def create(name):
            each = wanted[name]
            topic = NewTopic(
                name,
                each.get("partitions", -1),
                each.get("replicationFactor", -1),
                topic_configs=each.get("configs") or {},
            )
            answer = await self.admin.create_topics([topic])
            check(answer.topic_errors[0][1])

        return await self.results(wanted, create)

    async def deleteTopics(self, command):
        async def delete(name):
            answer = await self.admin.delete_topics([name])
            check(answer.topic_error_codes[0][1])

        return await self.results(command["names"], delete)

    async def createPartitions(self, command):
        wanted = {command["topic"]: NewPartitions(command["total"])}
        return await self.results(wanted, lambda name: self.admin.create_partitions(wanted))

    async def listTopics(self, command):
        topics = await self.admin.describe_topics()
        return {"topics": {each["topic"]: len(each["partitions"]) for each in topics}}

    def resource(self, command, configs=None):
        return ConfigResource(ConfigResourceType[command["type"].upper()], command["name"], configs)

    async def describeConfigs(self, command):
        [answer] = await self.admin.describe_configs([self.resource(command)])
        [found] = answer.to_object()["resources"]
        return {
            "configs": {each["config_names"]: each["config_value"] for each in found["config_entries"]}
        }

    async def alterConfigs(self, command):
        """The client has only the older call, which replaces all of a resource's settings."""

        async def alter(name):
            [answer] = await self.admin.alter_configs([self.resource(command, command["set"])])
            check(answer.resources[0][0])

        return await self.results([command["name"]], alter)

    async def listGroups(self, command):
        return {"groups": [each[0] for each in await self.admin.list_consumer_groups()]}

    async def describeGroup(self, command):
        [answer] = await self.admin.describe_consumer_groups([command["group"]])
        [found] = answer.to_object()["groups"]
        return {"state": state_name(found["state"]), "members": len(found["members"])}

    async def groupOffsets(self, command):
        offsets = {}
        found = await self.admin.list_consumer_group_offsets(command["group"])
        for place, each in found.items():
            if each.offset >= 0:
                offsets.setdefault(place.topic, {})[str(place.partition)] = each.offset
        return {"offsets": offsets}

    async def setGroupOffsets(self, command):
        """By a consumer of the group that chose its partitions itself: the admin client has no call."""
        wanted = {TopicPartition(command["topic"], int(p)): o for p, o in command["offsets"].items()}
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, group_id=command["group"], enable_auto_commit=False
        )
        await consumer.start()
        consumer.assign(list(wanted))
        await consumer.commit(wanted)
        await consumer.stop()
        return {}

    async def deleteRecords(self, command):
        wanted = {
            TopicPartition(command["topic"], int(p)): RecordsToDelete(offset)
            for p, offset in command["offsets"].items()
        }
        found = await self.admin.delete_records(wanted)
        return {"lows": {str(place.partition): low for place, low in found.items()}}

    async def listOffsets(self, command):
        at = command["at"]
        if at == "max":
            raise Unsupported(at)
        consumer = await self.reader()
        places = await self.places(command["topic"])
        if at == "earliest":
            found = await consumer.beginning_offsets(places)
        elif at == "latest":
            found = await consumer.end_offsets(places)
        else:
            by_time = await consumer.offsets_for_times({place: at for place in places})
            found = {place: each.offset if each else -1 for place, each in by_time.items()}
        await consumer.stop()
        return {"offsets": {str(place.partition): offset for place, offset in found.items()}}

    async def describeCluster(self, command):
        found = await self.admin.describe_cluster()
        return {
            "clusterId": found["cluster_id"],
            "brokers": len(found["brokers"]),
            "controller": found["controller_id"],
        }


async def main():
    driver = Driver(sys.argv[1])
    await driver.start()
    each = commands()
    while (command := await asyncio.to_thread(next, each, None)) is not None:
        call = getattr(driver, command["do"], None)
        try:
            reply({"unsupported": True} if call is None else await call(command))
        except Exception as error:
            reply(failure(error))


asyncio.run(main())
