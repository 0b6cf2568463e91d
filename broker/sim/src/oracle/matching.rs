//! Topic matching as the standard words it (section 4.7), level by level: slow, obvious, and not the broker's.

/// Whether a message to `topic` is for a subscription to `filter`, which is not shared.
pub(crate) fn matches(filter: &str, topic: &str) -> bool {
    let filter: Vec<&str> = filter.split('/').collect();
    let topic_levels: Vec<&str> = topic.split('/').collect();
    // [MQTT-4.7.2-1]
    if topic.starts_with('$') && matches!(filter[0], "#" | "+") {
        return false;
    }
    level(&filter, &topic_levels)
}

fn level(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) => true,
        ([], []) => true,
        (["+", filter @ ..], [_, topic @ ..]) => level(filter, topic),
        ([one, filter @ ..], [other, topic @ ..]) if one == other => level(filter, topic),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    /// The examples of section 4.7.1.
    #[test]
    fn examples_of_the_standard() {
        for (filter, topic) in [
            ("sport/tennis/player1/#", "sport/tennis/player1"),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"),
            ("sport/#", "sport"),
            ("#", "a/b"),
            ("sport/tennis/+", "sport/tennis/player1"),
            ("sport/+", "sport/"),
            ("+/+", "/finance"),
            ("/+", "/finance"),
            ("$SYS/#", "$SYS/x"),
        ] {
            assert!(matches(filter, topic), "{filter} {topic}");
        }
        for (filter, topic) in [
            ("sport/tennis/+", "sport/tennis/player1/ranking"),
            ("sport/+", "sport"),
            ("+", "/finance"),
            ("#", "$SYS/x"),
            ("+/x", "$SYS/x"),
        ] {
            assert!(!matches(filter, topic), "{filter} {topic}");
        }
    }
}
