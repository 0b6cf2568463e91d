//! How one task wakes another on the same thread.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// A flag that one task waits for. Raising it before anybody waits is not lost; raising it twice counts once.
#[derive(Debug, Default)]
pub(super) struct Signal {
    raised: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Signal {
    /// Raises the flag and wakes who waits for it.
    pub(super) fn raise(&self) {
        if !self.raised.replace(true)
            && let Some(waker) = self.waiting.take()
        {
            waker.wake();
        }
    }

    /// Takes the flag down if it is up; otherwise it will wake this task.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.raised.take() {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waiting = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Waits until the flag is up, and takes it down.
    pub(super) async fn wait(&self) {
        poll_fn(|cx| self.poll(cx)).await;
    }
}

/// Waits for whichever of two futures is ready first.
pub(super) async fn either(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|cx| {
        if one.as_mut().poll(cx).is_ready() || other.as_mut().poll(cx).is_ready() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_signal_is_kept_until_it_is_waited_for_and_wakes_once() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut cx = Context::from_waker(&waker);
        let signal = Signal::default();
        signal.raise();
        signal.raise();
        assert!(signal.poll(&mut cx).is_ready());
        assert!(signal.poll(&mut cx).is_pending());
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        signal.raise();
        signal.raise();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(signal.poll(&mut cx).is_ready());
        assert!(signal.poll(&mut cx).is_pending());
    }

    #[test]
    fn the_first_of_two_is_enough() {
        let waker = Waker::noop();
        let mut cx = Context::from_waker(waker);
        let (one, other) = (Signal::default(), Signal::default());
        let mut both = pin!(either(one.wait(), other.wait()));
        assert!(both.as_mut().poll(&mut cx).is_pending());
        other.raise();
        assert!(both.as_mut().poll(&mut cx).is_ready());
    }
}
