//! The file of settings changed while the broker runs: `configs/cluster.hocon` in the data directory, as in EMQX.
//!
//! It is rewritten as a whole: comments and substitutions do not survive, values and keys of EMQX that ringmq does not
//! have do. The version before is kept beside it.

use super::error::Problem;
use super::hocon::{self, Node, Object, Value};
use super::values::quoted;
use crate::durable;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Earlier versions that are kept, as many as EMQX keeps.
const BACKUPS_MAX: usize = 10;

const HEAD: &str =
    "# Settings changed while the broker ran. Written by ringmq: edit it only while the broker is stopped.\n";

/// Where it is.
pub(crate) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("configs").join("cluster.hocon")
}

/// A change that the file has, and what was there before it.
#[derive(Debug)]
pub(crate) struct Kept {
    file: PathBuf,
    /// `None` if there was no file.
    before: Option<Vec<u8>>,
}

impl Kept {
    /// Puts back what was there before the change.
    ///
    /// # Errors
    /// The file cannot be written: it has the change, which will hold from the next start.
    pub(crate) fn take_back(self) -> Result<(), Problem> {
        let done = match &self.before {
            Some(before) => durable::replace(&self.file, before),
            None => fs::remove_file(&self.file),
        };
        done.map_err(|error| {
            Problem::new(format!("the change cannot be taken out of {} again: {error}", self.file.display()))
                .with_help("remove it there, or it holds from the next start")
        })
    }
}

/// What the file has, and its bytes; nothing if there is none.
///
/// # Errors
/// It cannot be read, or is not right.
pub(super) fn read(file: &Path) -> Result<(Object, Option<Vec<u8>>), Problem> {
    let explain = |error: io::Error| Problem::new(format!("cannot read {}: {error}", file.display()));
    if !fs::exists(file).map_err(explain)? {
        return Ok((Object::default(), None));
    }
    let before = fs::read(file).map_err(explain)?;
    let root = hocon::load(file, &|name| std::env::var(name).ok()).map_err(Problem::from)?.root;
    Ok((root, Some(before)))
}

/// Adds a value to the file and makes the change durable; the old file is there until the new one is complete.
///
/// # Errors
/// The file cannot be read or written; nothing has changed.
pub(super) fn keep(file: &Path, path: &[String], node: Node) -> Result<Kept, Problem> {
    let (mut object, before) = read(file)?;
    // A table takes the place of the one before instead of being laid over it.
    object.merge(Object::single(path, Node { place: node.place.clone(), value: Value::Null }));
    object.merge(Object::single(path, node));
    write(file, &object, before)
}

/// Puts this in the place of all that the file has, as durably.
///
/// # Errors
/// The file cannot be read or written; nothing has changed.
pub(super) fn keep_all(file: &Path, object: &Object) -> Result<Kept, Problem> {
    let (_, before) = read(file)?;
    write(file, object, before)
}

fn write(file: &Path, object: &Object, before: Option<Vec<u8>>) -> Result<Kept, Problem> {
    let mut text = HEAD.to_owned();
    write_entries(object, 0, &mut text);
    let explain = |error: io::Error| Problem::new(format!("cannot write {}: {error}", file.display()));
    replace(file, &text).map_err(explain)?;
    Ok(Kept { file: file.to_owned(), before })
}

fn replace(file: &Path, text: &str) -> io::Result<()> {
    if file.exists() {
        let directory = file.parent().unwrap_or(Path::new("."));
        let mut millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let name = |millis| file.with_extension(format!("hocon.{millis:013}.bak"));
        while name(millis).exists() {
            millis += 1;
        }
        fs::copy(file, name(millis))?;
        drop_old_backups(file, directory)?;
    }
    durable::replace(file, text.as_bytes())
}

fn drop_old_backups(file: &Path, directory: &Path) -> io::Result<()> {
    let prefix = format!("{}.", file.file_name().unwrap_or_default().to_string_lossy());
    let mut backups: Vec<PathBuf> = fs::read_dir(directory)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(&prefix) && name.ends_with(".bak")
        })
        .collect();
    // Names of one length with the time in them: the oldest first.
    backups.sort();
    let surplus = backups.len().saturating_sub(BACKUPS_MAX);
    backups.iter().take(surplus).try_for_each(fs::remove_file)
}

