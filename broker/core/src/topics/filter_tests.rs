//! The filter language: the standard's own examples, and each rule's violations.

use super::{FilterError, QUEUE_GROUP, TOPIC_BYTES_MAX, matches, parse, topic_levels};
use alloc::string::String;
use proptest::prelude::*;

#[test]
fn the_standards_examples_match() {
    for (filter, topic, expected) in [
        // Section 4.7.1.2.
        ("sport/tennis/player1/#", "sport/tennis/player1", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
        ("sport/#", "sport", true),
        ("#", "anything/at/all", true),
        // Section 4.7.1.3.
        ("sport/tennis/+", "sport/tennis/player1", true),
        ("sport/tennis/+", "sport/tennis/player1/ranking", false),
        ("sport/+", "sport", false),
        ("sport/+", "sport/", true),
        ("+/+", "/finance", true),
        ("/+", "/finance", true),
        ("+", "/finance", false),
        // Section 4.7.2 [MQTT-4.7.2-1].
        ("#", "$SYS/broker", false),
        ("+/monitor/Clients", "$SYS/monitor/Clients", false),
        ("$SYS/#", "$SYS/", true),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
        // Section 4.7.3: case, slashes and spaces are significant, and nothing is normalized [MQTT-4.7.3-4].
        ("ACCOUNTS", "Accounts", false),
        ("finance", "/finance", false),
        ("finance", "finance/", false),
        ("a//b", "a/b", false),
        ("Accounts payable", "Accounts payable", true),
        ("e\u{301}", "\u{e9}", false),
    ] {
        assert_eq!(matches(filter, topic), expected, "{filter} and {topic}");
    }
}

#[test]
fn ill_formed_filters_are_refused() {
    use FilterError::{Empty, MultiLevelWildcard, NullCharacter, Share, SingleLevelWildcard};
    for (filter, error) in [
        ("", Empty),                           // [MQTT-4.7.3-1]
        ("a\0b", NullCharacter),               // [MQTT-4.7.3-2]
        ("sport/tennis#", MultiLevelWildcard), // [MQTT-4.7.1-1]
        ("sport/tennis/#/ranking", MultiLevelWildcard),
        ("##", MultiLevelWildcard),
        ("#/", MultiLevelWildcard),
        ("sport+", SingleLevelWildcard), // [MQTT-4.7.1-2]
        ("+sport/a", SingleLevelWildcard),
        ("a/++", SingleLevelWildcard),
        ("+#", SingleLevelWildcard),
        ("$share/", Share), // [MQTT-4.8.2-1]
        ("$share//a", Share),
        ("$share/a+b/t", Share), // [MQTT-4.8.2-2]
        ("$share/#/t", Share),
        ("$share/group", Share),
        ("$share/group/", Share),
        ("$queue/", Share),
        ("$share/group/$queue/t", Share),
        ("$queue/$share/group/t", Share),
        ("$share/group/a#", MultiLevelWildcard),
    ] {
        assert_eq!(parse(filter), Err(error), "{filter}");
    }
    let longest = "a".repeat(TOPIC_BYTES_MAX);
    assert!(parse(&longest).is_ok());
    assert_eq!(parse(&(longest + "a")), Err(FilterError::TooLong)); // [MQTT-4.7.3-3]
}

#[test]
fn well_formed_filters_are_taken_apart() {
    for (raw, share, filter, wildcard, levels) in [
        ("a", None, "a", false, 1),
        ("/", None, "/", false, 2),
        ("+/tennis/#", None, "+/tennis/#", true, 3),
        ("$SYS/#", None, "$SYS/#", true, 2),
        ("$share", None, "$share", false, 1),
        ("$shared/a/b", None, "$shared/a/b", false, 3),
        ("$share/consumer1/sport/tennis/+", Some("consumer1"), "sport/tennis/+", true, 3),
        ("$share/consumer2//finance", Some("consumer2"), "/finance", false, 2),
        ("$queue/a/b", Some(QUEUE_GROUP), "a/b", false, 2),
        ("$share/$queue/a/b", Some(QUEUE_GROUP), "a/b", false, 2),
    ] {
        let parsed = parse(raw).unwrap();
        assert_eq!(
            (parsed.share, parsed.filter, parsed.wildcard, parsed.levels),
            (share, filter, wildcard, levels),
            "{raw}"
        );
    }
    assert_eq!(parse(&"/".repeat(TOPIC_BYTES_MAX)).unwrap().levels, u16::MAX);
}

proptest! {
    /// Parsing anything ends in a result, and what it accepts keeps the rules.
    #[test]
    fn parse_accepts_only_well_formed_filters(raw in "[a$+#/\u{0}é]{0,12}|\\$share/[a+#/]{0,8}") {
        if let Ok(parsed) = parse(&raw) {
            let levels: alloc::vec::Vec<&str> = parsed.filter.split('/').collect();
            prop_assert_eq!(usize::from(parsed.levels), levels.len());
            prop_assert_eq!(parsed.wildcard, levels.iter().any(|level| *level == "+" || *level == "#"));
            for (at, level) in levels.iter().enumerate() {
                prop_assert!(!level.contains('+') || *level == "+");
                prop_assert!(!level.contains('#') || *level == "#" && at + 1 == levels.len());
            }
            prop_assert!(raw.ends_with(parsed.filter) && !raw.contains('\0'));
        }
    }

    #[test]
    fn a_topic_matches_itself_and_its_generalizations(topic in "[ab/]{1,12}", at in any::<prop::sample::Index>()) {
        prop_assert!(matches(&topic, &topic));
        let mut levels: alloc::vec::Vec<&str> = topic.split('/').collect();
        prop_assert_eq!(levels.len(), topic_levels(&topic));
        let at = at.index(levels.len());
        levels[at] = "+";
        prop_assert!(matches(&levels.join("/"), &topic));
        levels.truncate(at);
        let mut rest: String = levels.join("/");
        rest.push_str(if levels.is_empty() { "#" } else { "/#" });
        prop_assert!(matches(&rest, &topic));
    }
}
