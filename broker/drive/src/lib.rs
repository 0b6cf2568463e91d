//! Drivers: what turns a shard's effects into system calls.
//!
//! A driver owns the sockets of one shard and runs one [`Machine`] on the calling thread: it tells the machine what the
//! kernel reports and carries out what the machine asks for. [`run`] is the whole interface; everything before it is
//! preparation that a process does once ([`probe()`], [`listen()`], [`links()`], [`Control::new`]).
//!
//! | driver | what it is |
//! |---|---|
//! | [`DriverKind::Uring`] | the default: one io_uring a shard, one kernel entry a turn |
//! | [`DriverKind::Epoll`] | edge-triggered epoll, for kernels and containers that do not allow io_uring |
//! | [`DriverKind::Monoio`], [`DriverKind::Glommio`] | runtimes to compare with, behind cargo features |
//!
//! Absent here: TLS, WebSocket and every other protocol (machines do that), thread creation and pinning (the caller's
//! affair), and any knowledge of MQTT.

mod clock;
#[cfg(any(feature = "monoio", feature = "glommio"))]
mod comparison;
mod control;
mod epoll;
mod gates;
mod interest;
mod kind;
mod links;
mod listen;
mod mailbox;
mod options;
mod paced;
mod port;
mod probe;
mod shard;
mod socket;
mod stats;
mod table;
mod timers;
mod uring;

pub use control::Control;
pub use gates::{AccessRule, GateFacts, GateOptions, Gates, SharedGate};
pub use interest::MeshInterest;
pub use kind::{DriverKind, UnknownDriver};
pub use links::{Links, links, links_with_capacity};
pub use listen::{ListenerChange, Listening, listen};
pub use mailbox::{MailboxFull, Message};
pub use options::{Options, Setup};
pub use probe::{Features, probe};
pub use ringmq_core::machine::Machine;
pub use stats::Stats;

use std::io;

/// Runs one shard on the calling thread until [`Control::request_stop`] and the machine's last connection is gone, or
/// [`Options::stop_timeout`] has passed.
///
/// # Errors
/// - [`io::ErrorKind::Unsupported`] when `kind` is not built in, the kernel refuses io_uring, or the machine wants times
///   of arrival and `kind` or the kernel does not tell them; the text says what to do instead.
/// - Whatever the operating system answers when a ring, an epoll instance or its buffers cannot be made. Errors of
///   single connections never end a shard; they are told to the machine.
pub fn run<M: Machine>(kind: DriverKind, setup: Setup, machine: M) -> io::Result<Stats> {
    if machine.wants_arrival_times() && kind != DriverKind::Uring {
        let text = format!("the {kind} driver does not tell when bytes arrived: use --driver uring");
        return Err(io::Error::new(io::ErrorKind::Unsupported, text));
    }
    match kind {
        DriverKind::Uring => uring::run(setup, machine),
        DriverKind::Epoll => epoll::run(setup, machine),
        #[cfg(feature = "monoio")]
        DriverKind::Monoio => comparison::run_on_monoio(setup, machine),
        #[cfg(feature = "glommio")]
        DriverKind::Glommio => comparison::run_on_glommio(setup, machine),
        #[cfg(not(all(feature = "monoio", feature = "glommio")))]
        kind => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!(
                "the {kind} driver is not built in: build with `--features {kind}`, or use --driver uring or epoll"
            ),
        )),
    }
}
