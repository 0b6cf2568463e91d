//! The table of keys, the layers, and the words of the messages.

use super::keys::{Found, Key, NAME, Target, find, keys};
use super::kind::Kind;
use super::records::Record;
use super::{Config, Layers, Problems, reference_page};
use crate::scratch::Dir;
use ringmq_core::settings::ShareStrategy;
use ringmq_drive::DriverKind;
use std::time::Duration;

fn load(layers: &Layers) -> Result<(Config, Vec<super::Problem>), Problems> {
    super::load(layers).map(|loaded| (loaded.config, loaded.warnings))
}

fn from_file(text: &str) -> (Dir, Result<(Config, Vec<super::Problem>), Problems>) {
    let dir = Dir::new("config");
    dir.write("r.conf", text);
    let loaded = load(&Layers { file: Some(dir.path("r.conf")), ..Layers::default() });
    (dir, loaded)
}

/// The first problem as printed, with the directory taken out of it.
fn refusal(text: &str) -> String {
    let (dir, loaded) = from_file(text);
    let problems = loaded.expect_err(text);
    problems.0[0].to_string().replace(&format!("{}/", dir.path("").display()).replace("//", "/"), "")
}

fn set(values: &[&str]) -> Result<Config, String> {
    let layers = Layers { set: values.iter().map(|&value| value.to_owned()).collect(), ..Layers::default() };
    load(&layers).map(|(config, _)| config).map_err(|problems| problems.0[0].to_string())
}

#[test]
fn the_written_defaults_are_the_defaults() {
    let untouched = format!("{:?}", Config::default());
    for key in keys() {
        let mut config = Config::default();
        let mut target = Target { config: &mut config, name: "default" };
        key.kind
            .parse_into(key.default, &mut target)
            .unwrap_or_else(|why| panic!("{} {} {why}", key.path, key.default));
        assert_eq!(format!("{config:?}"), untouched, "{}", key.path);
    }
}

/// Texts at the edges of a type's range, and where defaults differ from it.
fn edges(kind: &Kind) -> Vec<String> {
    match *kind {
        Kind::Bool(_) => vec!["true".to_owned(), "false".to_owned()],
        Kind::Integer { min, max, words, .. } => {
            let words = words.iter().map(|(word, _)| (*word).to_owned());
            words.chain([min.to_string(), max.to_string()]).collect()
        }
        Kind::PowerOfTwo { min, max, .. } => vec![min.to_string(), max.to_string()],
        Kind::Permille { min, max, .. } => vec![(min / 1000).to_string(), (max / 1000).to_string()],
        Kind::Percent { min, max, .. } => vec![format!("{min}%"), format!("{max}%")],
        Kind::Rate(_) => vec!["infinity".to_owned(), "1/s".to_owned(), u32::MAX.to_string()],
        Kind::Duration { min, max, .. }
        | Kind::DurationOrInfinity { min, max, .. }
        | Kind::DurationOrDisabled { min, max, .. } => {
            vec![format!("{}ms", min.as_millis()), format!("{}ms", max.as_millis())]
        }
        Kind::Size { min, max, .. } => vec![min.to_string(), max.to_string()],
        Kind::SizeOrInfinity { min, max, .. } => vec!["infinity".to_owned(), min.to_string(), max.to_string()],
        Kind::TimeOffset(_) => vec!["system".to_owned(), "utc".to_owned(), "-12:30".to_owned()],
        Kind::Choice { names, .. } => names.iter().map(|&name| name.to_owned()).collect(),
        Kind::Text(_) | Kind::Path(_) => vec![String::new(), "x".repeat(65_535)],
        Kind::Checked { allowed, .. } if allowed.contains("filter") => vec![String::new(), "a/#".to_owned()],
        Kind::Checked { .. } => vec!["topic".to_owned(), "user_property:x".to_owned()],
        Kind::Address(_) => vec!["0".to_owned(), "[::1]:65535".to_owned()],
        Kind::AddressOrDisabled(_) => vec!["disabled".to_owned(), "[::1]:65535".to_owned()],
        Kind::Table { .. } => vec!["disabled".to_owned()],
        Kind::List { .. } | Kind::Texts { .. } => vec!["[]".to_owned()],
        Kind::Words { names, .. } => vec!["[]".to_owned(), format!("[{}]", names.join(", "))],
        Kind::Budget { bytes: true, .. } => vec!["infinity".to_owned(), "1B/s".to_owned(), "1GB/30d".to_owned()],
        Kind::Budget { bytes: false, .. } => vec!["infinity".to_owned(), "1/s".to_owned(), "1000/30d".to_owned()],
        Kind::Cores(_) => vec!["auto".to_owned(), "0,2-5".to_owned()],
    }
}

