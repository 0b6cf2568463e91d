//! The listeners of a running broker: where they listen, and what they let in; stopping and starting them by hand.

use super::console::Console;
use crate::config::{self, Config, Listener, Problem, Problems};
use crate::listeners::{Board, Prepared};
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

/// Puts names in the place of listeners' numbers, and says which port each client came by and which zone it is in.
pub(super) fn name_listeners(board: &Board, mut told: Value) -> Value {
    let name = |client: &mut Value| {
        let number = client["listener"].as_u64().and_then(|number| usize::try_from(number).ok());
        if let Some(opened) = number.and_then(|number| board.get(number)) {
            client["zone"] = json!(opened.listener.zone);
            client["listener"] = json!(format!("tcp:{}", opened.name));
            client["sockport"] = json!(opened.local_addr.port());
        }
    };
    match told.get_mut("clients").and_then(Value::as_array_mut) {
        Some(clients) => clients.iter_mut().for_each(name),
        None => name(&mut told),
    }
    told
}

impl Console {
    /// Closes a listener and takes it out of the settings, for the next start too; its connections stay.
    pub(super) fn delete_listener(&self, id: &str) -> Result<Value, Problems> {
        let mut loaded = self.lock();
        let name = find_listener(&loaded.config, id).map(|(name, _)| name.to_owned())?;
        let file = self.overrides();
        let change = config::delete_listener(&loaded, &name, &file)?;
        self.keep_and_bring(&mut loaded, change, &file)?;
        Ok(json!({ "deleted": id }))
    }

    /// Opens a listener that is configured.
    pub(super) fn start_listener(&self, id: &str) -> Result<Value, Problem> {
        self.switch_listener(id, Board::prepare_start)?;
        Ok(json!({ "started": id }))
    }

    /// Closes a listener and opens it again.
    pub(super) fn restart_listener(&self, id: &str) -> Result<Value, Problem> {
        self.switch_listener(id, Board::prepare_restart)?;
        Ok(json!({ "restarted": id }))
    }

    /// Closes a listener; connections that it accepted stay.
    pub(super) fn stop_listener(&self, id: &str) -> Result<Value, Problem> {
        self.switch_listener(id, |board, name, _| board.prepare_stop(name))?;
        Ok(json!({ "stopped": id }))
    }

    fn switch_listener(
        &self,
        id: &str,
        prepare: impl FnOnce(&Board, &str, &Listener) -> Result<Prepared, Problem>,
    ) -> Result<(), Problem> {
        let loaded = self.lock();
        let (name, listener) = find_listener(&loaded.config, id)?;
        let prepared = prepare(&self.board(), name, listener)?;
        self.bring(&loaded.config, &loaded.config, prepared)
    }
}

/// A configured listener by its type and name.
fn find_listener<'a>(config: &'a Config, id: &'a str) -> Result<(&'a str, &'a Listener), Problem> {
    let name = id.strip_prefix("tcp:").unwrap_or(id);
    let known = || config.listeners.keys().map(|name| format!("tcp:{name}")).collect::<Vec<_>>().join(", ");
    let unknown = || Problem::new(format!("there is no listener `{}`", id.escape_debug())).with_help(known());
    config.listeners.get(name).map(|listener| (name, listener)).ok_or_else(unknown)
}
