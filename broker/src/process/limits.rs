//! The limit on open files. Every client is one.

use crate::config::Problem;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Fewer than this is worth a warning: most clients' expectations are above.
const FEW_FILES: u64 = 10_000;

/// Raises the soft limit to the hard limit, and gives what then holds; `None` is unlimited.
pub(crate) fn raise_open_files() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
        // If it fails, the old limit still holds and is what we report.
        if setrlimit(Resource::Nofile, raised).is_ok() {
            limit = raised;
        }
    }
    limit.current
}

/// What to tell the operator of a small limit.
pub(crate) fn warning(files: Option<u64>) -> Option<Problem> {
    let files = files.filter(|files| *files < FEW_FILES)?;
    let problem = Problem::new(format!("at most {files} files may be open, and every client is one"));
    Some(problem.with_help("raise the hard limit: `ulimit -Hn`, or LimitNOFILE= of systemd"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_limit() {
        let raised = raise_open_files();
        assert_eq!(raised, getrlimit(Resource::Nofile).maximum);
        assert_eq!(getrlimit(Resource::Nofile).current, raised);
    }

    #[test]
    fn only_small_limits_are_worth_a_word() {
        assert!(warning(Some(1024)).is_some());
        assert!(warning(Some(1_000_000)).is_none());
        assert!(warning(None).is_none());
    }
}
