//! The thread that writes traces to their files, and ends those whose time is over or whose file is full.

use super::registry::Registry;
use super::words::{self, PayloadEncode};
use super::{FILE_BYTES_MAX, words::line};
use crate::listeners::Directory;
use crate::log::Level;
use ringmq_core::trace::{Direction, Traced};
use ringmq_wire::{PacketType, Version};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Weak;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Packets that may wait to be written.
pub(super) const QUEUE_PACKETS_MAX: usize = 4096;

/// Bytes of a packet's body that are kept.
const BODY_BYTES_MAX: usize = 4 * 1024;

/// How long the thread waits while there is no trace.
const IDLE: Duration = Duration::from_secs(3600);

/// What the thread is told.
pub(super) enum Told {
    /// A trace has begun.
    Begun(Open),
    /// A trace is to be ended.
    Ended(u32),
    /// A packet that a trace is about.
    Seen(Seen),
}

/// A trace that is written.
pub(super) struct Open {
    pub(super) rule: u32,
    pub(super) file: File,
    pub(super) level: Level,
    pub(super) ends: Instant,
    pub(super) written: u64,
}

/// A packet.
pub(super) struct Seen {
    pub(super) rule: u32,
    pub(super) at_ms: u64,
    pub(super) client_id: Box<str>,
    pub(super) peer: SocketAddr,
    pub(super) listener: u16,
    pub(super) version: Version,
    pub(super) direction: Direction,
    /// The first byte of the packet.
    pub(super) first: u8,
    /// The beginning of its body.
    pub(super) body: Box<[u8]>,
    /// Bytes of the whole body.
    pub(super) length: usize,
}

impl Seen {
    /// A bounded copy.
    pub(super) fn of(rule: u32, traced: &Traced<'_>) -> Self {
        let body = traced.frame.body;
        Self {
            rule,
            at_ms: traced.at_ms,
            client_id: traced.client_id.into(),
            peer: traced.peer,
            listener: traced.listener,
            version: traced.version,
            direction: traced.direction,
            first: traced.frame.first,
            body: body[..body.len().min(BODY_BYTES_MAX)].into(),
            length: body.len(),
        }
    }
}

/// Writes until the registry is gone.
pub(super) fn run(told: &Receiver<Told>, registry: &Weak<Registry>, listeners: &Directory, encode: PayloadEncode) {
    let mut open: BTreeMap<u32, Open> = BTreeMap::new();
    loop {
        let next = open.values().map(|trace| trace.ends).min();
        let wait = next.map_or(IDLE, |ends| ends.saturating_duration_since(Instant::now()));
        match told.recv_timeout(wait) {
            Ok(Told::Begun(trace)) => {
                open.insert(trace.rule, trace);
            }
            Ok(Told::Ended(rule)) => {
                open.remove(&rule);
            }
            Ok(Told::Seen(seen)) => {
                if let Some(trace) = open.get_mut(&seen.rule) {
                    trace.write(&seen, listeners, encode);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now = Instant::now();
        let over = |trace: &Open| trace.ends <= now || trace.written >= FILE_BYTES_MAX;
        let ended: Vec<u32> = open.values().filter(|trace| over(trace)).map(|trace| trace.rule).collect();
        for rule in ended {
            open.remove(&rule);
            if let Some(registry) = registry.upgrade() {
                registry.ended(rule);
            }
        }
    }
}

impl Open {
    fn write(&mut self, seen: &Seen, listeners: &Directory, encode: PayloadEncode) {
        let grave = PacketType::from_first(seen.first).map_or(Level::Debug, words::level);
        if grave > self.level {
            return;
        }
        let line = line(seen, listeners.id(seen.listener), encode);
        // A disk that is full ends the trace.
        self.written += match self.file.write_all(line.as_bytes()) {
            Ok(()) => line.len() as u64,
            Err(_) => FILE_BYTES_MAX,
        };
    }
}
