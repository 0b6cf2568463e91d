//! Appending the standard's data types (section 1.5) to a buffer. Which fields a packet has is in that packet's file.

use alloc::vec::Vec;

use crate::varint;

/// Appends a frame: the first octet, the length of what `body` appends, and that.
pub(crate) fn frame(out: &mut Vec<u8>, first: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(first);
    counted(out, body);
}

/// Appends the length of what `content` appends as a variable byte integer, and that.
pub(crate) fn counted(out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.push(0);
    content(out);
    let count = out.len() - at - 1;
    // One octet was kept free; a longer length moves the content up, which only long and rare packets pay.
    let mut octets = [0; 4];
    let used = varint::put(&mut octets, count);
    out[at] = octets[0];
    if used > 1 {
        out.splice(at + 1..at + 1, octets[1..used].iter().copied());
    }
}

/// Appends Binary Data.
///
/// # Panics
/// If it is longer than 65535 octets [MQTT-4.7.3-3], which nothing that was decoded is.
pub(crate) fn binary(out: &mut Vec<u8>, bytes: &[u8]) {
    let count = u16::try_from(bytes.len()).expect("strings and binary data hold at most 65535 octets");
    out.extend_from_slice(&count.to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Appends a two-octet integer.
pub(crate) fn u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends a property of one octet.
pub(crate) fn property_u8(out: &mut Vec<u8>, id: u8, value: u8) {
    out.extend_from_slice(&[id, value]);
}

/// Appends a property of two octets, if there is one.
pub(crate) fn property_u16(out: &mut Vec<u8>, id: u8, value: Option<u16>) {
    if let Some(value) = value {
        out.push(id);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Appends a property of four octets, if there is one.
pub(crate) fn property_u32(out: &mut Vec<u8>, id: u8, value: Option<u32>) {
    if let Some(value) = value {
        out.push(id);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Appends a property of a variable byte integer, if there is one.
pub(crate) fn property_varint(out: &mut Vec<u8>, id: u8, value: Option<u32>) {
    if let Some(value) = value {
        out.push(id);
        varint::push(out, value as usize);
    }
}

/// Appends a property of a string, if there is one.
pub(crate) fn property_str(out: &mut Vec<u8>, id: u8, value: Option<&str>) {
    property_binary(out, id, value.map(str::as_bytes));
}

/// Appends a property of binary data, if there is one.
pub(crate) fn property_binary(out: &mut Vec<u8>, id: u8, value: Option<&[u8]>) {
    if let Some(value) = value {
        out.push(id);
        binary(out, value);
    }
}
