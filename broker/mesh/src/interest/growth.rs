//! How one generation of the shared table follows another while every shard keeps running.
//!
//! ```text
//! Stable     all shards read and write `current`
//!    | some shard finds it crowded and makes `next`
//! Filling    all read `current`; a shard that has noticed writes both and copies its live keys into `next`
//!    | the last shard has copied
//! Switching  `next` is `current` now; a shard that has noticed reads it; all still write both, for the others' sake
//!    | the last shard has noticed
//! Stable     a shard that has noticed lets go of the old generation; the last one frees it
//! ```
//!
//! A shard learns of a transition by one load a turn. The mutex is taken only on a transition: a handful of times for a
//! growth.
//!
//! Absent: the copying, which each shard does for its own keys in slices, see [`Interest`](super::Interest).

use super::slots::{FRESH_PERCENT, SLOTS_MAX, Slots};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};
use crossbeam_utils::CachePadded;
use std::sync::{Arc, PoisonError};

/// The succession of generations.
pub(super) struct Growth {
    /// Number of transitions so far; changed only under the mutex.
    epoch: CachePadded<AtomicU64>,
    state: Mutex<State>,
}

struct State {
    current: Arc<Slots>,
    phase: Phase,
    /// Shards that take part.
    members: u64,
    /// Shards that the next transition waits for.
    awaited: u64,
}

enum Phase {
    Stable,
    Filling { next: Arc<Slots> },
    Switching { previous: Arc<Slots> },
}

/// What a shard has to do from one transition on.
pub(super) struct View {
    pub(super) epoch: u64,
    /// The generation to read, and to write.
    pub(super) current: Arc<Slots>,
    /// The other one to write, if any.
    pub(super) other: Option<Arc<Slots>>,
    /// Whether the live keys are to be copied into the other one.
    pub(super) copy: bool,
    /// Shards that should take a turn soon because of a transition that this call made.
    pub(super) nudge: u64,
}

impl Growth {
    pub(super) fn new(slots: usize) -> Self {
        let current = Arc::new(Slots::new(slots));
        Self {
            epoch: CachePadded::new(AtomicU64::new(0)),
            state: Mutex::new(State { current, phase: Phase::Stable, members: 0, awaited: 0 }),
        }
    }

    /// The number of transitions so far.
    #[inline]
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Adds a shard, which has no key yet.
    ///
    /// # Panics
    /// If the shard takes part already.
    pub(super) fn join(&self, bit: u64) -> View {
        let mut state = self.lock();
        assert!(state.members & bit == 0, "a shard has one interest handle at a time");
        // Nothing waits for it: it has nothing to copy, and it begins with the newest view.
        state.members |= bit;
        self.view(&state)
    }

    /// Removes a shard, which has cleared its bits.
    pub(super) fn leave(&self, bit: u64) {
        let mut state = self.lock();
        state.members &= !bit;
        self.reported(&mut state, bit);
    }

    /// What a shard that has noticed a transition has to do now.
    pub(super) fn follow(&self, bit: u64) -> View {
        let mut state = self.lock();
        let mut nudge = 0;
        if matches!(state.phase, Phase::Switching { .. }) {
            nudge = self.reported(&mut state, bit);
        }
        View { nudge, ..self.view(&state) }
    }

    /// A shard has copied all its keys; returns the shards that should take a turn soon.
    pub(super) fn copied(&self, bit: u64) -> u64 {
        let mut state = self.lock();
        assert!(matches!(state.phase, Phase::Filling { .. }), "keys are copied only while a generation is filled");
        self.reported(&mut state, bit)
    }

    /// Begins a new generation if `crowded` is still the current one; returns the shards that should take a turn soon.
    pub(super) fn begin(&self, crowded: &Arc<Slots>, bit: u64) -> u64 {
        let mut state = self.lock();
        if Arc::ptr_eq(crowded, &state.current) && self.begin_locked(&mut state) { state.members & !bit } else { 0 }
    }

    fn begin_locked(&self, state: &mut State) -> bool {
        if !matches!(state.phase, Phase::Stable) || !state.current.is_crowded() {
            return false;
        }
        let live = state.current.live();
        // Keys that found no slot are not counted: should the next generation overflow as well, another follows.
        let slots = Slots::slots_for(live, FRESH_PERCENT).min(SLOTS_MAX);
        if slots == SLOTS_MAX && Slots::slots_for(live, FRESH_PERCENT) > SLOTS_MAX {
            // As large as it gets, and it would be crowded again: go on with what there is.
            return false;
        }
        state.phase = Phase::Filling { next: Arc::new(Slots::new(slots)) };
        self.transit(state);
        true
    }

    /// A shard has done what the present phase asks of it. Makes the transitions that are due then, and returns the
    /// shards that should take a turn soon because of them.
    fn reported(&self, state: &mut State, bit: u64) -> u64 {
        state.awaited &= !bit;
        if state.awaited != 0 {
            return 0;
        }
        match core::mem::replace(&mut state.phase, Phase::Stable) {
            Phase::Stable => return 0,
            Phase::Filling { next } => {
                let previous = core::mem::replace(&mut state.current, next);
                state.phase = Phase::Switching { previous };
                self.transit(state);
                if state.members == 0 {
                    state.phase = Phase::Stable;
                }
            }
            Phase::Switching { .. } => {
                self.transit(state);
                state.awaited = 0;
            }
        }
        state.members & !bit
    }

    fn transit(&self, state: &mut State) {
        state.awaited = state.members;
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    fn view(&self, state: &State) -> View {
        let (other, copy) = match &state.phase {
            Phase::Stable => (None, false),
            Phase::Filling { next } => (Some(next), true),
            Phase::Switching { previous } => (Some(previous), false),
        };
        View { epoch: self.epoch(), current: Arc::clone(&state.current), other: other.cloned(), copy, nudge: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the state whole: it changes only by the assignments above.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
