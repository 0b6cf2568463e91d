//! What is said on the control socket: one JSON request a line, one JSON answer a line. docs/control.md is its reference.

use crate::config::Problem;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Version of the protocol. It grows when a field changes its meaning or goes; new fields and commands leave it.
pub(crate) const VERSION: u32 = 1;

/// Longest request, bytes, its line end included.
pub(crate) const REQUEST_BYTES_MAX: u64 = 64 * 1024;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// [`VERSION`].
    pub(crate) v: u32,
    /// Comes back with the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<u64>,
    /// What to do, and with what.
    #[serde(flatten)]
    pub(crate) command: Command,
}

/// What can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cmd")]
pub(crate) enum Command {
    /// Whether it runs.
    #[serde(rename = "status")]
    Status,
    /// What it is.
    #[serde(rename = "broker")]
    Broker,
    /// What it has counted.
    #[serde(rename = "metrics")]
    Metrics,
    /// How much of everything it has now.
    #[serde(rename = "stats")]
    Stats,
    /// The sessions, a page.
    #[serde(rename = "clients.list")]
    ClientsList {
        /// Where to go on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// One session.
    #[serde(rename = "clients.show")]
    ClientsShow {
        /// Its client identifier.
        clientid: String,
    },
    /// Ends a session.
    #[serde(rename = "clients.kick")]
    ClientsKick {
        /// Its client identifier.
        clientid: String,
    },
    /// The active alarms.
    #[serde(rename = "alarms.list")]
    AlarmsList,
    /// Alarms that are over.
    #[serde(rename = "alarms.history")]
    AlarmsHistory,
    /// Forgets alarms that are over.
    #[serde(rename = "alarms.clear")]
    AlarmsClear,
    /// The bans, a page.
    #[serde(rename = "banned.list")]
    BannedList {
        /// Where to go on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// Bans clients.
    #[serde(rename = "banned.add")]
    BannedAdd {
        /// How `who` is meant.
        #[serde(rename = "as")]
        kind: String,
        /// Whom.
        who: String,
        /// Who wants it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Until when.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<String>,
    },
    /// Takes a ban back.
    #[serde(rename = "banned.delete")]
    BannedDelete {
        /// How `who` is meant.
        #[serde(rename = "as")]
        kind: String,
        /// Whom.
        who: String,
    },
    /// Takes all bans back.
    #[serde(rename = "banned.clear")]
    BannedClear,
    /// The subscriptions, a page.
    #[serde(rename = "subscriptions.list")]
    SubscriptionsList {
        /// Of this client alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clientid: Option<String>,
        /// Where to go on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// Subscribes a client in its place.
    #[serde(rename = "subscriptions.add")]
    SubscriptionsAdd {
        /// Its client identifier.
        clientid: String,
        /// The filter.
        topic: String,
        /// The QoS that it gets at most.
        #[serde(default)]
        qos: u8,
    },
    /// Ends a client's subscription in its place.
    #[serde(rename = "subscriptions.del")]
    SubscriptionsDel {
        /// Its client identifier.
        clientid: String,
        /// The filter.
        topic: String,
    },
    /// The shared subscriptions, with what waits for their members.
    #[serde(rename = "subscriptions.lag")]
    SubscriptionsLag,
    /// The filters that somebody subscribes to, a page.
    #[serde(rename = "topics.list")]
    TopicsList {
        /// Where to go on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// The tree of these filters, with counts.
    #[serde(rename = "topics.tree")]
    TopicsTree {
        /// Only what lies at or below.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prefix: Option<String>,
        /// Levels below the prefix.
        depth: usize,
    },
    /// The message queues.
    #[serde(rename = "queues.list")]
    QueuesList,
    /// One message queue.
    #[serde(rename = "queues.show")]
    QueuesShow {
        /// Its name.
        name: String,
    },
    /// The slowest subscriptions.
    #[serde(rename = "slow_subs.list")]
    SlowSubsList,
    /// Forgets them.
    #[serde(rename = "slow_subs.clear")]
    SlowSubsClear,
    /// What was counted by topic.
    #[serde(rename = "topic_metrics.list")]
    TopicMetricsList,
    /// Counts a topic from now on.
    #[serde(rename = "topic_metrics.register")]
    TopicMetricsRegister {
        /// The topic.
        topic: String,
    },
    /// Counts a topic no longer, or none.
    #[serde(rename = "topic_metrics.unregister")]
    TopicMetricsUnregister {
        /// The topic; all if there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        topic: Option<String>,
    },
    /// Begins to count anew.
    #[serde(rename = "topic_metrics.reset")]
    TopicMetricsReset {
        /// The topic; all if there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        topic: Option<String>,
    },
    /// How many messages are retained.
    #[serde(rename = "retainer.info")]
    RetainerInfo,
    /// Retained messages, a page.
    #[serde(rename = "retainer.topics")]
    RetainerTopics {
        /// What their topics match.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        filter: Option<String>,
        /// Where to go on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// Removes retained messages.
    #[serde(rename = "retainer.clean")]
    RetainerClean {
        /// What their topics match.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        filter: Option<String>,
        /// Where to go on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// The listeners.
    #[serde(rename = "listeners.list")]
    ListenersList,
    /// Opens a listener that was stopped.
    #[serde(rename = "listeners.start")]
    ListenersStart {
        /// Its type and name, as in the list.
        listener: String,
    },
    /// Closes a listener until it is started, or the broker is.
    #[serde(rename = "listeners.stop")]
    ListenersStop {
        /// Its type and name, as in the list.
        listener: String,
    },
    /// Closes a listener and opens it again.
    #[serde(rename = "listeners.restart")]
    ListenersRestart {
        /// Its type and name, as in the list.
        listener: String,
    },
    /// Closes a listener and takes it out of the settings.
    #[serde(rename = "listeners.delete")]
    ListenersDelete {
        /// Its type and name, as in the list.
        listener: String,
    },
    /// What a client would be subscribed to without asking.
    #[serde(rename = "auto_subscribe.test")]
    AutoSubscribeTest {
        /// Its client identifier.
        clientid: String,
        /// Its user name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        username: Option<String>,
        /// The address that it comes from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        /// Its port.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        port: Option<u16>,
    },
    /// The topics that clients have to themselves, a page.
    #[serde(rename = "exclusive.list")]
    ExclusiveList {
        /// Where to go on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// Takes a topic from the client that has it to itself.
    #[serde(rename = "exclusive.delete")]
    ExclusiveDelete {
        /// The topic.
        topic: String,
    },
    /// What a topic would be rewritten to.
    #[serde(rename = "rewrite.test")]
    RewriteTest {
        /// `publish` or `subscribe`.
        action: String,
        /// The topic.
        topic: String,
        /// Of the client.
        #[serde(default)]
        clientid: String,
        /// Of the client.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        username: Option<String>,
    },
    /// The traces that run.
    #[serde(rename = "trace.list")]
    TraceList,
    /// Begins a trace.
    #[serde(rename = "trace.start")]
    TraceStart {
        /// Its name.
        name: String,
        /// `client`, `topic` or `ip_address`.
        #[serde(rename = "type")]
        kind: String,
        /// Which.
        value: String,
        /// The name of a file in the directory of the log.
        file: String,
        /// Its level.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        level: Option<String>,
        /// How long it lasts, seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duration_s: Option<u64>,
    },
    /// Ends a trace.
    #[serde(rename = "trace.stop")]
    TraceStop {
        /// Its name.
        name: String,
    },
    /// Levels of the log.
    #[serde(rename = "log.show")]
    LogShow,
    /// Changes a level of the log until the next start.
    #[serde(rename = "log.set-level")]
    LogSetLevel {
        /// A level, or `default` for a module.
        level: String,
        /// Of this module alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        module: Option<String>,
    },
    /// The value of one key, or of all.
    #[serde(rename = "conf.show")]
    ConfShow {
        /// A key, or the beginning of several.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
    /// Changes one key.
    #[serde(rename = "conf.set")]
    ConfSet {
        /// The key.
        key: String,
        /// Its value, as in the file.
        value: String,
    },
    /// Reads the files again.
    #[serde(rename = "conf.reload")]
    ConfReload,
    /// Takes over the settings of one more file.
    #[serde(rename = "conf.load")]
    ConfLoad {
        /// Its full path, as the broker sees it.
        path: String,
        /// `merge` or `replace`.
        mode: String,
    },
    /// The roots of all keys.
    #[serde(rename = "conf.show_keys")]
    ConfShowKeys,
}

impl Command {
    /// The same question about what follows; `None` if it is not about a list.
    pub(crate) fn following(&self, next: &str) -> Option<Self> {
        let mut following = self.clone();
        match &mut following {
            Self::ClientsList { cursor }
            | Self::BannedList { cursor }
            | Self::SubscriptionsList { cursor, .. }
            | Self::ExclusiveList { cursor }
            | Self::TopicsList { cursor }
            | Self::RetainerTopics { cursor, .. }
            | Self::RetainerClean { cursor, .. } => {
                *cursor = Some(next.to_owned());
                Some(following)
            }
            _ => None,
        }
    }
}

/// An answer: `result` if it is `ok`, `errors` if not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// [`VERSION`].
    pub(crate) v: u32,
    /// That of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<u64>,
    /// Whether it was done.
    pub(crate) ok: bool,
    /// What was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) result: Option<Value>,
    /// Why it was not done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<Complaint>,
    /// What was odd.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<Complaint>,
}

/// A [`Problem`] on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Complaint {
    /// What is wrong.
    pub(crate) message: String,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<String>,
    /// What would be right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) help: Option<String>,
}

impl From<&Problem> for Complaint {
    fn from(problem: &Problem) -> Self {
        let Problem { message, origin, help } = problem;
        Self { message: message.clone(), origin: origin.as_ref().map(ToString::to_string), help: help.clone() }
    }
}

impl std::fmt::Display for Complaint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        self.origin.iter().try_for_each(|origin| write!(f, "\n  --> {origin}"))?;
        self.help.iter().flat_map(|help| help.lines()).try_for_each(|line| write!(f, "\n   = {line}"))
    }
}

impl Answer {
    /// Success.
    pub(crate) fn done(result: Value, warnings: &[Problem]) -> Self {
        let warnings = warnings.iter().map(Complaint::from).collect();
        Self { v: VERSION, id: None, ok: true, result: Some(result), errors: Vec::new(), warnings }
    }

    /// Refusal.
    pub(crate) fn refused(problems: &[Problem]) -> Self {
        let errors = problems.iter().map(Complaint::from).collect();
        Self { v: VERSION, id: None, ok: false, result: None, errors, warnings: Vec::new() }
    }
}

/// Reads a request.
///
/// # Errors
/// It is none, or of another version.
pub(crate) fn parse(line: &[u8]) -> Result<Request, Problem> {
    #[derive(Deserialize)]
    struct Envelope {
        v: u32,
    }
    let wrong = |error: serde_json::Error| Problem::new(format!("no request: {error}"));
    let envelope: Envelope = serde_json::from_slice(line).map_err(wrong)?;
    if envelope.v != VERSION {
        let problem = Problem::new(format!("version {} of the protocol is not spoken here", envelope.v));
        return Err(problem.with_help(format!("this is version {VERSION}")));
    }
    serde_json::from_slice(line).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_documented() {
        let request = parse(br#"{"v":1,"id":7,"cmd":"conf.set","key":"mqtt.max_inflight","value":"5"}"#).expect("one");
        let command = Command::ConfSet { key: "mqtt.max_inflight".to_owned(), value: "5".to_owned() };
        assert_eq!(request, Request { v: 1, id: Some(7), command });
        assert_eq!(parse(br#"{"v":1,"cmd":"status"}"#).expect("one").command, Command::Status);
        assert_eq!(parse(br#"{"v":1,"cmd":"conf.show"}"#).expect("one").command, Command::ConfShow { key: None });
    }

    #[test]
    fn anything_else_is_refused_with_a_reason() {
        assert!(parse(br#"{"v":2,"cmd":"status"}"#).expect_err("version").to_string().contains("this is version 1"));
        for wrong in [&b""[..], b"status", b"{}", br#"{"v":1}"#, br#"{"v":1,"cmd":"fly"}"#, b"\xff"] {
            assert!(parse(wrong).is_err_and(|problem| problem.message.starts_with("no request")), "{wrong:?}");
        }
    }
}
