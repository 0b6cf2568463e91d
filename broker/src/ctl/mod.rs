//! `ringmq ctl`: asks a running broker over its control socket.

mod text;

use crate::banner;
use crate::cli::{
    AlarmsAsk, Ask, AutoSubscribeAsk, BannedAsk, ClientsAsk, ConfAsk, ExclusiveAsk, ListenersAsk, LogAsk, QueuesAsk,
    RetainerAsk, RewriteAsk, SlowSubsAsk, SubscriptionsAsk, TopicMetricsAsk, TopicsAsk, TraceAsk,
};
use crate::config::Problem;
use crate::control::protocol::{Answer, Command, Request, VERSION};
use serde_json::Value;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks, and prints the answer as text or JSON, one value a line; true if it was done. A list is asked for page after
/// page and printed as it comes.
///
/// # Errors
/// There is no broker, or it does not answer.
pub(crate) fn run(socket: &Path, ask: Ask, json: bool) -> Result<bool, Problem> {
    let mut broker = Broker::connect(socket)?;
    let mut command = Some(command(ask));
    while let Some(asked) = command.take() {
        let answer = broker.exchange(&Request { v: VERSION, id: None, command: asked.clone() })?;
        answer.warnings.iter().for_each(|warning| banner::warn(warning));
        for error in &answer.errors {
            banner::complain(error);
        }
        if let Some(result) = &answer.result {
            let told = if json { format!("{result}\n") } else { text::text(result) };
            if !print(&told)? {
                return Ok(true);
            }
            command = result.get("next").and_then(Value::as_str).and_then(|next| asked.following(next));
        }
        if !answer.ok {
            return Ok(false);
        }
    }
    Ok(true)
}

