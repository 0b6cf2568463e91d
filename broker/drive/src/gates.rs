//! What a listener lets in: addresses, connections at a time, connections in a time.
//!
//! A listener has a socket on every shard but one gate, so the gate is shared. It is passed once when a connection is
//! accepted and once when it ends, never in between. A connection that moves to another shard stays within.
//!
//! Absent: anything a client says, for nothing has been read yet.

use ringmq_core::limit::{Allowance, Bucket, Buckets};
use ringmq_core::machine::Time;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Lets some addresses in, or keeps them out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRule {
    /// Whether those that match may connect.
    pub allow: bool,
    /// An address and how many of its first bits must be the same; `None` matches all.
    pub network: Option<(IpAddr, u8)>,
}

impl AccessRule {
    fn matches(&self, peer: IpAddr) -> bool {
        let shifted = |bits: u128, width: u8, prefix: u8| bits.checked_shr(u32::from(width - prefix.min(width)));
        match (self.network, peer) {
            (None, _) => true,
            (Some((IpAddr::V4(network), prefix)), IpAddr::V4(peer)) => {
                let first = |address: std::net::Ipv4Addr| shifted(u128::from(address.to_bits()), 32, prefix);
                first(network) == first(peer)
            }
            (Some((IpAddr::V6(network), prefix)), IpAddr::V6(peer)) => {
                let first = |address: std::net::Ipv6Addr| shifted(address.to_bits(), 128, prefix);
                first(network) == first(peer)
            }
            _ => false,
        }
    }
}

/// What a listener lets in.
#[derive(Debug, Clone, Default)]
pub struct GateOptions {
    /// The first rule that matches decides; without one, everybody may connect.
    pub access_rules: Vec<AccessRule>,
    /// Connections at a time, over all shards; 0 is unlimited.
    pub max_connections: u64,
    /// Connections in a time, over all shards. Those above it wait in the system's backlog.
    pub rate: Allowance,
}

#[derive(Debug, Default)]
struct Gate {
    options: GateOptions,
    connections: AtomicU64,
    /// [`Buckets`] of `options.rate`, as numbers.
    regular: AtomicU64,
    burst: AtomicU64,
    denied: AtomicU64,
    turned_away: AtomicU64,
}

/// The gate of one listener, that all shards share.
#[derive(Debug, Clone, Default)]
pub struct SharedGate(Arc<Gate>);

impl SharedGate {
    /// A gate that nobody has passed yet.
    #[must_use]
    pub fn new(options: GateOptions) -> Self {
        Self(Arc::new(Gate { options, ..Gate::default() }))
    }
}

/// The gates of all listeners of a process, by the listener's number. A listener without one lets everybody in. Give a
/// clone, which has the same gates, to every shard.
#[derive(Debug, Clone, Default)]
pub struct Gates(Vec<SharedGate>);

/// What can be told of one gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GateFacts {
    /// Connections at the moment, those about to end included.
    pub connections: u64,
    /// Most of those; 0 is unlimited.
    pub max_connections: u64,
    /// Connections closed because of an access rule.
    pub denied: u64,
    /// Connections closed because there were as many as may be.
    pub turned_away: u64,
}

/// What a gate says to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It may stay, and has been counted. With a time, no further one may come before then.
    Admitted { pause_until: Option<Time> },
    /// A rule keeps its address out.
    Denied,
    /// There are as many as may be.
    Full,
}

impl Gates {
    /// One gate for each listener, in their order.
    #[must_use]
    pub fn new(options: impl IntoIterator<Item = GateOptions>) -> Self {
        Self(options.into_iter().map(SharedGate::new).collect())
    }

    /// Adds the gate of a new listener.
    pub fn put(&mut self, listener: u16, gate: SharedGate) {
        let index = usize::from(listener);
        if index >= self.0.len() {
            self.0.resize_with(index + 1, SharedGate::default);
        }
        self.0[index] = gate;
    }

    /// What can be told of a listener's gate; `None` if it has none.
    #[must_use]
    pub fn facts(&self, listener: usize) -> Option<GateFacts> {
        let gate = self.get(listener)?;
        Some(GateFacts {
            connections: gate.connections.load(Ordering::Relaxed),
            max_connections: gate.options.max_connections,
            denied: gate.denied.load(Ordering::Relaxed),
            turned_away: gate.turned_away.load(Ordering::Relaxed),
        })
    }

    /// A connection has been accepted.
    pub(crate) fn enter(&self, listener: u16, peer: IpAddr, now: Time) -> Entry {
        let Some(gate) = self.get(listener.into()) else { return Entry::Admitted { pause_until: None } };
        let options = &gate.options;
        if options.access_rules.iter().find(|rule| rule.matches(peer)).is_some_and(|rule| !rule.allow) {
            gate.denied.fetch_add(1, Ordering::Relaxed);
            return Entry::Denied;
        }
        let before = gate.connections.fetch_add(1, Ordering::Relaxed);
        if options.max_connections > 0 && before >= options.max_connections {
            gate.connections.fetch_sub(1, Ordering::Relaxed);
            gate.turned_away.fetch_add(1, Ordering::Relaxed);
            return Entry::Full;
        }
        Entry::Admitted { pause_until: options.rate.rate.and_then(|_| gate.count(now)) }
    }

    fn get(&self, listener: usize) -> Option<&Gate> {
        self.0.get(listener).map(|gate| &*gate.0)
    }

