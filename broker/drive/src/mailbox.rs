//! Requests from other threads to a shard, and their answers. Rare: a shard looks at one flag a turn, and takes the lock
//! only when something is there.

use ringmq_core::machine::ShardId;
use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Requests that may wait for one shard.
pub(crate) const LETTERS_MAX: usize = 64;

/// A request, and in the end its answer; of a type that the asker and the machine agree on.
pub type Message = Box<dyn Any + Send>;

/// A shard has too many requests waiting already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxFull;

impl fmt::Display for MailboxFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{LETTERS_MAX} requests to a shard are waiting already")
    }
}

impl std::error::Error for MailboxFull {}

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) message: Message,
    pub(crate) sender: Sender<(ShardId, Message)>,
}

impl Letter {
    pub(crate) fn answer(self, from: ShardId) {
        // Whoever asked may have stopped waiting.
        let _ = self.sender.send((from, self.message));
    }
}

/// What waits for one shard.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    waiting: AtomicBool,
    letters: Mutex<VecDeque<Letter>>,
}

impl Mailbox {
    #[inline]
    pub(crate) fn has_mail(&self) -> bool {
        self.waiting.load(Ordering::Acquire)
    }

    /// Takes all.
    #[cold]
    pub(crate) fn take(&self) -> VecDeque<Letter> {
        let mut letters = self.lock();
        self.waiting.store(false, Ordering::Release);
        std::mem::take(&mut letters)
    }

    /// Access to what waits; [`Mailbox::announce`] while it is held, after something was added.
    pub(crate) fn lock(&self) -> MutexGuard<'_, VecDeque<Letter>> {
        // Nothing that can panic happens under the lock.
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn announce(&self) {
        self.waiting.store(true, Ordering::SeqCst);
    }
}
