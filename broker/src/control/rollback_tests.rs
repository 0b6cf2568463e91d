//! What one shard refuses holds nowhere: settings, counted topics and listeners of all shards, and the file for the next
//! start, are as they were.

use super::protocol::Command;
use super::{Bans, Console, Facts, Parts};
use crate::alarms::Alarms;
use crate::banned;
use crate::config::{self, Config, Layers};
use crate::counters::SharedCounters;
use crate::listeners::Board;
use crate::scratch::Dir;
use crate::trace::Registry;
use ringmq_core::control::Control as Request;
use ringmq_core::machine::{Effects, Input, Machine, ShardId, Time};
use ringmq_core::settings::Settings;
use ringmq_drive::{Control, DriverKind, ListenerChange, Listening, Options, Setup, SharedGate};
use serde_json::Value;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Nothing takes longer than this.
const PATIENCE: Duration = Duration::from_secs(20);

/// Requests that may wait for a shard.
const LETTERS_MAX: usize = 64;

const SHARDS: usize = 2;

/// What a shard was told, as far as it holds.
#[derive(Debug, Default)]
struct Told {
    settings: Option<Settings>,
    topics: Vec<String>,
    /// Changes of either.
    changes: usize,
}

/// A shard's machine that knows no clients.
struct Listener(Arc<Mutex<Told>>);

