//! What is produced and read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{json, Value};

use crate::{decode, described, encode, Answer, Command, Driver, Outgoing, PATIENCE};

/// Notes what became of each record, by its place in the command.
struct Deliveries(Arc<Mutex<Vec<Value>>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, index: Box<usize>) {
        self.0.lock().unwrap()[*index] = match result {
            Ok(message) => json!({ "partition": message.partition(), "offset": message.offset() }),
            Err((error, _)) => json!({ "error": described(error.clone()) }),
        };
    }
}

pub fn found(message: &BorrowedMessage<'_>) -> Value {
    let headers: Vec<Value> = message
        .headers()
        .map(|headers| headers.iter().map(|each| json!([each.key, encode(each.value)])).collect())
        .unwrap_or_default();
    json!({
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "key": encode(message.key()),
        "value": encode(message.payload()),
        "headers": headers,
        "timestampMs": message.timestamp().to_millis(),
    })
}

fn headers_of(record: &Outgoing) -> Result<Option<OwnedHeaders>, String> {
    if record.headers.is_empty() {
        return Ok(None);
    }
    let mut headers = OwnedHeaders::new();
    for (key, value) in &record.headers {
        let bytes = decode(value)?;
        headers = headers.insert(Header { key, value: bytes.as_deref() });
    }
    Ok(Some(headers))
}

fn send(
    producer: &BaseProducer<Deliveries>,
    topic: &str,
    index: usize,
    record: &Outgoing,
) -> Result<(), String> {
    let (key, value) = (decode(&record.key)?, decode(&record.value)?);
    let mut next = BaseRecord {
        topic,
        partition: record.partition,
        payload: value.as_deref(),
        key: key.as_deref(),
        timestamp: record.timestamp_ms,
        headers: headers_of(record)?,
        delivery_opaque: Box::new(index),
    };
    loop {
        match producer.send(next) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                producer.poll(Duration::from_millis(20));
                next = back;
            }
            Err((error, _)) => return Err(described(error)),
        }
    }
}

impl Driver {
    pub fn produce(&self, command: &Command) -> Answer {
        let outcomes = Arc::new(Mutex::new(vec![Value::Null; command.records.len()]));
        let acks = match &command.acks {
            Value::Number(number) => number.to_string(),
            _ => "all".into(),
        };
        let producer: BaseProducer<Deliveries> = self
            .config()
            .set("compression.type", command.codec.as_deref().unwrap_or("none"))
            .set("acks", acks)
            .set("enable.idempotence", command.idempotent.to_string())
            .set("linger.ms", "5")
            .set("message.max.bytes", "20000000")
            .set("partitioner", "murmur2_random")
            .create_with_context(Deliveries(outcomes.clone()))
            .map_err(described)?;
        for (index, record) in command.records.iter().enumerate() {
            send(&producer, &command.topic, index, record)?;
        }
        producer.flush(PATIENCE).map_err(described)?;
        let outcomes = outcomes.lock().unwrap().clone();
        Ok(Some(json!({ "outcomes": outcomes })))
    }

    /// A client that never joins: for metadata, offsets and reads.
    pub fn reader(&self, group: &str) -> Result<BaseConsumer, String> {
        self.config()
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("fetch.message.max.bytes", "4000000")
            .create()
            .map_err(described)
    }

    /// Reads every partition from its start to the end that it has now.
    pub fn consume(&self, command: &Command) -> Answer {
        let topic = command.topic.as_str();
        let consumer = self.reader("unused")?;
        let mut open = HashMap::new();
        let mut starts = TopicPartitionList::new();
        for partition in partitions_of(&consumer, topic)? {
            let (low, high) = consumer
                .fetch_watermarks(topic, partition, PATIENCE)
                .map_err(described)?;
            if high > low {
                open.insert(partition, high);
                starts
                    .add_partition_offset(topic, partition, Offset::Offset(low))
                    .map_err(described)?;
            }
        }
        consumer.assign(&starts).map_err(described)?;
        let until = Instant::now() + PATIENCE;
        let mut records = Vec::new();
        while !open.is_empty() {
            if Instant::now() > until {
                return Err("the end was not reached".into());
            }
            let Some(message) = consumer.poll(Duration::from_millis(100)) else {
                continue;
            };
            let message = message.map_err(described)?;
            records.push(found(&message));
            if open.get(&message.partition()).is_some_and(|end| message.offset() + 1 >= *end) {
                open.remove(&message.partition());
            }
        }
        Ok(Some(json!({ "records": records })))
    }
}

pub fn partitions_of(consumer: &BaseConsumer, topic: &str) -> Result<Vec<i32>, String> {
    let metadata = consumer
        .fetch_metadata(Some(topic), PATIENCE)
        .map_err(described)?;
    let topics = metadata.topics().iter();
    let partitions = topics.flat_map(|each| each.partitions());
    Ok(partitions.map(|each| each.id()).collect())
}