#[test]
fn every_key_takes_its_whole_range_and_changes_something() {
    for key in keys() {
        let mut seen = std::collections::BTreeSet::new();
        for text in edges(&key.kind) {
            let mut config = Config::default();
            let mut target = Target { config: &mut config, name: "default" };
            key.kind.parse_into(&text, &mut target).unwrap_or_else(|why| panic!("{} {text} {why}", key.path));
            seen.insert(format!("{config:?}"));
        }
        if let Kind::Table { min, max, .. } = key.kind {
            for number in [min, max] {
                let mut config = Config::default();
                let mut target = Target { config: &mut config, name: "default" };
                key.kind.insert_into("a", &number.to_string(), &mut target).unwrap();
                seen.insert(format!("{:?}", target.config));
                assert!(key.kind.insert_into("a", &(max + 1).to_string(), &mut target).is_err());
                assert!(key.kind.begin_table(&mut target), "a table can be begun anew");
                assert_eq!(format!("{:?}", target.config), format!("{:?}", Config::default()));
            }
        }
        if let Kind::List { fields, push, .. } = key.kind {
            let mut config = Config::default();
            let mut target = Target { config: &mut config, name: "default" };
            let fill = |field: &&'static str| match *field {
                "action" => (*field, "all"),
                "policy" => (*field, "back_pressure"),
                "topic" | "source_topic" | "re" | "dest_topic" => (*field, "t"),
                _ => (*field, "0"),
            };
            push(&mut target, &Record(fields.iter().map(fill).collect())).expect("a record with every field");
            seen.insert(format!("{:?}", target.config));
            assert!(push(&mut target, &Record(Vec::new())).is_err(), "{} needs some field", key.path);
            assert!(key.kind.begin_table(&mut target), "a list can be begun anew");
            assert_eq!(format!("{:?}", target.config), format!("{:?}", Config::default()));
        }
        if let Kind::Texts { push, .. } = key.kind {
            let mut config = Config::default();
            let mut target = Target { config: &mut config, name: "default" };
            push(&mut target, "deny all").expect("a text that is allowed");
            seen.insert(format!("{:?}", target.config));
            assert!(push(&mut target, "").is_err(), "{} takes anything", key.path);
            assert!(key.kind.begin_table(&mut target), "a list can be begun anew");
            assert_eq!(format!("{:?}", target.config), format!("{:?}", Config::default()));
        }
        assert!(seen.len() > 1, "{} sets nothing", key.path);
    }
}

#[test]
fn every_key_is_found_and_has_its_own_path() {
    let mut paths = std::collections::BTreeSet::new();
    for key in keys() {
        assert!(paths.insert(key.path), "{} stands twice", key.path);
        let path: Vec<String> = key.path.replace(NAME, "mine").split('.').map(str::to_owned).collect();
        assert!(matches!(find(&path), Found::Key(found, _) if found.path == key.path), "{}", key.path);
        assert!(path.len() == 1 || matches!(find(&path[..1]), Found::Group), "{}", key.path);
        assert_eq!(super::emqx::standing(&path), None, "{} is listed as missing", key.path);
        assert!(key.doc.ends_with('.') && !key.doc.contains('|'), "{}", key.path);
    }
}

