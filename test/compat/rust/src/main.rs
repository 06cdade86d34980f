//! Drives rust-rdkafka for the compatibility tests: one JSON command a line on standard input, one JSON answer a line.
//! Bytes travel as base64. A command that the client has no call for answers {"unsupported": true}.

mod admin;
mod groups;
mod member;
mod records;

use std::collections::{BTreeSet, HashMap};
use std::io::{stdin, stdout, BufRead, Write};
use std::time::Duration;

use base64::prelude::{Engine, BASE64_STANDARD};
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use serde::Deserialize;
use serde_json::{json, Value};

use member::Member;

/// An admin call or a read that takes longer has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a command gives: None where the client has no call for it.
pub type Answer = Result<Option<Value>, String>;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Command {
    #[serde(rename = "do")]
    pub name: String,
    pub topic: String,
    pub topics: Vec<Value>,
    pub names: Vec<String>,
    #[serde(rename = "name")]
    pub resource: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub set: HashMap<String, String>,
    pub total: usize,
    pub at: Value,
    pub offsets: HashMap<String, i64>,
    pub records: Vec<Outgoing>,
    pub codec: Option<String>,
    pub acks: Value,
    pub idempotent: bool,
    pub member: String,
    pub group: String,
    pub groups: Vec<String>,
    pub assignor: Option<String>,
    pub instance: Option<String>,
    pub session_timeout_ms: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Outgoing {
    pub key: Option<String>,
    pub value: Option<String>,
    pub headers: Vec<(String, Option<String>)>,
    pub timestamp_ms: Option<i64>,
    pub partition: Option<i32>,
}

pub struct Driver {
    pub bootstrap: String,
    pub admin: AdminClient<DefaultClientContext>,
    pub members: HashMap<String, Member>,
    /// The client asks for committed offsets by partition, so a group's topics are remembered.
    pub topics_of_groups: HashMap<String, BTreeSet<String>>,
}

impl Driver {
    pub fn config(&self) -> ClientConfig {
        config(&self.bootstrap)
    }

    fn run(&mut self, command: &Command) -> Answer {
        match command.name.as_str() {
            "produce" => self.produce(command),
            "consume" => self.consume(command),
            "join" => self.join(command),
            "assignment" => self.member(command)?.assignment(),
            "take" => self.member(command)?.take(),
            "commit" => self.member(command)?.commit(),
            "leave" => self.leave(command),
            _ => self.administer(command),
        }
    }
}

fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config.set("client.id", "lmq-compat");
    config
}

pub fn decode(text: &Option<String>) -> Result<Option<Vec<u8>>, String> {
    let bytes = text.as_ref().map(|text| BASE64_STANDARD.decode(text));
    bytes.transpose().map_err(|error| error.to_string())
}

pub fn encode(bytes: Option<&[u8]>) -> Value {
    bytes.map_or(Value::Null, |bytes| BASE64_STANDARD.encode(bytes).into())
}

/// The protocol's name of an error: TopicAlreadyExists becomes TOPIC_ALREADY_EXISTS.
pub fn error_name(code: RDKafkaErrorCode) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

pub fn described(error: KafkaError) -> String {
    match error.rdkafka_error_code() {
        Some(code) => error_name(code),
        None => error.to_string(),
    }
}

fn main() {
    let bootstrap = std::env::args().nth(1).expect("the broker's address");
    let admin = config(&bootstrap).create().expect("an admin client");
    let mut driver = Driver {
        bootstrap,
        admin,
        members: HashMap::new(),
        topics_of_groups: HashMap::new(),
    };
    for line in stdin().lock().lines().map_while(Result::ok) {
        let answer = match serde_json::from_str::<Command>(&line) {
            Ok(command) => driver.run(&command),
            Err(error) => Err(error.to_string()),
        };
        let reply = match answer {
            Ok(Some(reply)) => reply,
            Ok(None) => json!({ "unsupported": true }),
            Err(error) => json!({ "error": error }),
        };
        let mut out = stdout().lock();
        writeln!(out, "{reply}")
            .and_then(|()| out.flush())
            .expect("a reader of the answers");
    }
}
