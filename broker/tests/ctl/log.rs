//! The log of the real program: in a file and on standard error, its levels, and repetitions that are held back.

use crate::PATIENCE;
use crate::broker::{Broker, program, subscribe};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

const FILE: &str = "log { console.enable = false, file { enable = true, level = info, formatter = json, \
                    path = \"log/x.log\" }, throttling.time_window = 2s }\n";

fn notes_in(path: &PathBuf) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    // The last line may not be complete.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// All notes, once one of them is as is wanted.
fn await_notes(broker: &Broker, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
    await_notes_in(broker, "log/x.log", wanted)
}

fn await_notes_in(broker: &Broker, file: &str, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
    let by = Instant::now() + PATIENCE;
    loop {
        let notes = notes_in(&broker.dir.join(file));
        if notes.iter().any(&wanted) {
            return notes;
        }
        assert!(Instant::now() < by, "{notes:#?}");
        std::thread::yield_now();
    }
}

/// Sends what no client may send, and waits until the connection is closed.
fn misbehave(mut client: TcpStream) {
    client.write_all(&[0xD0, 0]).expect("sent");
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).expect("the end");
}

#[test]
fn clients_are_noted_and_levels_change_for_everything_or_one_module() {
    let mut broker = Broker::start("log", FILE);
    let about = |client: &'static str, message: &'static str| {
        move |note: &Value| note["clientid"] == client && note["msg"] == message
    };
    let (first, _) = broker.client("first");
    let address = first.local_addr().expect("connected").to_string();
    let notes = await_notes(&broker, about("first", "client_connected"));
    let note = notes.iter().find(|note| about("first", "client_connected")(note)).expect("it is there");
    assert_eq!((&note["level"], &note["module"]), (&"info".into(), &"client".into()));
    assert_eq!((&note["peername"], &note["proto_ver"]), (&Value::from(address), &5.into()));
    assert!(note["time"].as_u64().is_some_and(|time| time > 1_600_000_000_000_000), "{note}");
    broker.ctl(&["clients", "kick", "first"]);
    await_notes(&broker, |note| about("first", "client_disconnected")(note) && note["reason"] == "kicked");

    assert!(broker.ctl(&["log", "set-level", "error"]).contains("file: error\n"));
    let (mut quiet, _) = broker.client("quiet");
    assert!(broker.ctl(&["log", "set-level", "debug", "client"]).contains("module.client: debug\n"));
    assert!(subscribe(&mut quiet, 1).is_some());
    let notes = await_notes(&broker, about("quiet", "client_subscribed"));
    assert!(!notes.iter().any(about("quiet", "client_connected")), "too little an error: {notes:#?}");
    broker.ctl(&["log", "set-level", "default", "client"]);
    assert!(broker.refused(&["log", "set-level", "loud"]).contains("`loud` is no level"));

    broker.ctl(&["conf", "set", "log.file.level", "info"]);
    await_notes(&broker, |note| note["msg"] == "setting_changed" && note["key"] == "log.file.level");
    assert!(broker.refused(&["conf", "set", "log.file.path", "y.log"]).contains("cannot change while the broker runs"));
    broker.restart();
    assert_eq!(broker.ctl(&["log", "show"]), "console: off\nfile: info\nlines_lost: 0\n", "settings are kept");
    let notes = notes_in(&broker.dir.join("log/x.log"));
    assert!(notes.iter().any(|note| note["msg"] == "stopping"), "written to the end: {notes:#?}");
}

#[test]
fn every_handler_with_a_name_has_a_file_and_a_level_of_its_own() {
    let file = "log { console.enable = false, file {\n\
                default { enable = true, level = error, path = \"log/default.log\" },\n\
                everything { level = all, formatter = json, file = \"log/everything.log\" },\n\
                nothing { level = none, formatter = json, path = \"log/nothing.log\" } } }\n";
    let mut broker = Broker::start("handlers", file);
    let told = |nothing: &str| format!("console: off\nfile: error\nfile.everything: debug\nfile.nothing: {nothing}\n");
    assert!(broker.ctl(&["log", "show"]).starts_with(&told("none")));
    let connected =
        |client: &'static str| move |note: &Value| note["msg"] == "client_connected" && note["clientid"] == client;
    let _first = broker.client("first");
    await_notes_in(&broker, "log/everything.log", connected("first"));
    broker.ctl(&["conf", "set", "log.file.nothing.level", "info"]);
    let _second = broker.client("second");
    let notes = await_notes_in(&broker, "log/nothing.log", connected("second"));
    assert!(!notes.iter().any(connected("first")), "{notes:#?}");
    assert!(broker.refused(&["conf", "set", "log.file.more.level", "info"]).contains("no handler log.file.more"));
    broker.restart();
    assert!(broker.ctl(&["log", "show"]).starts_with(&told("info")), "settings are kept");
    assert_eq!(std::fs::read_to_string(broker.dir.join("log/default.log")).expect("a file"), "");
}

