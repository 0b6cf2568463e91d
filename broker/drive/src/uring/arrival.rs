//! Receives that tell when the bytes arrived.
//!
//! The kernel notes the wall clock's time for each segment when the network hands it over (`SO_TIMESTAMPNS`), and a
//! multishot `recvmsg` puts it ahead of the bytes: a header, room for one control message, the payload. TCP has one time
//! for a receive, that of the last segment of which it took anything; segments that waited together in the socket's
//! queue may have been joined there, and then have the last one's time as well. So no byte arrived after the time that is
//! told with it, and bytes of earlier segments arrived before.
//!
//! Absent: turning that time into another clock's, and sockets that this shard accepted, which are not asked for it.

use super::buffers::GROUP;
use super::turn::Driver;
use io_uring::{opcode, squeue, types};
use ringmq_core::machine::Machine;

/// Room for one control message with a time.
const CONTROL_BYTES: usize = size_of::<libc::cmsghdr>() + size_of::<libc::timespec>();

/// What the kernel puts ahead of the control messages: four numbers of 32 bits (`struct io_uring_recvmsg_out`).
const HEADER_BYTES: usize = 16;

/// Bytes of a buffer ahead of the payload.
const AHEAD_BYTES: usize = HEADER_BYTES + CONTROL_BYTES;

/// What a receive asks for.
struct Request(libc::msghdr);

// SAFETY: nobody ever writes to it; of a multishot receive the kernel only reads it.
unsafe impl Sync for Request {}

/// No name, and room for one control message.
static REQUEST: Request = Request({
    // SAFETY: of integers and pointers, for all of which zero is a value.
    let mut request: libc::msghdr = unsafe { std::mem::zeroed() };
    request.msg_controllen = CONTROL_BYTES as _;
    request
});

/// A receive that stays armed and tells when the bytes arrived.
pub(super) fn receive(fd: types::Fd) -> squeue::Entry {
    opcode::RecvMsgMulti::new(fd, &raw const REQUEST.0, GROUP).build()
}

/// What a receive has brought.
pub(super) struct Arrival {
    /// Bytes of the buffer ahead of the payload.
    pub(super) ahead: usize,
    /// As of a plain receive: bytes of payload, 0 at the end of the stream, or an error number below 0.
    pub(super) result: i32,
    /// When the last of them arrived, nanoseconds since 1970; `None` if the kernel does not say.
    pub(super) unix_ns: Option<u64>,
}

impl<M: Machine> Driver<M> {
    /// Reads what a receive has put ahead of the bytes.
    pub(super) fn arrival(&self, buffer: Option<u16>, result: i32) -> Arrival {
        let nothing = Arrival { ahead: AHEAD_BYTES, result: result.min(0), unix_ns: None };
        let (Some(id), Ok(len)) = (buffer, usize::try_from(result)) else { return nothing };
        let Ok(parts) = types::RecvMsgOut::parse(self.buffers.filled(id, len), &REQUEST.0) else { return nothing };
        let payload = i32::try_from(parts.payload_data().len()).expect("a part of what an i32 counts");
        Arrival { ahead: AHEAD_BYTES, result: payload, unix_ns: time(parts.control_data()) }
    }
}

/// The time in a control message (cmsg(3)): its length, level and type, then seconds and nanoseconds.
fn time(control: &[u8]) -> Option<u64> {
    let (header, rest) = control.split_at_checked(size_of::<libc::cmsghdr>())?;
    let (seconds, nanos) = rest.get(..size_of::<libc::timespec>())?.split_at(size_of::<libc::time_t>());
    let kind = &header[header.len() - 8..];
    let number = |bytes: &[u8]| bytes.try_into().map(i32::from_ne_bytes).ok();
    if number(&kind[..4])? != libc::SOL_SOCKET || number(&kind[4..])? != libc::SCM_TIMESTAMPNS {
        return None;
    }
    let seconds = u64::try_from(libc::time_t::from_ne_bytes(seconds.try_into().ok()?)).ok()?;
    let nanos = u64::try_from(libc::c_long::from_ne_bytes(nanos.try_into().ok()?)).ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(level: i32, kind: i32) -> Vec<u8> {
        let mut bytes = CONTROL_BYTES.to_ne_bytes().to_vec();
        bytes.extend([level.to_ne_bytes(), kind.to_ne_bytes()].concat());
        bytes.extend([1_700_000_000_i64.to_ne_bytes(), 123_456_789_i64.to_ne_bytes()].concat());
        bytes
    }

    #[test]
    fn a_time_is_read_and_nothing_else_is() {
        let whole = message(libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS);
        assert_eq!(time(&whole), Some(1_700_000_000_123_456_789));
        for bad in [&[][..], &whole[..31], &message(libc::SOL_SOCKET, 1), &message(6, libc::SCM_TIMESTAMPNS)] {
            assert_eq!(time(bad), None);
        }
    }
}
