//! The PROXY protocol, versions 1 and 2: what a proxy says, before all else, of the connection that it hands on. The
//! specification is HAProxy's, `doc/proxy-protocol.txt` of its sources.
//!
//! Absent: writing it; what version 2 says beside the source (destination, checksum, facts of TLS), which is skipped;
//! addresses that are not of IP, in whose place the transport's stays.

use core::net::{IpAddr, SocketAddr};

/// Longest header of version 1, its end included, bytes.
pub const V1_BYTES_MAX: usize = 107;

/// Longest header of version 2 that is read, bytes. It may have up to 65,551; what a proxy adds to the addresses, such as
/// facts of TLS, takes some hundred.
pub const V2_BYTES_MAX: usize = 4096;

/// How a header of version 1 begins.
const V1_BEGIN: &[u8] = b"PROXY ";

/// How one of version 2 begins.
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes of a header of version 2 before its addresses: signature, version and command, family, length.
const V2_FIXED_BYTES: usize = 16;

/// What the beginning of a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// A part of a header; more has to come.
    Partial,
    /// A whole header.
    Whole {
        /// Its length, bytes.
        used: usize,
        /// Where the connection comes from; `None` if the proxy does not know, or speaks for itself.
        source: Option<SocketAddr>,
    },
}

/// Why the beginning of a connection is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderError {
    /// None came in time.
    Late,
    /// Something else begins there.
    Missing,
    /// It is not what the specification says.
    Malformed,
    /// Longer than [`V1_BYTES_MAX`] or [`V2_BYTES_MAX`].
    TooLong,
}

impl HeaderError {
    /// A name for it in the style of EMQX's reasons.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Late => "proxy_protocol_timeout",
            Self::Missing => "proxy_protocol_header_missing",
            Self::Malformed => "proxy_protocol_header_malformed",
            Self::TooLong => "proxy_protocol_header_too_long",
        }
    }
}

/// Reads a header that begins as its version does.
type Reader = fn(&[u8]) -> Result<Header, HeaderError>;

/// Reads the header at the beginning of `bytes`, which may be a part of it, or go on behind it.
///
/// # Errors
/// See [`HeaderError`]: as soon as no further bytes could make it a header. Time is the caller's affair.
pub fn read(bytes: &[u8]) -> Result<Header, HeaderError> {
    let versions: [(&[u8], Reader); 2] = [(V2_SIGNATURE, read_v2), (V1_BEGIN, read_v1)];
    for (begin, reader) in versions {
        if bytes.starts_with(begin) {
            return reader(bytes);
        }
        if begin.starts_with(bytes) {
            return Ok(Header::Partial);
        }
    }
    Err(HeaderError::Missing)
}

/// One line of text: `PROXY TCP4 192.0.2.1 192.0.2.2 5000 1883`.
fn read_v1(bytes: &[u8]) -> Result<Header, HeaderError> {
    let within = &bytes[..bytes.len().min(V1_BYTES_MAX)];
    let Some(end) = within.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < V1_BYTES_MAX { Ok(Header::Partial) } else { Err(HeaderError::TooLong) };
    };
    let line = core::str::from_utf8(&within[V1_BEGIN.len()..end]).map_err(|_| HeaderError::Malformed)?;
    Ok(Header::Whole { used: end + 2, source: source_v1(line).ok_or(HeaderError::Malformed)? })
}

/// The source in what follows the first word; `None` if it is malformed.
fn source_v1(line: &str) -> Option<Option<SocketAddr>> {
    let mut words = line.split(' ');
    let family = words.next()?;
    if family == "UNKNOWN" {
        // Whatever follows is of no meaning.
        return Some(None);
    }
    let mut address = || {
        let word = words.next()?;
        match family {
            "TCP4" => word.parse().ok().map(IpAddr::V4),
            "TCP6" => word.parse().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let (source, _destination) = (address()?, address()?);
    let mut port = || {
        let word = words.next()?;
        word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse::<u16>().ok())?
    };
    let (port, _destination) = (port()?, port()?);
    words.next().is_none().then_some(Some(SocketAddr::new(source, port)))
}

fn read_v2(bytes: &[u8]) -> Result<Header, HeaderError> {
    let Some((fixed, rest)) = bytes.split_at_checked(V2_FIXED_BYTES) else { return Ok(Header::Partial) };
    let [version_and_command, family] = [fixed[12], fixed[13]];
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let local = match version_and_command {
        0x20 => true,
        0x21 => false,
        _ => return Err(HeaderError::Malformed),
    };
    let used = V2_FIXED_BYTES + length;
    if used > V2_BYTES_MAX {
        return Err(HeaderError::TooLong);
    }
    let Some(body) = rest.get(..length) else { return Ok(Header::Partial) };
    if local {
        return Ok(Header::Whole { used, source: None });
    }
    let source = match family {
        // Unspecified, and a Unix socket.
        0x00 | 0x31 => None,
        0x11 => Some(source_v2::<4>(body).ok_or(HeaderError::Malformed)?),
        0x21 => Some(source_v2::<16>(body).ok_or(HeaderError::Malformed)?),
        // Datagrams do not come by a stream.
        _ => return Err(HeaderError::Malformed),
    };
    Ok(Header::Whole { used, source })
}

/// The source in a body of version 2 with addresses of so many bytes: source, destination, and the port of each.
fn source_v2<const BYTES: usize>(body: &[u8]) -> Option<SocketAddr>
where
    IpAddr: From<[u8; BYTES]>,
{
    let (source, rest) = body.split_first_chunk::<BYTES>()?;
    let (_destination, rest) = rest.split_first_chunk::<BYTES>()?;
    let (ports, _more) = rest.split_first_chunk::<4>()?;
    Some(SocketAddr::new(IpAddr::from(*source), u16::from_be_bytes([ports[0], ports[1]])))
}

#[cfg(test)]
#[path = "proxy_protocol_tests.rs"]
mod tests;