#[test]
fn what_is_wrong_in_a_record_is_shown_with_its_place() {
    let rule = |fields: &str| refusal(&format!("rewrite = [\n{{ action = all, source_topic = \"a/#\",\n{fields} }}]"));
    let open = rule("re = \"(\", dest_topic = b");
    assert!(open.contains("r.conf:3:") && open.contains("rewrite, record 1: re is no regular expression"), "{open}");
    let wild = rule("re = x, dest_topic = \"b/#\"");
    assert!(wild.contains("r.conf:3:") && wild.contains("dest_topic has a wildcard"), "{wild}");
    let missing = rule("re = x");
    assert!(missing.contains("r.conf:2:") && missing.contains("has no dest_topic"), "{missing}");
    let unknown = rule("re = x, dest_topic = b, flags = i");
    assert!(unknown.contains("r.conf:3:") && unknown.contains("unknown field flags"), "{unknown}");
    let qos = refusal("auto_subscribe.topics = [{ topic = a, qos = 3 }]");
    assert!(qos.contains("qos is not a number from 0 to 2"), "{qos}");
    let policy = refusal("ringmq.queue_full_policies = [{ topic = a, policy = wait }]");
    assert!(policy.contains("policy is none of drop_oldest, drop_newest, disconnect, back_pressure"), "{policy}");
    let shared = refusal("ringmq.queue_full_policies = [{ topic = \"$share/g/a\", policy = drop_newest }]");
    assert!(shared.contains("topic is a shared subscription"), "{shared}");
    let placeholder =
        refusal("auto_subscribe.topics = [{ topic = \"a/${x\" }]".replace("${x", "$\\u007bpeer}").as_str());
    assert!(placeholder.contains("has a placeholder other than"), "{placeholder}");
    let many = format!("auto_subscribe.topics = [{}]", "{ topic = a },".repeat(31));
    assert!(refusal(&many).contains("more than 30 records"));
}

#[test]
fn lists_are_printed_as_they_can_be_read() {
    let row = |file: &str, key: &str| {
        let dir = Dir::new("list");
        dir.write("r.conf", file);
        let loaded = super::load(&Layers { file: Some(dir.path("r.conf")), ..Layers::default() });
        loaded.expect("right").rows().into_iter().find(|row| row.key == key).expect("a row").value
    };
    assert_eq!(row("", "rewrite"), "[]");
    assert_eq!(row("rewrite = null", "rewrite"), "[]");
    let file = "auto_subscribe.topics = [{ topic = \"a/${clientid}\", qos = 1 }, { topic = b }]";
    let written = row(file, "auto_subscribe.topics");
    assert_eq!(written, "[{topic = \"a/${clientid}\", qos = 1}, {topic = b}]");
    assert_eq!(row(&format!("auto_subscribe.topics = {written}"), "auto_subscribe.topics"), written);
}

#[test]
fn a_file_in_emqx_words_is_understood() {
    let (_dir, loaded) = from_file(
        "node { name = \"n1@10.0.0.1\", role = core, data_dir = \"/tmp/x\" }\n\
         listeners.tcp.default { bind = \"127.0.0.1:2883\", mountpoint = x, enable_authn = false, max_connections = 100, tcp_options { backlog = 99, high_watermark = 512KB } }\n\
         listeners.tcp.inner.bind = 2884\n\
         listeners.ssl.default.enable = false\n\
         mqtt { max_packet_size = 64KB, keepalive_multiplier = 2.5, shared_subscription_strategy = hash_topic\n\
         message_expiry_interval = 1h, server_keepalive = 60, max_inflight = null }\n\
         dashboard.listeners.http.bind = 18083\n",
    );
    let (config, warnings) = loaded.expect("right");
    assert_eq!(config.listeners["default"].bind.to_string(), "127.0.0.1:2883");
    assert_eq!(config.listeners["default"].backlog, 99);
    assert_eq!(config.listeners["default"].max_connections, 100);
    let of_default = &config.effective().for_listeners[0];
    assert!(of_default.mountpoint.is_some());
    assert_eq!(of_default.high_watermark, 512 * 1024);
    assert_eq!(config.listeners["inner"].bind.to_string(), "0.0.0.0:2884");
    assert_eq!(config.settings.max_packet_size, 64 * 1024);
    assert_eq!(config.settings.keepalive_multiplier_permille, 2500);
    assert_eq!(config.settings.shared_subscription_strategy, ShareStrategy::HashTopic);
    assert_eq!(config.settings.message_expiry_interval, Some(Duration::from_secs(3600)));
    assert_eq!(config.settings.server_keepalive, Some(60));
    assert_eq!(config.settings.max_inflight, 32);
    assert_eq!((config.data_dir.to_str(), config.node_name.as_str()), (Some("/tmp/x"), "n1@10.0.0.1"));
    let warnings: Vec<&str> = warnings.iter().map(|w| w.message.as_str()).collect();
    let expected = [
        "not available yet: node.role",
        "not available yet: listeners.tcp.default.enable_authn, listeners.ssl",
        "not available yet: dashboard",
    ];
    assert_eq!(warnings, expected);
}