impl Machine for Listener {
    fn handle(&mut self, _now: Time, input: Input<'_>, _fx: &mut Effects) {
        let Input::Control(message) = input else { return };
        let Some(request) = message.downcast_mut::<Request>() else { return };
        let mut told = self.0.lock().expect("no panic");
        match std::mem::replace(request, Request::Configured) {
            Request::Configure { settings, .. } => told.settings = Some(*settings),
            Request::CountTopics(topics) => told.topics = topics.into_iter().map(String::from).collect(),
            _ => return,
        }
        told.changes += 1;
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

/// A broker's parts around its shards.
struct Process {
    dir: Dir,
    console: Console,
    control: Control,
    config: Config,
    options: Options,
    /// Of each shard, until it runs.
    sockets: Vec<OwnedFd>,
    told: Vec<Arc<Mutex<Told>>>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl Process {
    /// With one listener; no shard runs yet.
    fn new(what: &str) -> Self {
        let dir = Dir::new(what);
        dir.write("r.conf", "listeners.tcp.default.bind = \"127.0.0.1:0\"\n");
        let data = dir.path("data");
        std::fs::create_dir_all(&data).expect("a directory");
        let flag = ("--data-dir".to_owned(), "node.data_dir", data.display().to_string());
        let layers = Layers { file: Some(dir.path("r.conf")), flags: vec![flag], ..Layers::default() };
        let loaded = config::load(&layers).expect("right");
        let config = loaded.config.clone();
        let anywhere = "127.0.0.1:0".parse().expect("an address");
        let Listening { local_addr, sockets } = ringmq_drive::listen(anywhere, SHARDS, 16).expect("listens");
        let control = Control::new(SHARDS).expect("descriptors");
        let board = Board::new(&config, &[local_addr], SHARDS, true);
        let options = Options { gates: board.gates().clone(), ..Options::default() };
        let (file, bans) = banned::open(&data, None).expect("no file");
        let names = board.directory().clone();
        let parts = Parts {
            board,
            control: control.clone(),
            counters: Arc::new(SharedCounters::new(SHARDS)),
            bans: Bans::new(file, bans),
            alarms: Alarms::open(&config.node_name, config.alarms, &data, 0).0,
            traces: Registry::new(control.clone(), names, dir.path("log"), &data, config.trace_payload_encode),
        };
        let facts = Facts { shards: String::new(), driver: String::new(), data_dir: data };
        let console = Console::new(layers, loaded, facts, parts);
        let told = (0..SHARDS).map(|_| Arc::default()).collect();
        Self { dir, console, control, config, options, sockets, told, threads: Vec::new() }
    }

    /// The same with shards that run.
    fn start(what: &str, kind: DriverKind) -> Self {
        let mut process = Self::new(what);
        let sockets = std::mem::take(&mut process.sockets);
        for ((links, socket), told) in ringmq_drive::links(SHARDS).into_iter().zip(sockets).zip(&process.told) {
            let (options, control, told) = (process.options.clone(), process.control.clone(), Arc::clone(told));
            process.threads.push(thread::spawn(move || {
                let shard = links.shard();
                let setup = Setup { shard, listeners: vec![socket], links, options, control };
                ringmq_drive::run(kind, setup, Listener(told)).map(drop)
            }));
        }
        process
    }

    fn stop(self) {
        self.control.request_stop();
        self.threads.into_iter().for_each(|shard| shard.join().expect("no panic").expect("no error"));
    }

    /// Has one shard refuse the listener with this number: it has one.
    fn occupy(&self, shard: ShardId, listener: u16) {
        let anywhere = "127.0.0.1:0".parse().expect("an address");
        let socket = ringmq_drive::listen(anywhere, 1, 16).expect("listens").sockets.remove(0);
        let open = ListenerChange::Open { listener, socket, gate: SharedGate::default() };
        let answer = self.control.ask(shard, Box::new(open)).expect("room").recv_timeout(PATIENCE).expect("an answer");
        answer.1.downcast::<io::Result<()>>().expect("a result").expect("opened");
    }

    /// Why a request was not granted.
    fn refused(&self, command: &Command) -> String {
        let answer = self.console.answer(command);
        assert!(!answer.ok, "{command:?}");
        answer.errors.iter().map(ToString::to_string).collect()
    }

    fn granted(&self, command: &Command) -> Value {
        let answer = self.console.answer(command);
        assert!(answer.ok, "{:?}", answer.errors);
        answer.result.expect("a result")
    }

    fn shown(&self, key: &str) -> String {
        let rows = self.granted(&Command::ConfShow { key: Some(key.to_owned()) });
        rows[0]["value"].as_str().expect("a value").to_owned()
    }

    /// Listeners that are configured.
    fn listeners(&self) -> Vec<String> {
        let told = self.granted(&Command::ListenersList);
        let rows = told["listeners"].as_array().expect("a list");
        rows.iter().map(|row| row["id"].as_str().expect("text").to_owned()).collect()
    }

    /// Whether changes are kept for the next start.
    fn keeps_changes(&self) -> bool {
        config::overrides_path(&self.dir.path("data")).exists()
    }
}

fn set(key: &str, value: &str) -> Command {
    Command::ConfSet { key: key.to_owned(), value: value.to_owned() }
}

fn kinds() -> impl Iterator<Item = DriverKind> {
    let uring = ringmq_drive::probe().refusal.is_none().then_some(DriverKind::Uring);
    uring.into_iter().chain([DriverKind::Epoll])
}

/// A port that nobody has.
fn free_port() -> u16 {
    let found = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    found.expect("a port").port()
}

/// Changes of everything that is brought to shards, in one file.
fn changed_file(port: u16) -> String {
    format!(
        "listeners.tcp {{ default.bind = \"127.0.0.1:0\", more {{ bind = \"127.0.0.1:{port}\", zone = z }} }}\n\
         zones.z.mqtt.max_topic_levels = 3\nmqtt.max_inflight = 7\ntopic_metrics = [{{topic = t}}]\n"
    )
}

#[test]
fn what_one_shard_refuses_is_taken_back_on_all() {
    for kind in kinds() {
        let (process, port) = (Process::start("refused", kind), free_port());
        process.occupy(ShardId(1), 1);
        let refused = process.refused(&set("listeners.tcp.more.bind", &format!("127.0.0.1:{port}")));
        assert!(refused.contains("tcp:more cannot be opened"), "{refused}");
        assert!(!process.keeps_changes(), "{kind}");
        process.occupy(ShardId(1), 2);
        process.dir.write("r.conf", &changed_file(port));
        let refused = process.refused(&Command::ConfReload);
        assert!(refused.contains("tcp:more cannot be opened"), "{refused}");
        let before = process.config.effective();
        for told in &process.told {
            let told = told.lock().expect("no panic");
            assert_eq!((told.settings.as_ref(), told.topics.len()), (Some(&before), 0), "{kind}");
            assert_eq!(told.changes, 4, "there and back");
        }
        assert_eq!(
            (process.listeners(), process.shown("mqtt.max_inflight")),
            (vec!["tcp:default".to_owned()], "32".into())
        );
        // The kernel closes what the other shard had opened a little later.
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_ok() {
            assert!(begun.elapsed() < PATIENCE, "{kind}: somebody listens");
        }
        process.granted(&Command::ConfReload);
        for told in &process.told {
            let told = told.lock().expect("no panic");
            assert_eq!((told.settings.as_ref().map(|new| new.max_inflight), told.topics.len()), (Some(7), 1), "{kind}");
        }
        assert_eq!(process.listeners(), ["tcp:default", "tcp:more"]);
        process.stop();
    }
}

#[test]
fn where_one_shard_has_too_much_before_it_none_is_asked() {
    let process = Process::new("full");
    while process.control.ask(ShardId(1), Box::new(0_u8)).is_ok() {}
    process.dir.write("r.conf", &changed_file(free_port()));
    let commands = [
        set("mqtt.max_inflight", "7"),
        set("topic_metrics", "[{topic = t}]"),
        set("listeners.tcp.more.bind", "127.0.0.1:0"),
        Command::ConfReload,
    ];
    for command in commands {
        let refused = process.refused(&command);
        assert!(refused.contains("requests to a shard are waiting already"), "{command:?}: {refused}");
        assert!(!process.keeps_changes(), "{command:?}");
    }
    assert_eq!(
        (process.listeners(), process.shown("mqtt.max_inflight")),
        (vec!["tcp:default".to_owned()], "32".into())
    );
    let room = (0..=LETTERS_MAX).take_while(|_| process.control.ask(ShardId(0), Box::new(0_u8)).is_ok()).count();
    assert_eq!(room, LETTERS_MAX, "nothing is before the other");
}
