//! Which driver runs the shards: what was asked for, or the best that works here.

use crate::config::Problem;
use ringmq_drive::{DriverKind, Features};
use std::fmt;

/// The driver, and in words what it can do or why it is not the preferred one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The driver.
    pub(crate) kind: DriverKind,
    note: Option<String>,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        self.note.iter().try_for_each(|note| write!(f, " ({note})"))
    }
}

/// Decides, given what the kernel offers.
///
/// # Errors
/// The driver asked for cannot be had.
pub(crate) fn choose(wanted: Option<DriverKind>, features: &Features) -> Result<Choice, Problem> {
    let kind = wanted.unwrap_or_default();
    if !kind.is_built_in() {
        return Err(Problem::new(format!("the {kind} driver is not built in")).with_help("use --driver uring or epoll"));
    }
    match (kind, wanted, &features.refusal) {
        (DriverKind::Uring, Some(_), Some(why)) => {
            Err(Problem::new(format!("the uring driver was asked for, but io_uring cannot be had: {why}"))
                .with_help("use --driver epoll, or leave the choice to ringmq"))
        }
        (DriverKind::Uring, None, Some(why)) => {
            Ok(Choice { kind: DriverKind::Epoll, note: Some(format!("io_uring cannot be had: {why}")) })
        }
        (DriverKind::Uring, _, None) => Ok(Choice { kind, note: Some(features.to_string()) }),
        _ => Ok(Choice { kind, note: None }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without_uring() -> Features {
        Features { refusal: Some("not permitted".to_owned()), ..Features::default() }
    }

    #[test]
    fn io_uring_is_preferred_and_epoll_stands_in() {
        let choice = choose(None, &Features::default()).expect("a driver");
        assert_eq!(choice.kind, DriverKind::Uring);
        let choice = choose(None, &without_uring()).expect("a driver");
        assert_eq!(choice.to_string(), "epoll (io_uring cannot be had: not permitted)");
    }

    #[test]
    fn a_choice_is_kept_or_refused() {
        let choice = choose(Some(DriverKind::Epoll), &Features::default()).expect("a driver");
        assert_eq!(choice.to_string(), "epoll");
        let refused = choose(Some(DriverKind::Uring), &without_uring()).expect_err("refused").to_string();
        assert!(refused.contains("not permitted") && refused.contains("--driver epoll"), "{refused}");
    }
}
