//! Headers as proxies write them, and what is none.

use super::*;
use alloc::format;
use alloc::vec::Vec;
use proptest::prelude::*;

fn whole(used: usize, source: &str) -> Result<Header, HeaderError> {
    let source = (!source.is_empty()).then(|| source.parse().unwrap());
    Ok(Header::Whole { used, source })
}

/// A header of version 2.
fn v2(version_and_command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = V2_SIGNATURE.to_vec();
    bytes.extend([version_and_command, family]);
    bytes.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// Addresses as version 2 has them.
fn addresses(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let octets = |address: SocketAddr| match address.ip() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
    [octets(source), octets(destination), ports].concat()
}

#[test]
fn lines_of_version_1() {
    let line = b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 1883\r\n\x10\x0c";
    assert_eq!(read(line), whole(line.len() - 2, "192.0.2.1:56324"));
    let line = b"PROXY TCP6 2001:db8::1 ::1 0 65535\r\n";
    assert_eq!(read(line), whole(line.len(), "[2001:db8::1]:0"));
    assert_eq!(read(b"PROXY UNKNOWN\r\nx"), whole(15, ""));
    assert_eq!(read(b"PROXY UNKNOWN ffff::1 whatever\xc3\xa9\r\n"), whole(34, ""));
    // As long as it may be.
    let address = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    let longest = format!("PROXY UNKNOWN {address} {address} 65535 65535\r\n");
    assert_eq!(longest.len(), V1_BYTES_MAX);
    assert_eq!(read(longest.as_bytes()), whole(V1_BYTES_MAX, ""));
    let longer = format!("PROXY UNKNOWN {}\r\n", "x".repeat(V1_BYTES_MAX));
    assert_eq!(read(longer.as_bytes()), Err(HeaderError::TooLong));
    assert_eq!(read(&longer.as_bytes()[..V1_BYTES_MAX - 1]), Ok(Header::Partial));
}

#[test]
fn what_is_wrong_in_version_1() {
    for wrong in [
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
        "PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 ::1 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 -\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4  \r\n",
        "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY unknown\r\n",
    ] {
        assert_eq!(read(wrong.as_bytes()), Err(HeaderError::Malformed), "{wrong}");
    }
    for missing in ["X", "PROXX", "proxy TCP4", "\x10\x0c", "\r\n\r\nX", "\r\n\r\n\0\r\nQUIT\r"] {
        assert_eq!(read(missing.as_bytes()), Err(HeaderError::Missing), "{missing:?}");
    }
}

#[test]
fn headers_of_version_2() {
    let (source, destination) = ("192.0.2.1:56324".parse().unwrap(), "198.51.100.7:1883".parse().unwrap());
    let four = addresses(source, destination);
    let six = addresses("[2001:db8::1]:5".parse().unwrap(), "[::1]:6".parse().unwrap());
    assert_eq!(read(&v2(0x21, 0x11, &four)), whole(28, "192.0.2.1:56324"));
    assert_eq!(read(&v2(0x21, 0x21, &six)), whole(52, "[2001:db8::1]:5"));
    // More than the addresses is skipped, and so is what a proxy says that speaks for itself or has no address of IP.
    assert_eq!(read(&v2(0x21, 0x11, &[&four[..], &[4, 0, 1, 9]].concat())), whole(32, "192.0.2.1:56324"));
    assert_eq!(read(&v2(0x20, 0x11, &four)), whole(28, ""));
    assert_eq!(read(&v2(0x20, 0xFF, &[])), whole(16, ""));
    assert_eq!(read(&v2(0x21, 0x00, &[1, 2])), whole(18, ""));
    assert_eq!(read(&v2(0x21, 0x31, &[0; 216])), whole(232, ""));
    assert_eq!(read(&v2(0x20, 0x00, &[0; V2_BYTES_MAX - 16])), whole(V2_BYTES_MAX, ""));
    for (version_and_command, family, body) in [
        (0x11, 0x11, &four[..]),
        (0x22, 0x11, &four),
        (0x21, 0x12, &four),
        (0x21, 0x11, &four[1..]),
        (0x21, 0x21, &four),
    ] {
        assert_eq!(read(&v2(version_and_command, family, body)), Err(HeaderError::Malformed));
    }
    // Without waiting for the rest.
    let longer = v2(0x20, 0x00, &[0; V2_BYTES_MAX - 15]);
    assert_eq!(read(&longer[..16]), Err(HeaderError::TooLong));
}

fn any_header() -> impl Strategy<Value = (Vec<u8>, Option<SocketAddr>)> {
    let four = any::<([u8; 4], [u8; 4])>().prop_map(|(a, b)| (IpAddr::from(a), IpAddr::from(b)));
    let six = any::<([u8; 16], [u8; 16])>().prop_map(|(a, b)| (IpAddr::from(a), IpAddr::from(b)));
    let more = proptest::collection::vec(any::<u8>(), 0..300);
    (prop_oneof![four, six], any::<(u16, u16)>(), 0..4_u8, more).prop_map(|((from, to), (port, other), form, more)| {
        let (source, destination) = (SocketAddr::new(from, port), SocketAddr::new(to, other));
        let version = if from.is_ipv4() { 4 } else { 6 };
        let body = [addresses(source, destination), more].concat();
        match form {
            0 => (format!("PROXY TCP{version} {from} {to} {port} {other}\r\n").into_bytes(), Some(source)),
            1 => (b"PROXY UNKNOWN\r\n".to_vec(), None),
            2 => (v2(0x21, if from.is_ipv4() { 0x11 } else { 0x21 }, &body), Some(source)),
            _ => (v2(0x20, 0, &body), None),
        }
    })
}

proptest! {
    #[test]
    fn a_header_is_read_in_whatever_pieces_it_comes((header, source) in any_header(), after: [u8; 3]) {
        for cut in 0..header.len() {
            prop_assert_eq!(read(&header[..cut]), Ok(Header::Partial));
        }
        let expected = Ok(Header::Whole { used: header.len(), source });
        prop_assert_eq!(read(&header), expected);
        prop_assert_eq!(read(&[&header[..], &after].concat()), expected);
    }
}
