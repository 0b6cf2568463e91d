//! What travels along simulated links: records in batches, one batch for all links between two threads.
//!
//! A record is a header of twelve bytes and its bytes. Batches never leave the process, so a record that cannot be read
//! is a defect and panics.

use std::ops::Range;

/// Bytes of a header: kind, thread, two unused, slot, length of what follows.
const HEADER_BYTES: usize = 12;

/// What a record says to the end it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// To a shard: a client, `(thread, slot)`, connects; its token follows.
    Open,
    /// To a shard, from another: here is a client's link, and what was received on it.
    Adopt,
    /// To a client: its other end has this slot on the sending thread; the token of `Open` follows if it answers one.
    Home,
    /// Bytes.
    Data,
    /// Nothing more will come, and nothing more will be read.
    Close,
    /// Send no more for now.
    Pause,
    /// Send again.
    Resume,
}

impl Kind {
    const ALL: [Self; 7] = [Self::Open, Self::Adopt, Self::Home, Self::Data, Self::Close, Self::Pause, Self::Resume];
}

/// One record, its bytes as a range of the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) kind: Kind,
    /// Thread of the client: of `Open` and `Adopt` only.
    pub(super) thread: u8,
    /// Slot of the end that is meant; in `Open` and `Adopt`, of the client.
    pub(super) slot: u32,
    pub(super) bytes: Range<usize>,
}

/// Appends a record.
pub(super) fn write(batch: &mut Vec<u8>, kind: Kind, thread: u8, slot: u32, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("an outbox holds less than 4 GiB");
    batch.extend_from_slice(&[kind as u8, thread, 0, 0]);
    batch.extend_from_slice(&slot.to_le_bytes());
    batch.extend_from_slice(&length.to_le_bytes());
    batch.extend_from_slice(bytes);
}

/// Appends `Home`: the end with this slot is at home in `at` on the sending thread.
pub(super) fn write_home(batch: &mut Vec<u8>, slot: u32, at: u32, token: &[u8]) {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&at.to_le_bytes());
    bytes[4..4 + token.len()].copy_from_slice(token);
    write(batch, Kind::Home, 0, slot, &bytes[..4 + token.len()]);
}

/// Reads `Home`'s bytes: the slot, and the token if it answers an `Open`.
pub(super) fn read_home(bytes: &[u8]) -> (u32, Option<u64>) {
    let token = bytes.get(4..12).map(|token| u64::from_le_bytes(token.try_into().expect("eight bytes")));
    (number(bytes), token)
}

/// Reads the record at `at`, and moves on to the next; `None` at the end.
pub(super) fn next(batch: &[u8], at: &mut usize) -> Option<Record> {
    let header = batch.get(*at..*at + HEADER_BYTES)?;
    let (slot, length) = (number(&header[4..]), number(&header[8..]) as usize);
    let start = *at + HEADER_BYTES;
    *at = start + length;
    Some(Record { kind: Kind::ALL[usize::from(header[0])], thread: header[1], slot, bytes: start..start + length })
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes[..4].try_into().expect("four bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written() {
        let mut batch = Vec::new();
        write(&mut batch, Kind::Adopt, 3, 70_000, b"bytes");
        write_home(&mut batch, 4, 9, &7_u64.to_le_bytes());
        write_home(&mut batch, 5, 10, &[]);
        write(&mut batch, Kind::Resume, 0, 1, b"");
        let (mut at, mut read) = (0, Vec::new());
        while let Some(record) = next(&batch, &mut at) {
            let bytes = batch[record.bytes.clone()].to_vec();
            read.push((record.kind, record.thread, record.slot, bytes));
        }
        assert_eq!(read[0], (Kind::Adopt, 3, 70_000, b"bytes".to_vec()));
        assert_eq!((read[1].2, read_home(&read[1].3)), (4, (9, Some(7))));
        assert_eq!((read[2].2, read_home(&read[2].3)), (5, (10, None)));
        assert_eq!((read[3].0, read[3].3.len(), read.len(), at), (Kind::Resume, 0, 4, batch.len()));
    }

    #[test]
    fn every_kind_has_its_number() {
        assert!(Kind::ALL.iter().enumerate().all(|(number, kind)| *kind as usize == number));
    }
}