#[test]
fn mistakes_in_a_file_say_where_and_what_is_allowed() {
    assert_eq!(
        refusal("mqtt {\n  max_inflight = 70000\n}"),
        "mqtt.max_inflight: `70000` is more than 65535\n  --> r.conf:2:3\n   = allowed: an integer from 1 to 65535"
    );
    assert_eq!(
        refusal("mqtt.max_inflght = 7"),
        "unknown key mqtt.max_inflght\n  --> r.conf:1:1\n   = did you mean mqtt.max_inflight?"
    );
    assert_eq!(
        refusal("listeners.tcp.mine.bnd = 7"),
        "unknown key listeners.tcp.mine.bnd\n  --> r.conf:1:1\n   = did you mean listeners.tcp.mine.bind?"
    );
    assert_eq!(
        refusal("retainer = on"),
        "retainer is a group of keys, not a single value\n  --> r.conf:1:1\n   \
         = keys within: enable, msg_expiry_interval, delivery_rate, max_publish_rate, max_payload_size, backend, \
         stop_publish_clear_msg"
    );
    assert_eq!(
        refusal("mqtt.idle_timeout = 15"),
        "mqtt.idle_timeout: `15` has no unit of time\n  --> r.conf:1:1\n   \
         = allowed: a duration from 1s to 1d such as 500ms, 15s, 5m, 2h, 1d, or infinity"
    );
    assert_eq!(
        refusal("mqtt.max_qos_allowed = [1]"),
        "mqtt.max_qos_allowed cannot be a list\n  --> r.conf:1:1\n   = allowed: an integer from 0 to 2"
    );
    assert_eq!(refusal("a.tcp_options { send_timeout = 1s }\nmqtt {"), "`{` is not closed\n  --> r.conf:2:6");
    let missing = Layers { file: Some("/nonexistent/r.conf".into()), ..Layers::default() };
    let problems = load(&missing).expect_err("no such file");
    assert_eq!(problems.0[0].message, "cannot read /nonexistent/r.conf: No such file or directory (os error 2)");
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let (_dir, loaded) = from_file("mqtt { max_inflight = 0, upgrade_qos = maybe, nonsense = 1 }");
    assert_eq!(loaded.expect_err("wrong").0.len(), 3);
}

#[test]
fn set_is_strict() {
    assert_eq!(set(&["mqtt.max_inflight=64"]).map(|config| config.settings.max_inflight), Ok(64));
    assert_eq!(set(&["ringmq.driver=epoll"]).map(|config| config.driver), Ok(Some(DriverKind::Epoll)));
    assert_eq!(set(&["mqtt.response_information=a=b"]).map(|c| c.settings.response_information), Ok("a=b".to_owned()));
    let typo = set(&["mqtt.max_inflght=64"]).map(|config| config.settings);
    assert_eq!(
        typo.expect_err("a typo"),
        "unknown key mqtt.max_inflght\n  --> command line: --set mqtt.max_inflght=64\n   \
         = did you mean mqtt.max_inflight?"
    );
    assert!(set(&["dashboard.x=1"]).is_err_and(|text| text.contains("EMQX")));
    assert!(set(&["mqtt.max_inflight"]).is_err_and(|text| text.contains("--set key=value")));
}

#[test]
fn later_layers_win() {
    let dir = Dir::new("layers");
    dir.write("r.conf", "mqtt { max_inflight = 1, max_awaiting_rel = 1, max_topic_alias = 1, max_topic_levels = 1 }");
    let layers = Layers {
        file: Some(dir.path("r.conf")),
        variables: ["AWAITING_REL", "TOPIC_ALIAS", "TOPIC_LEVELS"]
            .map(|key| (format!("EMQX_MQTT__MAX_{key}"), "2".to_owned()))
            .to_vec(),
        set: vec!["mqtt.max_topic_alias=3".to_owned(), "mqtt.max_topic_levels=3".to_owned()],
        flags: vec![("--flag".to_owned(), "mqtt.max_topic_levels", "4".to_owned())],
        ..Layers::default()
    };
    let (config, warnings) = load(&layers).expect("right");
    let settings = config.settings;
    let found = [settings.max_inflight, settings.max_awaiting_rel, settings.max_topic_alias, settings.max_topic_levels];
    assert_eq!(found, [1, 2, 3, 4]);
    assert_eq!(warnings, []);
}

