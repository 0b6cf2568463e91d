//! What a completion carries back: the operation, and the use of the slot it was for.

/// The operation a completion belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Op {
    /// Multishot accept; the slot is the listener's index.
    Accept = 1,
    Receive,
    Send,
    Connect,
    /// The eventfd that threads without a ring write to.
    Doorbell,
    /// Another shard's ring message.
    Woken,
    /// A ring message of ours that could not be delivered; the slot is the shard's number.
    WakeFailed,
    /// One accept into the ring's table; the slot is the accept's index.
    AcceptDirect,
    /// An outgoing socket on its way into the ring's table.
    Install,
    /// A direct descriptor that was put into another ring's table.
    Moved,
    /// A cancellation that found nothing, a close that failed: no concern of ours.
    Nothing,
}

/// Generations fit into 24 bits.
pub(super) const GENERATION_MASK: u32 = (1 << 24) - 1;

/// An operation on one use of a slot: 8 bits operation, 24 bits generation, 32 bits slot.
pub(super) const fn token(op: Op, generation: u32, slot: u32) -> u64 {
    (op as u64) << 56 | ((generation & GENERATION_MASK) as u64) << 32 | slot as u64
}

/// Operation, generation and slot.
pub(super) fn parse(token: u64) -> (Op, u32, u32) {
    let op = match token >> 56 {
        1 => Op::Accept,
        2 => Op::Receive,
        3 => Op::Send,
        4 => Op::Connect,
        5 => Op::Doorbell,
        6 => Op::Woken,
        7 => Op::WakeFailed,
        8 => Op::AcceptDirect,
        9 => Op::Install,
        10 => Op::Moved,
        _ => Op::Nothing,
    };
    #[expect(clippy::cast_possible_truncation, reason = "the fields are cut out of the number")]
    let (generation, slot) = ((token >> 32) as u32 & GENERATION_MASK, token as u32);
    (op, generation, slot)
}

/// True for operations whose last completion always arrives, and must be waited for before their memory goes away.
pub(super) const fn is_tracked(op: Op) -> bool {
    matches!(
        op,
        Op::Accept | Op::Receive | Op::Send | Op::Connect | Op::Doorbell | Op::AcceptDirect | Op::Install | Op::Moved
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_kernel() {
        let ops = [
            Op::Accept,
            Op::Receive,
            Op::Send,
            Op::Connect,
            Op::Doorbell,
            Op::Woken,
            Op::WakeFailed,
            Op::AcceptDirect,
            Op::Install,
            Op::Moved,
            Op::Nothing,
        ];
        for op in ops {
            assert_eq!(parse(token(op, 0xab_cdef, u32::MAX)), (op, 0xab_cdef, u32::MAX));
            assert_eq!(parse(token(op, u32::MAX, 0)), (op, GENERATION_MASK, 0));
        }
    }
}
