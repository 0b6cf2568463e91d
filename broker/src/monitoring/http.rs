//! As much of HTTP/1.1 as the monitoring port needs: the head of a request in, one response out, and the end.

use std::fmt::Write as _;
use std::io::{self, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Longest head of a request, bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Most header fields of a request.
const FIELDS_MAX: usize = 64;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// Without the query.
    pub(super) path: String,
    /// What follows the `?`.
    pub(super) query: Option<String>,
    /// HEAD: everything but the body.
    pub(super) head: bool,
}

/// Why there is no request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// The peer has gone.
    Closed,
    /// Status to answer with.
    Wrong(&'static str),
}

/// An answer.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: &'static str,
    pub(super) content_type: &'static str,
    pub(super) retry_after: Option<&'static str>,
    pub(super) body: String,
}

impl Response {
    /// Plain text.
    pub(super) fn text(status: &'static str, body: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", retry_after: None, body: body.into() }
    }

    /// As it is sent, with its body or without.
    pub(super) fn bytes(&self, body: bool) -> Vec<u8> {
        let Self { status, content_type, retry_after, body: text } = self;
        let mut out =
            format!("HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n", text.len());
        if let Some(seconds) = retry_after {
            let _ = write!(out, "retry-after: {seconds}\r\n");
        }
        out.push_str("cache-control: no-store\r\nconnection: close\r\n\r\n");
        if body {
            out.push_str(text);
        }
        out.into_bytes()
    }
}

/// Reads the head of a request, which has to be there as a whole in time.
///
/// # Errors
/// The connection failed.
pub(super) fn read(mut stream: &TcpStream, patience: Duration) -> io::Result<Result<Request, Unreadable>> {
    let by = Instant::now() + patience;
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let left = by.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Err(Unreadable::Wrong("408 Request Timeout")));
        }
        stream.set_read_timeout(Some(left))?;
        let count = match stream.read(&mut chunk) {
            Ok(0) => return Ok(Err(Unreadable::Closed)),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => continue,
            Err(error) => return Err(error),
        };
        head.extend_from_slice(&chunk[..count]);
        if let Some(parsed) = parse(&head) {
            return Ok(parsed);
        }
        if head.len() >= HEAD_BYTES_MAX {
            return Ok(Err(Unreadable::Wrong("431 Request Header Fields Too Large")));
        }
    }
}

/// `None` while the head is not complete.
fn parse(head: &[u8]) -> Option<Result<Request, Unreadable>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(head) {
        Ok(httparse::Status::Partial) => return None,
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => {
            return Some(Err(Unreadable::Wrong("431 Request Header Fields Too Large")));
        }
        Err(_) => return Some(Err(Unreadable::Wrong("400 Bad Request"))),
    }
    let head = match request.method? {
        "GET" => false,
        "HEAD" => true,
        _ => return Some(Err(Unreadable::Wrong("405 Method Not Allowed"))),
    };
    let (path, query) = match request.path?.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (request.path?, None),
    };
    Some(Ok(Request { path: path.to_owned(), query, head }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_taken_apart_once_they_are_complete() {
        let whole = b"GET /status?format=json HTTP/1.1\r\nhost: x\r\n\r\n";
        for cut in 0..whole.len() {
            assert_eq!(parse(&whole[..cut]), None, "{cut} bytes");
        }
        let expected = Request { path: "/status".to_owned(), query: Some("format=json".to_owned()), head: false };
        assert_eq!(parse(whole), Some(Ok(expected)));
        assert!(matches!(parse(b"HEAD / HTTP/1.0\r\n\r\n"), Some(Ok(Request { head: true, query: None, .. }))));
    }

    #[test]
    fn anything_else_has_its_status() {
        let status = |head: &[u8]| match parse(head) {
            Some(Err(Unreadable::Wrong(status))) => &status[..3],
            other => panic!("{other:?}"),
        };
        assert_eq!(status(b"POST /metrics HTTP/1.1\r\n\r\n"), "405");
        assert_eq!(status(b"\x10\x0e\0\x04MQTT\x04\x02\0\0\0\x02ab"), "400");
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(FIELDS_MAX + 1));
        assert_eq!(status(many.as_bytes()), "431");
    }

    #[test]
    fn a_response_tells_its_length_with_and_without_its_body() {
        let response = Response { retry_after: Some("15"), ..Response::text("503 Service Unavailable", "no\n") };
        let text = String::from_utf8(response.bytes(true)).expect("text");
        assert!(text.starts_with("HTTP/1.1 503 Service Unavailable\r\n") && text.ends_with("\r\n\r\nno\n"), "{text}");
        assert!(text.contains("\r\ncontent-length: 3\r\n") && text.contains("\r\nretry-after: 15\r\n"), "{text}");
        assert_eq!(response.bytes(false).len() + 3, text.len());
    }
}
