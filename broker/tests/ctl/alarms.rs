//! Alarms of the real program: raised, told, ended, and remembered.

use crate::PATIENCE;
use crate::broker::Broker;
use crate::wire::{receive, send, subscribe};
use serde_json::Value;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The next message, which is about an alarm: the end of its topic, and its payload.
fn told(stream: &mut TcpStream) -> (String, Value) {
    let (head, body) = receive(stream);
    assert_eq!(head, 0x30);
    let end = 2 + usize::from(body[0]) * 256 + usize::from(body[1]);
    let topic = String::from_utf8(body[2..end].to_vec()).expect("text");
    let (_, kind) = topic.rsplit_once("/alarms/").expect("the topic of an alarm");
    // Behind the length of no properties.
    (kind.to_owned(), serde_json::from_slice(&body[end + 1..]).expect("JSON"))
}

fn rows(broker: &Broker, ask: &str) -> Vec<Value> {
    let told: Value = serde_json::from_str(&broker.ctl(&["--json", "alarms", ask])).expect("JSON");
    told["alarms"].as_array().expect("a list").clone()
}

/// The alarm of this name, once it is in that list.
fn wait_for(broker: &Broker, ask: &str, name: &Value) -> Value {
    let by = Instant::now() + PATIENCE;
    loop {
        let found = rows(broker, ask);
        if let Some(row) = found.iter().find(|row| row["name"] == *name) {
            return row.clone();
        }
        assert!(Instant::now() < by, "{found:?}");
    }
}

#[test]
fn a_slow_reader_raises_an_alarm_that_ends_with_it() {
    let file = "conn_congestion.min_alarm_sustain_duration = 1s\nsysmon.os { sysmem_high_watermark = 100% }";
    let broker = Broker::start("alarm-congestion", file);
    let mut watcher = broker.client("watcher").0;
    subscribe(&mut watcher, "$SYS/brokers/emqx@127.0.0.1/alarms/+", 0);
    let mut slow = broker.client("slow").0;
    subscribe(&mut slow, "t", 0);
    let mut publisher = broker.client("publisher").0;
    let message = [&[0, 1, b't', 0, 1, 0][..], &[b'x'; 512 * 1024]].concat();
    // More than the sockets between them hold.
    for _ in 0..64 {
        send(&mut publisher, 0x32, &message);
        assert_eq!(receive(&mut publisher).0, 0x40);
    }
    let name = Value::from("conn_congestion/slow/unknown_user");
    let row = wait_for(&broker, "list", &name);
    assert_eq!((&row["deactivate_at"], &row["details"]["clientid"]), (&"infinity".into(), &"slow".into()));
    assert!(row["details"]["unsent_bytes"].as_u64().expect("a number") >= 1 << 20, "{row}");
    let (kind, message) = told(&mut watcher);
    assert_eq!((kind.as_str(), &message["name"], &message["deactivate_at"]), ("activate", &name, &"infinity".into()));
    assert!(rows(&broker, "history").is_empty());
    drop(slow);
    let row = wait_for(&broker, "history", &name);
    assert_ne!(row["deactivate_at"], "infinity");
    assert_eq!(told(&mut watcher), ("deactivate".to_owned(), row));
    assert!(rows(&broker, "list").iter().all(|active| active["name"] != name));
    let text = broker.ctl(&["alarms", "history"]);
    assert!(text.starts_with("conn_congestion/slow/unknown_user activate_at="), "{text}");
    assert_eq!(broker.ctl(&["alarms", "clear"]), "cleared: 1\n");
    assert!(rows(&broker, "history").is_empty());
}

#[test]
fn memory_above_a_watermark_raises_an_alarm() {
    let file = "sysmon.os { mem_check_interval = 1s, sysmem_high_watermark = 1%, procmem_high_watermark = 100% }";
    let broker = Broker::start("alarm-memory", file);
    let row = wait_for(&broker, "list", &"high_system_memory_usage".into());
    assert_eq!(row["details"]["high_watermark"], "1%");
    assert_eq!(rows(&broker, "list").len(), 1, "it alone");
}

