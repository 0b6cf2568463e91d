//! From single options to parts of a plan. Absent: what parts mean together.

use super::payload::payload;
use super::{Generator, Identity, Naming, Pace, Traffic, WillPlan};
use crate::cli::{CommonArgs, Credit, Timestamps, TrafficArgs};
use crate::schedule::RATE_MAX;
use ringmq_core::machine::SHARDS_MAX;
use ringmq_drive::DriverKind;
use ringmq_wire::{QoS, Version};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::time::SystemTime;

/// Most source addresses made up for a loopback target (127.0.0.1 to 127.0.0.250).
const LOOPBACK_ADDRESSES_MAX: u32 = 250;

/// Clients per source address on loopback. A connection looks first for a port among half of the kernel's default range
/// of 28,232; once most of these 14,116 are taken, nearly all of its time goes into the search.
const CLIENTS_PER_LOOPBACK_ADDRESS: u32 = 10_000;

/// Longest client identifier in MQTT 3.1, characters (section 3.1 of that version).
const V31_CLIENT_ID_CHARS_MAX: usize = 23;

/// QoS by number, which clap has checked.
pub(super) fn qos(number: u8) -> QoS {
    QoS::from_bits(number).unwrap_or_default()
}

/// Keep-alive when none is asked for, seconds.
const KEEP_ALIVE_DEFAULT_S: u16 = 60;

/// Messages in flight per publisher when neither a rate nor a window is asked for.
pub(crate) const WINDOW_DEFAULT: u32 = 16;

pub(super) fn resolve_traffic(args: &TrafficArgs, publishers: u32, naming: &Naming) -> Result<Traffic, String> {
    let qos = qos(args.qos);
    let pace = match (args.rate, args.interval) {
        (Some(per_second), _) => Pace::Rate { per_second },
        (None, Some(interval)) => {
            let rate = (f64::from(publishers) / interval.as_secs_f64()).round();
            if !(1.0..=RATE_MAX as f64).contains(&rate) {
                return Err(format!(
                    "--interval {interval:?} of {publishers} publishers: all together must send 1 to {RATE_MAX} \
                     messages a second"
                ));
            }
            Pace::Rate { per_second: rate as u64 }
        }
        (None, None) => pace_of_window(args.window.unwrap_or(WINDOW_DEFAULT), qos, args.credit),
    };
    let payload = payload(&args.payload, naming)?;
    Ok(Traffic { qos, payload, pace, retain: args.retain, burst: 1, limit: args.span.limit })
}

/// A closed loop. At QoS 0 there is no acknowledgement, so only a delivery can end a message's time in the window.
pub(super) fn pace_of_window(messages: u32, qos: QoS, credit: Credit) -> Pace {
    let acknowledged = qos != QoS::AtMostOnce;
    Pace::Window {
        messages,
        until_acknowledged: acknowledged && credit != Credit::Delivery,
        until_delivered: !acknowledged || credit != Credit::Ack,
    }
}

pub(super) fn identity(common: &CommonArgs, run: u32, publishers: u32, clients: u32) -> Result<Identity, String> {
    let version = match common.mqtt.unwrap_or(4) {
        3 => Version::V31,
        5 => Version::V5,
        _ => Version::V311,
    };
    let expiry = common.expiry.unwrap_or(0);
    if version != Version::V5 && (expiry != 0 || common.receive_maximum.is_some()) {
        return Err("--expiry and --receive-maximum need --mqtt 5".into());
    }
    let (short, first) = (common.naming.short_ids, common.naming.start_number);
    let end = first.checked_add(clients).ok_or("--start-number: more than 2^32 clients")?;
    let unless_given = || if short { String::new() } else { format!("lg{run:08x}") };
    let prefix = common.client_id_prefix.clone().unwrap_or_else(unless_given);
    let longest = prefix.chars().count() + usize::from(!short) + end.to_string().len();
    if version == Version::V31 && longest > V31_CLIENT_ID_CHARS_MAX {
        return Err(format!(
            "MQTT 3.1 allows client identifiers of {V31_CLIENT_ID_CHARS_MAX} characters; with this \
                            prefix they have {longest}"
        ));
    }
    let naming = Naming { prefix, short, first, publishers, user: common.username.clone() };
    let will = common.will.will_topic.as_ref().map(|topic| WillPlan {
        topic: topic.clone(),
        payload: common.will.will_payload.clone(),
        qos: qos(common.will.will_qos),
        retain: common.will.will_retain,
    });
    if let Some(will) = &will {
        will.topic(0, "", &naming).map_err(|problem| format!("--will-topic: {problem}"))?;
    }
    Ok(Identity {
        version,
        keep_alive: common.keepalive.unwrap_or(KEEP_ALIVE_DEFAULT_S),
        clean: common.clean.unwrap_or(true),
        expiry,
        receive_maximum: common.receive_maximum,
        password: common.password.clone(),
        naming,
        will,
        topic_prefix: common.topic_prefix.clone(),
    })
}

