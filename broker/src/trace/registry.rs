//! The traces there are: beginning, ending and listing them, and giving their rules to the shards.

use super::file::{Kept, TraceFile};
use super::writer::{self, Open, QUEUE_PACKETS_MAX, Seen, Told};
use super::{DEFAULT_DURATION, DURATION_MAX, PayloadEncode};
use crate::config::Problem;
use crate::control::Shards;
use crate::listeners::Directory;
use crate::log::Level;
use crate::wall_clock;
use ringmq_core::control::{Control as Request, Position};
use ringmq_core::machine::ShardId;
use ringmq_core::topics::filter;
use ringmq_core::trace::{TRACE_RULES_MAX, TraceRule, TraceWhat, Traced};
use ringmq_drive::Control;
use serde_json::{Value, json};
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Asked<'a> {
    /// The trace's name.
    pub(crate) name: &'a str,
    /// `client`, `topic` or `ip_address`.
    pub(crate) kind: &'a str,
    /// Which.
    pub(crate) value: &'a str,
    /// The name of a file, without a directory.
    pub(crate) file: &'a str,
    /// Level; `debug` if not told.
    pub(crate) level: Option<&'a str>,
    /// Seconds.
    pub(crate) duration_s: Option<u64>,
}

/// All traces of the process.
pub(crate) struct Registry {
    control: Control,
    listeners: Directory,
    directory: PathBuf,
    kept: TraceFile,
    encode: PayloadEncode,
    state: Mutex<State>,
    /// Packets that were lost because the queue was full.
    lost: AtomicU64,
    queue: OnceLock<SyncSender<Told>>,
    this: Weak<Registry>,
}

#[derive(Default)]
struct State {
    running: Vec<Running>,
    last_rule: u32,
}

struct Running {
    name: String,
    rule: TraceRule,
    file: PathBuf,
    level: Level,
    ends: Instant,
}

impl Running {
    /// What is traced, in the words that it was asked for with.
    fn words(&self) -> (&'static str, String) {
        match &self.rule.what {
            TraceWhat::Client(client_id) => ("client", client_id.to_string()),
            TraceWhat::Topic(filter) => ("topic", filter.to_string()),
            TraceWhat::Address(address) => ("ip_address", address.to_string()),
        }
    }
}

/// What shards tell packets to. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tracer(Arc<Registry>);

