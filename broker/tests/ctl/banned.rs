//! Banned clients of the real program, on two shards.

use crate::PATIENCE;
use crate::broker::{Broker, pings, program};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Protocol levels.
const V311: u8 = 4;
const V5: u8 = 5;

/// Answers to CONNECT.
const ACCEPTED: u8 = 0;
const NOT_AUTHORIZED_V3: u8 = 5;
const BANNED: u8 = 0x8A;

/// Connects; the connection and the code of its CONNACK.
fn connect(broker: &Broker, level: u8, id: &str, username: Option<&str>) -> (TcpStream, u8) {
    let mut stream = TcpStream::connect(("127.0.0.1", broker.port)).expect("accepted");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let flags = if username.is_some() { 0x82 } else { 0x02 };
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', level, flags, 0, 0];
    if level == V5 {
        // A session that outlives its connection.
        body.extend_from_slice(&[5, 0x11, 0, 0, 0, 60]);
    }
    for text in [Some(id), username].into_iter().flatten() {
        body.extend_from_slice(&[0, u8::try_from(text.len()).expect("short")]);
        body.extend_from_slice(text.as_bytes());
    }
    let head = [0x10, u8::try_from(body.len()).expect("short")];
    stream.write_all(&[&head[..], &body].concat()).expect("sent");
    let mut head = [0; 2];
    stream.read_exact(&mut head).expect("a CONNACK");
    assert_eq!(head[0], 0x20);
    let mut rest = vec![0; usize::from(head[1])];
    stream.read_exact(&mut rest).expect("a CONNACK");
    (stream, rest[1])
}

fn answer(broker: &Broker, level: u8, id: &str, username: Option<&str>) -> u8 {
    let (mut stream, code) = connect(broker, level, id, username);
    if code != ACCEPTED {
        assert_eq!(stream.read(&mut [0; 1]).expect("the end"), 0, "a refused connection is closed");
    }
    code
}

fn listed(broker: &Broker) -> Vec<Value> {
    let told = broker.ctl(&["--json", "banned", "list"]);
    let pages = told.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    pages.flat_map(|page| page["banned"].as_array().expect("a list").clone()).collect()
}

#[test]
fn bans_of_every_kind_refuse_their_clients_and_outlive_the_broker() {
    let mut broker = Broker::start("ban-kinds", "");
    for (kind, who) in [
        ("clientid", "c3"),
        ("clientid_re", "^c[0-3]$"),
        ("username", "alice"),
        ("username_re", "^ali"),
        ("peerhost", "127.0.0.1"),
        ("peerhost_net", "127.0.0.0/8"),
    ] {
        // Whoever comes from this machine is meant by an address, so there is nobody else.
        let everybody = kind.starts_with("peerhost");
        let told = broker.ctl(&["banned", "add", kind, who, "--reason", "why not"]);
        assert!(told.contains(&format!("as: {kind}\n")) && told.contains("until: infinity\n"), "{told}");
        let stay: fn(&mut Broker) = |_| {};
        for restart in [stay, Broker::restart, Broker::crash] {
            restart(&mut broker);
            assert_eq!(answer(&broker, V5, "c3", Some("alice")), BANNED, "{kind}");
            assert_eq!(answer(&broker, V311, "c3", Some("alice")), NOT_AUTHORIZED_V3, "{kind}");
            let other = answer(&broker, V5, "d3", Some("bob"));
            assert_eq!(other, if everybody { BANNED } else { ACCEPTED }, "{kind}");
            let rows = listed(&broker);
            assert_eq!(rows.len(), 1);
            for (field, expected) in [("as", kind), ("who", who), ("by", "ctl"), ("reason", "why not")] {
                assert_eq!(rows[0][field], expected);
            }
        }
        assert!(broker.refused(&["banned", "add", kind, who]).contains("is banned already"));
        broker.ctl(&["banned", "delete", kind, who]);
        assert!(broker.refused(&["banned", "delete", kind, who]).contains("is not banned"));
        assert_eq!(answer(&broker, V5, "c3", Some("alice")), ACCEPTED, "{kind}");
    }
    // Shards publish their counters once a second.
    let by = std::time::Instant::now() + crate::PATIENCE;
    while !broker.ctl(&["metrics"]).contains("client.banned") {
        assert!(std::time::Instant::now() < by, "{}", broker.ctl(&["metrics"]));
    }
}

#[test]
fn a_banned_client_is_ended_at_once_and_an_expression_leaves_who_is_connected() {
    let broker = Broker::start("ban-ends", "");
    let mut clients: Vec<TcpStream> =
        (0..6).map(|number| connect(&broker, V5, &format!("c{number}"), None).0).collect();
    broker.ctl(&["banned", "add", "clientid_re", "^c"]);
    assert!(clients.iter_mut().all(pings), "nobody is disconnected");
    assert_eq!(answer(&broker, V5, "c9", None), BANNED);
    for (number, client) in clients.iter_mut().enumerate().take(3) {
        let name = format!("c{number}");
        broker.ctl(&["banned", "add", "clientid", &name, "--by", "me"]);
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).expect("the end");
        // Administrative action: a DISCONNECT may not carry 0x8A [MQTT-3.14.2-1].
        assert_eq!(rest, [0xE0, 1, 0x98]);
        assert!(broker.refused(&["clients", "show", &name]).contains("there is no client"), "no session is left");
    }
    assert!(clients[3..].iter_mut().all(pings));
    assert!(broker.ctl(&["banned", "clear"]).contains("cleared: 4\n"));
    assert!(listed(&broker).is_empty());
    assert_eq!(answer(&broker, V5, "c0", None), ACCEPTED);
}

