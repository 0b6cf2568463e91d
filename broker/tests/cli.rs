//! The program's face: help, version, exit codes, the words of errors, start and stop.
//!
//! Absent: MQTT.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

/// A directory that is removed with its contents.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ringmq-cli-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary directory");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn ringmq(dir: &Scratch, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringmq"));
    command.current_dir(&dir.0).args(arguments).env_clear();
    command
}

fn output(dir: &Scratch, arguments: &[&str]) -> Output {
    ringmq(dir, arguments).output().expect("the program starts")
}

/// Standard error and exit code of a run that must not start a broker.
fn refusal(dir: &Scratch, arguments: &[&str]) -> (String, Option<i32>) {
    let output = output(dir, arguments);
    assert!(output.stdout.is_empty(), "{output:?}");
    (String::from_utf8(output.stderr).expect("text"), output.status.code())
}

/// A running broker, killed if the test fails.
struct Broker {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
    banner: String,
}

impl Broker {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut banner = String::new();
        while !banner.contains("listening on tcp") {
            assert_ne!(stdout.read_line(&mut banner).expect("text"), 0, "ended after {banner}");
        }
        Self { child, stdout, banner }
    }

    /// The port of the first listener.
    fn port(&self) -> u16 {
        self.banner.trim_end().rsplit(':').next().expect("a port").parse().expect("a port")
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Waits for the end: the exit code, and what was printed on standard output and error since the banner.
    fn end(mut self) -> (Option<i32>, String, String) {
        let (mut rest, mut errors) = (String::new(), String::new());
        self.stdout.read_to_string(&mut rest).expect("text");
        self.child.stderr.take().expect("piped").read_to_string(&mut errors).expect("text");
        (self.child.wait().expect("ends").code(), rest, errors)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

#[test]
fn help_and_version_are_there() {
    let dir = Scratch::new("help");
    let help = output(&dir, &["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let text = String::from_utf8(help.stdout).expect("text");
    assert!(text.contains("Usage: ringmq") && text.contains("Examples:"), "{text}");
    let version = String::from_utf8(output(&dir, &["--version"]).stdout).expect("text");
    assert!(version.starts_with(concat!("ringmq ", env!("CARGO_PKG_VERSION"))), "{version}");
    assert!(version.contains("rustc") && version.contains("features"), "{version}");
}

#[test]
fn wrong_flags_end_with_code_2_and_say_what_is_allowed() {
    let dir = Scratch::new("flags");
    let (text, code) = refusal(&dir, &["--bogus"]);
    assert!(code == Some(2) && text.contains("--bogus"), "{text}");
    let (text, code) = refusal(&dir, &["--shards", "0", "--driver", "magic"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("--shards 0") && text.contains("from 1 to 64"), "{text}");
    assert!(text.contains("--driver magic") && text.contains("epoll"), "{text}");
    let (text, code) = refusal(&dir, &["--set", "mqtt.max_inflght=1"]);
    assert!(code == Some(2) && text.contains("did you mean mqtt.max_inflight?"), "{text}");
}

#[test]
fn a_wrong_file_ends_with_code_2_and_the_place() {
    let dir = Scratch::new("file");
    std::fs::write(dir.0.join("r.conf"), "mqtt {\n  max_inflight = many\n}\n").expect("a file");
    let (text, code) = refusal(&dir, &["--config", "r.conf"]);
    let expected = "error: mqtt.max_inflight: `many` is not a whole number\n  --> r.conf:2:3\n   \
                    = allowed: an integer from 1 to 65535\n";
    assert_eq!((text.as_str(), code), (expected, Some(2)));
    let (text, code) = refusal(&dir, &["--config", "none.conf"]);
    assert!(code == Some(2) && text.contains("cannot read none.conf"), "{text}");
}

#[test]
fn a_taken_port_ends_with_code_1_and_advice() {
    let dir = Scratch::new("port");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let (text, code) = refusal(&dir, &["--tcp", &address]);
    assert!(code == Some(1) && text.contains(&format!("{address}: the port is taken")), "{text}");
    assert!(text.contains("--tcp 127.0.0.1:"), "{text}");
}

#[test]
fn a_second_broker_on_the_same_port_is_refused() {
    let dir = Scratch::new("second");
    let first = Broker::start(ringmq(&dir, &["--tcp", "127.0.0.1:0", "--shards", "1"]));
    let (text, code) = refusal(&dir, &["--tcp", &format!("127.0.0.1:{}", first.port())]);
    assert!(code == Some(1) && text.contains("the port is taken"), "{text}");
}

#[test]
fn it_starts_with_a_banner_and_stops_on_a_signal() {
    for (driver, signal) in [("epoll", "-TERM"), ("auto", "-INT")] {
        let dir = Scratch::new(driver);
        let arguments = ["--tcp", "127.0.0.1:0", "--shards", "2", "--set", &format!("ringmq.driver={driver}")];
        let broker = Broker::start(ringmq(&dir, &arguments));
        assert_ne!(broker.port(), 0);
        for line in ["shards      2 on core", "driver      ", "open files  ", "data        "] {
            assert!(broker.banner.contains(line), "{line} in {}", broker.banner);
        }
        assert!(dir.0.join("data").is_dir());
        broker.signal("-USR1");
        broker.signal(signal);
        let (code, rest, errors) = broker.end();
        assert!(rest.contains("stopping"), "{rest}");
        assert_eq!(code, Some(0), "{errors}");
    }
}

#[test]
fn check_config_tells_all_that_is_wrong() {
    let dir = Scratch::new("check");
    std::fs::write(dir.0.join("extra.conf"), "mqtt.max_qos_allowed = 3\n").expect("a file");
    let text = "include \"extra.conf\"\nmqtt {\n  max_inflight = many\n  max_mqueue_ln = 5\n}\nnode.cookie = x\n";
    std::fs::write(dir.0.join("r.conf"), text).expect("a file");
    let mut command = ringmq(&dir, &["check-config", "--config", "r.conf", "--set", "mqtt.upgrade_qos=perhaps"]);
    let output = command.env("EMQX_MQTT__IDLE_TIMEOUT", "15").output().expect("the program starts");
    let text = String::from_utf8(output.stderr).expect("text");
    assert_eq!((output.status.code(), text.matches("error: ").count()), (Some(1), 5), "{text}");
    for part in [
        "mqtt.max_qos_allowed: `3` is more than 2\n  --> extra.conf:1:1\n   = allowed: an integer from 0 to 2\n",
        "mqtt.max_inflight: `many` is not a whole number\n  --> r.conf:3:3\n   = allowed: an integer from 1 to 65535\n",
        "unknown key mqtt.max_mqueue_ln\n  --> r.conf:4:3\n   = did you mean mqtt.max_mqueue_len?\n",
        "mqtt.idle_timeout: `15` has no unit of time\n  --> environment variable EMQX_MQTT__IDLE_TIMEOUT\n",
        "--> command line: --set mqtt.upgrade_qos=perhaps\n   = allowed: true or false\n",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!dir.0.join("data").exists(), "nothing is started");
}

#[test]
fn check_config_takes_an_existing_file_of_emqx() {
    let dir = Scratch::new("emqx");
    std::fs::write(
        dir.0.join("emqx.conf"),
        "node {\n  name = \"emqx@127.0.0.1\"\n  cookie = \"emqxsecretcookie\"\n  data_dir = \"data\"\n  role = core\n}\n\
         cluster {\n  name = emqxcl\n  discovery_strategy = manual\n}\n\
         dashboard {\n  listeners.http.bind = 18083\n}\n\
         authentication = [{ mechanism = password_based, backend = built_in_database }]\n\
         listeners.tcp.default { bind = \"0.0.0.0:1883\", max_connections = 1024000, enable_authn = false }\n",
    )
    .expect("a file");
    let output = output(&dir, &["check-config", "--config", "emqx.conf"]);
    let errors = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert_eq!(output.stdout, b"the configuration is right (6 warnings)\n", "{errors}");
    let never = "without meaning here: node.cookie\n  --> emqx.conf:3:3\n";
    assert!(errors.contains(never) && errors.contains("not available yet: dashboard\n"), "{errors}");
}

#[test]
fn print_config_tells_values_and_origins() {
    let dir = Scratch::new("print");
    std::fs::write(dir.0.join("r.conf"), "mqtt {\n  max_inflight = 64\n}\n").expect("a file");
    let printed = |arguments: &[&str]| {
        let mut command = ringmq(&dir, arguments);
        let output = command.env("RINGMQ_MQTT__MAX_AWAITING_REL", "7").output().expect("the program starts");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let text = printed(&["print-config", "--origin", "--config", "r.conf", "--set", "ringmq.spin=0"]);
    for line in [
        "mqtt.max_inflight = 64  # r.conf:2:3",
        "mqtt.max_awaiting_rel = 7  # environment variable RINGMQ_MQTT__MAX_AWAITING_REL",
        "mqtt.max_mqueue_len = 1000  # default",
        "ringmq.spin = 0  # command line: --set ringmq.spin=0",
        "listeners.tcp.default.bind = \"0.0.0.0:1883\"  # default",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    let plain = printed(&["--config", "r.conf", "print-config"]);
    assert!(plain.contains("mqtt.max_inflight = 64\n") && !plain.contains('#'), "{plain}");
}
