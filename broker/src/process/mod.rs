//! The process around the shards: what is set up once, the shards' threads, and their end.
//!
//! Absent: anything a shard does.

mod driver;
mod limits;
mod threads;

use crate::alarms::Alarms;
use crate::banner::{self, Banner};
use crate::config::{Config, Layers, Loaded, Problem};
use crate::control::{self, Bans, Console, ControlSocket, Facts, Parts};
use crate::counters::SharedCounters;
use crate::listeners::{self, Board};
use crate::trace::Registry;
use crate::{banned, log, machine, monitoring, signals, sys, topology, wall_clock, watch};
use ringmq_core::machine::SHARDS_MAX;
use ringmq_drive::{Control, DriverKind, Options};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Runs the broker until it is told to stop.
///
/// # Errors
/// What failed, and what to do. Shards that still ran have stopped.
pub(crate) fn run(layers: Layers, loaded: Loaded) -> Result<(), Problem> {
    let config = loaded.config.clone();
    // To the end, so that the last notes are written.
    let _log = log::install(&config.log)?;
    let files = limits::raise_open_files();
    let driver = driver::choose(config.driver, &ringmq_drive::probe())?;
    let data_dir = prepare_data_dir(&config.data_dir)?;
    let allowed = topology::allowed();
    let wanted_shards = config.shards.map(usize::from);
    let placement = topology::System::default().place(&allowed, config.cores.as_ref(), wanted_shards, SHARDS_MAX);
    let shards = placement.cores.len();

    let (ban_file, bans) = banned::open(&data_dir, config.banned_bootstrap_file.as_deref())?;
    let bans = Bans::new(ban_file, bans);

    let listening =
        config.enabled().map(|(_, listener)| listeners::open(listener, shards)).collect::<Result<Vec<_>, _>>()?;
    let addresses: Vec<SocketAddr> = listening.iter().map(|listening| listening.local_addr).collect();

    let control = Control::new(shards).map_err(|error| Problem::new(format!("cannot make an eventfd: {error}")))?;
    let counters = Arc::new(SharedCounters::new(shards));
    let is_changeable = matches!(driver.kind, DriverKind::Uring | DriverKind::Epoll);
    let board = Board::new(&config, &addresses, shards, is_changeable);
    let (gates, names) = (board.gates().clone(), board.directory().clone());
    let facts = Facts { shards: placement.to_string(), driver: driver.to_string(), data_dir: data_dir.clone() };
    let encode = config.trace_payload_encode;
    let traces = Registry::new(control.clone(), names.clone(), log_directory(&config), &data_dir, encode);
    let monitoring = config.monitoring_bind.map(monitoring::open).transpose()?;
    let (alarms, odd) = Alarms::open(&config.node_name, config.alarms, &data_dir, wall_clock::now_ms());
    odd.iter().for_each(|problem| banner::warn(problem));
    let parts = Parts {
        board,
        control: control.clone(),
        counters: Arc::clone(&counters),
        bans,
        alarms,
        traces: Arc::clone(&traces),
    };
    let console = Arc::new(Console::new(layers, loaded, facts, parts));
    let socket = ControlSocket::open(&data_dir).and_then(|socket| control::serve(socket, Arc::clone(&console)));
    // To the end, so that the file goes with the broker.
    let _socket = socket.map_err(|error| {
        let place = control::socket::path(&data_dir);
        let problem = Problem::new(format!("no control socket at {}: {error}", place.display()));
        banner::warn(&problem.with_help("the broker runs without `ringmq ctl`"));
    });
    let monitoring_at = monitoring.as_ref().and_then(|listener| listener.local_addr().ok());
    if let Some(listener) = monitoring {
        monitoring::serve(listener, Arc::clone(&console))
            .map_err(|error| Problem::new(format!("cannot start the thread for monitoring: {error}")))?;
    }
    watch::start(Arc::clone(&console))
        .map_err(|error| Problem::new(format!("cannot start the thread that watches: {error}")))?;
    sys::start(&config.sys_topics, &config.node_name, Arc::clone(&console))
        .map_err(|error| Problem::new(format!("cannot start the thread for $SYS topics: {error}")))?;
    signals::watch(control.clone(), Arc::clone(&counters), Arc::clone(&console))
        .map_err(|error| Problem::new(format!("cannot watch for signals: {error}")))?;

    let warnings = [limits::warning(files), placement.warning(&allowed)];
    warnings.into_iter().flatten().for_each(|problem| banner::warn(&problem));
    let banner =
        Banner { shards: placement.to_string(), driver: driver.to_string(), files, data_dir, addresses, monitoring_at };
    banner.print();
    let (version, node, shards_running) = (env!("CARGO_PKG_VERSION"), config.node_name.as_str(), shards as u64);
    tracing::info!(target: log::module::BROKER, version, node, shards = shards_running, "started");

    let machines = machine::Factory::new(config.effective(), &config.rewrite, shards, counters)
        .with_bans(console.bans().matcher())
        .with_events(sys::Events::new(&config.node_name, config.sys_topics.told, names).with_tracer(traces.tracer()));
    // Before anybody can ask for them.
    if let Err(problem) = traces.resume() {
        banner::warn(&problem);
    }
    console.begin()?;
    let ended = threads::run(threads::Plan {
        kind: driver.kind,
        cores: placement.cores,
        listening,
        options: Options { gates, ..config.driver_options },
        control,
        machines,
    });
    if let Err(problem) = console.save_alarms() {
        banner::warn(&problem);
    }
    ended
}

/// Where the log's files are, or would be.
fn log_directory(config: &Config) -> PathBuf {
    config.log.file.path.parent().map(Path::to_owned).unwrap_or_default()
}

/// Makes the data directory if it is missing; gives its full path.
fn prepare_data_dir(directory: &Path) -> Result<PathBuf, Problem> {
    let explain = |error: std::io::Error| {
        let name = directory.display();
        Problem::new(format!("cannot use the data directory {name}: {error}"))
            .with_help("choose another with --data-dir DIR or node.data_dir")
    };
    fs::create_dir_all(directory).map_err(explain)?;
    // Found out now rather than with the first message to be kept.
    let trial = directory.join(".ringmq-trial");
    fs::write(&trial, b"").and_then(|()| fs::remove_file(&trial)).map_err(explain)?;
    fs::canonicalize(directory).map_err(explain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Dir;

    #[test]
    fn a_missing_data_directory_is_made() {
        let dir = Dir::new("data");
        let wanted = dir.path("a/b");
        let made = prepare_data_dir(&wanted).expect("made");
        assert!(made.is_absolute() && made.ends_with("a/b") && wanted.is_dir());
        assert_eq!(fs::read_dir(&wanted).expect("readable").count(), 0);
    }

    #[test]
    fn a_data_directory_that_cannot_be_is_refused() {
        let dir = Dir::new("data");
        dir.write("file", "");
        let refused = prepare_data_dir(&dir.path("file/below")).expect_err("a file is in the way").to_string();
        assert!(refused.contains("file/below") && refused.contains("--data-dir"), "{refused}");
    }
}