#[test]
fn a_ban_ends_at_its_time() {
    let broker = Broker::start("ban-until", "");
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    assert!(broker.refused(&["banned", "add", "clientid", "c", "--until", "1970-01-01T00:00:00Z"]).contains("is over"));
    assert!(broker.refused(&["banned", "add", "clientid", "c", "--until", "soon"]).contains("is no time such as"));
    broker.ctl(&["banned", "add", "clientid", "c", "--until", &(now_s + 4).to_string()]);
    broker.ctl(&["banned", "add", "clientid", "d", "--until", &(now_s + 4000).to_string()]);
    assert_eq!(answer(&broker, V5, "c", None), BANNED);
    let by = Instant::now() + PATIENCE;
    while answer(&broker, V5, "c", None) == BANNED {
        assert!(Instant::now() < by, "still banned");
    }
    let rows = listed(&broker);
    assert_eq!((rows.len(), &rows[0]["who"]), (1, &Value::from("d")), "what is over is not listed");
    assert_eq!(answer(&broker, V5, "d", None), BANNED);
}

#[test]
fn a_list_from_a_file_is_taken_over_once_and_has_to_be_right() {
    let file = "banned.bootstrap_file = \"bans.csv\"";
    let dir = std::env::temp_dir().join(format!("ringmq-ctl-ban-file-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a temporary directory");
    let lines: String = (0..600).map(|number| format!("clientid,\"c,{number}\",ops,infinity\n")).collect();
    std::fs::write(dir.join("bans.csv"), format!("as,who,by,until\n{lines}")).expect("a file");
    let mut broker = Broker::start("ban-file", file);
    assert_eq!(listed(&broker).len(), 600, "of three pages");
    assert_eq!(answer(&broker, V5, "c,599", None), BANNED);
    broker.ctl(&["banned", "delete", "clientid", "c,599"]);
    broker.restart();
    assert_eq!(answer(&broker, V5, "c,599", None), ACCEPTED, "the file is not read again");
    assert!(broker.ctl(&["banned", "list"]).contains("clientid c,598 until=infinity at="));
    let refused = |name: &str, text: &str| {
        std::fs::write(dir.join("bans.csv"), text).expect("a file");
        let arguments = ["--tcp", "127.0.0.1:0", "--config", "r.conf", "--data-dir", name];
        let output = program(&dir, &arguments).output().expect("starts");
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).expect("text")
    };
    assert!(refused("other", "as,who\nclientid\n").contains("bans.csv:2: there are 1 fields for 2 columns"));
    std::fs::create_dir_all(dir.join("broken")).expect("a directory");
    std::fs::write(dir.join("broken/banned.json"), "{").expect("a file");
    assert!(refused("broken", "as,who\n").contains("banned.json are not understood"));
}

#[test]
fn user_names_are_shown() {
    let broker = Broker::start("user-names", "");
    let _clients = [connect(&broker, V5, "with", Some("al\tice")), connect(&broker, V311, "without", None)];
    let shown = |name: &str| -> Value {
        serde_json::from_str(&broker.ctl(&["--json", "clients", "show", name])).expect("JSON")
    };
    assert_eq!((&shown("with")["username"], &shown("without")["username"]), (&"al\tice".into(), &Value::Null));
    let text = broker.ctl(&["clients", "list"]);
    assert!(text.contains(" username=al\\tice proto_ver=5 "), "{text}");
    let line = text.lines().find(|line| line.starts_with("without ")).expect("one of them");
    assert!(!line.contains("username"), "{line}");
}

#[test]
fn clients_that_flap_are_banned_for_a_while() {
    let file = "flapping_detect { enable = true, max_count = 4, ban_time = 3s }";
    let broker = Broker::start("flapping", file);
    let mut steady = connect(&broker, V5, "steady", None).0;
    for _ in 0..4 {
        for name in ["a", "b", "c"] {
            assert_eq!(answer(&broker, V5, name, None), ACCEPTED);
        }
    }
    let by = Instant::now() + PATIENCE;
    let mut rows = listed(&broker);
    // Shards are asked once a second.
    while rows.len() < 3 {
        assert!(Instant::now() < by, "not banned");
        rows = listed(&broker);
    }
    assert!(rows.iter().all(|row| row["as"] == "clientid" && row["by"] == "flapping detector"), "{rows:?}");
    assert_eq!(answer(&broker, V5, "b", None), BANNED);
    while answer(&broker, V5, "b", None) == BANNED {
        assert!(Instant::now() < by, "still banned");
    }
    assert!(pings(&mut steady));
    assert!(broker.ctl(&["conf", "set", "flapping_detect.enable", "false"]).contains("flapping_detect.enable = false"));
}
