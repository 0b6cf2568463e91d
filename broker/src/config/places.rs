//! Single places of a list, counted from 1: `rewrite.1.dest_topic = x`, `access_rules { 2 = "deny all" }`, and
//! `EMQX_REWRITE__1__RE` in the environment, as in EMQX.
//!
//! What is at a place is laid over what a weaker layer has there; the place behind the last one adds an element.

use super::apply::{Loader, Strictness};
use super::environment;
use super::error::{Origin, Problem};
use super::hocon::{Node, Object, Value};
use super::keys::{Found, find};
use super::kind::Kind;

fn is_list(kind: &Kind) -> bool {
    matches!(kind, Kind::List { .. } | Kind::Texts { .. })
}

/// True for an object that names places of a list of this kind.
pub(super) fn are_places(kind: &Kind, object: &Object) -> bool {
    is_list(kind) && !object.entries.is_empty() && object.entries.iter().all(|entry| place(&entry.key).is_some())
}

/// A place, from 1.
fn place(text: &str) -> Option<usize> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|place| digits && *place > 0)
}

/// The list that a path leads into, if it does, and otherwise the path as it is.
pub(super) fn list_of(path: &[String]) -> &[String] {
    let ends_list = |length: &usize| {
        let leads_on = path.get(*length).is_some_and(|next| place(next).is_some());
        leads_on && matches!(find(&path[..*length]), Found::Key(key, _) if is_list(&key.kind))
    };
    (1..path.len()).find(ends_list).map_or(path, |length| &path[..length])
}

/// The list that a path leads into, with an object that names the place; otherwise both as they are.
pub(super) fn into_list(path: &[String], node: Node) -> (Vec<String>, Node) {
    let list = list_of(path);
    let below = &path[list.len()..];
    if below.is_empty() {
        return (path.to_vec(), node);
    }
    let place = node.place.clone();
    (list.to_vec(), Node { place, value: Value::Object(Object::single(below, node)) })
}

impl Loader {
    /// Lays single places over what a list has so far.
    pub(super) fn places(
        &mut self,
        path: &mut Vec<String>,
        places: &Object,
        origin: &Origin,
        fixed: Option<&Origin>,
        strictness: Strictness,
    ) {
        let full = path.join(".");
        let so_far = self.given.get(&full).and_then(|given| environment::value(&given.text).ok());
        let (mut items, at) = match so_far {
            Some(Node { value: Value::List(items), place }) => (items, place),
            _ => (Vec::new(), places.entries[0].place.clone()),
        };
        let mut numbered: Vec<_> =
            places.entries.iter().filter_map(|entry| Some((place(&entry.key)?, entry))).collect();
        numbered.sort_by_key(|(number, _)| *number);
        for (number, entry) in numbered {
            let length = items.len();
            match items.get_mut(number - 1) {
                Some(Node { value: Value::Object(below), .. }) if matches!(entry.node.value, Value::Object(_)) => {
                    if let Value::Object(above) = &entry.node.value {
                        below.merge(above.clone());
                    }
                }
                Some(item) => *item = entry.node.clone(),
                None if number == length + 1 => items.push(entry.node.clone()),
                None => {
                    let what = format!("{full}.{number}: the list has {length} elements");
                    let place = fixed.cloned().unwrap_or_else(|| Origin::File(entry.place.clone()));
                    let help = format!("allowed: a place from 1 to {}", length + 1);
                    return self.errors.push(Problem::at(&place, what).with_help(help));
                }
            }
        }
        self.node(path, &Node { place: at, value: Value::List(items) }, origin, fixed, strictness);
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Layers, load, set};
    use crate::scratch::Dir;

    const RULES: &str = "rewrite = [{ action = all, source_topic = \"a/#\", re = a, dest_topic = b }]\n\
                         listeners.tcp.default.access_rules = [\"deny 10.0.0.0/8\", \"allow all\"]\n";

    fn rows(file: &str, variables: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
        let dir = Dir::new("places");
        dir.write("r.conf", file);
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let layers = Layers { file: Some(dir.path("r.conf")), variables, ..Layers::default() };
        let loaded = load(&layers).map_err(|problems| problems.0[0].to_string())?;
        Ok(loaded.rows().into_iter().map(|row| (row.key, row.value)).collect())
    }

    fn value(rows: &[(String, String)], key: &str) -> String {
        rows.iter().find(|(known, _)| known == key).expect("a row").1.clone()
    }

    #[test]
    fn a_place_is_laid_over_what_is_there() {
        let variables =
            [("EMQX_REWRITE__1__DEST_TOPIC", "c"), ("EMQX_LISTENERS__TCP__DEFAULT__ACCESS_RULES__2", "deny all")];
        let found = rows(RULES, &variables).expect("right");
        assert_eq!(value(&found, "rewrite"), "[{action = all, source_topic = \"a/#\", re = a, dest_topic = c}]");
        let rules = value(&found, "listeners.tcp.default.access_rules");
        assert_eq!(rules, "[\"deny 10.0.0.0/8\", \"deny all\"]");
    }

    #[test]
    fn the_place_behind_the_last_adds_and_no_other_is_allowed() {
        let found = rows(RULES, &[("EMQX_LISTENERS__TCP__DEFAULT__ACCESS_RULES__3", "deny all")]).expect("right");
        assert!(value(&found, "listeners.tcp.default.access_rules").ends_with(", \"allow all\", \"deny all\"]"));
        let refused = rows(RULES, &[("EMQX_REWRITE__3__RE", "x")]).expect_err("a gap");
        assert!(refused.starts_with("rewrite.3: the list has 1 elements\n  --> environment variable"), "{refused}");
        assert!(rows(RULES, &[("EMQX_REWRITE__2__RE", "x")]).expect_err("the rest").contains("has no action"));
        let of_one_file =
            "rewrite.1 { action = all, source_topic = \"a/#\", re = a, dest_topic = b }\nrewrite.1.re = c";
        let found = rows(of_one_file, &[]).expect("right");
        assert_eq!(value(&found, "rewrite"), "[{action = all, source_topic = \"a/#\", re = c, dest_topic = b}]");
        let found = rows(&format!("{RULES}rewrite.1.re = d\n"), &[]).expect("right");
        assert_eq!(value(&found, "rewrite"), "[{action = all, source_topic = \"a/#\", re = d, dest_topic = b}]");
    }

    #[test]
    fn a_place_that_is_changed_keeps_the_others() {
        let dir = Dir::new("place-set");
        dir.write("r.conf", RULES);
        let layers = Layers { file: Some(dir.path("r.conf")), ..Layers::default() };
        let (file, key) = (dir.path("cluster.hocon"), "listeners.tcp.default.access_rules");
        let first = load(&layers).expect("right");
        let next = set(&first, &format!("{key}.1"), "deny 10.1.0.0/16", &file).expect("changed");
        set(&next, &format!("{key}.3"), "deny all", &file).expect("changed");
        let kept = std::fs::read_to_string(&file).expect("a file");
        assert!(kept.contains("access_rules = [\"deny 10.1.0.0/16\", \"allow all\", \"deny all\"]"), "{kept}");
    }
}
