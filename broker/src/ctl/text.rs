//! Results for people. What clients named is escaped, so that it cannot speak to the terminal.

use crate::counters::{self, Row};
use serde_json::{Map, Value};

/// A result as lines.
pub(super) fn text(result: &Value) -> String {
    match result {
        Value::Array(rows) if rows.iter().all(|row| row.get("key").is_some()) => settings(rows),
        Value::Array(rows) => {
            let values =
                |row: &Value| row["shards"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
            let sum = |row: &Value| row["sum"].as_u64().unwrap_or_default();
            let row = |row: &Value| Row { name: word(&row["name"]), sum: sum(row), shards: values(row) };
            counters::table(&rows.iter().map(row).collect::<Vec<_>>())
        }
        Value::Object(fields) => object(fields),
        other => format!("{}\n", word(other)),
    }
}

fn object(fields: &Map<String, Value>) -> String {
    let list = |name: &str| fields.get(name).and_then(Value::as_array);
    let end = if fields.get("complete") == Some(&Value::Bool(false)) { "(and more)\n" } else { "" };
    if let Some(changed) = list("changed") {
        return if changed.is_empty() { "nothing has changed\n".to_owned() } else { settings(changed) };
    }
    if let Some(keys) = list("keys") {
        return keys.iter().map(|key| format!("{}\n", word(key))).collect();
    }
    if let Some(clients) = list("clients") {
        return clients.iter().map(client).collect();
    }
    if let Some(alarms) = list("alarms") {
        return alarms.iter().map(alarm).collect();
    }
    if let Some(banned) = list("banned") {
        return banned.iter().map(ban).collect();
    }
    if let Some(subscriptions) = list("subscriptions") {
        return subscriptions.iter().map(subscription).collect();
    }
    if let Some(exclusive) = list("exclusive") {
        return exclusive.iter().map(owned_topic).collect();
    }
    if let Some(topics) = list("topics") {
        return topics.iter().map(topic).collect();
    }
    if let Some(groups) = list("groups") {
        return groups.iter().map(group).collect::<String>() + end;
    }
    if let Some(queues) = list("queues") {
        return queues.iter().map(queue).collect();
    }
    if let Some(members) = list("members") {
        let members: String = members.iter().map(consumer).collect();
        return queue(&Value::Object(fields.clone())) + &members + end;
    }
    if let Some(slow) = list("slow_subs") {
        return slow.iter().map(slow_subscription).collect();
    }
    if let Some(topics) = list("topic_metrics") {
        return topics.iter().map(counted_topic).collect();
    }
    if let Some(tree) = list("tree") {
        return tree.iter().map(node).collect::<String>() + end;
    }
    if let Some(retained) = list("retained") {
        return retained.iter().map(retained_message).collect();
    }
    if let Some(traces) = list("traces") {
        let lost = fields.get("packets_lost").and_then(Value::as_u64).filter(|lost| *lost > 0);
        let end = lost.map_or_else(String::new, |lost| format!("({lost} packets lost)\n"));
        return traces.iter().map(trace).collect::<String>() + &end;
    }
    if let Some(listeners) = list("listeners").filter(|_| fields.len() == 1) {
        return listeners.iter().map(listener).collect();
    }
    fields
        .iter()
        .filter(|(name, _)| *name != "next")
        .map(|(name, value)| format!("{name}: {}\n", word(value)))
        .collect()
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), |text| text.escape_debug().to_string())
}

fn settings(rows: &[Value]) -> String {
    // A value is as it is written in a file, and so in one line.
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let line =
        |row: &Value| format!("{} = {}  # {}\n", plain(&row["key"]), plain(&row["value"]), plain(&row["origin"]));
    rows.iter().map(line).collect()
}

fn client(row: &Value) -> String {
    let field = |name: &str| word(&row[name]);
    let place = match row["ip_address"].as_str() {
        Some(ip) if ip.contains(':') => format!("[{ip}]:{}", field("port")),
        Some(ip) => format!("{ip}:{}", field("port")),
        None => "not connected".to_owned(),
    };
    let named = |name: &str, key: &str| format!(" {name}={}", field(key));
    let facts: String = [
        ("proto_ver", "proto_ver"),
        ("keepalive", "keepalive"),
        ("expiry_interval", "expiry_interval"),
        ("subscriptions", "subscriptions_cnt"),
        ("mqueue", "mqueue_len"),
        ("inflight", "inflight_cnt"),
        ("shard", "shard"),
    ]
    .iter()
    .map(|(name, key)| named(name, key))
    .collect();
    let username = row.get("username").map_or_else(String::new, |username| format!(" username={}", word(username)));
    format!("{} {place}{username}{facts}\n", field("clientid"))
}

fn alarm(row: &Value) -> String {
    let field = |name: &str| word(&row[name]);
    let times = format!("activate_at={} deactivate_at={}", field("activate_at"), field("deactivate_at"));
    format!("{} {times} duration={} {}\n", field("name"), field("duration"), field("message"))
}

