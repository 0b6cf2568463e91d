//! Which member of a shared subscription gets a message.

use super::Settings;

/// How a shared subscription picks the member that receives a message (`mqtt.shared_subscription_strategy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ShareStrategy {
    /// Any member, each with the same chance.
    Random,
    /// Members in turn, one sequence per publisher connection and group.
    #[default]
    RoundRobin,
    /// Members in turn, one sequence per group.
    RoundRobinPerGroup,
    /// One member per publisher, kept until it leaves.
    Sticky,
    /// Members on the publisher's node first; with one node, the same as [`ShareStrategy::Random`].
    Local,
    /// By hash of the topic.
    HashTopic,
    /// By hash of the publisher's client identifier.
    HashClientId,
}

/// How [`ShareStrategy::Sticky`] picks the member that it then keeps (`mqtt.shared_subscription_initial_sticky_pick`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum StickyPick {
    /// As [`ShareStrategy::Random`].
    #[default]
    Random,
    /// As [`ShareStrategy::Local`].
    Local,
    /// As [`ShareStrategy::HashTopic`], by the topic of the first message.
    HashTopic,
    /// As [`ShareStrategy::HashClientId`]: groups with the same members pick alike.
    HashClientId,
}

/// What a group has of its own (`broker.shared_subscription_group.<group>`); `None` is as for all groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShareGroup {
    /// `strategy`.
    pub strategy: Option<ShareStrategy>,
    /// `initial_sticky_pick`.
    pub initial_sticky_pick: Option<StickyPick>,
}

impl Settings {
    /// The strategy of a group and how it begins, whose name is asked for only where it matters: this is done for every
    /// message.
    pub(crate) fn share_strategy<'a>(&self, group: impl FnOnce() -> &'a str) -> (ShareStrategy, StickyPick) {
        let groups = &self.shared_subscription_groups;
        let own = if groups.is_empty() { None } else { groups.get(group()) };
        let own = own.copied().unwrap_or_default();
        let strategy = own.strategy.unwrap_or(self.shared_subscription_strategy);
        (strategy, own.initial_sticky_pick.unwrap_or(self.shared_subscription_initial_sticky_pick))
    }
}
