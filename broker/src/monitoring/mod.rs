//! The monitoring port: counters for Prometheus and whether the broker works, over HTTP, on threads of its own.
//!
//! It answers GET and HEAD, one request a connection, and reads no body. Absent: TLS, authentication, and anything that
//! changes the broker.

#[cfg(test)]
mod emqx_names;
mod http;
mod prometheus;

use crate::config::Problem;
use crate::control::Console;
use http::{Request, Response, Unreadable};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Connections served at a time; one more is told to come later.
const CONNECTIONS_MAX: usize = 16;

/// How long a request may take to arrive as a whole, and how long a peer may take to accept some of the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a peer may take to close after the answer.
const LINGER: Duration = Duration::from_secs(1);

/// How long to wait after a failure to accept.
const PAUSE: Duration = Duration::from_millis(100);

/// Seconds after which a client may ask again whether the broker works, as in EMQX.
const RETRY_AFTER_S: &str = "15";

/// Opens the port.
///
/// # Errors
/// Why not, and what to do.
pub(crate) fn open(bind: SocketAddr) -> Result<TcpListener, Problem> {
    TcpListener::bind(bind).map_err(|error| {
        Problem::new(format!("cannot listen for monitoring on {bind}: {error}"))
            .with_help("choose another address with ringmq.monitoring_bind, or disabled")
    })
}

/// Serves it from now on.
///
/// # Errors
/// The thread cannot be started.
pub(crate) fn serve(listener: TcpListener, console: Arc<Console>) -> io::Result<()> {
    let served = Arc::new(AtomicUsize::new(0));
    thread::Builder::new().name("monitoring".to_owned()).spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else {
                // Out of descriptors: nothing tells when there are some again. An early return does no harm.
                thread::park_timeout(PAUSE);
                continue;
            };
            if served.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS_MAX {
                served.fetch_sub(1, Ordering::Relaxed);
                // It fits the empty socket, so this does not wait.
                let _ = send(&stream, &unavailable("too many connections\n"), true);
                continue;
            }
            let (console, done) = (Arc::clone(&console), Arc::clone(&served));
            let serve = move || {
                // A peer that goes away is no matter.
                let _ = converse(&stream, &console);
                done.fetch_sub(1, Ordering::Relaxed);
            };
            if thread::Builder::new().name("monitoring-peer".to_owned()).spawn(serve).is_err() {
                served.fetch_sub(1, Ordering::Relaxed);
            }
        }
    })?;
    Ok(())
}

fn converse(stream: &TcpStream, console: &Console) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    match http::read(stream, PATIENCE)? {
        Ok(request) => send(stream, &answer(&request, console), !request.head)?,
        Err(Unreadable::Closed) => return Ok(()),
        Err(Unreadable::Wrong(status)) => send(stream, &Response::text(status, ""), true)?,
    }
    linger(stream)
}

/// Waits until the peer has closed, but not for long: closing over unread bytes resets the connection, which can take
/// the answer with it.
fn linger(mut stream: &TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    let by = Instant::now() + LINGER;
    loop {
        let left = by.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        stream.set_read_timeout(Some(left))?;
        if stream.read(&mut [0; 1024])? == 0 {
            return Ok(());
        }
    }
}

fn send(mut stream: &TcpStream, response: &Response, body: bool) -> io::Result<()> {
    stream.write_all(&response.bytes(body))
}

fn answer(request: &Request, console: &Console) -> Response {
    match request.path.as_str() {
        "/api/v5/prometheus/stats" | "/metrics" => {
            let told = prometheus::Told {
                rows: &console.counter_rows(),
                endings: &console.endings(),
                usage: console.usage(),
                uptime: console.uptime(),
            };
            let text = prometheus::text(&told);
            Response { content_type: prometheus::CONTENT_TYPE, ..Response::text("200 OK", text) }
        }
        "/status" | "/api/v5/status" => status(request.query.as_deref() == Some("format=json"), console),
        _ => Response::text("404 Not Found", "there are /metrics, /api/v5/prometheus/stats, /status, /api/v5/status\n"),
    }
}

/// Whether every shard answers, in EMQX's words.
fn status(json: bool, console: &Console) -> Response {
    let works = console.works();
    let word = if works { "running" } else { "stopped" };
    let (status, retry_after) = if works { ("200 OK", None) } else { ("503 Service Unavailable", Some(RETRY_AFTER_S)) };
    if json {
        let facts = serde_json::json!({
            "broker_status": if works { "started" } else { "stopped" },
            "app_status": if works { "running" } else { "not_running" },
            "rel_vsn": env!("CARGO_PKG_VERSION"),
        });
        return Response {
            content_type: "application/json",
            retry_after,
            ..Response::text(status, format!("{facts}\n"))
        };
    }
    Response { retry_after, ..Response::text(status, format!("ringmq is {word}\n")) }
}

fn unavailable(text: &str) -> Response {
    Response { retry_after: Some(RETRY_AFTER_S), ..Response::text("503 Service Unavailable", text) }
}
