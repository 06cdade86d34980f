//! Groups from outside. The client has no call to delete single offsets.

use std::collections::HashMap;

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::json;

use crate::admin::options;
use crate::records::partitions_of;
use crate::{described, error_name, Answer, Command, Driver, PATIENCE};

impl Driver {
    pub fn note_topics(&mut self, group: &str, topics: &[&str]) {
        let noted = self.topics_of_groups.entry(group.to_owned()).or_default();
        noted.extend(topics.iter().map(|topic| topic.to_string()));
    }

    pub fn administer_groups(&mut self, command: &Command) -> Answer {
        match command.name.as_str() {
            "listGroups" => self.list_groups(),
            "describeGroup" => self.describe_group(&command.group),
            "deleteGroups" => self.delete_groups(&command.groups),
            "groupOffsets" => self.group_offsets(&command.group),
            "setGroupOffsets" => self.set_group_offsets(command),
            _ => Ok(None),
        }
    }

    fn list_groups(&self) -> Answer {
        let client = self.admin.inner();
        let listed = client.fetch_group_list(None, PATIENCE).map_err(described)?;
        let groups: Vec<&str> = listed.groups().iter().map(|group| group.name()).collect();
        Ok(Some(json!({ "groups": groups })))
    }

    fn describe_group(&self, group: &str) -> Answer {
        let client = self.admin.inner();
        let listed = client
            .fetch_group_list(Some(group), PATIENCE)
            .map_err(described)?;
        // A group that nobody has joined yet is not in the list.
        let found = listed.groups().first();
        let state = found.map_or("dead".into(), |group| group.state().to_lowercase());
        let members = found.map_or(0, |group| group.members().len());
        Ok(Some(json!({ "state": state, "members": members })))
    }

    fn delete_groups(&self, groups: &[String]) -> Answer {
        let names: Vec<&str> = groups.iter().map(String::as_str).collect();
        let outcomes = futures_executor::block_on(self.admin.delete_groups(&names, &options()))
            .map_err(described)?;
        let results: HashMap<_, _> = outcomes
            .into_iter()
            .map(|outcome| match outcome {
                Ok(group) => (group, None),
                Err((group, code)) => (group, Some(error_name(code))),
            })
            .collect();
        Ok(Some(json!({ "results": results })))
    }

    fn group_offsets(&self, group: &str) -> Answer {
        let consumer = self.reader(group)?;
        let mut wanted = TopicPartitionList::new();
        for topic in self.topics_of_groups.get(group).into_iter().flatten() {
            for partition in partitions_of(&consumer, topic)? {
                wanted.add_partition(topic, partition);
            }
        }
        let found = consumer
            .committed_offsets(wanted, PATIENCE)
            .map_err(described)?;
        let mut offsets: HashMap<String, HashMap<i32, i64>> = HashMap::new();
        for each in found.elements() {
            if let Offset::Offset(offset) = each.offset() {
                let topic = offsets.entry(each.topic().to_owned()).or_default();
                topic.insert(each.partition(), offset);
            }
        }
        Ok(Some(json!({ "offsets": offsets })))
    }

    fn set_group_offsets(&mut self, command: &Command) -> Answer {
        self.note_topics(&command.group, &[&command.topic]);
        let offsets = command.places()?;
        self.reader(&command.group)?
            .commit(&offsets, CommitMode::Sync)
            .map_err(described)?;
        Ok(Some(json!({})))
    }
}

impl Command {
    /// The offsets of the command's topic.
    pub fn places(&self) -> Result<TopicPartitionList, String> {
        let mut places = TopicPartitionList::new();
        for (partition, offset) in &self.offsets {
            let number = partition.parse().map_err(|_| "not a partition")?;
            places
                .add_partition_offset(&self.topic, number, Offset::Offset(*offset))
                .map_err(described)?;
        }
        Ok(places)
    }
}