#[test]
fn odd_variables_only_warn() {
    let variables = [("EMQX_MQTT__NONSENSE", "1"), ("EMQX_DASHBOARD__SWAGGER_SUPPORT", "true"), ("RINGMQ_SHARD", "1")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let (_, warnings) = load(&Layers { variables, ..Layers::default() }).expect("warnings only");
    assert_eq!(warnings.len(), 3);
    assert!(warnings.iter().any(|w| w.to_string().contains("did you mean ringmq.shards?")), "{warnings:?}");
}

#[test]
fn tcp_replaces_all_listeners_and_keeps_options() {
    let mut layers = Layers {
        set: vec!["listeners.tcp.default.tcp_options.backlog=7".to_owned(), "listeners.tcp.b.bind=2".to_owned()],
        tcp: vec!["127.0.0.1:0".to_owned(), "[::]:1883".to_owned()],
        ..Layers::default()
    };
    let (config, _) = load(&layers).expect("right");
    let found: Vec<String> = config.listeners.values().map(|l| format!("{} {}", l.bind, l.backlog)).collect();
    assert_eq!(found, ["127.0.0.1:0 7", "[::]:1883 7"]);
    for (first, second) in
        [("1883", "0.0.0.0:1883"), ("[::]:1", "0.0.0.0:1"), ("127.0.0.1:1", "1"), ("[::]:1", "[::1]:1")]
    {
        layers.tcp = vec![first.to_owned(), second.to_owned()];
        assert!(load(&layers).expect_err("twice").0[0].message.contains("overlap"), "{first} {second}");
    }
    for (first, second) in [("0", "0"), ("127.0.0.1:1", "127.0.0.2:1"), ("0.0.0.0:1", "[::1]:1"), ("1", "2")] {
        layers.tcp = vec![first.to_owned(), second.to_owned()];
        assert!(load(&layers).is_ok(), "{first} {second}");
    }
    layers.tcp = vec!["example.org:1883".to_owned()];
    assert!(load(&layers).expect_err("a name").0[0].to_string().contains("--tcp example.org:1883"));
}

#[test]
fn the_usual_file_is_read_if_it_is_there_and_its_base_below_it() {
    let dir = Dir::new("etc");
    let usual = || Layers { usual_file: Some(dir.path("etc/ringmq.conf")), ..Layers::default() };
    let limits = |layers: &Layers| {
        let (config, _) = load(layers).expect("right");
        (config.settings.max_inflight, config.settings.max_awaiting_rel)
    };
    assert_eq!(limits(&usual()), (32, 100), "it need not be there");
    dir.write("etc/base.hocon", "mqtt { max_inflight = 1, max_awaiting_rel = 1 }");
    assert_eq!(limits(&usual()), (32, 100), "a base alone is none");
    dir.write("etc/ringmq.conf", "mqtt.max_inflight = 2");
    assert_eq!(limits(&usual()), (2, 1));
    dir.write("other.conf", "mqtt.max_inflight = 3");
    assert_eq!(limits(&Layers { file: Some(dir.path("other.conf")), ..usual() }), (3, 100), "another in its place");
    let missing = load(&Layers { file: Some(dir.path("missing.conf")), ..usual() }).expect_err("refused");
    assert!(missing.0[0].to_string().contains("missing.conf"));
}

#[test]
fn the_variable_for_the_log_lies_below_files() {
    let dir = Dir::new("handler");
    dir.write("r.conf", "log.console.enable = true");
    let variables = vec![("EMQX_DEFAULT_LOG_HANDLER".to_owned(), "file".to_owned())];
    let handlers = |config: &Config| (config.log.console.enable, config.log.file.handler.enable);
    let (config, _) = load(&Layers { variables: variables.clone(), ..Layers::default() }).expect("right");
    assert_eq!(handlers(&config), (false, true));
    let (config, _) = load(&Layers { file: Some(dir.path("r.conf")), variables, ..Layers::default() }).expect("right");
    assert_eq!(handlers(&config), (true, true));
    let handler = |value: &str| vec![("EMQX_DEFAULT_LOG_HANDLER".to_owned(), value.to_owned())];
    let (config, _) = load(&Layers { variables: handler("both"), ..Layers::default() }).expect("right");
    assert_eq!(handlers(&config), (true, true));
    let (config, warnings) = load(&Layers { variables: handler("all"), ..Layers::default() }).expect("right");
    assert_eq!(handlers(&config), (true, false));
    assert!(warnings[0].to_string().contains("allowed: console, file or both"));
}

#[test]
fn the_file_with_every_key_of_emqx_is_complete() {
    // Those below mqtt and listeners that only ringmq has.
    const OURS: [&str; 3] =
        ["listeners.tcp.<name>.max_conn_rate_per_ip", "mqtt.max_user_properties", "mqtt.max_topic_filters"];
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/emqx/all.conf");
    let loaded = super::load(&Layers { file: Some(file.into()), ..Layers::default() }).expect("it loads as it is");
    let named = |given: &str, path: &str| {
        let (mut given, mut path) = (given.split('.'), path.split('.'));
        path.by_ref().all(|element| given.next().is_some_and(|given| element == NAME || element == given))
            && given.next().is_none()
    };
    for Key { path, .. } in keys().filter(|key| !key.path.starts_with("ringmq.") && !OURS.contains(&key.path)) {
        assert!(loaded.given.keys().any(|given| named(given, path)), "add {path} to {file}");
    }
}

#[test]
fn older_names_and_deleted_listeners_of_emqx_are_understood() {
    let (_dir, loaded) = from_file(
        "listeners.tcp { default = marked_for_deletion, more { bind = 2884, enabled = true } }\n\
         force_shutdown.max_message_queue_len = 7\nretainer.deliver_rate = \"600/1m\"\n\
         log.console_handler { level = error, format = json, max_depth = 20 }\n\
         zones.z.force_shutdown.max_message_queue_len = 8\n\
         mqtt.idle_timeout = infinity\nsysmon.os { mem_check_interval = disabled, cpu_high_watermark = 0.9 }\n",
    );
    let (config, warnings) = loaded.expect("right");
    assert_eq!(config.listeners.keys().collect::<Vec<_>>(), ["more"]);
    assert_eq!(config.settings.force_shutdown.max_mailbox_size, 7);
    assert_eq!(config.settings.retainer_delivery_rate, 10);
    assert_eq!(config.log.console.level.name(), "error");
    assert!(config.zones.contains_key("z"));
    assert!(config.settings.idle_timeout > Duration::from_secs(1_000_000_000));
    assert_eq!((config.sysmon.mem_check_interval, config.sysmon.cpu_high_watermark), (None, 90));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let refused = refusal("listeners.tcp.default = off");
    assert!(refused.contains("is a group of keys, not a single value"), "{refused}");
}

#[test]
fn a_node_s_name_has_a_form() {
    let text = set(&["node.name=a/b@c"]).expect_err("refused");
    assert!(text.starts_with("node.name: `a/b@c` has a character") && text.contains("emqx@127.0.0.1"), "{text}");
    let config = set(&["node.name=n1@h", "sys_topics.sys_msg_interval=disabled"]).expect("right");
    assert_eq!((config.node_name.as_str(), config.sys_topics.msg_interval), ("n1@h", None));
}

#[test]
fn a_broker_nobody_can_reach_is_refused() {
    let refused = set(&["listeners.tcp.default.enable=false"]).expect_err("no listener");
    assert!(refused.contains("--tcp"), "{refused}");
    assert!(set(&["listeners.tcp.default.enable=false", "listeners.tcp.b.bind=2"]).is_ok());
}

#[test]
fn the_committed_reference_page_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(reference_page().lines().all(|line| line.chars().count() <= 120));
    assert!(committed == reference_page(), "run: cargo run -- --print-keys > docs/configuration.md");
}

