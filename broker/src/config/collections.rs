//! Values that are more than a scalar: tables, lists of records, lists of texts.

use super::apply::{Loader, Strictness};
use super::error::{Origin, Problem};
use super::hocon::{Node, Object, Value};
use super::keys::{Found, Target, find};
use super::kind::Kind;
use super::records::Record;
use super::values::{self, Given};

impl Loader {
    /// Gives a key that is known to be a table its entries, in the place of those it had.
    pub(super) fn table(&mut self, path: &[String], table: &Object, origin: &Origin) {
        let Found::Key(key, name) = find(path) else { return self.unknown(path, origin, Strictness::Strict) };
        let mut target = Target { config: &mut self.config, name };
        key.kind.begin_table(&mut target);
        let mut entries = Vec::new();
        for entry in &table.entries {
            let checked = match &entry.node.value {
                Value::Text(text) => {
                    entries.push(format!("{} = {}", values::quoted(&entry.key), values::written(text)));
                    key.kind.insert_into(&entry.key, text, &mut target)
                }
                other => Err(format!("cannot be {}", other.kind())),
            };
            if let Err(why) = checked {
                let problem = Problem::at(origin, format!("{}: the number of `{}` {why}", path.join("."), entry.key));
                self.errors.push(problem.with_help(format!("allowed: {}", key.kind.allowed())));
            }
        }
        let text = format!("{{{}}}", entries.join(", "));
        self.given.insert(path.join("."), Given { text, origin: origin.clone() });
    }

    /// Gives a key that is known to be a list its records, in the place of those it had.
    pub(super) fn list(&mut self, path: &[String], items: &[Node], origin: &Origin, fixed: Option<&Origin>) {
        let Found::Key(key, name) = find(path) else { return self.unknown(path, origin, Strictness::Strict) };
        let Kind::List { fields, max, push, .. } = key.kind else { return };
        let full = path.join(".");
        let place = |node: &Node| fixed.cloned().unwrap_or_else(|| Origin::File(node.place.clone()));
        let help = || format!("allowed: {}", key.kind.allowed());
        let mut target = Target { config: &mut self.config, name };
        key.kind.begin_table(&mut target);
        if items.len() > max {
            self.errors.push(Problem::at(origin, format!("{full} has more than {max} records")));
        }
        let mut records = Vec::new();
        for (index, item) in items.iter().enumerate().take(max) {
            let which = format!("{full}, record {}", index + 1);
            let Value::Object(object) = &item.value else {
                let problem = Problem::at(&place(item), format!("{which}: cannot be {}", item.value.kind()));
                self.errors.push(problem.with_help(help()));
                continue;
            };
            let mut given = Vec::new();
            for entry in &object.entries {
                match (fields.iter().find(|field| **field == entry.key), &entry.node.value) {
                    (Some(field), Value::Text(text)) => given.push((*field, text.as_str())),
                    (known, value) => {
                        let why = match known {
                            Some(field) => format!("{field} cannot be {}", value.kind()),
                            None => format!("unknown field {}", entry.key),
                        };
                        let problem = Problem::at(&place(&entry.node), format!("{which}: {why}"));
                        self.errors.push(problem.with_help(help()));
                    }
                }
            }
            let written = |(field, text): &(&str, &str)| format!("{field} = {}", values::written(text));
            records.push(format!("{{{}}}", given.iter().map(written).collect::<Vec<_>>().join(", ")));
            if let Err(wrong) = push(&mut target, &Record(given)) {
                let node = wrong.field.and_then(|field| object.get(field)).unwrap_or(item);
                let what = wrong.field.map_or_else(String::new, |field| format!("{field} "));
                let problem = Problem::at(&place(node), format!("{which}: {what}{}", wrong.why));
                self.errors.push(problem.with_help(help()));
            }
        }
        self.given.insert(full, Given { text: format!("[{}]", records.join(", ")), origin: origin.clone() });
    }

    /// Gives a key that is known to be a list of words its words, in the place of those it had.
    pub(super) fn words(&mut self, path: &[String], items: &[Node], origin: &Origin) {
        let mut words = Vec::new();
        for item in items {
            match &item.value {
                Value::Text(word) => words.push(word.as_str()),
                other => {
                    let message = format!("{}: an element cannot be {}", path.join("."), other.kind());
                    return self.errors.push(Problem::at(origin, message));
                }
            }
        }
        self.text(path, &format!("[{}]", words.join(", ")), origin);
    }

    /// Gives a key that is known to be a list of texts its elements, in the place of those it had.
    pub(super) fn texts(&mut self, path: &[String], items: &[Node], origin: &Origin) {
        let Found::Key(key, name) = find(path) else { return self.unknown(path, origin, Strictness::Strict) };
        let Kind::Texts { max, push, .. } = key.kind else { return };
        let full = path.join(".");
        let mut target = Target { config: &mut self.config, name };
        key.kind.begin_table(&mut target);
        if items.len() > max {
            self.errors.push(Problem::at(origin, format!("{full} has more than {max} elements")));
        }
        let mut texts = Vec::new();
        for item in items.iter().take(max) {
            let checked = match &item.value {
                Value::Text(text) => {
                    texts.push(values::quoted(text));
                    push(&mut target, text).map_err(|why| format!("`{}` {why}", text.escape_debug()))
                }
                other => Err(format!("an element cannot be {}", other.kind())),
            };
            if let Err(why) = checked {
                let problem = Problem::at(origin, format!("{full}: {why}"));
                self.errors.push(problem.with_help(format!("allowed: {}", key.kind.allowed())));
            }
        }
        self.given.insert(full, Given { text: format!("[{}]", texts.join(", ")), origin: origin.clone() });
    }
}