fn command(ask: Ask) -> Command {
    match ask {
        Ask::Status => Command::Status,
        Ask::Broker => Command::Broker,
        Ask::Metrics => Command::Metrics,
        Ask::Stats => Command::Stats,
        Ask::Clients { ask: ClientsAsk::List } => Command::ClientsList { cursor: None },
        Ask::Clients { ask: ClientsAsk::Show { clientid } } => Command::ClientsShow { clientid },
        Ask::Clients { ask: ClientsAsk::Kick { clientid } } => Command::ClientsKick { clientid },
        Ask::Alarms { ask: AlarmsAsk::List } => Command::AlarmsList,
        Ask::Alarms { ask: AlarmsAsk::History } => Command::AlarmsHistory,
        Ask::Alarms { ask: AlarmsAsk::Clear } => Command::AlarmsClear,
        Ask::Banned { ask: BannedAsk::List } => Command::BannedList { cursor: None },
        Ask::Banned { ask: BannedAsk::Add { kind, who, by, reason, until } } => {
            Command::BannedAdd { kind, who, by, reason, until }
        }
        Ask::Banned { ask: BannedAsk::Delete { kind, who } } => Command::BannedDelete { kind, who },
        Ask::Banned { ask: BannedAsk::Clear } => Command::BannedClear,
        Ask::Subscriptions { ask: SubscriptionsAsk::List { clientid } } => {
            Command::SubscriptionsList { clientid, cursor: None }
        }
        Ask::Subscriptions { ask: SubscriptionsAsk::Add { clientid, topic, qos } } => {
            Command::SubscriptionsAdd { clientid, topic, qos }
        }
        Ask::Subscriptions { ask: SubscriptionsAsk::Del { clientid, topic } } => {
            Command::SubscriptionsDel { clientid, topic }
        }
        Ask::Subscriptions { ask: SubscriptionsAsk::Lag } => Command::SubscriptionsLag,
        Ask::Topics { ask: TopicsAsk::List } => Command::TopicsList { cursor: None },
        Ask::Topics { ask: TopicsAsk::Tree { prefix, depth } } => Command::TopicsTree { prefix, depth },
        Ask::Queues { ask: QueuesAsk::List } => Command::QueuesList,
        Ask::Queues { ask: QueuesAsk::Show { name } } => Command::QueuesShow { name },
        Ask::SlowSubs { ask: SlowSubsAsk::List } => Command::SlowSubsList,
        Ask::SlowSubs { ask: SlowSubsAsk::Clear } => Command::SlowSubsClear,
        Ask::TopicMetrics { ask: TopicMetricsAsk::List } => Command::TopicMetricsList,
        Ask::TopicMetrics { ask: TopicMetricsAsk::Register { topic } } => Command::TopicMetricsRegister { topic },
        Ask::TopicMetrics { ask: TopicMetricsAsk::Unregister { topic } } => Command::TopicMetricsUnregister { topic },
        Ask::TopicMetrics { ask: TopicMetricsAsk::Reset { topic } } => Command::TopicMetricsReset { topic },
        Ask::Retainer { ask: RetainerAsk::Info } => Command::RetainerInfo,
        Ask::Retainer { ask: RetainerAsk::Topics { filter } } => Command::RetainerTopics { filter, cursor: None },
        Ask::Retainer { ask: RetainerAsk::Clean { filter } } => Command::RetainerClean { filter, cursor: None },
        Ask::Listeners { ask: ListenersAsk::List } => Command::ListenersList,
        Ask::Listeners { ask: ListenersAsk::Start { id } } => Command::ListenersStart { listener: id },
        Ask::Listeners { ask: ListenersAsk::Stop { id } } => Command::ListenersStop { listener: id },
        Ask::Listeners { ask: ListenersAsk::Restart { id } } => Command::ListenersRestart { listener: id },
        Ask::Listeners { ask: ListenersAsk::Delete { id } } => Command::ListenersDelete { listener: id },
        Ask::Exclusive { ask: ExclusiveAsk::List } => Command::ExclusiveList { cursor: None },
        Ask::Exclusive { ask: ExclusiveAsk::Delete { topic } } => Command::ExclusiveDelete { topic },
        Ask::AutoSubscribe { ask: AutoSubscribeAsk::Test { clientid, username, host, port } } => {
            Command::AutoSubscribeTest { clientid, username, host, port }
        }
        Ask::Rewrite { ask: RewriteAsk::Test { action, topic, clientid, username } } => {
            Command::RewriteTest { action, topic, clientid, username }
        }
        Ask::Trace { ask: TraceAsk::List } => Command::TraceList,
        Ask::Trace { ask: TraceAsk::Stop { name } } => Command::TraceStop { name },
        Ask::Trace { ask: TraceAsk::Start { name, kind, value, file, level, duration } } => {
            Command::TraceStart { name, kind, value, file, level, duration_s: duration }
        }
        Ask::Log { ask: LogAsk::Show } => Command::LogShow,
        Ask::Log { ask: LogAsk::SetLevel { level, module } } => Command::LogSetLevel { level, module },
        Ask::Conf { ask: ConfAsk::Show { key } } => Command::ConfShow { key },
        Ask::Conf { ask: ConfAsk::Set { key, value } } => Command::ConfSet { key, value },
        Ask::Conf { ask: ConfAsk::Reload } => Command::ConfReload,
        Ask::Conf { ask: ConfAsk::Load { replace, file, .. } } => Command::ConfLoad {
            // The broker may run elsewhere.
            path: std::path::absolute(&file).unwrap_or(file).display().to_string(),
            mode: if replace { "replace" } else { "merge" }.to_owned(),
        },
        Ask::Conf { ask: ConfAsk::ShowKeys } => Command::ConfShowKeys,
    }
}

/// Writes to standard output; false if nobody reads it any more.
fn print(told: &str) -> Result<bool, Problem> {
    let mut out = io::stdout().lock();
    match out.write_all(told.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Problem::new(format!("cannot write to standard output: {error}"))),
    }
}

/// A connection to a broker's control socket.
struct Broker<'a> {
    name: std::path::Display<'a>,
    stream: BufReader<UnixStream>,
}

impl<'a> Broker<'a> {
    fn connect(socket: &'a Path) -> Result<Self, Problem> {
        let name = socket.display();
        let opened = UnixStream::connect(socket).and_then(|stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(stream)
        });
        let stream = opened.map_err(|error| {
            Problem::new(format!("no broker answers at {name}: {error}"))
                .with_help("start it, or name its data directory with --data-dir, or its socket with --socket")
        })?;
        Ok(Self { name, stream: BufReader::new(stream) })
    }

    fn exchange(&mut self, request: &Request) -> Result<Answer, Problem> {
        let mut line = serde_json::to_string(request).map_err(|error| Problem::new(error.to_string()))?;
        line.push('\n');
        let mut told = String::new();
        let asked = self.stream.get_mut().write_all(line.as_bytes());
        asked
            .and_then(|()| self.stream.read_line(&mut told))
            .map_err(|error| Problem::new(format!("the broker at {} does not answer: {error}", self.name)))?;
        serde_json::from_str(&told)
            .map_err(|error| Problem::new(format!("the broker's answer is not understood: {error}")))
    }
}
