//! Metrics of the running generator for Prometheus: `GET /metrics`, text format 0.0.4.
//!
//! Requests are answered one after the other, each within bounds of size and time, from the last snapshot; no generator
//! thread takes part. Absent: TLS, keep-alive, compression, other paths.

mod text;

use crate::live::Snapshot;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Longest request, bytes.
const REQUEST_BYTES_MAX: usize = 8 * 1024;

/// How long one request may take to arrive, and its answer to be taken.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The endpoint; ends with this value.
#[derive(Debug)]
pub(super) struct Endpoint {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Endpoint {
    /// Serves the latest snapshot.
    ///
    /// # Errors
    /// A text for the user, if the address cannot be had.
    pub(super) fn start(address: SocketAddr, latest: Arc<Mutex<Snapshot>>) -> Result<Self, String> {
        let cannot = |problem| format!("--prometheus {address}: {problem}");
        let listener = TcpListener::bind(address).map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let stopped = Arc::new(AtomicBool::new(false));
        let mine = Arc::clone(&stopped);
        let body = move || {
            for stream in listener.incoming() {
                if mine.load(Ordering::Acquire) {
                    return;
                }
                // Whoever hangs up or is too slow gets no answer; that is their affair.
                let _ = stream.and_then(|stream| serve(&stream, &latest));
            }
        };
        let thread = thread::Builder::new().name("metrics".into()).spawn(body).map_err(cannot)?;
        Ok(Self { address, stopped, thread: Some(thread) })
    }

    /// Where it really listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // Wakes the thread. If even this fails, it is left behind and ends with the process.
        let mut own = self.address;
        if own.ip().is_unspecified() {
            own.set_ip(if own.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
        }
        let woken = TcpStream::connect_timeout(&own, TIMEOUT).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
    }
}

fn serve(mut stream: &TcpStream, latest: &Mutex<Snapshot>) -> std::io::Result<()> {
    stream.set_write_timeout(Some(TIMEOUT))?;
    let (begun, mut request) = (Instant::now(), Vec::new());
    let mut chunk = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let left = TIMEOUT.saturating_sub(begun.elapsed());
        if left.is_zero() || request.len() >= REQUEST_BYTES_MAX {
            return respond(stream, "400 Bad Request", "");
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk)? {
            0 => return Ok(()),
            count => request.extend_from_slice(&chunk[..count]),
        }
    }
    let first = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let first = String::from_utf8_lossy(first);
    let mut words = first.split(' ');
    match (words.next(), words.next().map(|path| path.split('?').next().unwrap_or_default())) {
        (Some("GET"), Some("/metrics")) => {
            let snapshot = latest.lock().unwrap_or_else(PoisonError::into_inner).clone();
            respond(stream, "200 OK", &text::render(&snapshot))
        }
        (Some("GET"), _) => respond(stream, "404 Not Found", "metrics are at /metrics\n"),
        _ => respond(stream, "405 Method Not Allowed", ""),
    }
}

fn respond(mut stream: &TcpStream, status: &str, body: &str) -> std::io::Result<()> {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n");
    stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(address: SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        let (mut answer, _) = (String::new(), stream.write_all(request));
        // What was refused in the middle may end with a reset.
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    #[test]
    fn only_metrics_are_served_and_only_in_bounds() {
        let latest = Arc::new(Mutex::new(Snapshot::new(3)));
        let endpoint = Endpoint::start(([127, 0, 0, 1], 0).into(), latest).unwrap();
        let answer = ask(endpoint.address, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\nringmq_loadgen_clients 3\n"),
            "{answer}"
        );
        assert!(ask(endpoint.address, b"GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
        assert!(ask(endpoint.address, b"POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
        assert!(!ask(endpoint.address, &[b'a'; 2 * REQUEST_BYTES_MAX]).contains("200 OK"));
        let silent = TcpStream::connect(endpoint.address).unwrap();
        assert!(ask(endpoint.address, b"GET /metrics HTTP/1.0\r\n\r\n").contains("200 OK"), "in spite of a silent one");
        drop((endpoint, silent));
    }
}
