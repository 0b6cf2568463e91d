//! Control of a running broker: requests on a Unix socket, on threads of their own.
//!
//! Absent: what a request does ([`Console`]), and anything that a shard would have to wait for.

mod alarms;
mod auto_subscribe;
mod banned;
mod console;
mod flapping;
mod lag;
mod levels;
mod listeners;
mod lists;
pub(crate) mod protocol;
mod queues;
mod retainer;
mod rewrite;
#[cfg(test)]
mod rollback_tests;
mod run_time;
mod settings;
mod slow_subs;
pub(crate) mod socket;
mod subscriptions;
mod topic_metrics;
mod tree;

pub(crate) use banned::Bans;
pub(crate) use console::{Console, Facts, Parts};
pub(crate) use lists::{Shards, receive};
pub(crate) use run_time::RunTime;
pub(crate) use socket::{ControlSocket, SocketFile};

use crate::config::Problem;
use protocol::{Answer, REQUEST_BYTES_MAX};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Connections served at a time.
const CONNECTIONS_MAX: usize = 8;

/// How long a connection may be silent.
const IDLE: Duration = Duration::from_secs(60);

/// How long a peer may take to accept an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait after a failure to accept.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves the socket from now on; its file is there as long as what is returned.
///
/// # Errors
/// The thread cannot be started.
pub(crate) fn serve(socket: ControlSocket, console: Arc<Console>) -> io::Result<SocketFile> {
    let (listener, file) = socket.split();
    let served = Arc::new(AtomicUsize::new(0));
    thread::Builder::new().name("control".to_owned()).spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else {
                // Out of descriptors: nothing tells when there are some again. An early return does no harm.
                thread::park_timeout(PAUSE);
                continue;
            };
            if served.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS_MAX {
                served.fetch_sub(1, Ordering::Relaxed);
                let problem = Problem::new(format!("{CONNECTIONS_MAX} connections to the control socket are open"));
                let _ = send(&mut stream, &Answer::refused(&[problem]));
                continue;
            }
            let (console, done) = (Arc::clone(&console), Arc::clone(&served));
            let serve = move || {
                // A peer that goes away is no matter.
                let _ = converse(&stream, &console);
                done.fetch_sub(1, Ordering::Relaxed);
            };
            if thread::Builder::new().name("control-peer".to_owned()).spawn(serve).is_err() {
                served.fetch_sub(1, Ordering::Relaxed);
            }
        }
    })?;
    Ok(file)
}

/// Answers one line after the other until the peer goes, is silent for long, or says something without end.
fn converse(stream: &UnixStream, console: &Console) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.by_ref().take(REQUEST_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.last() != Some(&b'\n') && line.len() as u64 >= REQUEST_BYTES_MAX {
            let problem = Problem::new(format!("a request is longer than {REQUEST_BYTES_MAX} bytes"));
            return send(&mut writer, &Answer::refused(&[problem]));
        }
        let answer = match protocol::parse(&line) {
            Ok(request) => Answer { id: request.id, ..console.answer(&request.command) },
            Err(problem) => Answer::refused(&[problem]),
        };
        send(&mut writer, &answer)?;
    }
}

fn send(mut to: impl Write, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    to.write_all(&line)
}
