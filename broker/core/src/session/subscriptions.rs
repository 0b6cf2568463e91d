//! The filters that a session subscribes to. Most sessions have one, so one costs nothing extra.

use crate::topics::FilterId;
use alloc::vec::Vec;

/// One subscription of a session: a filter of the shard's index, or of its index of shared subscriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Subscription {
    pub(crate) filter: FilterId,
    pub(crate) shared: bool,
}

/// A set of subscriptions, sorted.
#[derive(Debug, Default)]
pub(crate) enum Subscriptions {
    #[default]
    None,
    One(Subscription),
    Many(Vec<Subscription>),
}

impl Subscriptions {
    pub(crate) fn as_slice(&self) -> &[Subscription] {
        match self {
            Self::None => &[],
            Self::One(one) => core::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }

    pub(crate) fn contains(&self, subscription: Subscription) -> bool {
        self.as_slice().binary_search(&subscription).is_ok()
    }

    /// Adds a subscription that is not there yet.
    pub(crate) fn insert(&mut self, subscription: Subscription) {
        match self {
            Self::None => *self = Self::One(subscription),
            Self::One(one) => {
                let mut many = Vec::from([*one, subscription]);
                many.sort_unstable();
                *self = Self::Many(many);
            }
            Self::Many(many) => {
                let at = many.binary_search(&subscription).expect_err("a new subscription");
                many.insert(at, subscription);
            }
        }
    }

    /// Removes a subscription if it is there.
    pub(crate) fn remove(&mut self, subscription: Subscription) {
        match self {
            Self::One(one) if *one == subscription => *self = Self::None,
            Self::None | Self::One(_) => {}
            Self::Many(many) => {
                if let Ok(at) = many.binary_search(&subscription) {
                    many.remove(at);
                }
                if many.is_empty() {
                    *self = Self::None;
                }
            }
        }
    }
}
