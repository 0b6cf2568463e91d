//! What requests do: facts, counters, and changes of settings brought to all shards.
//!
//! Absent: lists, which are in `lists`.

use super::banned::{Bans, Wanted};
use super::levels;
use super::listeners::{listeners, name_listeners, running};
use super::lists::Shards;
use super::protocol::{Answer, Command};
use super::settings::{changed, written};
use super::topic_metrics::TopicMetrics;
use crate::alarms::Alarms;
use crate::config::{self, Change, Config, Layers, Loaded, Problem, Problems, Row};
use crate::counters::{self, SharedCounters, is_gauge};
use crate::listeners::{Board, Prepared};
use crate::log::{self, LEVELS};
use crate::rewrite::Rules;
use crate::sysmon::{Meter, SysmonOptions, Usage};
use crate::trace::{Asked, Registry};
use ringmq_core::control::Control as Request;
use ringmq_core::machine::ShardId;
use ringmq_core::observe::{OWN_MESSAGES_MAX, OwnMessage};
use ringmq_core::settings::Settings;
use ringmq_drive::Control;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What does not change while the broker runs.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// Shards, and where they run.
    pub(crate) shards: String,
    /// The driver.
    pub(crate) driver: String,
    /// The data directory, in full.
    pub(crate) data_dir: PathBuf,
}

/// The parts of the running broker that can be asked and changed.
pub(crate) struct Parts {
    pub(crate) board: Board,
    pub(crate) control: Control,
    pub(crate) counters: Arc<SharedCounters>,
    pub(crate) bans: Bans,
    pub(crate) alarms: Alarms,
    pub(crate) traces: Arc<Registry>,
}

/// The one place from which a running broker is changed.
pub(crate) struct Console {
    layers: Layers,
    /// What holds now. Locked for the whole of a change, so that changes come one after the other.
    loaded: Mutex<Loaded>,
    /// Locked after `loaded` where both are.
    board: Mutex<Board>,
    control: Control,
    counters: Arc<SharedCounters>,
    facts: Facts,
    bans: Bans,
    alarms: Alarms,
    topic_metrics: TopicMetrics,
    usage: Mutex<Meter>,
    started: Instant,
    traces: Arc<Registry>,
}

impl Console {
    pub(crate) fn new(layers: Layers, loaded: Loaded, facts: Facts, parts: Parts) -> Self {
        let Parts { board, control, counters, bans, alarms, traces } = parts;
        let (loaded, board) = (Mutex::new(loaded), Mutex::new(board));
        let (topic_metrics, started) = (TopicMetrics::default(), Instant::now());
        let usage = Mutex::new(Meter::new(started));
        Self { layers, loaded, board, control, counters, facts, bans, alarms, topic_metrics, usage, started, traces }
    }

    /// What is wrong.
    pub(super) fn alarms(&self) -> &Alarms {
        &self.alarms
    }

