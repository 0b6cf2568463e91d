//! Small files of JSON in the data directory, for what a running broker has been told or has seen and should know after
//! a restart. Each is replaced as a whole, durably.
//!
//! Absent: bans, without which a broker does not start, and settings.

use crate::config::Problem;
use crate::durable;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Version of the form of all of them.
const VERSION: u32 = 1;

/// What a file holds: the version, and the fields of what is kept.
#[derive(Serialize, Deserialize)]
struct Document<T> {
    v: u32,
    #[serde(flatten)]
    contents: T,
}

/// One of these files.
#[derive(Debug, Clone)]
pub(crate) struct DataFile {
    path: PathBuf,
    /// What is in it, in words.
    what: &'static str,
}

impl DataFile {
    /// The file of this name.
    pub(crate) fn within(data_dir: &Path, name: &str, what: &'static str) -> Self {
        Self { path: data_dir.join(name), what }
    }

    /// What is kept; `None` if nothing was yet.
    ///
    /// # Errors
    /// The file cannot be read, or is not understood; it is put aside then, so that what is kept from now on does not
    /// take its place.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<Option<T>, Problem> {
        let (what, name) = (self.what, self.path.display());
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Problem::new(format!("cannot read the {what} in {name}: {error}"))),
        };
        let why = match serde_json::from_slice::<Document<T>>(&text) {
            Ok(document) if document.v == VERSION => return Ok(Some(document.contents)),
            Ok(document) => format!("they are of version {}, this is {VERSION}", document.v),
            Err(error) => error.to_string(),
        };
        let mut aside = OsString::from(&self.path);
        aside.push(".bad");
        let problem = Problem::new(format!("the {what} in {name} are not understood: {why}"));
        Err(match fs::rename(&self.path, &aside) {
            Ok(()) => problem.with_help(format!("put aside as {}; the broker begins without", aside.display())),
            Err(error) => problem.with_help(format!("it cannot be put aside: {error}")),
        })
    }

    /// Keeps this in the place of what was before.
    ///
    /// # Errors
    /// The file cannot be written; the old one is there.
    pub(crate) fn write<T: Serialize>(&self, contents: T) -> Result<(), Problem> {
        let explain =
            |error: String| Problem::new(format!("cannot write the {} to {}: {error}", self.what, self.path.display()));
        let text = serde_json::to_vec_pretty(&Document { v: VERSION, contents }).map_err(|e| explain(e.to_string()))?;
        durable::replace(&self.path, &text).map_err(|error| explain(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Dir;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Things {
        things: Vec<String>,
    }

    #[test]
    fn what_is_written_is_read() {
        let dir = Dir::new("data-file");
        let file = DataFile::within(&dir.path("data"), "things.json", "things");
        assert_eq!(file.read::<Things>(), Ok(None));
        let things = Things { things: vec!["a\n".to_owned(), "ü".to_owned()] };
        file.write(&things).expect("written");
        assert_eq!(file.read(), Ok(Some(things)));
    }

    #[test]
    fn what_is_not_understood_is_put_aside() {
        let dir = Dir::new("bad-data-file");
        let file = DataFile::within(&dir.path(""), "things.json", "things");
        for text in ["", "[]", r#"{"v":2,"things":[]}"#, r#"{"v":1,"things":3}"#] {
            dir.write("things.json", text);
            let problem = file.read::<Things>().expect_err("refused").to_string();
            assert!(problem.contains("the things in ") && problem.contains("things.json.bad"), "{problem}");
            assert_eq!(fs::read_to_string(dir.path("things.json.bad")).expect("aside"), text);
            assert_eq!(file.read::<Things>(), Ok(None));
        }
    }
}
