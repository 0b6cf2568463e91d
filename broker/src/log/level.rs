//! EMQX's levels, which are syslog's.

/// How grave a note is, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Level {
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
    pub(crate) const ALL: [Self; 8] = [
        Self::Emergency,
        Self::Alert,
        Self::Critical,
        Self::Error,
        Self::Warning,
        Self::Notice,
        Self::Info,
        Self::Debug,
    ];

    /// Their names, in the same order.
    pub(crate) const NAMES: [&'static str; 8] =
        ["emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// The level with a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().position(|known| *known == name).map(|index| Self::ALL[index])
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
            Self::Emergency | Self::Alert | Self::Critical => LevelFilter::OFF,
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
