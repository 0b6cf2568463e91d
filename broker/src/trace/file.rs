//! The traces that run, as they are kept over a restart: `traces.json` in the data directory.

use crate::config::Problem;
use crate::data_file::DataFile;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Its name in the data directory.
const NAME: &str = "traces.json";

/// One of them, in the words that it was asked for with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) value: String,
    pub(super) file: String,
    pub(super) level: String,
    /// When it ends, milliseconds since 1970.
    pub(super) ends_ms: u64,
}

#[derive(Default, Serialize, Deserialize)]
struct Contents {
    traces: Vec<Kept>,
}

/// Where they are kept.
#[derive(Debug)]
pub(super) struct TraceFile(DataFile);

impl TraceFile {
    pub(super) fn within(data_dir: &Path) -> Self {
        Self(DataFile::within(data_dir, NAME, "traces"))
    }

    /// Those that are kept.
    ///
    /// # Errors
    /// The file cannot be read, or is not understood.
    pub(super) fn read(&self) -> Result<Vec<Kept>, Problem> {
        self.0.read::<Contents>().map(|contents| contents.unwrap_or_default().traces)
    }

    /// Keeps these in the place of those before.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn write(&self, traces: Vec<Kept>) -> Result<(), Problem> {
        self.0.write(Contents { traces })
    }
}
