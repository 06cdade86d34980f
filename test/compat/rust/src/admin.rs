//! Topics, settings, offsets, records, the cluster.

use std::collections::HashMap;

use futures_executor::block_on;
use rdkafka::admin::{
    AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
    TopicResult,
};
use rdkafka::bindings::rd_kafka_controllerid;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};
use serde::Deserialize;
use serde_json::{json, Value};

use crate::records::partitions_of;
use crate::{described, error_name, Answer, Command, Driver, PATIENCE};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    name: String,
    #[serde(default = "the_brokers")]
    partitions: i32,
    #[serde(default = "the_brokers")]
    replication_factor: i32,
    #[serde(default)]
    configs: HashMap<String, String>,
}

/// The broker's default.
fn the_brokers() -> i32 {
    -1
}

pub fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(PATIENCE))
        .operation_timeout(Some(PATIENCE / 2))
}

fn results(outcomes: KafkaResult<Vec<TopicResult>>) -> Answer {
    let results: HashMap<_, _> = outcomes
        .map_err(described)?
        .into_iter()
        .map(|outcome| match outcome {
            Ok(name) => (name, None),
            Err((name, code)) => (name, Some(error_name(code))),
        })
        .collect();
    Ok(Some(json!({ "results": results })))
}

impl Driver {
    pub fn administer(&mut self, command: &Command) -> Answer {
        match command.name.as_str() {
            "createTopics" => self.create_topics(command),
            "deleteTopics" => {
                let names: Vec<&str> = command.names.iter().map(String::as_str).collect();
                results(block_on(self.admin.delete_topics(&names, &options())))
            }
            "createPartitions" => {
                let wanted = NewPartitions::new(&command.topic, command.total);
                results(block_on(self.admin.create_partitions(&[wanted], &options())))
            }
            "listTopics" => self.list_topics(),
            "describeConfigs" => self.describe_configs(command),
            "alterConfigs" => self.alter_configs(command),
            "describeCluster" => self.describe_cluster(),
            "deleteRecords" => self.delete_records(command),
            "listOffsets" => self.list_offsets(command),
            _ => self.administer_groups(command),
        }
    }

    fn create_topics(&self, command: &Command) -> Answer {
        let wanted: Vec<Wanted> = command
            .topics
            .iter()
            .map(|each| serde_json::from_value(each.clone()))
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string())?;
        let topics: Vec<NewTopic<'_>> = wanted
            .iter()
            .map(|each| {
                let copies = TopicReplication::Fixed(each.replication_factor);
                let topic = NewTopic::new(&each.name, each.partitions, copies);
                each.configs
                    .iter()
                    .fold(topic, |topic, (name, value)| topic.set(name, value))
            })
            .collect();
        results(block_on(self.admin.create_topics(&topics, &options())))
    }

    fn list_topics(&self) -> Answer {
        let client = self.admin.inner();
        let metadata = client.fetch_metadata(None, PATIENCE).map_err(described)?;
        let topics: HashMap<&str, usize> = metadata
            .topics()
            .iter()
            .map(|topic| (topic.name(), topic.partitions().len()))
            .collect();
        Ok(Some(json!({ "topics": topics })))
    }

    fn describe_configs(&self, command: &Command) -> Answer {
        let resource = command.specifier()?;
        let described_all = block_on(self.admin.describe_configs(&[resource], &options()));
        let mut configs = HashMap::new();
        for resource in described_all.map_err(described)? {
            for entry in resource.map_err(error_name)?.entries {
                configs.insert(entry.name, entry.value);
            }
        }
        Ok(Some(json!({ "configs": configs })))
    }

    /// The client has only the old request, which sets everything anew.
    fn alter_configs(&self, command: &Command) -> Answer {
        let change = AlterConfig::new(command.specifier()?);
        let change = command
            .set
            .iter()
            .fold(change, |change, (name, value)| change.set(name, value));
        let outcomes =
            block_on(self.admin.alter_configs(&[change], &options())).map_err(described)?;
        let failure = outcomes.into_iter().find_map(Result::err);
        let error = failure.map(|(_, code)| error_name(code));
        let results = HashMap::from([(&command.resource, error)]);
        Ok(Some(json!({ "results": results })))
    }

    /// The safe part of the client does not tell the controller, the library's own does.
    fn describe_cluster(&self) -> Answer {
        let client = self.admin.inner();
        let metadata = client.fetch_metadata(None, PATIENCE).map_err(described)?;
        let cluster = client.fetch_cluster_id(PATIENCE);
        let patience_ms = PATIENCE.as_millis() as i32;
        // SAFETY: the pointer is the living client's.
        let controller = unsafe { rd_kafka_controllerid(client.native_ptr(), patience_ms) };
        let brokers = metadata.brokers().len();
        Ok(Some(json!({ "clusterId": cluster, "brokers": brokers, "controller": controller })))
    }

    fn delete_records(&self, command: &Command) -> Answer {
        let places = command.places()?;
        let outcome = block_on(self.admin.delete_records(&places, &options()));
        let mut lows = HashMap::new();
        for each in outcome.map_err(described)?.elements() {
            each.error().map_err(described)?;
            lows.insert(each.partition(), each.offset().to_raw());
        }
        Ok(Some(json!({ "lows": lows })))
    }

    fn list_offsets(&self, command: &Command) -> Answer {
        if command.at == "max" {
            return Ok(None);
        }
        let topic = command.topic.as_str();
        let consumer = self.reader("unused")?;
        let mut offsets = HashMap::new();
        for partition in partitions_of(&consumer, topic)? {
            let offset = match &command.at {
                Value::Number(time) => {
                    let mut asked = TopicPartitionList::new();
                    let time = Offset::Offset(time.as_i64().unwrap_or_default());
                    asked
                        .add_partition_offset(topic, partition, time)
                        .and_then(|()| consumer.offsets_for_times(asked, PATIENCE))
                        .map(|found| found.elements()[0].offset().to_raw())
                }
                at => consumer
                    .fetch_watermarks(topic, partition, PATIENCE)
                    .map(|(low, high)| Some(if at == "earliest" { low } else { high })),
            };
            offsets.insert(partition, offset.map_err(described)?);
        }
        Ok(Some(json!({ "offsets": offsets })))
    }
}

impl Command {
    fn specifier(&self) -> Result<ResourceSpecifier<'_>, String> {
        match self.kind.as_str() {
            "broker" => {
                let id = self.resource.parse().map_err(|_| "not a broker's id")?;
                Ok(ResourceSpecifier::Broker(id))
            }
            _ => Ok(ResourceSpecifier::Topic(&self.resource)),
        }
    }
}
