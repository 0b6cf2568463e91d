//! What the broker listens on while it runs: listeners by their numbers, and how they come and go.
//!
//! A number is given out once and names the listener for the shards: which settings its clients have, which gate they
//! pass. A listener that is changed is opened again under a new number and then closed under the old one, so that what
//! a connection was accepted under stays with it.
//!
//! Absent: what is configured, and what a shard does with a connection.

mod directory;
mod endings;
mod sockets;

pub(crate) use directory::Directory;
#[cfg(test)]
pub(crate) use directory::Entry;
pub(crate) use sockets::open;

use crate::config::{Config, Listener, Problem};
use crate::control::receive;
use ringmq_core::machine::ShardId;
use ringmq_drive::{Control, GateFacts, Gates, ListenerChange, Listening, Message, SharedGate};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long the shards may take to change a listener.
const PATIENCE: Duration = Duration::from_secs(5);

/// A listener that was opened at some time.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The operator's name for it.
    pub(crate) name: String,
    /// How it was configured.
    pub(crate) listener: Listener,
    /// Where it listens, or did.
    pub(crate) local_addr: SocketAddr,
    /// Whether it still does.
    pub(crate) is_open: bool,
}

impl Opened {
    fn entry(&self) -> directory::Entry {
        directory::Entry::new(format!("tcp:{}", self.name), self.local_addr.port())
    }
}

/// All listeners that were ever opened; the index is the number.
#[derive(Debug)]
pub(crate) struct Board {
    opened: Vec<Opened>,
    directory: Directory,
    gates: Gates,
    shards: usize,
    /// Whether the driver can change listeners.
    is_changeable: bool,
}

/// Sockets that are bound already, so that what can fail has been done: listeners to open, and numbers to close.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    to_open: Vec<(Opened, Listening, SharedGate)>,
    to_close: Vec<u16>,
}

impl Board {
    /// With the listeners that the shards begin with.
    pub(crate) fn new(config: &Config, addresses: &[SocketAddr], shards: usize, is_changeable: bool) -> Self {
        let opened = config.enabled().zip(addresses).map(|((name, listener), local_addr)| Opened {
            name: name.clone(),
            listener: listener.clone(),
            local_addr: *local_addr,
            is_open: true,
        });
        let gates = Gates::new(config.enabled().map(|(_, listener)| sockets::gate(listener)));
        let (opened, directory): (Vec<Opened>, _) = (opened.collect(), Directory::new());
        (0..).zip(&opened).for_each(|(number, opened)| directory.put(number, opened.entry()));
        Self { opened, directory, gates, shards, is_changeable }
    }

    /// What shards are told of listeners.
    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The gates of all listeners.
    pub(crate) fn gates(&self) -> &Gates {
        &self.gates
    }

    /// Sockets of one listener: one a shard.
    pub(crate) fn shards(&self) -> usize {
        self.shards
    }

    /// The listener with this number, open or not.
    pub(crate) fn get(&self, number: usize) -> Option<&Opened> {
        self.opened.get(number)
    }

    /// The listener with this name, if it is open, with what its gate says.
    pub(crate) fn find(&self, name: &str) -> Option<(&Opened, GateFacts)> {
        let number = usize::from(self.number_of(name)?);
        Some((&self.opened[number], self.gates.facts(number).unwrap_or_default()))
    }

    /// How the listeners were configured that shards know by their numbers, once `prepared` is there as well.
    pub(crate) fn by_number<'a>(&'a self, prepared: &'a Prepared) -> impl Iterator<Item = &'a Listener> {
        self.opened.iter().chain(prepared.to_open.iter().map(|(opened, ..)| opened)).map(|opened| &opened.listener)
    }

    /// Makes ready what follows from a change of the configuration. Listeners that were stopped by hand, and whose
    /// configuration has not changed, stay as they are.
    ///
    /// # Errors
    /// An address cannot be listened on, or the driver cannot change listeners. Nothing has changed.
    pub(crate) fn prepare(&self, old: &Config, new: &Config) -> Result<Prepared, Problem> {
        let mut prepared = Prepared::default();
        for (name, listener) in &old.listeners {
            if new.listeners.get(name) != Some(listener) {
                prepared.to_close.extend(self.number_of(name));
            }
        }
        for (name, listener) in new.enabled() {
            if old.listeners.get(name) != Some(listener) {
                self.bind(name, listener, &mut prepared)?;
            }
        }
        self.check(&prepared)?;
        Ok(prepared)
    }

    /// Makes ready to open a listener that is configured and not open.
    ///
    /// # Errors
    /// As [`Board::prepare`], or it is open.
    pub(crate) fn prepare_start(&self, name: &str, listener: &Listener) -> Result<Prepared, Problem> {
        if self.number_of(name).is_some() {
            return Err(Problem::new(format!("tcp:{name} is running")));
        }
        let mut prepared = Prepared::default();
        self.bind(name, listener, &mut prepared)?;
        self.check(&prepared)?;
        Ok(prepared)
    }

