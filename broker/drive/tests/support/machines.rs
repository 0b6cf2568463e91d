//! Small machines.

use ringmq_core::machine::{CloseHow, Command, ConnId, Effects, Input, Machine, Origin, Time};
use std::collections::HashSet;
use std::sync::mpsc::Sender;

/// What a machine was told, as far as tests ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Opened(ConnId, Origin),
    Received(ConnId, usize),
    Closed(ConnId, String),
    Drained(ConnId),
    ConnectFailed(u64, i32),
    Mesh(u8, usize),
    Stop,
    Control,
}

/// Reports what a machine is told to the test's thread.
#[derive(Debug, Clone)]
pub struct Recorder(pub Sender<Seen>);

impl Recorder {
    fn record(&self, input: &Input<'_>) {
        let seen = match input {
            Input::Opened { conn, origin, .. } => Seen::Opened(*conn, *origin),
            Input::Received { conn, bytes } => Seen::Received(*conn, bytes.len()),
            Input::Closed { conn, cause } => Seen::Closed(*conn, format!("{cause:?}")),
            Input::Drained { conn } => Seen::Drained(*conn),
            Input::ConnectFailed { token, error } => Seen::ConnectFailed(*token, *error),
            Input::Mesh { from, bytes } => Seen::Mesh(from.0, bytes.len()),
            Input::Stop => Seen::Stop,
            Input::Control(_) => Seen::Control,
            Input::Tick => return,
        };
        // The test may have ended already.
        let _ = self.0.send(seen);
    }
}

/// Does what a closure says, and checks the driver's side of the contract: a connection opens once, ends once, and is
/// heard of only in between. On a stop it closes everything that is open.
#[derive(Debug)]
pub struct Scripted<F> {
    recorder: Recorder,
    open: HashSet<ConnId>,
    now: Time,
    act: F,
}

impl<F: FnMut(&Input<'_>, &mut Effects)> Scripted<F> {
    pub fn new(recorder: Recorder, act: F) -> Self {
        Self { recorder, open: HashSet::new(), now: Time(0), act }
    }
}

impl<F: FnMut(&Input<'_>, &mut Effects)> Machine for Scripted<F> {
    fn handle(&mut self, now: Time, input: Input<'_>, fx: &mut Effects) {
        assert!(now >= self.now, "time goes forward");
        self.now = now;
        match &input {
            Input::Opened { conn, .. } => assert!(self.open.insert(*conn), "{conn:?} opened twice"),
            Input::Received { conn, bytes } => {
                assert!(self.open.contains(conn), "input for {conn:?}, which is closed");
                assert!(!bytes.is_empty());
            }
            Input::Drained { conn } => assert!(self.open.contains(conn), "input for {conn:?}, which is closed"),
            Input::Closed { conn, .. } => assert!(self.open.remove(conn), "{conn:?} closed twice"),
            _ => {}
        }
        (self.act)(&input, fx);
        for command in &fx.commands {
            if let Command::Close { conn, .. } | Command::HandOff { conn, .. } = command {
                assert!(self.open.remove(conn), "the script closes what is open");
            }
        }
        if matches!(input, Input::Stop) {
            for conn in self.open.drain() {
                fx.commands.push(Command::Close { conn, how: CloseHow::Flush });
            }
        }
        self.recorder.record(&input);
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

/// What an echo server does.
pub fn echo(input: &Input<'_>, fx: &mut Effects) {
    if let Input::Received { conn, bytes } = input {
        fx.outbox.buffer(*conn).extend_from_slice(bytes);
    }
}

/// Closes a connection.
pub fn close(conn: ConnId, how: CloseHow, fx: &mut Effects) {
    fx.commands.push(Command::Close { conn, how });
}
