//! Submission, completion, waiting.

use super::token::{Op, is_tracked, parse, token};
use crate::probe::Features;
use io_uring::{EnterFlags, IoUring, cqueue, opcode, squeue, types};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// Completion queue entries for each submission queue entry: one multishot receive completes many times.
const COMPLETIONS_PER_SUBMISSION: u32 = 8;

/// How long to wait for the kernel to let go of everything when a shard ends.
const QUIESCE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long one attempt at that waits for a completion.
const QUIESCE_STEP: Duration = Duration::from_millis(50);

/// One io_uring instance.
pub(super) struct Ring {
    ring: IoUring,
    /// Entries the submission queue had no room for even after a kernel entry.
    overflow: VecDeque<squeue::Entry>,
    /// Operations whose last completion has not been reaped.
    tracked: usize,
    /// Kernel entries made.
    pub(super) enters: u64,
}

impl Ring {
    pub(super) fn new(features: &Features, submission_entries: u32) -> io::Result<Self> {
        let entries = submission_entries.next_power_of_two().clamp(8, 32_768);
        let ring = features.builder().setup_cqsize(entries * COMPLETIONS_PER_SUBMISSION).build(entries)?;
        Ok(Self { ring, overflow: VecDeque::new(), tracked: 0, enters: 0 })
    }

    pub(super) fn fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }

    pub(super) fn uring(&self) -> &IoUring {
        &self.ring
    }

    /// Queues an operation for the next kernel entry.
    ///
    /// # Safety
    /// Memory that the entry points to stays valid, and that which the kernel writes unaliased, until the operation's
    /// last completion has been reaped.
    pub(super) unsafe fn push(&mut self, entry: squeue::Entry) {
        let op = parse(entry.get_user_data()).0;
        self.tracked += usize::from(is_tracked(op));
        if !self.overflow.is_empty() || !self.try_push(&entry) {
            self.overflow.push_back(entry);
            self.refill();
        }
    }

    fn try_push(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: `push` has passed the caller's promise on.
        unsafe { self.ring.submission().push(entry) }.is_ok()
    }

    /// Moves overflowed entries into the queue, submitting as often as that makes room.
    fn refill(&mut self) {
        while let Some(entry) = self.overflow.pop_front() {
            if self.try_push(&entry) {
                continue;
            }
            let submitted = self.enter(0, EnterFlags::empty());
            if !self.try_push(&entry) {
                // The kernel takes nothing now (it is short of memory); the next turn tries again.
                let _ = submitted;
                self.overflow.push_front(entry);
                return;
            }
        }
    }

    fn enter(&mut self, want: u32, flags: EnterFlags) -> io::Result<()> {
        self.enters += 1;
        let queued = u32::try_from(self.ring.submission().len()).unwrap_or(u32::MAX);
        // SAFETY: no argument is passed, and the queue holds `queued` valid entries.
        let result = unsafe { self.ring.submitter().enter::<libc::sigset_t>(queued, want, flags.bits(), None) };
        tolerate(result.map(|_| ()))
    }

    /// True if completions are waiting to be reaped.
    pub(super) fn has_completions(&mut self) -> bool {
        !self.ring.completion().is_empty()
    }

    /// True if a kernel entry would do something: there are entries to submit, or deferred work to run.
    pub(super) fn wants_entry(&mut self) -> bool {
        let queue = self.ring.submission();
        !queue.is_empty() || queue.taskrun() || queue.cq_overflow() || !self.overflow.is_empty()
    }

    /// Enters the kernel without waiting: submits, and collects what is complete.
    pub(super) fn poll(&mut self) -> io::Result<()> {
        self.refill();
        self.enter(0, EnterFlags::GETEVENTS)
    }

    /// Submits, and sleeps until something completes or `timeout` has passed.
    ///
    /// Sends usually complete at once, so that a wait which submits some ends at once, too, and the turn after it waits
    /// in earnest. Asking for one completion more than there are sends, with a minimum wait in case one of them does
    /// not complete, saves that turn; but the timer this takes costs as much, and once it expires, more: at 4,000
    /// messages a second 21 us of CPU time a message against 16.
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.refill();
        let Some(timeout) = timeout else { return self.enter(1, EnterFlags::GETEVENTS) };
        self.enters += 1;
        let spec = types::Timespec::from(timeout);
        let args = types::SubmitArgs::new().timespec(&spec);
        tolerate(self.ring.submitter().submit_with_args(1, &args).map(|_| ()))
    }

    /// Takes up to `max` completions.
    pub(super) fn reap(&mut self, batch: &mut Vec<cqueue::Entry>, max: usize) {
        batch.clear();
        batch.extend(self.ring.completion().take(max));
        let ended = |entry: &&cqueue::Entry| !cqueue::more(entry.flags()) && is_tracked(parse(entry.user_data()).0);
        self.tracked -= batch.iter().filter(ended).count();
    }

    /// Cancels everything and waits until the kernel uses no memory of ours. False if it does not let go in time.
    pub(super) fn quiesce(&mut self) -> bool {
        let give_up = Instant::now() + QUIESCE_TIMEOUT;
        let mut batch = Vec::new();
        loop {
            let cancel = opcode::AsyncCancel2::new(types::CancelBuilder::any()).build();
            // SAFETY: a cancellation points to no memory.
            unsafe { self.push(cancel.user_data(token(Op::Nothing, 0, 0))) };
            // The first entry also submits what the last turn queued, such as closes. Should one fail, the loop tries
            // again until its time is over.
            let _ = self.wait(Some(QUIESCE_STEP));
            self.reap(&mut batch, usize::MAX);
            for completion in &batch {
                if parse(completion.user_data()).0 == Op::Accept && completion.result() >= 0 {
                    // SAFETY: the kernel has just made this descriptor and nobody else knows it.
                    drop(unsafe { OwnedFd::from_raw_fd(completion.result()) });
                }
            }
            if self.tracked == 0 || Instant::now() >= give_up {
                break;
            }
        }
        self.tracked == 0
    }
}

/// Outcomes of a kernel entry that only mean "look again": a signal, the time-out, a shortage that the completions
/// about to be reaped relieve.
fn tolerate(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::EINTR | libc::ETIME | libc::EAGAIN | libc::EBUSY | libc::ENOMEM)
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}
