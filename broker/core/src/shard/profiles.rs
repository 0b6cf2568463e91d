//! Which settings hold for which client: those of the listener that its connection came by.
//!
//! Usually all listeners share one record; then looking it up is one branch.

use super::Shard;
use super::overload::Load;
use super::retain::slice_len;
use crate::settings::{HIGH_WATERMARK_MIN, Settings};
use alloc::rc::Rc;
use alloc::vec::Vec;

/// The settings of clients, by listener.
pub(super) struct Profiles {
    common: Rc<Settings>,
    /// Empty where all listeners share the common one.
    by_listener: Vec<Rc<Settings>>,
}

impl Profiles {
    /// Also returns what holds for the shard as a whole.
    pub(super) fn new(mut settings: Settings) -> (Rc<Settings>, Self) {
        let by_listener = core::mem::take(&mut settings.for_listeners).into_iter().map(Rc::new).collect();
        let common = Rc::new(settings);
        (Rc::clone(&common), Self { common, by_listener })
    }

    /// What holds for clients of a listener.
    #[inline]
    pub(super) fn of(&self, listener: u16) -> &Rc<Settings> {
        self.by_listener.get(usize::from(listener)).unwrap_or(&self.common)
    }

    /// True if a client of a listener has so much unsent that what comes next has to wait. Most have so little that its
    /// mark need not be looked up.
    #[inline]
    pub(super) fn is_congested(&self, listener: u16, unsent: usize) -> bool {
        unsent >= HIGH_WATERMARK_MIN && unsent >= self.of(listener).high_watermark
    }

    /// Whether any client is to be protected from overload.
    pub(super) fn mind_overload(&self) -> bool {
        self.all().any(|settings| settings.overload.enable)
    }

    /// By how many milliseconds an overloaded shard puts off slices of retained messages, which it gives to clients of all
    /// shards: the longest that some listener's clients are to be protected with.
    pub(super) fn backoff_delay_ms(&self) -> u64 {
        let wanted = self.all().map(|settings| settings.overload).filter(|overload| overload.enable);
        wanted.map(|overload| u64::from(overload.backoff_delay_ms)).max().unwrap_or(0)
    }

    /// Most messages in a slice of a replay that every client's queue can hold.
    pub(super) fn slice_len(&self) -> usize {
        self.all().map(|settings| slice_len(settings)).min().expect("the common one")
    }

    fn all(&self) -> impl Iterator<Item = &Rc<Settings>> {
        core::iter::once(&self.common).chain(&self.by_listener)
    }
}

impl Shard {
    /// Works with these settings from now on.
    pub(super) fn configure(&mut self, settings: Settings) {
        // Steps that are under way elsewhere do not exist: nobody holds the old ones beyond a step.
        (self.hub.settings, self.hub.profiles) = Profiles::new(settings);
        let minded = self.hub.profiles.mind_overload();
        if minded != self.load.is_measured() {
            self.load = Load::new(minded);
        }
    }

    /// What holds for a session that exists.
    pub(super) fn settings_of(&self, session: u32) -> Rc<Settings> {
        let held = self.hub.sessions.get(session).expect("session to look at");
        Rc::clone(self.hub.profiles.of(held.listener))
    }
}