#[test]
fn alarms_survive_a_restart_as_history_and_are_told_as_the_operator_wants() {
    let file = "sysmon.os { mem_check_interval = 1s, sysmem_high_watermark = 1%, procmem_high_watermark = 100% }\n\
                alarm.actions = [publish]\nlog.file { enable = true, path = \"x/r.log\" }\n";
    let mut broker = Broker::start("alarm-kept", file);
    let name = Value::from("high_system_memory_usage");
    let first = wait_for(&broker, "list", &name);
    let kept = broker.dir.join("data/alarms.json");
    let by = Instant::now() + PATIENCE;
    // Once a second.
    while !std::fs::read_to_string(&kept).is_ok_and(|text| text.contains("high_system_memory_usage")) {
        assert!(Instant::now() < by);
    }
    broker.crash();
    let over = wait_for(&broker, "history", &name);
    assert_eq!((&over["activate_at"], &over["details"]), (&first["activate_at"], &first["details"]));
    assert_ne!(over["deactivate_at"], "infinity");
    let mut watcher = broker.client("watcher").0;
    subscribe(&mut watcher, "$SYS/brokers/emqx@127.0.0.1/alarms/+", 0);
    wait_for(&broker, "list", &name);
    // Watermarks and actions change while it runs.
    broker.ctl(&["conf", "set", "alarm.actions", "[log]"]);
    broker.ctl(&["conf", "set", "sysmon.os.sysmem_high_watermark", "100%"]);
    wait_for(&broker, "history", &name);
    let log = || std::fs::read_to_string(broker.dir.join("x/r.log")).unwrap_or_default();
    while !log().contains("alarm_is_deactivated") {
        assert!(Instant::now() < by, "{}", log());
    }
    assert!(!log().contains("alarm_is_activated"), "{}", log());
    broker.ctl(&["conf", "set", "alarm.size_limit", "1"]);
    assert_eq!(rows(&broker, "history").len(), 1, "the older one is forgotten");
    broker.restart();
    assert_eq!(rows(&broker, "history").len(), 1);
}

/// Has no alarm about memory, whatever the machine does, and looks every second.
const CALM: &str =
    "sysmon.os { mem_check_interval = 1s, sysmem_high_watermark = 100%, procmem_high_watermark = 100% }\n";

/// Raises the alarm about the machine's memory and ends it; gives when it began.
fn raise_and_end(broker: &Broker) -> String {
    let name = Value::from("high_system_memory_usage");
    broker.ctl(&["conf", "set", "sysmon.os.sysmem_high_watermark", "1%"]);
    let row = wait_for(broker, "list", &name);
    broker.ctl(&["conf", "set", "sysmon.os.sysmem_high_watermark", "100%"]);
    let by = Instant::now() + PATIENCE;
    while rows(broker, "list").iter().any(|active| active["name"] == name) {
        assert!(Instant::now() < by, "it does not end");
    }
    row["activate_at"].as_str().expect("a time").to_owned()
}

#[test]
fn only_the_latest_alarms_are_remembered_and_not_for_ever() {
    let broker = Broker::start("alarm-bounds", &format!("{CALM}alarm.size_limit = 2\n"));
    let begun: Vec<String> = (0..2).map(|_| raise_and_end(&broker)).collect();
    let last_begun = Instant::now();
    let begun = [begun, vec![raise_and_end(&broker)]].concat();
    let kept: Vec<Value> = rows(&broker, "history").iter().map(|row| row["activate_at"].clone()).collect();
    assert_eq!(kept, [begun[2].as_str(), begun[1].as_str()], "of {begun:?}");
    broker.ctl(&["conf", "set", "alarm.validity_period", "3s"]);
    let by = Instant::now() + PATIENCE;
    while !rows(&broker, "history").is_empty() {
        assert!(Instant::now() < by, "they stay");
    }
    assert!(last_begun.elapsed() >= Duration::from_secs(3), "{:?}", last_begun.elapsed());
}

/// Keeps processors busy as long as it lives: a twentieth of them or more.
struct Busy {
    done: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Busy {
    fn start() -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let spin = || {
            let done = Arc::clone(&done);
            thread::spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        };
        let count = thread::available_parallelism().map_or(1, |all| all.get().div_ceil(20));
        let threads = (0..count).map(|_| spin()).collect();
        Self { done, threads }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().expect("no panic"));
    }
}

#[test]
fn busy_processors_raise_an_alarm_that_stays_above_the_low_watermark() {
    let cpu = "sysmon.os { cpu_check_interval = 1s, cpu_high_watermark = 2%, cpu_low_watermark = 1% }\n";
    let broker = Broker::start("alarm-cpu", &format!("{CALM}{cpu}"));
    let name = Value::from("high_cpu_usage");
    let _busy = Busy::start();
    let row = wait_for(&broker, "list", &name);
    let details = &row["details"];
    assert_eq!((&details["high_watermark"], &details["low_watermark"]), (&"2%".into(), &"1%".into()));
    let usage: f64 =
        details["usage"].as_str().and_then(|usage| usage.strip_suffix('%')).expect("%").parse().expect("%");
    assert!(usage > 2.0 && usage <= 100.0, "{row}");
    broker.ctl(&["conf", "set", "sysmon.os.cpu_high_watermark", "100%"]);
    // Memory is looked at as often: processors have been meanwhile.
    raise_and_end(&broker);
    assert!(rows(&broker, "list").iter().any(|active| active["name"] == name), "they are between the watermarks");
    broker.ctl(&["conf", "set", "sysmon.os.cpu_low_watermark", "100%"]);
    assert_ne!(wait_for(&broker, "history", &name)["deactivate_at"], "infinity");
}