#[test]
fn what_is_skipped_is_named_once_a_group_and_in_the_right_words() {
    let dir = Dir::new("skipped");
    dir.write(
        "emqx.conf",
        "node { role = \"emqx@127.0.0.1\", cookie = secret, process_limit = 2097152, max_ports = 1048576 }\n\
         rpc.mode = async\n\
         zones.quick.flapping_detect.enable = true\n\
         mqtt { clientid_override = x, client_attrs_init = [], peer_cert_as_username = cn }\n\
         telemetry.enable = false\n",
    );
    let variables = vec![("EMQX_ZONES__SLOW__MQTT__CLIENTID_OVERRIDE".to_owned(), "x".to_owned())];
    let file = dir.path("emqx.conf");
    let (_, warnings) = load(&Layers { file: Some(file.clone()), variables, ..Layers::default() }).expect("warnings");
    let name = format!("{}", file.display());
    let said: Vec<String> = warnings.iter().map(|w| w.to_string().replace(&name, "emqx.conf")).collect();
    let yet = "   = ignored: a setting of EMQX for what ringmq does not do yet";
    let never = "   = ignored: it tunes a part of EMQX that ringmq is not made of; remove it";
    let expected = [
        format!("not available yet: node.role\n  --> emqx.conf:1:8\n{yet}"),
        format!("without meaning here: node.cookie, node.process_limit, node.max_ports\n  --> emqx.conf:1:33\n{never}"),
        format!("without meaning here: rpc\n  --> emqx.conf:2:1\n{never}"),
        format!(
            "not available yet: zones.quick.flapping_detect, zones.slow.mqtt.clientid_override\n  --> emqx.conf:3:1\n{yet}"
        ),
        format!(
            "not available yet: mqtt.clientid_override, mqtt.client_attrs_init, mqtt.peer_cert_as_username\n  \
             --> emqx.conf:4:8\n{yet}"
        ),
        format!("without meaning here: telemetry\n  --> emqx.conf:5:1\n{never}"),
    ];
    assert_eq!(said, expected);
}

