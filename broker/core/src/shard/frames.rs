//! Frames of one message, encoded once for each layout and then copied: subscribers of the same protocol family, QoS
//! and RETAIN flag get the same bytes but for the packet identifier.

use alloc::vec::Vec;
use ringmq_wire::{PublishOut, Version};

/// Protocol families with a layout of their own, times QoS, times RETAIN.
const LAYOUTS: usize = 2 * 3 * 2;

#[derive(Debug, Clone, Copy)]
struct Encoded {
    start: usize,
    end: usize,
    packet_id: Option<usize>,
}

/// The frames of one message.
#[derive(Debug, Default)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    encoded: [Option<Encoded>; LAYOUTS],
}

impl Frames {
    /// Forgets the frames of the message before.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.encoded = [None; LAYOUTS];
    }

    /// Appends `out`, which may differ from earlier ones of its layout only in its packet identifier.
    #[inline]
    pub(super) fn copy(&mut self, version: Version, out: &PublishOut<'_>, buffer: &mut Vec<u8>) {
        let layout = (usize::from(version.is_v5()) * 3 + usize::from(out.qos.bits())) * 2 + usize::from(out.retain);
        let encoded = *self.encoded[layout].get_or_insert_with(|| {
            let start = self.bytes.len();
            out.encode(version, &mut self.bytes);
            Encoded { start, end: self.bytes.len(), packet_id: out.packet_id_offset(version) }
        });
        let at = buffer.len();
        buffer.extend_from_slice(&self.bytes[encoded.start..encoded.end]);
        if let Some(offset) = encoded.packet_id {
            buffer[at + offset..at + offset + 2].copy_from_slice(&out.packet_id.to_be_bytes());
        }
    }
}
