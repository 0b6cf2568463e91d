"""A test client over a plain socket that checks the Server at every packet.

A `Client` never sleeps: each wait ends with a packet, the end of the connection, or a deadline that fails the test.
Besides what a test asks, it watches rules that hold at all times: identifiers in use, Receive Maximum, Topic Alias
Maximum, Maximum Packet Size, one CONNACK, nothing after DISCONNECT. Absent: packet layouts (`packets.py`).
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections import deque
from typing import TypeVar

from packets import (
    PUBACK,
    PUBCOMP,
    PUBREC,
    PUBREL,
    V5,
    Ack,
    Auth,
    Connack,
    Connect,
    Disconnect,
    Filter,
    FromServer,
    Pingreq,
    Pingresp,
    Publish,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
    decode,
)
from properties import Properties, ProtocolViolation

TIMEOUT = float(os.environ.get("RINGMQ_TEST_TIMEOUT", "8"))
"""Seconds until an expected packet is overdue; only reached by a failing test."""

READ_CHUNK = 1 << 16
"""Bytes asked of the socket at once."""

P = TypeVar("P")


def let_time_pass(seconds: float) -> None:
    """Waits for an interval to run out. Only for expiry, where the passing of time is itself what is tested."""
    time.sleep(seconds)


class ConnectionClosed(Exception):
    """The Server closed the connection."""


class CutOff(ProtocolViolation):
    """The connection ended within a packet."""


class Overdue(AssertionError):
    """The Server sent nothing in time."""


class Client:
    """One network connection, blocking."""

    announces_errors = True
    """Whether this Server sends DISCONNECT with the exact reason before it closes; mosquitto often does not."""

    def __init__(self, address: tuple[str, int], version: int = V5, receive_buffer: int | None = None):
        """`receive_buffer`: bytes the kernel keeps for a client that does not read; its default if absent."""
        self.version = version
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client_id = ""
        self.connack: Connack | None = None
        self.disconnect: Disconnect | None = None
        self.inbox: deque[FromServer] = deque()
        self.buffer = b""
        self.next_packet_id = 1
        self.unacknowledged: dict[int, int] = {}
        """Packet identifiers the Server is using for PUBLISH, with their QoS."""
        self.aliases: dict[int, str] = {}
        self.receive_maximum = 65535
        self.topic_alias_maximum = 0
        self.maximum_packet_size: int | None = None
        self.problem_information = True

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()

    # -- sending -----------------------------------------------------------------------------------------------

    def send_raw(self, data: bytes) -> None:
        # What the Server sent before it closed is still to be read.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def send(self, *packets) -> None:
        """Sends packets in one write."""
        self.send_raw(
            b"".join(each.encode() if isinstance(each, Connect) else each.encode(self.version) for each in packets)
        )

    def packet_id(self) -> int:
        """An identifier no other request of this client uses."""
        self.next_packet_id += 1
        return self.next_packet_id - 1

    def drop(self) -> None:
        """Closes without DISCONNECT, as a failing network does."""
        self.socket.close()

    def reset(self) -> None:
        """Closes with a TCP reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    # -- receiving ---------------------------------------------------------------------------------------------

    def read_frame(self, deadline: float) -> tuple[int, bytes]:
        size = None
        while True:
            for count in range(1, min(5, len(self.buffer))):
                if not self.buffer[count] & 0x80:
                    size = sum((self.buffer[1 + at] & 0x7F) << 7 * at for at in range(count))
                    if count > 1 and not self.buffer[count]:
                        raise ProtocolViolation("remaining length is not minimal")
                    total = 1 + count + size
                    if len(self.buffer) >= total:
                        whole, self.buffer = self.buffer[:total], self.buffer[total:]
                        limit = self.maximum_packet_size
                        # [MQTT-3.1.2-24]
                        if limit and total > limit:
                            raise ProtocolViolation(f"packet of {total} bytes, Maximum Packet Size {limit}")
                        return whole[0], whole[1 + count :]
                    break
            self.fill(deadline)

    def fill(self, deadline: float) -> None:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise Overdue("nothing arrived in time")
        self.socket.settimeout(remaining)
        try:
            data = self.socket.recv(READ_CHUNK)
        except TimeoutError as error:
            raise Overdue("nothing arrived in time") from error
        except ConnectionResetError as error:
            raise ConnectionClosed from error
        if not data:
            if self.buffer:
                raise CutOff(f"connection ended within a packet: {self.buffer[:200]!r}")
            raise ConnectionClosed
        self.buffer += data

    def read_socket(self, timeout: float = TIMEOUT) -> FromServer:
        """The next packet from the wire, checked against the standing rules."""
        first, body = self.read_frame(time.monotonic() + timeout)
        packet = decode(first, body, self.version)
        if self.disconnect:
            raise ProtocolViolation(f"{packet} after DISCONNECT")  # [MQTT-3.14.4-1]
        if isinstance(packet, Connack):
            if self.connack:
                raise ProtocolViolation("second CONNACK")  # [MQTT-3.2.0-2]
        elif not self.connack and not isinstance(packet, Auth):
            # [MQTT-3.2.0-1] [MQTT-3.14.0-1] [MQTT3-3.2.0-1]
            raise ProtocolViolation(f"{packet} before CONNACK")
        if isinstance(packet, Publish):
            self.note_publish(packet)
        elif isinstance(packet, Ack) and packet.kind == PUBREL:
            self.unacknowledged.setdefault(packet.packet_id, 2)
        elif isinstance(packet, Disconnect):
            self.disconnect = packet
        allowed = isinstance(packet, Connack | Disconnect | Publish)
        # [MQTT-3.1.2-29]
        if not self.problem_information and not allowed:
            told = {"reason_string", "user_property"} & set(getattr(packet, "properties", {}))
            if told:
                raise ProtocolViolation(f"problem information that was not asked for: {packet}")
        return packet

    def note_publish(self, packet: Publish) -> None:
        alias = packet.properties.get("topic_alias")
        if alias is not None:
            # [MQTT-3.1.2-26] [MQTT-3.1.2-27] [MQTT-3.3.2-8] [MQTT-3.3.2-11]
            if alias > self.topic_alias_maximum:
                raise ProtocolViolation(f"topic alias {alias} over {self.topic_alias_maximum}")
            if packet.topic:
                self.aliases[alias] = packet.topic
            else:
                # [MQTT-3.3.2-7]
                if alias not in self.aliases:
                    raise ProtocolViolation(f"topic alias {alias} was never set on this connection")
                packet.topic = self.aliases[alias]
        if packet.qos:
            # [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1] [MQTT-4.3.2-3] [MQTT3-2.3.1-4]
            # [MQTT-4.4.0-1] no re-send on a live connection
            if packet.packet_id in self.unacknowledged:
                raise ProtocolViolation(f"packet identifier {packet.packet_id} is in use")
            self.unacknowledged[packet.packet_id] = packet.qos
            # [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2]
            if len(self.unacknowledged) > self.receive_maximum:
                raise ProtocolViolation(f"{len(self.unacknowledged)} in flight, Receive Maximum {self.receive_maximum}")

    def receive(self, timeout: float = TIMEOUT) -> FromServer:
        """The next packet in order of arrival."""
        return self.inbox.popleft() if self.inbox else self.read_socket(timeout)

    def expect(self, kind: type[P], timeout: float = TIMEOUT) -> P:
        """The next packet, which has to be of this kind."""
        packet = self.receive(timeout)
        assert isinstance(packet, kind), f"{kind.__name__} expected, got {packet}"
        return packet

    def expect_ack(self, kind: int, packet_id: int, timeout: float = TIMEOUT) -> Ack:
        """The answer to `packet_id`; PUBLISH packets (and acknowledgements of others) before it stay in the inbox."""
        return self.wait_for(
            lambda each: isinstance(each, Ack) and (each.kind, each.packet_id) == (kind, packet_id), timeout
        )

    def wait_for(self, wanted, timeout: float = TIMEOUT):
        """The first packet, received or to come, that `wanted` accepts; others keep their place in the inbox."""
        for packet in self.inbox:
            if wanted(packet):
                self.inbox.remove(packet)
                return packet
        deadline = time.monotonic() + timeout
        while True:
            packet = self.read_socket(deadline - time.monotonic())
            if wanted(packet):
                return packet
            self.inbox.append(packet)

    def expect_closed(self, timeout: float = TIMEOUT) -> None:
        """The Server closes now, with no further packet. [MQTT-4.13.2-1] [MQTT-3.14.4-2]"""
        try:
            packet = self.receive(timeout)
        except ConnectionClosed:
            return
        raise AssertionError(f"end of connection expected, got {packet}")

    def expect_disconnect(self, *reasons: int, timeout: float = TIMEOUT) -> None:
        """MQTT 5.0: DISCONNECT with one of these reasons, then the end. Before: the end alone."""
        if self.version == V5 and not self.announces_errors:
            self.expect_end(timeout)
            return
        if self.version == V5:
            packet = self.expect(Disconnect, timeout)
            assert packet.reason in reasons, f"reason {packet.reason:#x}, expected {[hex(each) for each in reasons]}"
        self.expect_closed(timeout)

    # -- exchanges ---------------------------------------------------------------------------------------------

    def connect(self, packet: Connect) -> Connack:
        """CONNECT and the CONNACK, whatever its reason."""
        self.begin(packet)
        self.send(packet)
        self.connack = None
        connack = self.expect(Connack)
        self.connack = connack
        return connack

    def begin(self, packet: Connect) -> None:
        """Takes over the limits of a CONNECT, sent by the caller, without waiting for the CONNACK."""
        self.version = packet.version
        self.client_id = packet.client_id if isinstance(packet.client_id, str) else ""
        asked = packet.properties if packet.version == V5 else {}
        self.receive_maximum = asked.get("receive_maximum", 65535)
        self.topic_alias_maximum = asked.get("topic_alias_maximum", 0)
        self.maximum_packet_size = asked.get("maximum_packet_size")
        self.problem_information = asked.get("request_problem_information", 1) != 0

    def ping(self) -> None:
        """PINGREQ, and PINGRESP has to be the next packet: nothing else was on its way."""
        assert not self.inbox, f"unread packets: {list(self.inbox)}"
        self.send(Pingreq())
        self.expect(Pingresp)

    def subscribe(
        self,
        *filters: str | Filter,
        qos: int = 0,
        properties: Properties | None = None,
        granted: list[int] | None = None,
    ) -> Suback:
        """SUBSCRIBE and SUBACK; fails unless every filter got the QoS it asked for, or what `granted` says."""
        wanted = [each if isinstance(each, Filter) else Filter(each, qos) for each in filters]
        packet_id = self.packet_id()
        self.send(Subscribe(packet_id, wanted, properties or {}))
        suback = self.wait_for(lambda each: isinstance(each, Suback))
        # [MQTT-2.2.1-6] [MQTT-3.8.4-2] [MQTT3-2.3.1-7] [MQTT3-3.8.4-2]
        assert suback.packet_id == packet_id
        assert suback.reasons == ([each.qos for each in wanted] if granted is None else granted)
        return suback

    def unsubscribe(self, *filters: str, properties: Properties | None = None) -> Unsuback:
        packet_id = self.packet_id()
        self.send(Unsubscribe(packet_id, list(filters), properties or {}))
        unsuback = self.wait_for(lambda each: isinstance(each, Unsuback))
        # [MQTT-2.2.1-6] [MQTT-3.10.4-5] [MQTT3-2.3.1-7]
        assert unsuback.packet_id == packet_id
        return unsuback

    def publish(
        self,
        topic: str,
        payload: bytes = b"",
        qos: int = 0,
        retain: bool = False,
        properties: Properties | None = None,
        reasons: tuple[int, ...] = (0x00, 0x10),
    ) -> Ack | None:
        """PUBLISH and its whole acknowledgement; returns the PUBACK or PUBREC."""
        packet_id = self.packet_id() if qos else 0
        self.send(Publish(topic, payload, qos, retain, False, packet_id, properties or {}))
        if not qos:
            return None
        # [MQTT-2.2.1-5] [MQTT3-2.3.1-6]: the answers carry the identifier of the PUBLISH.
        ack = self.expect_ack(PUBACK if qos == 1 else PUBREC, packet_id)
        assert ack.reason in reasons, f"reason {ack.reason:#x} for {topic}"
        if qos == 2 and ack.reason < 0x80:
            self.release(packet_id)
        return ack

    def publish_until_unmatched(self, topic: str, qos: int = 1) -> None:
        """Publishes until the answer is 0x10, No matching subscribers.

        The code is a hint (3.4.2.1): a Server may take a moment to know that a subscription elsewhere has ended.
        """
        deadline = time.monotonic() + TIMEOUT
        while self.publish(topic, b"anybody?", qos).reason != 0x10:
            if time.monotonic() > deadline:
                raise Overdue(f"{topic} is still said to have subscribers")

    def release(self, packet_id: int) -> None:
        """PUBREL and PUBCOMP."""
        self.send(Ack(PUBREL, packet_id))
        assert self.expect_ack(PUBCOMP, packet_id).reason == 0

    def receive_publish(self, timeout: float = TIMEOUT, acknowledge: bool = True) -> Publish:
        """The next packet, a PUBLISH, acknowledged to the end unless told otherwise."""
        packet = self.expect(Publish, timeout)
        if acknowledge:
            self.acknowledge(packet)
        return packet

    def acknowledge(self, packet: Publish, reason: int = 0) -> None:
        """Completes the receiver's part for `packet`."""
        if packet.qos == 1:
            self.send(Ack(PUBACK, packet.packet_id, reason))
            del self.unacknowledged[packet.packet_id]
        elif packet.qos == 2:
            self.send(Ack(PUBREC, packet.packet_id, reason))
            if reason < 0x80:
                # [MQTT-4.3.3-4] [MQTT3-4.3.3-1]
                self.expect_ack(PUBREL, packet.packet_id)
                self.complete(packet.packet_id)
            else:
                del self.unacknowledged[packet.packet_id]

    def complete(self, packet_id: int) -> None:
        """PUBCOMP for a PUBREL that was received."""
        self.send(Ack(PUBCOMP, packet_id))
        del self.unacknowledged[packet_id]

    def payloads(self, count: int) -> list[bytes]:
        """Payloads of the next `count` PUBLISH packets."""
        return [self.receive_publish().payload for _ in range(count)]

    def quiet(self, publisher: Client | None = None) -> None:
        """Proves that nothing else is on its way.

        `publisher` sends a marker which has to be the next packet here: whatever it published before would have come
        first. The PINGRESP after it rules out anything this connection still had to receive.
        """
        assert not self.inbox, f"unread packets: {list(self.inbox)}"
        if publisher:
            marker = f"marker/{id(self)}/{time.monotonic_ns()}"
            self.subscribe(marker)
            publisher.publish(marker, b"marker", properties=None)
            packet = self.receive_publish()
            assert packet.topic == marker, f"unexpected {packet}"
            self.unsubscribe(marker)
        self.ping()

    def goodbye(self, reason: int = 0, properties: Properties | None = None) -> None:
        """DISCONNECT, and the Server closes."""
        self.send(Disconnect(reason, properties or {}))
        self.expect_end()

    def expect_end(self, timeout: float = TIMEOUT) -> None:
        """Reads until the Server has closed, dropping packets."""
        deadline = time.monotonic() + timeout
        try:
            while True:
                self.read_socket(deadline - time.monotonic())
        except ConnectionClosed:
            self.socket.close()


def collect(clients: list[Client], count: int) -> list[list[bytes]]:
    """Receives `count` messages, whichever of the clients get them; payloads by client."""
    got: list[list[bytes]] = [[] for _ in clients]
    deadline = time.monotonic() + TIMEOUT
    while (missing := count - sum(map(len, got))) > 0:
        ready, _, _ = select.select([each.socket for each in clients], [], [], deadline - time.monotonic())
        if not ready:
            raise Overdue(f"{missing} of {count} messages are missing")
        for client, payloads in zip(clients, got, strict=True):
            if client.socket in ready:
                payloads.append(client.receive_publish().payload)
                while client.buffer or client.inbox:
                    payloads.append(client.receive_publish().payload)
    return got
