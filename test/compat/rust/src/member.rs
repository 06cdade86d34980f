//! Group members.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{spawn, JoinHandle};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Message, Offset, TopicPartitionList};
use serde_json::{json, Value};

use crate::records::found;
use crate::{described, Answer, Command, Driver};

#[derive(Default)]
struct Inbox {
    records: Vec<Value>,
    /// The next offset by topic and partition.
    positions: HashMap<(String, i32), i64>,
}

/// A group member that polls in a thread of its own until it leaves.
pub struct Member {
    consumer: Arc<BaseConsumer>,
    inbox: Arc<Mutex<Inbox>>,
    leaving: Arc<AtomicBool>,
    polling: JoinHandle<()>,
}

impl Member {
    fn poll(consumer: &BaseConsumer, inbox: &Mutex<Inbox>, leaving: &AtomicBool) {
        while !leaving.load(Ordering::Relaxed) {
            // Errors are the client's to get over; a test that waits in vain for records tells of them.
            let Some(Ok(message)) = consumer.poll(Duration::from_millis(20)) else {
                continue;
            };
            let mut inbox = inbox.lock().unwrap();
            inbox.records.push(found(&message));
            let place = (message.topic().to_owned(), message.partition());
            inbox.positions.insert(place, message.offset() + 1);
        }
    }

    fn places(&self) -> Result<Vec<(String, i32)>, String> {
        let assigned = self.consumer.assignment().map_err(described)?;
        let mut places: Vec<_> = assigned.to_topic_map().into_keys().collect();
        places.sort();
        Ok(places)
    }

    pub fn assignment(&self) -> Answer {
        Ok(Some(json!({ "partitions": self.places()? })))
    }

    pub fn take(&self) -> Answer {
        let records = std::mem::take(&mut self.inbox.lock().unwrap().records);
        Ok(Some(json!({ "records": records })))
    }

    pub fn commit(&self) -> Answer {
        let mut offsets = TopicPartitionList::new();
        let inbox = self.inbox.lock().unwrap();
        for (topic, partition) in self.places()? {
            if let Some(next) = inbox.positions.get(&(topic.clone(), partition)) {
                offsets
                    .add_partition_offset(&topic, partition, Offset::Offset(*next))
                    .map_err(described)?;
            }
        }
        drop(inbox);
        if offsets.count() > 0 {
            self.consumer
                .commit(&offsets, CommitMode::Sync)
                .map_err(described)?;
        }
        Ok(Some(json!({})))
    }
}

impl Driver {
    pub fn member(&self, command: &Command) -> Result<&Member, String> {
        self.members
            .get(&command.member)
            .ok_or_else(|| format!("no member {}", command.member))
    }

    pub fn join(&mut self, command: &Command) -> Answer {
        let topics: Vec<&str> = command.topics.iter().filter_map(Value::as_str).collect();
        self.note_topics(&command.group, &topics);
        let mut config = self.config();
        config
            .set("group.id", &command.group)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("heartbeat.interval.ms", "500")
            .set("session.timeout.ms", command.session_timeout_ms.unwrap_or(6_000).to_string())
            .set(
                "partition.assignment.strategy",
                match command.assignor.as_deref() {
                    Some("cooperative") => "cooperative-sticky",
                    other => other.unwrap_or("range"),
                },
            );
        if let Some(instance) = &command.instance {
            config.set("group.instance.id", instance);
        }
        let consumer: Arc<BaseConsumer> = Arc::new(config.create().map_err(described)?);
        consumer.subscribe(&topics).map_err(described)?;
        let inbox = Arc::new(Mutex::new(Inbox::default()));
        let leaving = Arc::new(AtomicBool::new(false));
        let (polled, filled, left) = (consumer.clone(), inbox.clone(), leaving.clone());
        let polling = spawn(move || Member::poll(&polled, &filled, &left));
        let member = Member { consumer, inbox, leaving, polling };
        self.members.insert(command.member.clone(), member);
        Ok(Some(json!({})))
    }

    /// The consumer closes when it is dropped.
    pub fn leave(&mut self, command: &Command) -> Answer {
        let Some(member) = self.members.remove(&command.member) else {
            return Err(format!("no member {}", command.member));
        };
        member.leaving.store(true, Ordering::Relaxed);
        member.polling.join().map_err(|_| "a member's thread has failed")?;
        Ok(Some(json!({})))
    }
}
