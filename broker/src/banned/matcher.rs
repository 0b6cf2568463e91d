//! The list of bans in the form in which shards ask it. It does not change: a change makes a new one.

use super::Rules;
use super::who::{Expression, Net, Who};
use ringmq_core::banned::{Applicant, BanList};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The second since 1970 at which a ban ends, or [`u64::MAX`].
type Until = u64;

/// Bans by what finds them: a table each for what is exact, lists for the others.
#[derive(Debug, Default)]
struct Tables {
    client_ids: HashMap<Arc<str>, Until>,
    usernames: HashMap<Arc<str>, Until>,
    hosts: HashMap<IpAddr, Until>,
    client_id_expressions: Vec<(Expression, Until)>,
    username_expressions: Vec<(Expression, Until)>,
    nets: Vec<(Net, Until)>,
}

/// Shared by the shards.
#[derive(Debug, Clone)]
pub(crate) struct Matcher(Arc<Tables>);

impl Matcher {
    /// What shards ask; `None` without bans.
    pub(super) fn new(rules: &Rules) -> Option<Self> {
        if rules.is_empty() {
            return None;
        }
        let mut tables = Tables::default();
        for (who, rule) in rules.iter() {
            let until = rule.until_s.unwrap_or(Until::MAX);
            match who {
                Who::ClientId(text) => {
                    tables.client_ids.insert(Arc::clone(text), until);
                }
                Who::Username(text) => {
                    tables.usernames.insert(Arc::clone(text), until);
                }
                Who::PeerHost(address) => {
                    tables.hosts.insert(*address, until);
                }
                Who::ClientIdRe(expression) => tables.client_id_expressions.push((expression.clone(), until)),
                Who::UsernameRe(expression) => tables.username_expressions.push((expression.clone(), until)),
                Who::PeerHostNet(net) => tables.nets.push((*net, until)),
            }
        }
        Some(Self(Arc::new(tables)))
    }

    /// As a shard takes it.
    pub(crate) fn boxed(list: Option<&Self>) -> Option<Box<dyn BanList>> {
        list.map(|list| Box::new(list.clone()) as Box<dyn BanList>)
    }
}

impl BanList for Matcher {
    fn bans(&self, applicant: &Applicant<'_>, unix_s: u64) -> bool {
        let tables = &*self.0;
        let holds = |until: &Until| unix_s < *until;
        let found = |expressions: &[(Expression, Until)], text: &str| {
            expressions.iter().any(|(expression, until)| holds(until) && expression.is_match(text))
        };
        tables.client_ids.get(applicant.client_id).is_some_and(holds)
            || tables.hosts.get(&applicant.peer).is_some_and(holds)
            || applicant.username.is_some_and(|username| {
                tables.usernames.get(username).is_some_and(holds) || found(&tables.username_expressions, username)
            })
            || tables.nets.iter().any(|(net, until)| holds(until) && net.contains(applicant.peer))
            || found(&tables.client_id_expressions, applicant.client_id)
    }
}

#[cfg(test)]
mod tests {
    use super::super::rule::Rule;
    use super::*;

    #[test]
    fn each_kind_finds_its_clients_until_its_time_is_over() {
        let rule = |until_s| Rule { by: String::new(), reason: String::new(), at_s: 0, until_s };
        for (kind, who) in [
            ("clientid", "c-1"),
            ("username", "alice"),
            ("peerhost", "10.0.0.1"),
            ("clientid_re", "^c-[0-9]"),
            ("username_re", "lic"),
            ("peerhost_net", "10.0.0.0/8"),
        ] {
            let mut rules = Rules::default();
            assert!(Matcher::new(&rules).is_none());
            rules.insert(Who::parse(kind, who).expect("right"), rule(Some(100)));
            let list = Matcher::new(&rules).expect("a list");
            let peer = |text: &str| text.parse().expect("an address");
            let meant = Applicant { client_id: "c-1", username: Some("alice"), peer: peer("10.0.0.1") };
            let other = Applicant { client_id: "d-1", username: Some("bob"), peer: peer("11.0.0.1") };
            assert!(list.bans(&meant, 99) && !list.bans(&meant, 100), "{kind}");
            assert!(!list.bans(&other, 0) && !list.bans(&Applicant { username: None, ..other }, 0), "{kind}");
            rules.insert(Who::parse(kind, who).expect("right"), rule(None));
            assert!(Matcher::new(&rules).expect("a list").bans(&meant, u64::MAX - 1), "{kind}");
        }
    }
}
