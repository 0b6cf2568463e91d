//! Parts of a second, of threads or of workers, on their way to a whole one.
//!
//! Absent: waiting for a part that does not come. When somebody is a second ahead, what there is counts as the whole.

use super::Second;

/// The second that not everybody has handed over yet.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    second: Second,
    /// Parts it has.
    parts: usize,
}

impl Gathering {
    /// Adds a part of a second that has `of` of them; returns the last second that this completes, if any.
    pub(super) fn add(&mut self, part: &Second, of: usize) -> Option<Second> {
        let mut whole = None;
        if self.parts > 0 && part.number > self.second.number {
            whole = Some(self.take());
        }
        if self.parts == 0 {
            self.second.number = part.number;
        }
        self.second.merge(part);
        self.parts += 1;
        if self.parts == of {
            whole = Some(self.take());
        }
        whole
    }

    fn take(&mut self) -> Second {
        self.parts = 0;
        std::mem::take(&mut self.second)
    }
}
