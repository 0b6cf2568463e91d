//! Settings that were skipped because ringmq does not have them: one warning for each group of them, not one for each.

use super::emqx::Standing;
use super::error::{Origin, Problem};

/// Keys that one warning names.
const NAMED_MAX: usize = 6;

/// The settings of one root that stand alike.
#[derive(Debug)]
struct Group {
    root: String,
    standing: Standing,
    keys: Vec<String>,
    /// Where the first of them is.
    origin: Origin,
}

/// All that was skipped, in the order in which groups first appeared.
#[derive(Debug, Default)]
pub(super) struct Skipped(Vec<Group>);

impl Skipped {
    /// Notes a setting of EMQX that has no effect.
    pub(super) fn note(&mut self, path: &[String], standing: Standing, origin: &Origin) {
        let (root, key) = (path.first().cloned().unwrap_or_default(), path.join("."));
        match self.0.iter_mut().find(|group| group.root == root && group.standing == standing) {
            Some(group) if group.keys.contains(&key) => {}
            Some(group) => group.keys.push(key),
            None => self.0.push(Group { root, standing, keys: vec![key], origin: origin.clone() }),
        }
    }

    /// What to tell the operator.
    pub(super) fn warnings(&self) -> impl Iterator<Item = Problem> {
        self.0.iter().map(|group| {
            let (what, help) = match group.standing {
                Standing::NotYet => ("not available yet", "ignored: a setting of EMQX for what ringmq does not do yet"),
                Standing::Never => {
                    ("without meaning here", "ignored: it tunes a part of EMQX that ringmq is not made of; remove it")
                }
            };
            let named = group.keys.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = match group.keys.len().saturating_sub(NAMED_MAX) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            Problem::at(&group.origin, format!("{what}: {named}{more}")).with_help(help)
        })
    }
}
