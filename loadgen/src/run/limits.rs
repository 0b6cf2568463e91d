//! What a run needs of the system, found out before anything is opened.
//!
//! Absent: limits of the broker, which show when it refuses connections.

use crate::plan::Plan;
use crate::procfs::{self, ProcessSample};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;

/// Files the process needs besides one a client: standard streams, rings, event descriptors, `/proc`.
const FILES_BESIDES_CLIENTS: u64 = 128;

/// Connections look for a port in this part of the range first, one half; the more of it is taken, the longer the search.
const PORTS_SEARCHED_FIRST: u64 = 2;

/// Largest table of direct descriptors that the kernel makes.
const TABLE_SLOTS_MAX: u32 = 1 << 20;

/// What can be found out before anything is opened. Returns warnings.
pub(super) fn preflight(plan: &Plan) -> Result<Vec<String>, String> {
    for pid in &plan.pids {
        ProcessSample::take(*pid).map_err(|problem| format!("--pid {pid}: {problem}"))?;
    }
    if let Some(path) = &plan.generator.qoe_log {
        // Better now than when the run is over.
        File::create(path).map_err(|problem| format!("--qoe-log {}: {problem}", path.display()))?;
    }
    if plan.simulated.is_some() {
        return Ok(Vec::new());
    }
    let mut warnings = Vec::new();
    if plan.remote.ip().is_loopback() && procfs::congestion_control() == "bbr" {
        warnings.push(
            "TCP congestion control is bbr, which paces loopback and distorts every figure: use cubic or reno \
             (sysctl net.ipv4.tcp_congestion_control)"
                .into(),
        );
    }
    if let (Some((low, high)), true) = (procfs::ephemeral_ports(), plan.remote.ip().is_loopback()) {
        let ports = (u64::from(high) + 1).saturating_sub(u64::from(low)) * plan.connecting.sources.len().max(1) as u64;
        let clients = u64::from(plan.clients());
        if clients > ports {
            warnings.push(format!("{clients} clients have only {ports} ports: name more --ifaddr"));
        } else if clients > ports / PORTS_SEARCHED_FIRST {
            warnings.push(format!(
                "{clients} clients take most of {ports} ports, and connect slowly once the kernel has to search for a \
                 free one: name more --ifaddr"
            ));
        }
    }
    Ok(warnings)
}

/// Makes sure that so many of a plan's clients can be open at once. A limit of `None` is none at all.
///
/// # Errors
/// A text for the user.
pub(crate) fn raise_open_files_limit(plan: &Plan, clients: u32) -> Result<(), String> {
    if plan.generator.direct {
        return Ok(());
    }
    let needed = u64::from(clients) + FILES_BESIDES_CLIENTS;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    // A process with the privilege may raise the hard limit as well.
    let maximum = limit.maximum.map(|maximum| maximum.max(needed));
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum }).map_err(|problem| {
        let most = limit.maximum.map_or_else(|| "unlimited".into(), |most| most.to_string());
        format!(
            "{needed} open files are needed, the hard limit is {most}: {problem}; raise it with ulimit -Hn, or \
             spread the clients with --processes"
        )
    })
}

/// Slots of the largest table of direct descriptors: as many as the process may have files.
pub(super) fn largest_table() -> u32 {
    getrlimit(Resource::Nofile).current.map_or(TABLE_SLOTS_MAX, |limit| limit.min(TABLE_SLOTS_MAX.into()) as u32)
}
