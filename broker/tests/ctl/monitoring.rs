//! The monitoring port of the real program, asked by hand.

use crate::PATIENCE;
use crate::broker::Broker;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

const FILE: &str = "ringmq.monitoring_bind = \"127.0.0.1:0\"";

/// What comes back for a request: everything up to the end of the connection.
fn ask(broker: &Broker, request: &str) -> String {
    let mut stream = TcpStream::connect(broker.monitoring.as_deref().expect("a monitoring port")).expect("accepted");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer, and the end");
    answer
}

fn get(broker: &Broker, path: &str) -> String {
    ask(broker, &format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n"))
}

#[test]
fn counters_are_told_to_prometheus() {
    let broker = Broker::start("prometheus", FILE);
    let _clients: Vec<_> = (0..5).map(|number| broker.client(&format!("c{number}"))).collect();
    for path in ["/metrics", "/api/v5/prometheus/stats"] {
        let by = Instant::now() + PATIENCE;
        // Shards publish their counters once a second.
        while !get(&broker, path).contains("\nemqx_connections_count 5\n") {
            assert!(Instant::now() < by, "{}", get(&broker, path));
        }
        let page = get(&broker, path);
        assert!(page.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4"), "{page}");
        assert!(page.contains("# TYPE emqx_client_connected counter\nemqx_client_connected 5\n"), "{page}");
        assert!(page.contains("\nringmq_uptime_seconds "), "{page}");
    }
    let head = ask(&broker, "HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
}

/// The value of a gauge.
fn gauge(page: &str, name: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).expect(name);
    line.parse().expect("a number")
}

#[test]
fn the_machine_and_the_ends_of_connections_are_told_to_prometheus() {
    let bind = "listeners.tcp.default.bind = \"127.0.0.1:0\"\nlisteners.tcp.inner.bind = \"127.0.0.1:0\"\n";
    let broker = Broker::start_on("endings", &format!("{FILE}\n{bind}"), 2);
    let mut normal = broker.client_at(broker.ports[0], "normal", &[]).0;
    normal.write_all(&[0xE0, 0]).expect("sent");
    drop(broker.client_at(broker.ports[0], "lost", &[]));
    drop(broker.client_at(broker.ports[1], "lost too", &[]));
    let _kicked = broker.client_at(broker.ports[1], "kicked", &[]);
    broker.ctl(&["clients", "kick", "kicked"]);
    let mut wrong = broker.client_at(broker.ports[1], "wrong", &[]).0;
    wrong.write_all(&[0xD0, 0]).expect("sent");
    let expected = [
        ("default", "normal"),
        ("default", "tcp_closed"),
        ("inner", "kicked"),
        ("inner", "protocol_error"),
        ("inner", "tcp_closed"),
    ];
    let name = "emqx_client_disconnected_reason";
    let expected = expected.map(|(listener, reason)| {
        format!("{name}{{listener_type=\"tcp\",listener_name=\"{listener}\",reason=\"{reason}\"}} 1")
    });
    let by = Instant::now() + PATIENCE;
    let mut page = get(&broker, "/metrics");
    let found = |page: &str| {
        let mut lines: Vec<String> = page.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect();
        lines.sort();
        lines
    };
    while found(&page) != expected {
        assert!(Instant::now() < by, "{page}");
        page = get(&broker, "/metrics");
    }
    let (used, idle) = (gauge(&page, "emqx_vm_cpu_use"), gauge(&page, "emqx_vm_cpu_idle"));
    assert!((0.0..=100.0).contains(&used) && (used + idle - 100.0).abs() < 0.02, "{used} and {idle}");
    let (used, total) = (gauge(&page, "emqx_vm_used_memory"), gauge(&page, "emqx_vm_total_memory"));
    assert!(used > 0.0 && used < total, "{used} of {total}");
    assert!(page.contains("\nemqx_cluster_nodes_running 1\n"), "{page}");
}

#[test]
fn what_there_was_at_most_is_told_everywhere() {
    let file = format!("{FILE}\nsys_topics.sys_msg_interval = 1s\n");
    let broker = Broker::start("maxima", &file);
    let mut clients: Vec<_> = (0..5).map(|number| broker.client(&format!("c{number}")).0).collect();
    let by = Instant::now() + PATIENCE;
    // Shards publish their counters once a second.
    while !get(&broker, "/metrics").contains("\nemqx_connections_max 5\n") {
        assert!(Instant::now() < by, "{}", get(&broker, "/metrics"));
    }
    clients.truncate(2);
    while !get(&broker, "/metrics").contains("\nemqx_live_connections_count 2\n") {
        assert!(Instant::now() < by, "{}", get(&broker, "/metrics"));
    }
    let page = get(&broker, "/metrics");
    for name in ["connections", "live_connections", "channels", "sessions", "cluster_sessions"] {
        assert!(page.contains(&format!("# TYPE emqx_{name}_max gauge\nemqx_{name}_max 5\n")), "{name}: {page}");
    }
    let stats = broker.ctl(&["stats"]);
    let has = |row: [&str; 2]| stats.lines().any(|line| line.split_whitespace().take(2).eq(row));
    assert!(has(["connections.max", "5"]) && has(["connections.count", "2"]), "{stats}");
    assert!(!broker.ctl(&["metrics"]).contains(".max"));
    let mut watcher = broker.client("watcher").0;
    watcher.write_all(b"\x82\x34\x00\x01\x00\x00\x2e$SYS/brokers/emqx@127.0.0.1/stats/sessions/max\x00").expect("sent");
    let mut told = Vec::new();
    while !told.ends_with(b"stats/sessions/max\x005") {
        let mut byte = [0];
        watcher.read_exact(&mut byte).expect("a message");
        told.push(byte[0]);
    }
}

#[test]
fn it_says_whether_the_broker_works() {
    let broker = Broker::start("status", FILE);
    for path in ["/status", "/api/v5/status"] {
        let told = get(&broker, path);
        assert!(told.starts_with("HTTP/1.1 200 OK\r\n") && told.ends_with("\r\n\r\nringmq is running\n"), "{told}");
    }
    assert!(get(&broker, "/status?format=json").contains(r#""app_status":"running","broker_status":"started""#));
}

#[test]
fn what_is_no_request_is_refused_and_the_number_of_connections_is_bounded() {
    let broker = Broker::start("refused", FILE);
    assert!(get(&broker, "/nothing").starts_with("HTTP/1.1 404 "));
    assert!(ask(&broker, "DELETE /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
    assert!(ask(&broker, "\r\n\0\r\n\r\n").starts_with("HTTP/1.1 400 "));
    assert!(ask(&broker, &format!("GET / HTTP/1.1\r\na: {}", "x".repeat(8 * 1024))).starts_with("HTTP/1.1 431 "));
    let address = broker.monitoring.as_deref().expect("a monitoring port");
    let held: Vec<TcpStream> = (0..16).map(|_| TcpStream::connect(address).expect("accepted")).collect();
    let mut one_more = TcpStream::connect(address).expect("accepted");
    one_more.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut answer = String::new();
    one_more.read_to_string(&mut answer).expect("an answer, and the end");
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nretry-after: 15\r\n"), "{answer}");
    drop(held);
    assert!(broker.ctl(&["status"]).contains("running"), "the broker goes on");
}