impl Tracer {
    /// Takes a packet that a rule means; never waits.
    pub(crate) fn take(&self, rule: u32, traced: &Traced<'_>) {
        if let Some(queue) = self.0.queue.get()
            && queue.try_send(Told::Seen(Seen::of(rule, traced))).is_err()
        {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Registry {
    /// None yet; files will be in `directory`, and which traces there are is kept in `data_dir`.
    pub(crate) fn new(
        control: Control,
        listeners: Directory,
        directory: PathBuf,
        data_dir: &Path,
        encode: PayloadEncode,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            control,
            listeners,
            directory,
            kept: TraceFile::within(data_dir),
            encode,
            state: Mutex::default(),
            lost: AtomicU64::new(0),
            queue: OnceLock::new(),
            this: this.clone(),
        })
    }

    /// For the shards.
    pub(crate) fn tracer(self: &Arc<Self>) -> Tracer {
        Tracer(Arc::clone(self))
    }

    /// Begins a trace.
    ///
    /// # Errors
    /// What is asked for cannot be, its name or file is taken, or there are too many.
    pub(crate) fn start(&self, asked: &Asked<'_>) -> Result<Value, Problem> {
        let what = check(asked)?;
        let level = match asked.level {
            None => Level::Debug,
            Some(name) => Level::named(name).ok_or_else(|| {
                Problem::new(format!("`{}` is no level", name.escape_debug()))
                    .with_help(format!("one of {}", Level::NAMES.join(", ")))
            })?,
        };
        let duration = asked.duration_s.map_or(DEFAULT_DURATION, Duration::from_secs);
        if duration.is_zero() || duration > DURATION_MAX {
            let problem = Problem::new(format!("a trace cannot last {} s", duration.as_secs()));
            return Err(problem.with_help(format!("1 to {} seconds", DURATION_MAX.as_secs())));
        }
        let mut state = self.lock();
        if state.running.iter().any(|running| running.name == asked.name) {
            return Err(Problem::new(format!("there is a trace `{}` already", asked.name.escape_debug())));
        }
        if state.running.len() >= TRACE_RULES_MAX {
            let problem = Problem::new(format!("there are {TRACE_RULES_MAX} traces already"));
            return Err(problem.with_help("stop one: ringmq ctl trace stop NAME"));
        }
        let path = self.directory.join(asked.file);
        let opened = fs::create_dir_all(&self.directory)
            .and_then(|()| OpenOptions::new().create_new(true).append(true).open(&path));
        let file = opened.map_err(|error| unwritable(&path, &error))?;
        let queue = self.queue()?;
        state.last_rule += 1;
        let rule = TraceRule { id: state.last_rule, what };
        let ends = Instant::now() + duration;
        let begun = Told::Begun(Open { rule: rule.id, file, level, ends, written: 0 });
        state.running.push(Running { name: asked.name.to_owned(), rule, file: path, level, ends });
        // The thread may wait for the lock before it makes room in the queue.
        drop(state);
        // It is ready before the first packet comes.
        let _ = queue.send(begun);
        if let Err(problem) = self.keep().and_then(|()| self.bring()) {
            self.lock().running.retain(|running| running.name != asked.name);
            // What cannot be written was not written before either.
            let _ = self.keep();
            return Err(problem);
        }
        Ok(json!({ "started": asked.name }))
    }

    /// Goes on with the traces that ran when the broker ended and whose time is not over, at the end of their files. To
    /// be called before the shards run: they have it before them then, and no clients yet.
    ///
    /// # Errors
    /// What is wrong with the file of traces, or with some trace; the others go on.
    pub(crate) fn resume(&self) -> Result<(), Problem> {
        let now_ms = wall_clock::now_ms();
        let mut odd = None;
        for kept in self.kept.read()?.into_iter().filter(|kept| kept.ends_ms > now_ms) {
            let left = Duration::from_millis(kept.ends_ms - now_ms);
            odd = self.resume_one(&kept, left).err().or(odd);
        }
        let rules = self.rules();
        if !rules.is_empty() {
            Shards(&self.control).put_to_all(|| Request::Trace(rules.clone()))?;
        }
        odd.map_or(Ok(()), Err)
    }

    fn resume_one(&self, kept: &Kept, left: Duration) -> Result<(), Problem> {
        let Kept { name, kind, value, file, level, .. } = kept;
        let duration_s = None;
        let what = check(&Asked { name, kind, value, file, level: Some(level), duration_s })?;
        let level = Level::named(level).unwrap_or(Level::Debug);
        let path = self.directory.join(file);
        let opened = OpenOptions::new().create(true).append(true).open(&path);
        let opened = opened.and_then(|file| Ok((file.metadata()?.len(), file)));
        let (written, file) = opened.map_err(|error| unwritable(&path, &error))?;
        let queue = self.queue()?;
        let mut state = self.lock();
        state.last_rule += 1;
        let rule = TraceRule { id: state.last_rule, what };
        let ends = Instant::now() + left.min(DURATION_MAX);
        let begun = Told::Begun(Open { rule: rule.id, file, level, ends, written });
        state.running.push(Running { name: name.clone(), rule, file: path, level, ends });
        drop(state);
        let _ = queue.send(begun);
        Ok(())
    }

    /// Ends a trace; its file stays.
    ///
    /// # Errors
    /// There is none of that name.
    pub(crate) fn stop(&self, name: &str) -> Result<Value, Problem> {
        let mut state = self.lock();
        let Some(at) = state.running.iter().position(|running| running.name == name) else {
            return Err(Problem::new(format!("there is no trace `{}`", name.escape_debug())));
        };
        let ended = state.running.remove(at);
        drop(state);
        let kept = self.keep();
        self.bring()?;
        // What was seen is written before.
        let _ = self.queue()?.send(Told::Ended(ended.rule.id));
        kept?;
        Ok(json!({ "stopped": name, "file": ended.file.display().to_string() }))
    }

    /// All traces that run.
    pub(crate) fn list(&self) -> Value {
        let state = self.lock();
        let row = |running: &Running| {
            let (kind, value) = running.words();
            json!({
                "name": running.name, "type": kind, "value": value, "level": running.level.name(),
                "seconds_left": running.ends.saturating_duration_since(Instant::now()).as_secs(),
                "file": running.file.display().to_string(),
            })
        };
        let rows: Vec<Value> = state.running.iter().map(row).collect();
        json!({ "traces": rows, "packets_lost": self.lost.load(Ordering::Relaxed) })
    }

    /// A trace has come to its end by itself.
    pub(super) fn ended(&self, rule: u32) {
        self.lock().running.retain(|running| running.rule.id != rule);
        // If it cannot be written that the trace is over, its time tells that after a restart.
        let _ = self.keep();
        // A shard that does not take the rules now tells of packets that nobody writes.
        let _ = self.bring();
    }

    /// Keeps which traces there are.
    fn keep(&self) -> Result<(), Problem> {
        let (now, now_ms) = (Instant::now(), wall_clock::now_ms());
        // Locked throughout, so that the latest is written last.
        let state = self.lock();
        let kept = |running: &Running| {
            let (kind, value) = running.words();
            let left = u64::try_from(running.ends.saturating_duration_since(now).as_millis()).unwrap_or(u64::MAX);
            Kept {
                name: running.name.clone(),
                kind: kind.to_owned(),
                value,
                file: running.file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                level: running.level.name().to_owned(),
                ends_ms: now_ms.saturating_add(left),
            }
        };
        self.kept.write(state.running.iter().map(kept).collect())
    }

    fn rules(&self) -> Vec<TraceRule> {
        self.lock().running.iter().map(|running| running.rule.clone()).collect()
    }

    /// Brings the rules to all shards, and finds the clients that are meant.
    fn bring(&self) -> Result<(), Problem> {
        // Locked throughout, so that the rules of two changes do not come in the wrong order.
        let state = self.lock();
        let rules: Vec<TraceRule> = state.running.iter().map(|running| running.rule.clone()).collect();
        let shards = Shards(&self.control);
        shards.ask_all(|| Request::Trace(rules.clone()))?;
        for shard in (0..shards.shards()).map(ShardId) {
            let mut next = Some(Position::default());
            while let Some(from) = next.filter(|_| !rules.is_empty()) {
                next = match shards.ask(shard, Request::MarkTraced(from))? {
                    Request::MarkedTraced(next) => next,
                    _ => None,
                };
            }
        }
        Ok(())
    }

    fn queue(&self) -> Result<&SyncSender<Told>, Problem> {
        if let Some(queue) = self.queue.get() {
            return Ok(queue);
        }
        let (queue, told) = sync_channel(QUEUE_PACKETS_MAX);
        let (this, encode, listeners) = (self.this.clone(), self.encode, self.listeners.clone());
        thread::Builder::new()
            .name("trace".to_owned())
            .spawn(move || writer::run(&told, &this, &listeners, encode))
            .map_err(|error| Problem::new(format!("cannot start the thread of traces: {error}")))?;
        Ok(self.queue.get_or_init(|| queue))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic ends the process.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(format!("cannot write a trace to {}: {error}", path.display()))
}

/// What a rule means, if it can be.
fn check(asked: &Asked<'_>) -> Result<TraceWhat, Problem> {
    let plain = |name: &str| {
        (1..=200).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
            && !name.starts_with('.')
    };
    for (what, name) in [("trace", asked.name), ("file", asked.file)] {
        if !plain(name) {
            let problem = Problem::new(format!("`{}` cannot be the name of a {what}", name.escape_debug()));
            return Err(problem.with_help("letters, digits, `_`, `-` and `.`; traces are in the directory of the log"));
        }
    }
    let wrong = |why: &str| Problem::new(format!("`{}` {why}", asked.value.escape_debug()));
    match asked.kind {
        "client" if !asked.value.is_empty() => Ok(TraceWhat::Client(asked.value.into())),
        "client" => Err(wrong("is no client identifier")),
        "topic" => match filter::parse(asked.value) {
            Ok(parsed) if parsed.share.is_none() => Ok(TraceWhat::Topic(asked.value.into())),
            _ => Err(wrong("is no topic filter")),
        },
        "ip_address" => asked.value.parse().map(TraceWhat::Address).map_err(|_| wrong("is no address")),
        other => {
            let problem = Problem::new(format!("`{}` cannot be traced", other.escape_debug()));
            Err(problem.with_help("client, topic or ip_address"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked<'a>(kind: &'a str, value: &'a str, file: &'a str) -> Asked<'a> {
        Asked { name: "t", kind, value, file, level: None, duration_s: None }
    }

    #[test]
    fn what_cannot_be_traced_is_refused() {
        assert_eq!(check(&asked("client", "c", "f.log")).expect("one"), TraceWhat::Client("c".into()));
        assert_eq!(check(&asked("topic", "a/+", "f")).expect("one"), TraceWhat::Topic("a/+".into()));
        assert!(matches!(check(&asked("ip_address", "::1", "f")), Ok(TraceWhat::Address(_))));
        for (kind, value, file) in [
            ("client", "", "f"),
            ("topic", "a/#/b", "f"),
            ("topic", "$share/g/a", "f"),
            ("ip_address", "localhost", "f"),
            ("user", "u", "f"),
            ("client", "c", "../f"),
            ("client", "c", "/f"),
            ("client", "c", ".f"),
            ("client", "c", ""),
        ] {
            assert!(check(&asked(kind, value, file)).is_err(), "{kind} {value} {file}");
        }
    }
}
