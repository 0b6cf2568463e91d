//! Small machines.

use ringmq_core::machine::{CloseHow, Command, ConnId, Effects, Input, Machine, Time};
use std::collections::HashMap;
use std::sync::mpsc::Sender;

/// What a machine was told, as far as tests ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Opened(ConnId),
    Received(ConnId, usize),
    Closed(ConnId, String),
    Drained(ConnId),
    ConnectFailed(u64, i32),
    Mesh(u8, usize),
    Stop,
}

/// Reports what a machine is told to the test's thread.
#[derive(Debug, Clone)]
pub struct Recorder(pub Sender<Seen>);

impl Recorder {
    pub fn record(&self, input: &Input<'_>) {
        let seen = match input {
            Input::Opened { conn, .. } => Seen::Opened(*conn),
            Input::Received { conn, bytes } => Seen::Received(*conn, bytes.len()),
            Input::Closed { conn, cause } => Seen::Closed(*conn, format!("{cause:?}")),
            Input::Drained { conn } => Seen::Drained(*conn),
            Input::ConnectFailed { token, error } => Seen::ConnectFailed(*token, *error),
            Input::Mesh { from, bytes } => Seen::Mesh(from.0, bytes.len()),
            Input::Stop => Seen::Stop,
            Input::Tick => return,
        };
        // The test may have ended already.
        let _ = self.0.send(seen);
    }
}

/// Sends back what it receives. On a stop it closes everything.
#[derive(Debug)]
pub struct Echo {
    pub recorder: Recorder,
    open: HashMap<ConnId, ()>,
}

impl Echo {
    pub fn new(recorder: Recorder) -> Self {
        Self { recorder, open: HashMap::new() }
    }
}

impl Machine for Echo {
    fn handle(&mut self, _now: Time, input: Input<'_>, fx: &mut Effects) {
        self.recorder.record(&input);
        match input {
            Input::Opened { conn, .. } => {
                assert!(self.open.insert(conn, ()).is_none(), "opened twice");
            }
            Input::Received { conn, bytes } => {
                assert!(self.open.contains_key(&conn), "input for a closed connection");
                fx.outbox.buffer(conn).extend_from_slice(bytes);
            }
            Input::Closed { conn, .. } => {
                self.open.remove(&conn).expect("closed once");
            }
            Input::Stop => {
                for (conn, ()) in self.open.drain() {
                    fx.commands.push(Command::Close { conn, how: CloseHow::Flush });
                }
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}