    /// A connection that was admitted has ended.
    pub(crate) fn leave(&self, listener: u16) {
        if let Some(gate) = self.get(listener.into()) {
            gate.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Gate {
    /// Counts a connection against the rate; when the next one may come, if that is later. Shards that count at the same
    /// time may both take the last token; the debt is paid before the next one.
    fn count(&self, now: Time) -> Option<Time> {
        let load = |cell: &AtomicU64| Bucket::from_raw(cell.load(Ordering::Relaxed));
        let before = Buckets { regular: load(&self.regular), burst: load(&self.burst) };
        let mut after = before;
        after.take(&self.options.rate, now, 1);
        // What others have added since is kept: every connection costs the same time.
        for (cell, before, after) in
            [(&self.regular, before.regular, after.regular), (&self.burst, before.burst, after.burst)]
        {
            if after != before {
                let cost = after.raw() - before.raw().max(now.0);
                let add = |raw: u64| Some(raw.max(now.0).saturating_add(cost));
                // It never gives up: `add` always has an answer.
                let _ = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
            }
        }
        let now_held = Buckets { regular: load(&self.regular), burst: load(&self.burst) };
        Some(now_held.opens_at(&self.options.rate)).filter(|opens_at| *opens_at > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringmq_core::limit::Rate;

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    fn gate(options: GateOptions) -> Gates {
        Gates::new([options])
    }

    const PEER: &str = "10.1.2.3";

    fn enter(gates: &Gates, peer: &str, now: Time) -> Entry {
        gates.enter(0, peer.parse().expect("an address"), now)
    }

    fn rule(allow: bool, network: Option<(&str, u8)>) -> AccessRule {
        AccessRule { allow, network: network.map(|(address, prefix)| (address.parse().expect("an address"), prefix)) }
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let access_rules = vec![
            rule(false, Some(("10.1.2.3", 32))),
            rule(true, Some(("10.0.0.0", 8))),
            rule(true, Some(("fe80::", 10))),
            rule(false, None),
        ];
        let gates = gate(GateOptions { access_rules, ..GateOptions::default() });
        let admitted = |peer: &str| enter(&gates, peer, at(0)) != Entry::Denied;
        assert!(!admitted("10.1.2.3") && admitted("10.1.2.4") && !admitted("11.0.0.1"));
        assert!(admitted("fe80::1") && admitted("febf::1") && !admitted("fec0::1") && !admitted("::1"));
        assert_eq!(gates.facts(0).map(|facts| (facts.connections, facts.denied)), Some((3, 4)));
        let open = gate(GateOptions { access_rules: vec![rule(false, Some((PEER, 32)))], ..GateOptions::default() });
        assert_ne!(enter(&open, "1.2.3.4", at(0)), Entry::Denied, "without a match everybody may");
        assert!(rule(true, Some(("0.0.0.0", 0))).matches("1.2.3.4".parse().expect("an address")));
        assert!(!rule(true, Some(("0.0.0.0", 0))).matches("::1".parse().expect("an address")));
    }

    #[test]
    fn no_more_than_so_many_are_within() {
        let gates = gate(GateOptions { max_connections: 2, ..GateOptions::default() });
        let admitted = Entry::Admitted { pause_until: None };
        assert_eq!([(); 3].map(|()| enter(&gates, PEER, at(0))), [admitted, admitted, Entry::Full]);
        gates.leave(0);
        assert_eq!([(); 2].map(|()| enter(&gates, PEER, at(0))), [admitted, Entry::Full]);
        assert_eq!(gates.facts(0).map(|facts| (facts.connections, facts.turned_away)), Some((2, 2)));
    }

    #[test]
    fn a_listener_without_a_gate_lets_everybody_in() {
        let gates = Gates::default();
        assert_eq!(gates.enter(7, PEER.parse().expect("an address"), at(0)), Entry::Admitted { pause_until: None });
        gates.leave(7);
        assert_eq!(gates.facts(7), None);
    }

    #[test]
    fn connections_above_the_rate_have_to_wait() {
        let rate = Rate::new(10, 1_000_000_000);
        let gates = gate(GateOptions { rate: Allowance { rate, burst: None }, ..GateOptions::default() });
        let pause = |now: Time| match enter(&gates, PEER, now) {
            Entry::Admitted { pause_until } => pause_until,
            other => panic!("{other:?}"),
        };
        assert!((0..9).all(|_| pause(at(5000)).is_none()));
        assert_eq!(pause(at(5000)), Some(at(5100)), "the tenth was the last");
        assert_eq!(pause(at(5000)), Some(at(5200)), "one that came all the same is paid for later");
        assert_eq!(pause(at(5300)), None, "two were left");
        assert_eq!(pause(at(5300)), Some(at(5400)));
    }

    #[test]
    fn shards_share_a_gate() {
        let rate = Rate::new(1000, 3_600_000_000_000);
        let options = GateOptions { rate: Allowance { rate, burst: None }, ..GateOptions::default() };
        let gates = gate(options);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..500).for_each(|_| assert_ne!(enter(&gates, PEER, at(1000)), Entry::Full)));
            }
        });
        assert_eq!(gates.facts(0).map(|facts| facts.connections), Some(2000));
        // 2000 connections of 3.6 s each, and the bucket held 1000.
        assert_eq!(gates.0[0].0.regular.load(Ordering::Relaxed), at(1000 + 2000 * 3600).0);
    }
}
