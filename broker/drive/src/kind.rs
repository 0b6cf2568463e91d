//! The names of the drivers.

use std::fmt;
use std::str::FromStr;

/// Which driver runs a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DriverKind {
    /// Raw io_uring.
    #[default]
    Uring,
    /// Edge-triggered epoll.
    Epoll,
    /// The monoio runtime (cargo feature `monoio`).
    Monoio,
    /// The glommio runtime (cargo feature `glommio`).
    Glommio,
}

impl DriverKind {
    /// All of them, in the order in which help texts list them.
    pub const ALL: [Self; 4] = [Self::Uring, Self::Epoll, Self::Monoio, Self::Glommio];

    /// The name used on command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uring => "uring",
            Self::Epoll => "epoll",
            Self::Monoio => "monoio",
            Self::Glommio => "glommio",
        }
    }

    /// True if [`run`](crate::run) can run it in this build. The kernel may still refuse: see [`probe`](crate::probe()).
    #[must_use]
    pub const fn is_built_in(self) -> bool {
        match self {
            Self::Uring | Self::Epoll => true,
            Self::Monoio => cfg!(feature = "monoio"),
            Self::Glommio => cfg!(feature = "glommio"),
        }
    }
}

impl fmt::Display for DriverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A driver name that is none of [`DriverKind::ALL`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownDriver(String);

impl fmt::Display for UnknownDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown driver `{}`: expected uring, epoll, monoio or glommio", self.0)
    }
}

impl std::error::Error for UnknownDriver {}

impl FromStr for DriverKind {
    type Err = UnknownDriver;

    fn from_str(name: &str) -> Result<Self, UnknownDriver> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| UnknownDriver(name.to_owned()))
    }
}
