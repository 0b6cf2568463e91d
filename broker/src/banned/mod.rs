//! Banned clients (EMQX's `banned`): the list, its file, and the form in which shards ask it.
//!
//! The list is kept in `banned.json` in the data directory, which is replaced as a whole with every change. Shards never
//! see a list change: they are handed a new one.
//!
//! Absent: bringing a list to the shards, which is the console's work.

mod bootstrap;
mod file;
mod matcher;
mod rule;
mod who;

pub(crate) use file::BanFile;
pub(crate) use matcher::Matcher;
pub(crate) use rule::{INFINITY, Rule, parse_until, written_until};
pub(crate) use who::Who;

use crate::config::Problem;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;

/// Most bans.
pub(crate) const RULES_MAX: usize = 65_536;

/// Most bans by expression or network: each CONNECT is held against every one of them.
pub(crate) const PATTERNS_MAX: usize = 256;

/// The bans, in the order in which they are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rules(BTreeMap<Who, Rule>);

impl Rules {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Who, &Rule)> {
        self.0.iter()
    }

    /// Those from `first` on.
    pub(crate) fn starting_at(&self, first: Option<&Who>) -> impl Iterator<Item = (&Who, &Rule)> {
        self.0.range((first.map_or(Bound::Unbounded, Bound::Included), Bound::Unbounded))
    }

    pub(crate) fn get(&self, who: &Who) -> Option<&Rule> {
        self.0.get(who)
    }

    fn insert(&mut self, who: Who, rule: Rule) {
        self.0.insert(who, rule);
    }

    /// Takes a ban up; one of the same clients is replaced.
    ///
    /// # Errors
    /// There are too many, or a text is too long.
    pub(crate) fn add(&mut self, who: Who, rule: Rule) -> Result<(), Problem> {
        rule.check().map_err(Problem::new)?;
        if !self.0.contains_key(&who) {
            let patterns = if who.is_pattern() { self.0.keys().filter(|who| who.is_pattern()).count() } else { 0 };
            if self.0.len() >= RULES_MAX {
                return Err(Problem::new(format!("there are {RULES_MAX} bans already")));
            }
            if patterns >= PATTERNS_MAX {
                let problem = Problem::new(format!("there are {PATTERNS_MAX} bans by expression or network already"));
                return Err(problem.with_help("every CONNECT is held against each of them; write fewer, wider ones"));
            }
        }
        self.insert(who, rule);
        Ok(())
    }

    /// Takes a ban back; gives it if there was one.
    pub(crate) fn remove(&mut self, who: &Who) -> Option<Rule> {
        self.0.remove(who)
    }

    /// Forgets those that are over; true if there were any.
    pub(crate) fn expire(&mut self, now_s: u64) -> bool {
        let before = self.0.len();
        self.0.retain(|_, rule| rule.holds(now_s));
        self.0.len() < before
    }

    /// What shards ask; `None` without bans.
    pub(crate) fn matcher(&self) -> Option<Matcher> {
        Matcher::new(self)
    }
}

/// The bans at the start: those of the file, or, where there are none, those of the bootstrap file, which are then kept.
///
/// # Errors
/// A file cannot be read or written, or is not right.
pub(crate) fn open(data_dir: &Path, bootstrap: Option<&Path>) -> Result<(BanFile, Rules), Problem> {
    let file = BanFile::within(data_dir);
    let mut rules = file.read()?;
    if rules.is_empty()
        && let Some(bootstrap) = bootstrap
    {
        rules = bootstrap::read(bootstrap)?;
        file.write(&rules)?;
    }
    Ok((file, rules))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Dir;

    fn who(kind: &str, text: &str) -> Who {
        Who::parse(kind, text).expect("right")
    }

    #[test]
    fn bans_end_at_their_time() {
        let mut rules = Rules::default();
        rules.add(who("clientid", "a"), Rule::from_now("me", "", Some(100))).expect("added");
        rules.add(who("clientid", "b"), Rule::from_now("me", "", None)).expect("added");
        assert!(!rules.expire(99));
        assert!(rules.expire(100) && rules.get(&who("clientid", "b")).is_some());
        assert_eq!(rules.iter().count(), 1);
    }

    #[test]
    fn their_number_and_their_texts_are_bounded() {
        let mut rules = Rules::default();
        for number in 0..PATTERNS_MAX {
            rules.add(who("clientid_re", &format!("x{number}")), Rule::from_now("", "", None)).expect("added");
        }
        let refused = rules.add(who("peerhost_net", "10.0.0.0/8"), Rule::from_now("", "", None));
        assert!(refused.expect_err("too many").message.contains("256 bans by expression or network"));
        rules.add(who("clientid_re", "x7"), Rule::from_now("again", "", None)).expect("in the place of the one before");
        assert_eq!(rules.get(&who("clientid_re", "x7")).expect("there").by, "again");
        assert!(rules.add(who("clientid", "a"), Rule::from_now(&"x".repeat(1025), "", None)).is_err());
        for number in PATTERNS_MAX..RULES_MAX {
            rules.add(who("clientid", &number.to_string()), Rule::from_now("", "", None)).expect("added");
        }
        assert!(rules.add(who("clientid", "one more"), Rule::from_now("", "", None)).is_err());
    }

    #[test]
    fn the_bootstrap_file_counts_only_where_there_is_no_ban() {
        let dir = Dir::new("banned");
        dir.write("first.csv", "as,who\nclientid,from the file\n");
        let data = dir.path("data");
        let (file, rules) = open(&data, Some(&dir.path("first.csv"))).expect("right");
        assert!(rules.get(&who("clientid", "from the file")).is_some());
        assert_eq!(open(&data, None).expect("right").1, rules, "it is kept");
        let mut rules = Rules::default();
        rules.add(who("username", "u"), Rule::from_now("", "", None)).expect("added");
        file.write(&rules).expect("written");
        assert_eq!(open(&data, Some(&dir.path("first.csv"))).expect("right").1, rules);
    }
}
