//! How far the consumers of shared subscriptions lag behind: what waits for each group, and for each of its members.
//!
//! It is put together from the same pages as the list of subscriptions, so no shard does more at a time than for that.

use super::lists::Shards;
use crate::config::Problem;
use ringmq_core::control::{Control as Request, SubscriptionFacts};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Most members of an answer. Others are left out, and the answer says so.
const MEMBERS_MAX: usize = 10_000;

/// One member's share of what waits.
struct Member {
    client_id: Box<str>,
    queued: usize,
    in_flight: usize,
}

/// Groups by their filters, prefix included.
#[derive(Default)]
struct Groups {
    groups: BTreeMap<String, Vec<Member>>,
    members: usize,
    incomplete: bool,
}

impl Groups {
    fn add(&mut self, found: &SubscriptionFacts) {
        let Some(lag) = found.lag else { return };
        if self.members >= MEMBERS_MAX {
            self.incomplete = true;
            return;
        }
        self.members += 1;
        let member = Member { client_id: found.client_id.clone(), queued: lag.queued, in_flight: lag.in_flight };
        self.groups.entry(found.filter.clone()).or_default().push(member);
    }

    fn answer(&self) -> Value {
        let member = |member: &Member| json!({ "clientid": member.client_id, "mqueue_len": member.queued, "inflight_cnt": member.in_flight });
        let group = |(topic, members): (&String, &Vec<Member>)| {
            json!({
                "topic": topic,
                "mqueue_len": members.iter().map(|member| member.queued).sum::<usize>(),
                "inflight_cnt": members.iter().map(|member| member.in_flight).sum::<usize>(),
                "members": members.iter().map(member).collect::<Vec<_>>(),
            })
        };
        json!({ "groups": self.groups.iter().map(group).collect::<Vec<_>>(), "complete": !self.incomplete })
    }
}

impl Shards<'_> {
    /// The shared subscriptions, with what waits for their members: `groups`, and whether these are `complete`.
    pub(super) fn lag(self) -> Result<Value, Problem> {
        let mut groups = Groups::default();
        let request = |from| Request::ListSubscriptions { of: None, from };
        let page = |answer| if let Request::Subscriptions(page) = answer { Some(page) } else { None };
        let seen_all = self.walk(request, page, |found| groups.add(found))?;
        groups.incomplete |= !seen_all;
        Ok(groups.answer())
    }
}