#[test]
fn every_value_is_told_with_its_origin() {
    let dir = Dir::new("values");
    dir.write("r.conf", "mqtt {\n  max_inflight = 5\n  mqueue_priorities { \"a/b\" = 3 }\n  upgrade_qos = null }\n");
    let layers = Layers {
        file: Some(dir.path("r.conf")),
        variables: vec![("RINGMQ_SHARDS".to_owned(), "2".to_owned())],
        set: vec!["mqtt.response_information=a b".to_owned(), "listeners.tcp.default.tcp_options.backlog=9".to_owned()],
        tcp: vec!["127.0.0.1:0".to_owned(), "127.0.0.1:1".to_owned()],
        ..Layers::default()
    };
    let rows = super::load(&layers).expect("right").rows();
    let told = |key: &str| {
        let row = rows.iter().find(|row| row.key == key).unwrap_or_else(|| panic!("{key}"));
        let place = format!("{}", dir.path("r.conf").display());
        format!("{} from {}", row.value, row.origin_text().replace(&place, "r.conf"))
    };
    assert_eq!(told("mqtt.max_inflight"), "5 from r.conf:2:3");
    assert_eq!(told("mqtt.mqueue_priorities"), "{\"a/b\" = 3} from r.conf:3:3");
    assert_eq!(told("mqtt.upgrade_qos"), "false from r.conf:4:3");
    assert_eq!(told("mqtt.max_awaiting_rel"), "100 from default");
    assert_eq!(told("ringmq.shards"), "2 from environment variable RINGMQ_SHARDS");
    assert_eq!(told("mqtt.response_information"), "\"a b\" from command line: --set mqtt.response_information=a b");
    assert_eq!(told("listeners.tcp.tcp1.bind"), "\"127.0.0.1:1\" from command line: --tcp 127.0.0.1:1");
    let backlog = "9 from command line: --set listeners.tcp.default.tcp_options.backlog=9";
    assert_eq!(told("listeners.tcp.tcp1.tcp_options.backlog"), backlog);
    assert_eq!(told("listeners.tcp.default.tcp_options.backlog"), backlog);
    let named = |root: &str| keys().filter(|key| key.path.contains(NAME) && key.path.starts_with(root)).count();
    let none = named("broker.") + named("ringmq.queues.") + named("log.");
    assert_eq!(rows.len(), keys().count() + named("listeners.") - none, "two listeners, no group, queue or handler");
}

#[test]
fn what_is_printed_can_be_read_again() {
    let dir = Dir::new("again");
    let layers = Layers { set: vec!["mqtt.response_information=\"a\\\"\\\\ b\"".to_owned()], ..Layers::default() };
    let first = super::load(&layers).expect("right");
    let text: String = first.rows().iter().map(|row| format!("{} = {}\n", row.key, row.value)).collect();
    dir.write("again.conf", &text);
    let again = load(&Layers { file: Some(dir.path("again.conf")), ..Layers::default() }).expect(&text);
    assert_eq!(format!("{:?}", again.0), format!("{:?}", first.config));
}