fn ban(row: &Value) -> String {
    let field = |name: &str| word(&row[name]);
    let (by, reason) = (field("by"), field("reason"));
    format!("{} {} until={} at={} by={by} reason={reason}\n", field("as"), field("who"), field("until"), field("at"))
}

fn subscription(row: &Value) -> String {
    let field = |name: &str| word(&row[name]);
    let id = row.get("subid").map_or_else(String::new, |id| format!(" subid={id}"));
    let (client, topic) = (field("clientid"), field("topic"));
    format!("{client} -> {topic} qos={} nl={} rap={}{id}\n", field("qos"), field("nl"), field("rap"))
}

fn owned_topic(row: &Value) -> String {
    format!("{} clientid={}\n", word(&row["topic"]), word(&row["clientid"]))
}

fn topic(row: &Value) -> String {
    format!("{} subscribers={} shard={}\n", word(&row["topic"]), row["subscribers"], row["shard"])
}

fn group(row: &Value) -> String {
    let waiting = |row: &Value| format!("mqueue={} inflight={}", row["mqueue_len"], row["inflight_cnt"]);
    let member = |row: &Value| format!("  {} {}\n", word(&row["clientid"]), waiting(row));
    let members = row["members"].as_array().map_or(&[][..], Vec::as_slice);
    let lines: String = members.iter().map(member).collect();
    format!("{} members={} {}\n{lines}", word(&row["topic"]), members.len(), waiting(row))
}

fn queue(row: &Value) -> String {
    let facts = [
        "length",
        "bytes",
        "consumers",
        "lag",
        "lag_ms",
        "inflight_cnt",
        "received",
        "settled",
        "returned",
        "replaced",
        "dropped",
        "expired",
        "shard",
    ];
    let facts: String = facts.iter().map(|name| format!(" {name}={}", row[*name])).collect();
    let last_value = if row["last_value"] == true { " last_value" } else { "" };
    let undeclared = if row["declared"] == false { " (not declared)" } else { "" };
    format!("{} <- {}{last_value}{undeclared}{facts}\n", word(&row["name"]), word(&row["topic_filter"]))
}

fn consumer(row: &Value) -> String {
    format!("  {} inflight={} shard={}\n", word(&row["clientid"]), row["inflight_cnt"], row["shard"])
}

fn slow_subscription(row: &Value) -> String {
    let (client, topic) = (word(&row["clientid"]), word(&row["topic"]));
    format!("{client} {topic} timespan={} last_update_time={}\n", row["timespan"], row["last_update_time"])
}

fn counted_topic(row: &Value) -> String {
    let metric = |name: &str| {
        let figure = |of: &str| word(&row["metrics"][format!("messages.{name}.{of}")]);
        format!(" {name}={} ({}/s)", figure("count"), figure("rate"))
    };
    let names = ["in", "out", "dropped", "qos0.in", "qos0.out", "qos1.in", "qos1.out", "qos2.in", "qos2.out"];
    format!("{}{}\n", word(&row["topic"]), names.map(metric).concat())
}

fn node(row: &Value) -> String {
    format!("{} filters={} subscribers={}\n", word(&row["topic"]), row["filters"], row["subscribers"])
}

fn retained_message(row: &Value) -> String {
    format!("{} qos={} payload_bytes={}\n", word(&row["topic"]), row["qos"], row["payload_bytes"])
}

fn trace(row: &Value) -> String {
    let field = |name: &str| word(&row[name]);
    let (name, kind, value, level) = (field("name"), field("type"), field("value"), field("level"));
    format!("{name} {kind} {value} level={level} seconds_left={} {}\n", field("seconds_left"), field("file"))
}

fn listener(row: &Value) -> String {
    let state = match (row["running"] == true, row["enable"] == true) {
        (true, _) => "running",
        (false, true) => "stopped",
        (false, false) => "disabled",
    };
    let (id, place, zone) = (word(&row["id"]), word(&row["listen_on"]), word(&row["zone"]));
    let counts = row.get("current_connections").map_or_else(String::new, |current| {
        let (max, denied) = (word(&row["max_connections"]), &row["closed.access_rules"]);
        let full = &row["closed.max_connections"];
        format!(" connections={current} max_connections={max} denied={denied} turned_away={full}")
    });
    format!("{id} {place} {state} acceptors={} zone={zone}{counts}\n", row["acceptors"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_from_outside_do_not_reach_the_terminal_as_they_are() {
        let clients = json!({ "clients": [{ "clientid": "a\u{1b}[2J\nb", "ip_address": "::1", "port": 5 }] });
        let told = text(&clients);
        assert!(told.starts_with("a\\u{1b}[2J\\nb [::1]:5 proto_ver="), "{told}");
        assert_eq!(told.lines().count(), 1);
        let topics = json!({ "topics": [{ "topic": "x\ty", "subscribers": 2, "shard": 1 }] });
        assert_eq!(text(&topics), "x\\ty subscribers=2 shard=1\n");
    }
}
