//! Names of the strategies of shared subscriptions.

use ringmq_core::settings::{ShareStrategy, StickyPick};

pub(super) const STRATEGIES: [(&str, ShareStrategy); 7] = [
    ("random", ShareStrategy::Random),
    ("round_robin", ShareStrategy::RoundRobin),
    ("round_robin_per_group", ShareStrategy::RoundRobinPerGroup),
    ("sticky", ShareStrategy::Sticky),
    ("local", ShareStrategy::Local),
    ("hash_topic", ShareStrategy::HashTopic),
    ("hash_clientid", ShareStrategy::HashClientId),
];

pub(super) const STRATEGY_NAMES: [&str; STRATEGIES.len()] = {
    let mut names = [""; STRATEGIES.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = STRATEGIES[i].0;
        i += 1;
    }
    names
};

/// `default` and the strategies.
pub(super) const GROUP_STRATEGY_NAMES: [&str; STRATEGIES.len() + 1] = {
    let mut names = ["default"; STRATEGIES.len() + 1];
    let mut i = 0;
    while i < STRATEGIES.len() {
        names[i + 1] = STRATEGIES[i].0;
        i += 1;
    }
    names
};

pub(super) const STICKY_PICKS: [(&str, StickyPick); 4] = [
    ("random", StickyPick::Random),
    ("local", StickyPick::Local),
    ("hash_topic", StickyPick::HashTopic),
    ("hash_clientid", StickyPick::HashClientId),
];

pub(super) const STICKY_PICK_NAMES: [&str; STICKY_PICKS.len()] = ["random", "local", "hash_topic", "hash_clientid"];

/// `default` and these.
pub(super) const GROUP_STICKY_PICK_NAMES: [&str; STICKY_PICKS.len() + 1] =
    ["default", "random", "local", "hash_topic", "hash_clientid"];
