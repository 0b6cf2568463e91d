//! The listeners of a running broker: where they listen, and what they let in.

use super::console::Facts;
use serde_json::{Value, json};

/// All listeners: `id`, `listen_on`, `running`, `acceptors`, and of those that run `current_connections`,
/// `max_connections` and what was closed at once, and why.
pub(super) fn listeners(facts: &Facts) -> Value {
    let mut number = 0;
    let rows = facts.listeners.iter().map(|listener| {
        let mut row = json!(listener);
        if listener.running {
            if let Some(gate) = facts.gates.facts(number) {
                row["current_connections"] = json!(gate.connections);
                row["max_connections"] = match gate.max_connections {
                    0 => json!("infinity"),
                    max => json!(max),
                };
                row["closed.access_rules"] = json!(gate.denied);
                row["closed.max_connections"] = json!(gate.turned_away);
            }
            number += 1;
        }
        row
    });
    json!({ "listeners": rows.collect::<Vec<_>>() })
}

/// Puts names in the place of listeners' numbers, and says which zone each client is in.
pub(super) fn name_listeners(facts: &Facts, mut told: Value) -> Value {
    let running: Vec<_> = facts.listeners.iter().filter(|listener| listener.running).collect();
    let name = |client: &mut Value| {
        let number = client["listener"].as_u64().and_then(|number| usize::try_from(number).ok());
        if let Some(listener) = number.and_then(|number| running.get(number)) {
            client["zone"] = json!(listener.zone);
            client["listener"] = json!(listener.id);
        }
    };
    match told.get_mut("clients").and_then(Value::as_array_mut) {
        Some(clients) => clients.iter_mut().for_each(name),
        None => name(&mut told),
    }
    told
}