    /// Makes ready to close a listener.
    ///
    /// # Errors
    /// It is not open, or the driver cannot change listeners.
    pub(crate) fn prepare_stop(&self, name: &str) -> Result<Prepared, Problem> {
        let number = self.number_of(name).ok_or_else(|| Problem::new(format!("tcp:{name} is not running")))?;
        let prepared = Prepared { to_close: vec![number], ..Prepared::default() };
        self.check(&prepared)?;
        Ok(prepared)
    }

    /// Makes ready to close a listener and open it again.
    ///
    /// # Errors
    /// As [`Board::prepare`], or it is not open.
    pub(crate) fn prepare_restart(&self, name: &str, listener: &Listener) -> Result<Prepared, Problem> {
        let mut prepared = self.prepare_stop(name)?;
        self.bind(name, listener, &mut prepared)?;
        self.check(&prepared)?;
        Ok(prepared)
    }

    fn number_of(&self, name: &str) -> Option<u16> {
        let number = self.opened.iter().rposition(|opened| opened.is_open && opened.name == name)?;
        u16::try_from(number).ok()
    }

    fn bind(&self, name: &str, listener: &Listener, prepared: &mut Prepared) -> Result<(), Problem> {
        let closing = || prepared.to_close.iter().map(|number| &self.opened[usize::from(*number)]);
        // A port that the system has chosen stays while nothing is said against it.
        let before = closing().find(|opened| opened.name == name && opened.listener.bind == listener.bind);
        let bind = before.map_or(listener.bind, |opened| opened.local_addr);
        let is_here = |opened: &Opened| opened.local_addr == bind;
        // A listener that takes the place of one of ours finds the port taken: by ourselves.
        let place = Listener { bind, ..listener.clone() };
        let listening = match closing().any(is_here) {
            true => sockets::open_beside(&place, self.shards),
            false if self.opened.iter().any(is_here) => sockets::open_released(&place, self.shards),
            false => sockets::open(&place, self.shards),
        }?;
        let opened = Opened {
            name: name.to_owned(),
            listener: listener.clone(),
            local_addr: listening.local_addr,
            is_open: true,
        };
        prepared.to_open.push((opened, listening, SharedGate::new(sockets::gate(listener))));
        Ok(())
    }

    fn check(&self, prepared: &Prepared) -> Result<(), Problem> {
        let changes = !prepared.to_open.is_empty() || !prepared.to_close.is_empty();
        if changes && !self.is_changeable {
            return Err(Problem::new("this driver keeps the listeners that it began with")
                .with_help("use --driver uring or epoll, or start again"));
        }
        if u16::try_from(self.opened.len() + prepared.to_open.len()).is_err() {
            return Err(Problem::new("listeners were opened 65,535 times").with_help("start the broker again"));
        }
        Ok(())
    }

    /// Opens and closes on all shards what was made ready. New listeners first, so that a port is never without one.
    ///
    /// # Errors
    /// A shard does not take a listener; what was opened is closed again, and nothing was closed.
    pub(crate) fn carry_out(&mut self, prepared: Prepared, control: &Control) -> Result<(), Problem> {
        let first = self.opened.len();
        for (opened, listening, gate) in prepared.to_open {
            // `check` has seen to it that there is a number.
            let number = u16::try_from(self.opened.len()).unwrap_or(u16::MAX);
            let name = opened.name.clone();
            self.gates.put(number, gate.clone());
            self.directory.put(number, opened.entry());
            self.opened.push(opened);
            let mut sockets = listening.sockets.into_iter();
            let open = |_| {
                let socket = sockets.next().unwrap_or_else(|| unreachable!("one socket a shard"));
                ListenerChange::Open { listener: number, socket, gate: gate.clone() }
            };
            if let Err(problem) = change(control, open) {
                let end = self.opened.len();
                (first..end).for_each(|index| self.close(u16::try_from(index).unwrap_or(u16::MAX), control));
                return Err(Problem::new(format!("tcp:{name} cannot be opened: {problem}")));
            }
        }
        prepared.to_close.into_iter().for_each(|number| self.close(number, control));
        Ok(())
    }

    fn close(&mut self, number: u16, control: &Control) {
        self.opened[usize::from(number)].is_open = false;
        // A shard that does not answer any more does not accept either.
        let _ = change(control, |_| ListenerChange::Close { listener: number });
    }
}

/// Changes a listener on all shards.
fn change(control: &Control, mut request: impl FnMut(ShardId) -> ListenerChange) -> Result<(), String> {
    let message = |shard| -> Message { Box::new(request(shard)) };
    let answers = control.ask_all(message).map_err(|full| full.to_string())?;
    let by = Instant::now() + PATIENCE;
    (0..control.shards()).try_for_each(|_| {
        let (_, taken): (_, io::Result<()>) = receive(&answers, by).map_err(|problem| problem.message)?;
        taken.map_err(|error| error.to_string())
    })
}