    /// Writes down which alarms there are, if that has changed.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn save_alarms(&self) -> Result<(), Problem> {
        self.alarms.save()
    }

    /// When to look at the machine, and what is too much.
    pub(crate) fn sysmon(&self) -> SysmonOptions {
        self.lock().config.sysmon
    }

    /// Topics whose messages are counted.
    pub(super) fn topic_metrics(&self) -> &TopicMetrics {
        &self.topic_metrics
    }

    /// The sum of a counter of the shards, as they last published it.
    pub(super) fn counter(&self, name: &str) -> u64 {
        self.counters.sum(name)
    }

    /// The same of each shard.
    pub(super) fn counter_by_shard(&self, name: &str) -> Vec<u64> {
        self.counters.by_shard(name)
    }

    /// What of the machine is used; `None` if the system does not tell.
    pub(crate) fn usage(&self) -> Option<Usage> {
        // A panic ends the process.
        self.usage.lock().unwrap_or_else(PoisonError::into_inner).usage(Instant::now())
    }

    /// How connections have ended: type and name of the listener that they came by, the reason, and how many.
    pub(crate) fn endings(&self) -> Vec<(String, String, u64)> {
        let board = self.board();
        let endings = board.directory().endings().into_iter();
        endings.map(|((listener, reason), count)| (listener.to_owned(), reason, count)).collect()
    }

    /// The shards, as they can be asked.
    pub(super) fn shards(&self) -> &Control {
        &self.control
    }

    /// The settings that hold now.
    pub(super) fn settings(&self) -> Settings {
        self.lock().config.settings.clone()
    }

    /// The clients that are banned.
    pub(crate) fn bans(&self) -> &Bans {
        &self.bans
    }

    /// All counters.
    pub(crate) fn counter_rows(&self) -> Vec<counters::Row> {
        self.counters.rows(&self.control)
    }

    /// Takes note of how large the gauges are.
    pub(crate) fn note_largest(&self) {
        self.counters.note_largest();
    }

    /// Time since the start.
    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Publishes messages of the broker's own.
    ///
    /// # Errors
    /// A shard has too much to do, or does not answer in time; some may have been published.
    pub(crate) fn publish(&self, messages: &[OwnMessage]) -> Result<(), Problem> {
        let shards = Shards(&self.control);
        messages
            .chunks(OWN_MESSAGES_MAX)
            .try_for_each(|part| shards.ask(ShardId(0), Request::Publish(part.to_vec())).map(drop))
    }

    /// Whether every shard answers.
    pub(crate) fn works(&self) -> bool {
        Shards(&self.control).ask_all(|| Request::CountRetained).is_ok()
    }

    /// Does what was asked for.
    pub(crate) fn answer(&self, command: &Command) -> Answer {
        let done = |result| Answer::done(result, &[]);
        let told = |result| match result {
            Ok(result) => done(result),
            Err(problem) => Answer::refused(&[problem]),
        };
        let shards = Shards(&self.control);
        match command {
            Command::Status => done(json!({ "status": "running", "version": env!("CARGO_PKG_VERSION") })),
            Command::Broker => done(self.facts()),
            Command::Metrics => done(self.counted(|name| !is_gauge(name))),
            Command::Stats => done(self.counted(is_gauge)),
            Command::ClientsList { cursor } => {
                told(shards.clients(cursor.as_deref()).map(|clients| name_listeners(&self.board(), clients)))
            }
            Command::ClientsShow { clientid } => {
                told(shards.client(clientid).map(|client| name_listeners(&self.board(), client)))
            }
            Command::ClientsKick { clientid } => told(shards.kick(clientid)),
            Command::AlarmsList => done(self.list_alarms()),
            Command::AlarmsHistory => done(self.alarm_history()),
            Command::AlarmsClear => done(self.clear_alarm_history()),
            Command::BannedList { cursor } => told(self.bans.list(cursor.as_deref())),
            Command::BannedAdd { kind, who, by, reason, until } => {
                let (by, reason, until) = (by.as_deref(), reason.as_deref(), until.as_deref());
                told(self.bans.add(&self.control, Wanted { kind, who, by, reason, until }))
            }
            Command::BannedDelete { kind, who } => told(self.bans.delete(&self.control, kind, who)),
            Command::BannedClear => told(self.bans.clear(&self.control)),
            Command::SubscriptionsList { clientid, cursor } => {
                told(shards.subscriptions(clientid.as_deref(), cursor.as_deref()))
            }
            Command::SubscriptionsAdd { clientid, topic, qos } => told(shards.add_subscription(clientid, topic, *qos)),
            Command::SubscriptionsDel { clientid, topic } => told(shards.delete_subscription(clientid, topic)),
            Command::SubscriptionsLag => told(shards.lag()),
            Command::TopicsList { cursor } => told(shards.topics(cursor.as_deref())),
            Command::QueuesList => told(shards.queues()),
            Command::QueuesShow { name } => told(shards.queue(name)),
            Command::SlowSubsList => told(self.list_slow_subs()),
            Command::SlowSubsClear => told(self.clear_slow_subs()),
            Command::TopicMetricsList => told(self.list_topic_metrics()),
            Command::TopicMetricsRegister { topic } => told(self.register_topic(topic)),
            Command::TopicMetricsUnregister { topic } => told(self.unregister_topic(topic.as_deref())),
            Command::TopicMetricsReset { topic } => told(self.reset_topic(topic.as_deref())),
            Command::TopicsTree { prefix, depth } => told(shards.tree(prefix.as_deref(), *depth)),
            Command::RetainerInfo => told(shards.retainer_info()),
            Command::RetainerTopics { filter, cursor } => told(shards.retained(filter.as_deref(), cursor.as_deref())),
            Command::RetainerClean { filter, cursor } => {
                told(shards.clean_retained(filter.as_deref(), cursor.as_deref()))
            }
            Command::ListenersList => done(listeners(&self.lock().config, &self.board())),
            Command::ListenersStart { listener } => told(self.start_listener(listener)),
            Command::ListenersStop { listener } => told(self.stop_listener(listener)),
            Command::ListenersRestart { listener } => told(self.restart_listener(listener)),
            Command::ListenersDelete { listener } => match self.delete_listener(listener) {
                Ok(result) => done(result),
                Err(problems) => Answer::refused(&problems.0),
            },
            Command::ExclusiveList { cursor } => told(shards.exclusive(cursor.as_deref())),
            Command::ExclusiveDelete { topic } => told(shards.delete_exclusive(topic)),
            Command::AutoSubscribeTest { clientid, username, host, port } => {
                told(self.auto_subscriptions(clientid, username.as_deref(), host.as_deref(), *port))
            }
            Command::RewriteTest { action, topic, clientid, username } => {
                told(self.rewrite(action, topic, clientid, username.as_deref()))
            }
            Command::TraceList => done(self.traces.list()),
            Command::TraceStop { name } => told(self.traces.stop(name)),
            Command::TraceStart { name, kind, value, file, level, duration_s } => told(self.traces.start(&Asked {
                name,
                kind,
                value,
                file,
                level: level.as_deref(),
                duration_s: *duration_s,
            })),
            Command::LogShow => done(levels::show()),
            Command::LogSetLevel { level, module } => told(levels::set(level, module.as_deref())),
            Command::ConfShow { key } => self.show(key.as_deref()),
            Command::ConfSet { key, value } => match self.set(key, value) {
                Ok(rows) => done(json!({ "changed": written(&rows) })),
                Err(problems) => Answer::refused(&problems.0),
            },
            Command::ConfReload => changed(self.reload()),
            Command::ConfLoad { path, mode } => changed(self.load(Path::new(path), mode)),
            Command::ConfShowKeys => done(json!({ "keys": config::roots() })),
        }
    }

    fn facts(&self) -> Value {
        json!({
            "version": concat!(env!("CARGO_PKG_VERSION"), env!("RINGMQ_BUILD")),
            "uptime_s": self.uptime().as_secs(),
            "shards": self.control.shards(),
            "placement": self.facts.shards,
            "driver": self.facts.driver,
            "data_dir": self.facts.data_dir.display().to_string(),
            "listeners": running(&self.lock().config, &self.board()),
        })
    }

    fn counted(&self, wanted: impl Fn(&str) -> bool) -> Value {
        let rows = self.counter_rows().into_iter().filter(|row| wanted(&row.name));
        let rows = rows.map(|row| json!({ "name": row.name, "sum": row.sum, "shards": row.shards }));
        Value::Array(rows.collect())
    }

    /// Changes one key on all shards and for the next start; gives what has changed.
    fn set(&self, key: &str, value: &str) -> Result<Vec<Row>, Problems> {
        self.set_to(key, |_| Ok(value.to_owned()))
    }

    /// The same with a value that follows from what holds now.
    pub(super) fn set_to(
        &self,
        key: &str,
        value: impl FnOnce(&Config) -> Result<String, Problem>,
    ) -> Result<Vec<Row>, Problems> {
        let mut loaded = self.lock();
        let file = self.overrides();
        let value = value(&loaded.config)?;
        let change = config::change(&loaded, key, &value, &file)?;
        self.keep_and_bring(&mut loaded, change, &file)
    }

    /// Keeps a change for the next start and brings it to all shards. What they do not have, the file has not either.
    pub(super) fn keep_and_bring(
        &self,
        loaded: &mut Loaded,
        change: Change,
        file: &Path,
    ) -> Result<Vec<Row>, Problems> {
        let prepared = self.board().prepare(&loaded.config, &change.loaded.config)?;
        let kept = change.keep(file)?;
        self.take_over(loaded, change.loaded, prepared)
            .map_err(|problem| Problems([problem].into_iter().chain(kept.take_back().err()).collect()))
    }

    /// What the operator gave at the start.
    pub(super) fn layers(&self) -> &Layers {
        &self.layers
    }

    /// Where changes are kept.
    pub(super) fn overrides(&self) -> PathBuf {
        config::overrides_path(&self.facts.data_dir)
    }

    /// Reads the files again and changes what can change; gives what has, and what is odd.
    ///
    /// # Errors
    /// All that is wrong with the files; nothing has changed.
    pub(crate) fn reload(&self) -> Result<(Vec<Row>, Vec<Problem>), Problems> {
        let mut loaded = self.lock();
        let new = config::reload(&loaded, &self.layers)?;
        let warnings = new.warnings.clone();
        let prepared = self.board().prepare(&loaded.config, &new.config)?;
        Ok((self.take_over(&mut loaded, new, prepared)?, warnings))
    }

    fn take_over(&self, loaded: &mut Loaded, new: Loaded, prepared: Prepared) -> Result<Vec<Row>, Problem> {
        self.bring(&loaded.config, &new.config, prepared)?;
        let before = loaded.rows();
        let changed: Vec<Row> = new.rows().into_iter().filter(|row| !before.contains(row)).collect();
        // Otherwise levels that were set by hand stay.
        if changed.iter().any(|row| row.key.starts_with("log.")) {
            LEVELS.set(&new.config.log);
        }
        self.alarms.set(new.config.alarms);
        self.topic_metrics.follow(&new.config.topic_metrics);
        for Row { key, value, .. } in &changed {
            tracing::info!(target: log::module::BROKER, key, value, "setting_changed");
        }
        *loaded = new;
        Ok(changed)
    }

    /// Puts before the shards, which do not run yet, what they are to do first.
    ///
    /// # Errors
    /// Never while nothing else has been put before them.
    pub(crate) fn begin(&self) -> Result<(), Problem> {
        let loaded = self.lock();
        self.topic_metrics.follow(&loaded.config.topic_metrics);
        self.count_topics(&Config::default(), &loaded.config)
    }

    /// Brings settings to all shards, and then listeners, whose clients' settings have to be there first: all of it, or
    /// nothing.
    pub(super) fn bring(&self, old: &Config, new: &Config, prepared: Prepared) -> Result<(), Problem> {
        self.configure(old, new, &prepared)?;
        let done = self.count_topics(old, new).and_then(|()| {
            let done = self.board().carry_out(prepared, &self.control);
            if done.is_err() {
                self.count_topics(new, old)?;
            }
            done
        });
        if done.is_err() {
            self.configure(new, old, &Prepared::default())?;
        }
        done
    }

    /// Brings new settings and rules of rewriting to all shards, those of listeners that are about to be opened among
    /// them.
    ///
    /// # Errors
    /// A shard has too much to do, and none has them.
    fn configure(&self, old: &Config, new: &Config, prepared: &Prepared) -> Result<(), Problem> {
        let board = self.board();
        let settings = new.effective_of(board.by_number(prepared));
        if settings == old.effective_of(board.by_number(&Prepared::default())) && new.rewrite == old.rewrite {
            return Ok(());
        }
        let rules = Rules::rewriter(&new.rewrite);
        let asked = Shards(&self.control).put_to_all(|| Request::Configure {
            settings: Box::new(settings.clone()),
            rewriter: Rules::boxed(rules.as_ref()),
        })?;
        // All have it before them and come to it before anything that they are asked later.
        if let Err(problem) = asked.answers() {
            tracing::warn!(target: log::module::BROKER, reason = problem.message, "settings_late");
        }
        Ok(())
    }

    pub(super) fn board(&self) -> std::sync::MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, Loaded> {
        // A panic ends the process.
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
