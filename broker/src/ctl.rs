//! `ringmq ctl`: asks a running broker over its control socket.

use crate::banner;
use crate::cli::{Ask, ConfAsk};
use crate::config::Problem;
use crate::control::protocol::{Answer, Command, Request, VERSION};
use crate::counters;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks, and prints the answer as text or JSON; true if it was done.
///
/// # Errors
/// There is no broker, or it does not answer.
pub(crate) fn run(socket: &Path, ask: Ask, json: bool) -> Result<bool, Problem> {
    let command = match ask {
        Ask::Status => Command::Status,
        Ask::Broker => Command::Broker,
        Ask::Metrics => Command::Metrics,
        Ask::Stats => Command::Stats,
        Ask::Conf { ask: ConfAsk::Show { key } } => Command::ConfShow { key },
        Ask::Conf { ask: ConfAsk::Set { key, value } } => Command::ConfSet { key, value },
        Ask::Conf { ask: ConfAsk::Reload } => Command::ConfReload,
    };
    let answer = exchange(socket, &Request { v: VERSION, id: None, command })?;
    answer.warnings.iter().for_each(|warning| banner::warn(warning));
    for error in &answer.errors {
        banner::complain(error);
    }
    if let Some(result) = &answer.result {
        banner::say(&if json { format!("{result}\n") } else { text(result) });
    }
    Ok(answer.ok)
}

fn exchange(socket: &Path, request: &Request) -> Result<Answer, Problem> {
    let name = socket.display();
    let mut stream = UnixStream::connect(socket).map_err(|error| {
        Problem::new(format!("no broker answers at {name}: {error}"))
            .with_help("start it, or name its data directory with --data-dir, or its socket with --socket")
    })?;
    let failed = |error: std::io::Error| Problem::new(format!("the broker at {name} does not answer: {error}"));
    let mut line = serde_json::to_string(request).map_err(|error| Problem::new(error.to_string()))?;
    line.push('\n');
    let mut told = String::new();
    stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.write_all(line.as_bytes()))
        .and_then(|()| BufReader::new(&stream).read_line(&mut told))
        .map_err(failed)?;
    serde_json::from_str(&told).map_err(|error| Problem::new(format!("the broker's answer is not understood: {error}")))
}

/// A result for people.
fn text(result: &Value) -> String {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let settings = |rows: &[Value]| -> String {
        let line =
            |row: &Value| format!("{} = {}  # {}\n", word(&row["key"]), word(&row["value"]), word(&row["origin"]));
        rows.iter().map(line).collect()
    };
    match result {
        Value::Array(rows) if rows.iter().all(|row| row.get("key").is_some()) => settings(rows),
        Value::Array(rows) => {
            let values =
                |row: &Value| row["shards"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
            let rows: Vec<(String, Vec<u64>)> = rows.iter().map(|row| (word(&row["name"]), values(row))).collect();
            counters::table(&rows)
        }
        Value::Object(fields) => match fields.get("changed") {
            Some(Value::Array(rows)) if rows.is_empty() => "nothing has changed\n".to_owned(),
            Some(Value::Array(rows)) => settings(rows),
            _ => fields.iter().map(|(name, value)| format!("{name}: {}\n", word(value))).collect(),
        },
        other => format!("{}\n", word(other)),
    }
}
