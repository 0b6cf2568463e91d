//! Which topic names and filters are well formed (section 4.7). A model by characters is in the fuzz target's check.

use ringmq_wire::{FilterKind, ReasonCode, validate_filter, validate_topic};

const fn plain(levels: u32) -> FilterKind {
    FilterKind { levels, wildcard: false, multi_level: false }
}

const fn single(levels: u32) -> FilterKind {
    FilterKind { levels, wildcard: true, multi_level: false }
}

const fn multi(levels: u32) -> FilterKind {
    FilterKind { levels, wildcard: true, multi_level: true }
}

#[test]
fn filters_that_are_valid() {
    for (filter, kind) in [
        ("a", plain(1)),
        ("/", plain(2)),
        ("/finance", plain(2)),
        ("a//b/", plain(4)),
        ("sport/tennis player1", plain(2)),
        ("\u{FEFF}", plain(1)),
        ("#", multi(1)),
        ("sport/tennis/player1/#", multi(4)),
        ("/#", multi(2)),
        ("$SYS/#", multi(2)),
        ("+", single(1)),
        ("+/tennis/#", multi(3)),
        ("sport/+/player1", single(3)),
        ("/+", single(2)),
        ("+/+", single(2)),
    ] {
        assert_eq!(validate_filter(filter), Ok(kind), "{filter}");
    }
}

#[test]
fn filters_that_are_not() {
    for (filter, statement) in [
        ("", "[MQTT-4.7.3-1] [MQTT3-4.7.3-1]"),
        ("a\0b", "[MQTT-4.7.3-2] [MQTT3-4.7.3-2]"),
        ("sport/tennis#", "[MQTT-4.7.1-1] [MQTT3-4.7.1-2]"),
        ("sport/tennis/#/ranking", "[MQTT-4.7.1-1] [MQTT3-4.7.1-2]"),
        ("#/", "[MQTT-4.7.1-1] [MQTT3-4.7.1-2]"),
        ("##", "[MQTT-4.7.1-1] [MQTT3-4.7.1-2]"),
        ("#/#", "[MQTT-4.7.1-1] [MQTT3-4.7.1-2]"),
        ("sport+", "[MQTT-4.7.1-2] [MQTT3-4.7.1-3]"),
        ("+sport/a", "[MQTT-4.7.1-2] [MQTT3-4.7.1-3]"),
        ("a/++", "[MQTT-4.7.1-2] [MQTT3-4.7.1-3]"),
    ] {
        let refused = validate_filter(filter).expect_err(statement);
        assert_eq!(refused.reason, ReasonCode::TOPIC_FILTER_INVALID, "{filter} {statement}");
    }
}

#[test]
fn names() {
    for (name, levels) in [("a", 1), ("/", 2), ("a/b/c", 3), ("$SYS/x", 2), ("Accounts payable", 1)] {
        assert_eq!(validate_topic(name), Ok(levels), "{name}");
    }
    // [MQTT-4.7.0-1] [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT3-4.7.1-1] [MQTT3-4.7.3-1] [MQTT3-4.7.3-2]
    for name in ["", "#", "a/+", "a+", "a\0"] {
        let refused = validate_topic(name).expect_err(name);
        assert_eq!(refused.reason, ReasonCode::TOPIC_NAME_INVALID, "{name}");
    }
}
