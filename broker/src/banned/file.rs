//! The file of bans: `banned.json` in the data directory.

use super::Rules;
use super::rule::Record;
use crate::config::Problem;
use crate::durable;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Its name in the data directory.
const NAME: &str = "banned.json";

/// Version of its form.
const VERSION: u32 = 1;

/// What the file holds.
#[derive(Serialize, Deserialize)]
struct Document {
    v: u32,
    banned: Vec<Record>,
}

/// Where bans are kept.
#[derive(Debug)]
pub(crate) struct BanFile(PathBuf);

impl BanFile {
    pub(super) fn within(data_dir: &Path) -> Self {
        Self(data_dir.join(NAME))
    }

    /// The bans that are kept; none if there is no file.
    ///
    /// # Errors
    /// The file cannot be read, or is not right: a broker that started without it would let everybody in.
    pub(super) fn read(&self) -> Result<Rules, Problem> {
        let name = self.0.display();
        let text = match fs::read(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Rules::default()),
            Err(error) => return Err(Problem::new(format!("cannot read the bans in {name}: {error}"))),
        };
        let wrong = |why: String| {
            Problem::new(format!("the bans in {name} are not understood: {why}"))
                .with_help("put the file right, or move it away to begin without bans")
        };
        let document: Document = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        if document.v != VERSION {
            return Err(wrong(format!("they are of version {}, this is {VERSION}", document.v)));
        }
        let mut rules = Rules::default();
        for record in document.banned {
            let (who, rule) = record.read().map_err(wrong)?;
            rules.add(who, rule)?;
        }
        Ok(rules)
    }

    /// Keeps these bans, durably, in the place of those before.
    ///
    /// # Errors
    /// The file cannot be written; the old one is there.
    pub(crate) fn write(&self, rules: &Rules) -> Result<(), Problem> {
        let banned = rules.iter().map(|(who, rule)| Record::new(who, rule)).collect();
        let text = serde_json::to_vec_pretty(&Document { v: VERSION, banned })
            .unwrap_or_else(|_| unreachable!("texts and numbers are JSON"));
        let explain = |error| Problem::new(format!("cannot write the bans to {}: {error}", self.0.display()));
        durable::replace(&self.0, &text).map_err(explain)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Rule, Who};
    use super::*;
    use crate::scratch::Dir;

    #[test]
    fn what_is_written_is_read() {
        let dir = Dir::new("banfile");
        let file = BanFile::within(&dir.path("data"));
        assert_eq!(file.read(), Ok(Rules::default()));
        let mut rules = Rules::default();
        for (kind, who) in [("clientid", "a\"b\n"), ("peerhost_net", "fd00::/8"), ("username_re", "^x")] {
            let rule = Rule { by: "me".to_owned(), reason: "ü".to_owned(), at_s: 5, until_s: None };
            rules.add(Who::parse(kind, who).expect("right"), rule.clone()).expect("added");
            rules.add(Who::parse("clientid", kind).expect("right"), Rule { until_s: Some(7), ..rule }).expect("added");
        }
        file.write(&rules).expect("written");
        assert_eq!(file.read(), Ok(rules));
    }

    #[test]
    fn a_file_that_is_not_right_is_refused() {
        let dir = Dir::new("badfile");
        let file = BanFile::within(&dir.path(""));
        for text in [
            "",
            "[]",
            r#"{"v":2,"banned":[]}"#,
            r#"{"v":1,"banned":[{"as":"peerhost","who":"x","by":"","reason":"","at":1}]}"#,
        ] {
            dir.write(NAME, text);
            let problem = file.read().expect_err("refused").to_string();
            assert!(
                problem.contains("banned.json are not understood") && problem.contains("move it away"),
                "{problem}"
            );
        }
    }
}
