//! The listeners of a running broker: where they listen, and what they let in.

use crate::config::Config;
use crate::listeners::Board;
use serde_json::{Value, json};

/// All listeners: `id`, `zone`, `listen_on`, `enable`, `running`, `acceptors`, and of those that run `current_connections`,
/// `max_connections` and what was closed at once, and why.
pub(super) fn listeners(config: &Config, board: &Board) -> Value {
    let rows = config.listeners.iter().map(|(name, listener)| {
        let open = board.find(name);
        let mut row = json!({
            "id": format!("tcp:{name}"),
            "zone": listener.zone,
            "listen_on": open.as_ref().map_or(listener.bind, |(opened, _)| opened.local_addr).to_string(),
            "enable": listener.enable,
            "running": open.is_some(),
            "acceptors": if open.is_some() { board.shards() } else { 0 },
        });
        if let Some((_, gate)) = open {
            row["current_connections"] = json!(gate.connections);
            row["max_connections"] = match gate.max_connections {
                0 => json!("infinity"),
                max => json!(max),
            };
            row["closed.access_rules"] = json!(gate.denied);
            row["closed.max_connections"] = json!(gate.turned_away);
        }
        row
    });
    json!({ "listeners": rows.collect::<Vec<_>>() })
}

/// Addresses listened on.
pub(super) fn running(config: &Config, board: &Board) -> Vec<String> {
    let open = config.listeners.keys().filter_map(|name| board.find(name));
    open.map(|(opened, _)| format!("tcp {}", opened.local_addr)).collect()
}

/// Puts names in the place of listeners' numbers, and says which zone each client is in.
pub(super) fn name_listeners(board: &Board, mut told: Value) -> Value {
    let name = |client: &mut Value| {
        let number = client["listener"].as_u64().and_then(|number| usize::try_from(number).ok());
        if let Some(opened) = number.and_then(|number| board.get(number)) {
            client["zone"] = json!(opened.listener.zone);
            client["listener"] = json!(format!("tcp:{}", opened.name));
        }
    };
    match told.get_mut("clients").and_then(Value::as_array_mut) {
        Some(clients) => clients.iter_mut().for_each(name),
        None => name(&mut told),
    }
    told
}