pub(super) fn generator(common: &CommonArgs) -> Result<Generator, String> {
    if !common.driver.is_built_in() {
        return Err(format!("the {} driver is not for clients: use uring or epoll", common.driver));
    }
    if common.direct && common.driver != DriverKind::Uring {
        return Err(format!("--direct belongs to the uring driver, not to {}", common.driver));
    }
    if common.timestamps == Timestamps::Kernel && common.driver != DriverKind::Uring {
        return Err(format!("--timestamps kernel belongs to the uring driver, not to {}", common.driver));
    }
    let cores: Vec<Option<usize>> = match &common.cores {
        None => vec![None],
        Some(list) => list.0.iter().copied().map(Some).collect(),
    };
    // In a simulated run each thread has a shard.
    let (option, threads) = match common.broker_shards {
        Some(shards) => ("--broker-shards", Some(shards)),
        None => ("--threads", common.threads),
    };
    let threads = threads.map_or(cores.len(), usize::from);
    if threads < cores.len() {
        return Err(format!("{option} {threads} leaves some of the {} cores without one", cores.len()));
    }
    let cores: Vec<Option<usize>> = cores.into_iter().cycle().take(threads).collect();
    if cores.len() > SHARDS_MAX {
        return Err(format!("at most {SHARDS_MAX} threads"));
    }
    let (json, hgrm, quiet) = (common.json.clone(), common.hgrm.clone(), common.quiet);
    let qoe_log = common.qoe_log.clone();
    let watch = common.watch.clone();
    let (driver, direct, spin) = (common.driver, common.direct, !common.no_spin);
    let (timestamps, experiences) = (common.timestamps, qoe_log.is_some());
    Ok(Generator { cores, driver, timestamps, direct, spin, json, hgrm, qoe_log, experiences, quiet, watch })
}

pub(super) fn resolve(common: &CommonArgs) -> Result<SocketAddr, String> {
    let mut found = match &common.target {
        Some(target) => target.to_socket_addrs().map_err(|problem| format!("--target {target}: {problem}"))?,
        None => (common.host.as_str(), common.port)
            .to_socket_addrs()
            .map_err(|problem| format!("--host {}: {problem}", common.host))?,
    };
    found.next().ok_or_else(|| "the broker's name has no address".into())
}

pub(super) fn sources(common: &CommonArgs, remote: SocketAddr, clients: u32) -> Result<Vec<IpAddr>, String> {
    if let Some(other) = common.ifaddr.iter().find(|address| address.is_ipv4() != remote.is_ipv4()) {
        return Err(format!("--ifaddr {other} cannot reach {remote}"));
    }
    let wanted = clients.div_ceil(CLIENTS_PER_LOOPBACK_ADDRESS).min(LOOPBACK_ADDRESSES_MAX);
    if common.ifaddr.is_empty() && remote.is_ipv4() && remote.ip().is_loopback() && wanted > 1 {
        return Ok((1..=wanted).map(|host| Ipv4Addr::from(0x7f00_0000 + host).into()).collect());
    }
    Ok(common.ifaddr.clone())
}

/// A number that no earlier run is likely to have had.
pub(super) fn run_number() -> u32 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mixed = (since.as_nanos() as u64 ^ u64::from(std::process::id()) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as u32
}