fn write_entries(object: &Object, depth: usize, text: &mut String) {
    for entry in &object.entries {
        let indent = "  ".repeat(depth);
        let _ = write!(text, "{indent}{} = ", quoted_key(&entry.key));
        write_value(&entry.node.value, depth, text);
        text.push('\n');
    }
}

fn quoted_key(key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if plain && key != "include" { key.to_owned() } else { quoted(key) }
}

fn write_value(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Text(scalar) => text.push_str(&super::values::written(scalar)),
        Value::List(elements) => {
            text.push('[');
            for (index, element) in elements.iter().enumerate() {
                text.push_str(if index == 0 { "" } else { ", " });
                write_value(&element.value, depth, text);
            }
            text.push(']');
        }
        Value::Object(object) => {
            text.push_str("{\n");
            write_entries(object, depth + 1, text);
            text.push_str(&"  ".repeat(depth));
            text.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Dir;

    fn node(text: &str) -> Node {
        hocon::parse_value(text, "test").expect("a value")
    }

    fn keep_at(file: &Path, path: &str, text: &str) {
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        keep(file, &path, node(text)).expect("written");
    }

    #[test]
    fn a_change_can_be_taken_back() {
        let dir = Dir::new("taken-back");
        let file = path(&dir.path("."));
        let change = |value: &str| keep(&file, &["mqtt".to_owned(), "max_inflight".to_owned()], node(value));
        change("1").expect("written").take_back().expect("taken back");
        assert!(!file.exists(), "there was none");
        change("2").expect("written");
        let before = fs::read_to_string(&file).expect("a file");
        change("3").expect("written").take_back().expect("taken back");
        assert_eq!(fs::read_to_string(&file).expect("a file"), before);
    }

    #[test]
    fn values_are_added_and_what_was_there_stays() {
        let dir = Dir::new("overrides");
        let file = path(&dir.path("data"));
        dir.write(
            "data/configs/cluster.hocon",
            "dashboard { listeners.http.bind = 1, list = [1, {a = \"b c\"}, null] }\n\"odd key\" = \"x\\\"\"\n\
             mqtt { max_inflight = 4, mqueue_priorities { \"a/b\" = 2 } }",
        );
        keep_at(&file, "mqtt.max_inflight", "64");
        keep_at(&file, "mqtt.mqueue_priorities", "{\"c/d\" = 3}");
        let text = fs::read_to_string(&file).expect("a file");
        let expected = "dashboard = {\n  listeners = {\n    http = {\n      bind = 1\n    }\n  }\n  list = [1, {\n    \
                        a = \"b c\"\n  }, null]\n}\n\"odd key\" = \"x\\\"\"\nmqtt = {\n  max_inflight = 64\n  \
                        mqueue_priorities = {\n    \"c/d\" = 3\n  }\n}\n";
        assert_eq!(text.strip_prefix(HEAD), Some(expected));
    }

    #[test]
    fn earlier_versions_are_kept_but_not_for_ever() {
        let dir = Dir::new("backups");
        let file = path(&dir.path("."));
        for number in 0..3 {
            dir.write(&format!("configs/cluster.hocon.{number:013}.bak"), "");
        }
        for number in 0..12 {
            keep_at(&file, "mqtt.max_inflight", &number.to_string());
        }
        let names = |end: &str| {
            let found = fs::read_dir(dir.path("configs")).expect("a directory");
            found.filter(|entry| entry.as_ref().is_ok_and(|e| e.file_name().to_string_lossy().ends_with(end))).count()
        };
        assert_eq!((names(".bak"), names(".new"), names("cluster.hocon")), (BACKUPS_MAX, 0, 1));
        assert!(!dir.path(format!("configs/cluster.hocon.{:013}.bak", 0)).exists(), "the oldest goes first");
    }
}
