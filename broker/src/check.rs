//! `check-config` and `print-config`: what the configuration says, without running a broker.

use crate::banner;
use crate::config::{Loaded, Problems};

/// Tells all that is wrong or odd; true if nothing is wrong.
pub(crate) fn report(loaded: &Result<Loaded, Problems>) -> bool {
    match loaded {
        Ok(loaded) => {
            loaded.warnings.iter().for_each(|warning| banner::warn(warning));
            let warnings = match loaded.warnings.len() {
                0 => String::new(),
                1 => " (1 warning)".to_owned(),
                many => format!(" ({many} warnings)"),
            };
            banner::say(&format!("the configuration is right{warnings}\n"));
            true
        }
        Err(problems) => {
            banner::fail(&problems.0);
            false
        }
    }
}

/// Every key with its effective value, as lines of a file; with `origin`, a comment on each says where it came from.
pub(crate) fn print(loaded: &Loaded, origin: bool) -> String {
    let line = |row: &crate::config::Row| match origin {
        true => format!("{} = {}  # {}\n", row.key, row.value, row.origin_text()),
        false => format!("{} = {}\n", row.key, row.value),
    };
    loaded.rows().iter().map(line).collect()
}
