//! Frames between coordinator and agent: four bytes of length, most significant first, and JSON.
//!
//! Both ends bound what they accept, and memory grows with what has really come, not with what a length promises.
//! Absent: what the frames say, see `protocol`.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Bytes of a frame's length.
const LENGTH_BYTES: usize = 4;

/// A connection between coordinator and agent.
#[derive(Debug)]
pub(super) enum Stream {
    /// To another host, or to an agent that was started by hand.
    Tcp(TcpStream),
    /// To a process that the coordinator started.
    Local(UnixStream),
}

impl Stream {
    /// The socket that the coordinator gave this process as standard input.
    pub(super) fn inherited() -> io::Result<Self> {
        Ok(Self::Local(UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?)))
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
            Self::Local(stream) => Self::Local(stream.try_clone()?),
        })
    }

    /// How long a read waits, and a write; then the other end counts as lost.
    pub(super) fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))
            }
            Self::Local(stream) => {
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))
            }
        }
    }

    /// Ends the connection for all its clones; whoever reads or writes it wakes up.
    pub(super) fn shut(&self) {
        // Fails only if it has ended already.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Self::Local(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(into),
            Self::Local(stream) => stream.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Local(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why no frame could be had.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// The other end closed between two frames.
    Ended,
    /// Nothing came for as long as was allowed.
    Silent,
    /// What came is not a frame, or too long, or cut off, or the connection failed; in words.
    Damaged(String),
}

impl std::fmt::Display for Broken {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ended => out.write_str("has closed the connection"),
            Self::Silent => out.write_str("does not answer"),
            Self::Damaged(what) => write!(out, "sent something else than was expected: {what}"),
        }
    }
}

/// Reads one frame of at most `most` bytes.
pub(super) fn read<T: DeserializeOwned>(from: &mut impl Read, most: usize) -> Result<T, Broken> {
    let mut length = [0; LENGTH_BYTES];
    let mut have = 0;
    while have < LENGTH_BYTES {
        match from.read(&mut length[have..]) {
            Ok(0) if have == 0 => return Err(Broken::Ended),
            Ok(0) => return Err(Broken::Damaged("a length that is cut off".into())),
            Ok(count) => have += count,
            Err(problem) if problem.kind() == io::ErrorKind::Interrupted => {}
            Err(problem) => return Err(broken(&problem)),
        }
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > most {
        return Err(Broken::Damaged(format!("a frame of {length} bytes, where {most} are the most")));
    }
    let mut body = Vec::new();
    from.take(length as u64).read_to_end(&mut body).map_err(|problem| broken(&problem))?;
    if body.len() < length {
        return Err(Broken::Damaged(format!("a frame cut off after {} of {length} bytes", body.len())));
    }
    serde_json::from_slice(&body).map_err(|problem| Broken::Damaged(problem.to_string()))
}

fn broken(problem: &io::Error) -> Broken {
    match problem.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Broken::Silent,
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Broken::Ended,
        _ => Broken::Damaged(problem.to_string()),
    }
}

/// Writes one frame, in one piece.
pub(super) fn write(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let mut frame = vec![0; LENGTH_BYTES];
    serde_json::to_writer(&mut frame, message)?;
    let length = u32::try_from(frame.len() - LENGTH_BYTES).map_err(io::Error::other)?;
    frame[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    to.write_all(&frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: u32, body: &str) -> Vec<u8> {
        [length.to_be_bytes().as_slice(), body.as_bytes()].concat()
    }

    #[test]
    fn frames_follow_each_other() {
        let mut bytes = Vec::new();
        write(&mut bytes, &"one").unwrap();
        write(&mut bytes, &"two").unwrap();
        let mut from = bytes.as_slice();
        assert_eq!(read::<String>(&mut from, 5), Ok("one".into()));
        assert_eq!(read::<String>(&mut from, 5), Ok("two".into()));
        assert_eq!(read::<String>(&mut from, 5), Err(Broken::Ended));
    }

    #[test]
    fn malformed_frames_are_refused_by_what_is_wrong() {
        let cases = [
            (frame(6, "\"four\""), "frame of 6 bytes"),
            (frame(u32::MAX, ""), "frame of 4294967295 bytes"),
            (b"GET / HTTP/1.1\r\n".to_vec(), "where 5 are the most"),
            (frame(5, "\"fo"), "cut off after 3 of 5"),
            (vec![0, 0], "length that is cut off"),
            (frame(3, "\"fo"), "EOF"),
            (frame(0, ""), "EOF"),
            (frame(4, "\"a\"}"), "trailing"),
            (frame(4, "\"\u{1}\"}"), "control character"),
            (frame(2, "17"), "expected a string"),
        ];
        for (bytes, expected) in cases {
            let Err(Broken::Damaged(what)) = read::<String>(&mut bytes.as_slice(), 5) else {
                panic!("{bytes:?} was accepted, or is not damage");
            };
            assert!(what.contains(expected), "{bytes:?}: {what}");
        }
    }

    #[test]
    fn silence_and_the_end_are_told_apart() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut ours = Stream::Local(ours);
        ours.set_timeout(Duration::from_millis(10)).unwrap();
        assert_eq!(read::<String>(&mut ours, 5), Err(Broken::Silent));
        drop(theirs);
        assert_eq!(read::<String>(&mut ours, 5), Err(Broken::Ended));
    }
}
