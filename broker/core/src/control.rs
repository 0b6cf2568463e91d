//! What the process around a shard may ask of it while it runs: the type that travels in
//! [`Input::Control`](crate::machine::Input::Control).
//!
//! Absent: how requests reach a shard, which is the driver's affair.

use crate::settings::Settings;
use alloc::boxed::Box;

/// A request, which the shard replaces by its answer.
#[derive(Debug)]
pub enum Control {
    /// Work with these settings from now on. They bind the next packet of every client; what a connection was given when
    /// it was made (its in-flight window, its keep alive) stays as it is. Never fails and ends no connection. Whoever
    /// asks sees to it that clients keep what they were promised: [`Settings::keep_promises`].
    Configure(Box<Settings>),
    /// The answer to [`Control::Configure`].
    Configured,
}
