#!/usr/bin/env python3
"""Sees a run of the load generator from outside: packets on the loopback interface with the kernel's timestamps.

Usage: capture.py PORT SECONDS OUTPUT

Records what passes between a broker on PORT and its clients until SECONDS have passed without a packet, and writes one
JSON object: for PUBLISH packets with the generator's signed stamp (payloads of 32 bytes or more), how many went to the
broker and from it, over which time, and the distribution of the time from when a message was due to when its last
segment arrived at its subscriber. The stamp has the former by the host's monotonic clock, packets have the latter by the
wall clock; what lies between the clocks is measured here, before and after, and a run in which the wall clock was set is
an error.

Packets are only queued while the run lasts and looked at afterwards, so that the observer takes no processor from the
observed; the kernel's copying remains. Needs root. Absent: loss on the interface (loopback has none; a queue that
overflows is an error) and anything but IPv4.
"""

import json
import socket
import struct
import sys
import time
from array import array

SO_TIMESTAMPNS, SO_RCVBUFFORCE, PACKET_STATISTICS, SOL_PACKET = 35, 33, 6, 263
ETH_P_ALL, PACKET_OUTGOING = 3, 4
QUEUE_BYTES = 1 << 30
PUBLISH = 3
# Run 4, publisher 4, sequence number 8, when it was due 8, signature 4, mark of the clock 4: loadgen/src/payload/stamp.rs.
HEADER = struct.Struct("<IIQQ4sI")
SIGNATURE, UNMARKED = b"rmLG", 0
# Clocks that differ by more than this before and after were set in between.
STEP_NS = 10_000


class Stream:
    """One direction of one connection: bytes in their order, cut into MQTT packets."""

    def __init__(self) -> None:
        self.expected: int | None = None
        self.rest = b""

    def add(self, sequence: int, data: bytes) -> list[bytes]:
        """The packets that end in this segment."""
        # What was sent again, as a busy machine makes the kernel do, has been seen already.
        seen = 0 if self.expected is None else (self.expected - sequence) & 0xFFFFFFFF
        if seen >= 1 << 31:
            raise SystemExit("a segment is missing: nothing can be said of this run")
        data = data[seen:]
        if self.expected is None or data:
            self.expected = (sequence + seen + len(data)) & 0xFFFFFFFF
        buffer, packets, at = self.rest + data, [], 0
        while (end := packet_end(buffer, at)) is not None and end <= len(buffer):
            packets.append(buffer[at:end])
            at = end
        self.rest = buffer[at:]
        return packets


def packet_end(buffer: bytes, at: int) -> int | None:
    """Where the MQTT packet that begins here ends; None if its length is not there yet."""
    length, shift = 0, 0
    for index in range(at + 1, min(at + 5, len(buffer))):
        length |= (buffer[index] & 0x7F) << shift
        shift += 7
        if buffer[index] < 0x80:
            return index + 1 + length
    return None


def ahead_ns() -> int:
    """What the wall clock is ahead of the monotonic one, by the reading of both that was least interrupted."""
    readings = []
    for _ in range(1000):
        before, wall, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        readings.append((after - before, wall - (before + after) // 2))
    return min(readings)[1]


def due_ns(packet: bytes) -> int | None:
    """When the message in a PUBLISH of MQTT 3.1.1 was due; None if this is another packet."""
    if packet[0] >> 4 != PUBLISH:
        return None
    at = 1
    while packet[at] >= 0x80:
        at += 1
    at += 1
    at += 2 + int.from_bytes(packet[at : at + 2], "big") + (2 if packet[0] & 6 else 0)
    if len(packet) < at + HEADER.size:
        return None
    _, _, _, due, signature, mark = HEADER.unpack_from(packet, at)
    return due if signature == SIGNATURE and mark != UNMARKED else None


def percentile(values: list[int], share: float) -> int:
    return values[min(len(values) - 1, int(share * len(values)))]


def main() -> None:
    port, patience, output = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
    tap.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, QUEUE_BYTES)
    tap.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    tap.bind(("lo", ETH_P_ALL))
    ahead = ahead_ns()
    print("capturing", flush=True)
    # The caller says when the run is over, by closing the standard input.
    sys.stdin.read()
    tap.settimeout(patience)
    streams: dict[tuple[int, bool], Stream] = {}
    published, first_ns, last_ns = 0, 0, 0
    latencies = array("q")
    while True:
        try:
            data, ancillary, _, address = tap.recvmsg(1 << 17, 64)
        except TimeoutError:
            break
        # Loopback shows each packet as it leaves and as it arrives.
        if address[2] == PACKET_OUTGOING or address[1] != 0x0800 or data[9] != socket.IPPROTO_TCP:
            continue
        tcp = (data[0] & 0x0F) * 4
        source, target, sequence = struct.unpack_from("!HHI", data, tcp)
        total = int.from_bytes(data[2:4], "big") or len(data)
        payload = data[tcp + (data[tcp + 12] >> 4) * 4 : total]
        if port not in (source, target) or not payload:
            continue
        seconds, nanos = struct.unpack("qq", ancillary[0][2][:16])
        now = seconds * 10**9 + nanos
        from_broker = source == port
        client = target if from_broker else source
        for packet in streams.setdefault((client, from_broker), Stream()).add(sequence, payload):
            if (due := due_ns(packet)) is None:
                continue
            if from_broker:
                latencies.append(now - ahead - due)
                first_ns, last_ns = first_ns or now, now
            else:
                published += 1
    dropped = struct.unpack("II", tap.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
    if dropped or not published or not latencies:
        raise SystemExit(f"{dropped} packets did not fit into the queue, {published} messages were seen")
    if abs(ahead_ns() - ahead) > STEP_NS:
        raise SystemExit("the wall clock was set: nothing can be said of this run")
    ordered = sorted(latencies)
    report = {
        "published": published,
        "handed_over": len(latencies),
        "seconds": (last_ns - first_ns) / 1e9,
        "latency_us": {name: percentile(ordered, share) / 1000 for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))},
    }
    with open(output, "w") as file:
        json.dump(report, file)


main()
