//! EMQX's levels: syslog's, and as thresholds also `none` and `all`.

/// How grave a note is, the gravest first; or how grave one has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Level {
    /// As a threshold: nothing is grave enough. No note is of this level.
    None,
    /// Nobody can be served.
    Emergency,
    /// Somebody must act now.
    Alert,
    /// A part has failed.
    Critical,
    /// Something has failed.
    Error,
    /// Something is not as it should be, and the broker goes on.
    Warning,
    /// Worth knowing, and nothing is wrong.
    Notice,
    /// What happens.
    Info,
    /// All that happens.
    Debug,
}

impl Level {
    /// All of them, the gravest first.
    const ALL: [Self; 9] = [
        Self::None,
        Self::Emergency,
        Self::Alert,
        Self::Critical,
        Self::Error,
        Self::Warning,
        Self::Notice,
        Self::Info,
        Self::Debug,
    ];

    /// Their names, in the same order, and `all`, which is `debug` by another name: there is nothing below it.
    pub(crate) const NAMES: [&'static str; 10] =
        ["none", "emergency", "alert", "critical", "error", "warning", "notice", "info", "debug", "all"];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// The level with this place in [`Level::NAMES`]; what lies beyond is `all`.
    pub(crate) fn at(index: usize) -> Self {
        Self::ALL.get(index).copied().unwrap_or(Self::Debug)
    }

    /// The level with a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().position(|known| *known == name).map(Self::at)
    }

    /// The level with this number, as `level as u8` gives it.
    pub(super) fn numbered(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// What a note of `tracing` is. Nothing of ours is graver than an error, or a notice.
    pub(crate) fn of(level: tracing::Level) -> Self {
        match level {
            tracing::Level::ERROR => Self::Error,
            tracing::Level::WARN => Self::Warning,
            tracing::Level::INFO => Self::Info,
            tracing::Level::DEBUG | tracing::Level::TRACE => Self::Debug,
        }
    }

    /// What `tracing` has to let through for this threshold.
    pub(crate) fn filter(self) -> tracing::level_filters::LevelFilter {
        use tracing::level_filters::LevelFilter;
        match self {
            Self::None | Self::Emergency | Self::Alert | Self::Critical => LevelFilter::OFF,
            Self::Error => LevelFilter::ERROR,
            Self::Warning | Self::Notice => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_names_and_an_order() {
        for (index, level) in Level::ALL.into_iter().enumerate() {
            assert_eq!((level as usize, Level::named(level.name())), (index, Some(level)));
        }
        assert!(Level::Error < Level::Warning && Level::named("warn").is_none());
        assert_eq!((Level::named("all"), Level::at(9)), (Some(Level::Debug), Level::Debug));
        assert!(Level::named("none").is_some_and(|none| none < Level::Emergency));
    }

    #[test]
    fn a_threshold_lets_through_what_is_as_grave() {
        for threshold in Level::ALL {
            for level in [tracing::Level::ERROR, tracing::Level::WARN, tracing::Level::INFO, tracing::Level::DEBUG] {
                assert_eq!(level <= threshold.filter(), Level::of(level) <= threshold, "{level} at {threshold:?}");
            }
        }
    }
}