#[test]
fn what_clients_can_repeat_is_noted_once_and_counted() {
    let broker = Broker::start("throttled", FILE);
    (0..5).for_each(|number| misbehave(broker.client(&format!("c{number}")).0));
    let key = "client_protocol_error";
    let notes = await_notes(&broker, |note| note["dropped"][key].as_u64().is_some());
    let first = notes.iter().find(|note| note["msg"] == key).expect("the first");
    assert_eq!((&first["level"], &first["reason"]), (&"warning".into(), &"protocol_error".into()));
    // Should it have taken so long that the window ended meanwhile, there are two of each.
    let by = Instant::now() + PATIENCE;
    loop {
        let notes = notes_in(&broker.dir.join("log/x.log"));
        let noted = notes.iter().filter(|note| note["msg"] == key).count() as u64;
        let held_back: u64 = notes.iter().filter_map(|note| note["dropped"][key].as_u64()).sum();
        if noted + held_back == 5 {
            return assert!(held_back > 0);
        }
        assert!(Instant::now() < by, "{notes:#?}");
    }
}

#[test]
fn a_large_file_is_put_aside() {
    let file = "log { console.enable = false, file { enable = true, level = info, path = \"log/x.log\", \
                rotation_size = 2KB, rotation_count = 3 } }";
    let mut broker = Broker::start("rotated", file);
    (0..60).for_each(|number| drop(broker.client(&format!("client-{number}"))));
    broker.stop();
    let found = std::fs::read_dir(broker.dir.join("log")).expect("a directory").map(|entry| entry.expect("a file"));
    let mut names = Vec::new();
    for entry in found {
        assert!(entry.metadata().expect("a file").len() <= 2048, "{entry:?}");
        names.push(entry.file_name().into_string().expect("text"));
    }
    names.sort();
    assert_eq!(names, ["x.log", "x.log.1", "x.log.2"]);
}

/// Goes on with a file that is larger than any that is put aside by default, and takes no place on the disk.
#[test]
fn a_file_without_a_largest_size_is_never_put_aside() {
    const GROWN_BYTES: u64 = 64 << 20;
    for (size, expected) in [("infinity", &["x.log"][..]), ("50MB", &["x.log", "x.log.1"])] {
        let file = format!(
            "log {{ console.enable = false, file {{ enable = true, level = info, path = \"log/x.log\", \
             rotation_size = {size} }} }}"
        );
        let mut broker = Broker::start(&format!("log-{size}"), &file);
        let path = broker.dir.join("log/x.log");
        std::fs::OpenOptions::new().write(true).open(&path).and_then(|log| log.set_len(GROWN_BYTES)).expect("grown");
        broker.restart();
        drop(broker.client("seen"));
        broker.stop();
        let found = std::fs::read_dir(broker.dir.join("log")).expect("a directory");
        let mut names: Vec<_> = found.map(|entry| entry.expect("a file").file_name()).collect();
        names.sort();
        assert_eq!(names, expected, "{size}");
        let mut log = std::fs::File::open(&path).expect("a file");
        let length = log.metadata().expect("a file").len();
        assert_eq!(length > GROWN_BYTES, size == "infinity", "{length} bytes");
        log.seek(SeekFrom::Start(length.saturating_sub(8192))).expect("a file");
        let mut end = String::new();
        log.read_to_string(&mut end).expect("text");
        assert!(end.contains("clientid: seen"), "{end}");
    }
}

#[test]
fn standard_error_has_lines_for_people() {
    let dir = std::env::temp_dir().join(format!("ringmq-ctl-console-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a temporary directory");
    let arguments = ["--tcp", "127.0.0.1:0", "--set", "log.console.level=info", "--set", "log.console.time_offset=utc"];
    let mut child =
        program(&dir, &arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    while !line.starts_with("listening on tcp") {
        line.clear();
        assert_ne!(stdout.read_line(&mut line).expect("text"), 0);
    }
    assert!(Command::new("kill").arg(child.id().to_string()).status().expect("kill runs").success());
    let output = child.wait_with_output().expect("ends");
    let _ = std::fs::remove_dir_all(&dir);
    let text = String::from_utf8(output.stderr).expect("text");
    let started = text.lines().find(|line| line.contains("msg: started")).expect("a line");
    let (time, rest) = started.split_once(' ').expect("a time");
    assert!(time.ends_with("+00:00") && time.len() == "2024-05-06T07:08:09.123456+00:00".len(), "{time}");
    assert!(rest.starts_with("[info] msg: started, module: broker, version: "), "{rest}");
    assert!(text.contains("[info] msg: stopping, module: broker, signal: 15\n"), "{text}");
}
