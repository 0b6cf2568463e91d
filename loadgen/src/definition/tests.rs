//! Files that are right, and what is said about those that are not.

use super::*;

const GOOD: &str = r#"description = "a pair"
duration = "1s"

[messages]
qos = 1
rate_per_publisher = 2

[[publishers]]
count = 10
topic = "a/%i"

[[subscribers]]
count = 10
filters = ["a/%i"]
"#;

#[test]
fn a_file_is_read_with_its_defaults() {
    let definition = Definition::read("x.toml", GOOD).unwrap();
    let messages = definition.messages.as_ref().unwrap();
    assert_eq!((messages.qos, &messages.size, messages.rate_per_publisher), (QoS::AtLeastOnce, &None, Some(2.0)));
    assert_eq!((definition.duration, definition.warmup), (Duration::from_secs(1), None));
    assert_eq!((definition.mqtt, definition.keep_alive_s), (None, None));
}

#[test]
fn scale_changes_counts_and_leaves_at_least_one() {
    let definition = Definition::read("x.toml", GOOD).unwrap();
    let counts = |scale| (definition.publisher_groups(scale)[0].count, definition.subscriber_groups(scale)[0].count);
    assert_eq!((counts(0.25), counts(3.0), counts(0.0001)), ((3, 3), (30, 30), (1, 1)));
    let fixed = GOOD.replace("topic = \"a/%i\"", "topic = \"a/%i\"\nscaled = false");
    assert_eq!(Definition::read("x.toml", &fixed).unwrap().publisher_groups(0.1)[0].count, 10);
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    for (from, to, place, word) in [
        ("qos = 1", "quos = 1", "x.toml:5:1:", "quos"),
        ("qos = 1", "qos = 3", "x.toml:5:", "0, 1 or 2"),
        ("count = 10\ntopic", "count = 0\ntopic", "x.toml:9:", "must be 1 to"),
        ("topic = \"a/%i\"", "topic = \"a/#\"", "x.toml:10:", "wildcards"),
        ("filters = [\"a/%i\"]", "filters = [\"a/%x\"]", "x.toml:14:", "after %"),
        ("duration = \"1s\"", "duration = \"1x\"", "x.toml:2:", "unknown unit"),
        ("duration = \"1s\"", "duration = ", "x.toml:2:", ""),
        ("duration = \"1s\"", "duration = \"1s\"\n[will]\nqos = 1", "x.toml:3:", "topic"),
        ("duration = \"1s\"", "duration = \"1s\"\nramp_up = 3", "x.toml:3:", "string"),
        ("rate_per_publisher = 2", "limit = 0", "x.toml:6:", "must be 1 to"),
        ("rate_per_publisher = 2", "rate_per_publisher = -1", "x.toml:6:", "a rate is"),
        ("rate_per_publisher = 2", "size = 0", "x.toml:6:", "size of 1 to"),
        ("rate_per_publisher = 2", "size = \"9..3\"", "x.toml:6:", "below the second"),
        ("rate_per_publisher = 2", "payload_headers = \"time\"", "x.toml:6:", "none of stamp"),
        ("rate_per_publisher = 2", "payload_file = \"a\"\npayload_template = \"b\"", "x.toml: ", "exclude each other"),
        ("rate_per_publisher = 2", "rate_per_publisher = 2\nwindow = 3", "x.toml: ", "exclude each other"),
        ("rate_per_publisher = 2", "credit = \"ack\"", "x.toml: ", "belongs to a window"),
        ("rate_per_publisher = 2", "burst = 2", "x.toml: ", "belongs to a rate"),
        ("[[subscribers]]", "[[publishers]]\ncount = 1\n\n[[subscribers]]", "x.toml:12:", "topic"),
    ] {
        let text = GOOD.replace(from, to);
        assert_ne!(text, GOOD, "{from}");
        let problem = Definition::read("x.toml", &text).unwrap_err();
        assert!(problem.starts_with(place) && problem.contains(word), "{to}: {problem}");
    }
}

#[test]
fn subscribers_of_two_kinds_cannot_be_checked_together() {
    let text = format!("{GOOD}\n[[subscribers]]\ncount = 1\nfilters = [\"b\"]\nshare = \"g\"\n");
    assert!(Definition::read("x.toml", &text).unwrap_err().contains("same share and qos"));
    let idle = format!("{GOOD}\n[[subscribers]]\ncount = 1\n");
    assert!(Definition::read("x.toml", &idle).is_ok());
}
