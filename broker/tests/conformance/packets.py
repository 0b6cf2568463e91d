"""MQTT 3.1, 3.1.1 and 5.0 control packets: encoder and strict decoder, an oracle independent of the broker.

The encoder writes whatever it is told to, so that tests can build wrong packets. The decoder is for packets from the
Server and raises `ProtocolViolation` for anything the standard does not allow. Absent: sockets (`wire_client.py`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from properties import (
    Properties,
    ProtocolViolation,
    Reader,
    decode_properties,
    encode_binary,
    encode_properties,
    encode_utf8,
    encode_varint,
)

V31, V311, V5 = 3, 4, 5
BRIDGE_BIT = 0x80
"""Set in the protocol level by bridges of the 3.x days (0x83, 0x84)."""

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = 8, 9, 10, 11, 12, 13, 14, 15

# Reason codes a Server may use, by packet (tables of sections 3.2.2.2 to 3.15.2.1).
CONNACK_REASONS = {
    0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C,
    0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
}  # fmt: skip
PUBACK_REASONS = {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99}
PUBREL_REASONS = {0x00, 0x92}
SUBACK_REASONS = {0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2}
SUBACK_CODES_V3 = {0x00, 0x01, 0x02, 0x80}
UNSUBACK_REASONS = {0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91}
DISCONNECT_REASONS_OF_SERVER = {
    0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98,
    0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
}  # fmt: skip
AUTH_REASONS_OF_SERVER = {0x00, 0x18}


def frame(kind: int, flags: int, body: bytes) -> bytes:
    """Fixed header and the rest."""
    return bytes([kind << 4 | flags]) + encode_varint(len(body)) + body


@dataclass
class Will:
    topic: str | bytes
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    properties: Properties = field(default_factory=dict)


@dataclass
class Connect:
    client_id: str | bytes = ""
    version: int = V5
    clean: bool = True
    keep_alive: int = 0
    properties: Properties = field(default_factory=dict)
    will: Will | None = None
    username: str | bytes | None = None
    password: bytes | None = None
    protocol_name: str | bytes | None = None
    flags: int | None = None
    """Overrides the computed Connect Flags."""
    level: int | None = None
    """Overrides the protocol level byte."""
    fixed_flags: int = 0

    def encode(self) -> bytes:
        version = self.version
        name = self.protocol_name if self.protocol_name is not None else ("MQIsdp" if version == V31 else "MQTT")
        flags = 0x02 if self.clean else 0
        payload = encode_utf8(self.client_id)
        if self.will:
            flags |= 0x04 | self.will.qos << 3 | (0x20 if self.will.retain else 0)
            if version == V5:
                payload += encode_properties(self.will.properties)
            payload += encode_utf8(self.will.topic) + encode_binary(self.will.payload)
        if self.username is not None:
            flags |= 0x80
            payload += encode_utf8(self.username)
        if self.password is not None:
            flags |= 0x40
            payload += encode_binary(self.password)
        flags = flags if self.flags is None else self.flags
        level = version if self.level is None else self.level
        head = encode_utf8(name) + bytes([level, flags]) + struct.pack(">H", self.keep_alive)
        if version == V5:
            head += encode_properties(self.properties)
        return frame(CONNECT, self.fixed_flags, head + payload)


@dataclass
class Publish:
    topic: str | bytes
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    dup: bool = False
    packet_id: int = 0
    properties: Properties = field(default_factory=dict)

    def encode(self, version: int) -> bytes:
        body = encode_utf8(self.topic)
        if self.qos:
            body += struct.pack(">H", self.packet_id)
        if version == V5:
            body += encode_properties(self.properties)
        return frame(PUBLISH, self.dup << 3 | self.qos << 1 | self.retain, body + self.payload)


@dataclass
class Ack:
    """PUBACK, PUBREC, PUBREL or PUBCOMP."""

    kind: int
    packet_id: int
    reason: int = 0
    properties: Properties = field(default_factory=dict)
    flags: int | None = None

    def encode(self, version: int) -> bytes:
        flags = self.flags if self.flags is not None else (2 if self.kind == PUBREL else 0)
        body = struct.pack(">H", self.packet_id)
        if version == V5 and (self.reason or self.properties):
            body += bytes([self.reason])
            if self.properties:
                body += encode_properties(self.properties)
        return frame(self.kind, flags, body)


@dataclass
class Filter:
    """One Topic Filter with its Subscription Options (3.8.3.1)."""

    topic: str | bytes
    qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0
    options: int | None = None
    """Overrides the computed options byte."""

    def encode(self) -> bytes:
        computed = self.qos | self.no_local << 2 | self.retain_as_published << 3 | self.retain_handling << 4
        return encode_utf8(self.topic) + bytes([computed if self.options is None else self.options])


@dataclass
class Subscribe:
    packet_id: int
    filters: list[Filter]
    properties: Properties = field(default_factory=dict)
    flags: int = 2

    def encode(self, version: int) -> bytes:
        body = struct.pack(">H", self.packet_id)
        if version == V5:
            body += encode_properties(self.properties)
        return frame(SUBSCRIBE, self.flags, body + b"".join(each.encode() for each in self.filters))


@dataclass
class Unsubscribe:
    packet_id: int
    filters: list[str | bytes]
    properties: Properties = field(default_factory=dict)
    flags: int = 2

    def encode(self, version: int) -> bytes:
        body = struct.pack(">H", self.packet_id)
        if version == V5:
            body += encode_properties(self.properties)
        return frame(UNSUBSCRIBE, self.flags, body + b"".join(encode_utf8(each) for each in self.filters))


@dataclass
class Disconnect:
    reason: int = 0
    properties: Properties = field(default_factory=dict)
    flags: int = 0

    def encode(self, version: int) -> bytes:
        body = b""
        if version == V5 and (self.reason or self.properties):
            body = bytes([self.reason]) + (encode_properties(self.properties) if self.properties else b"")
        return frame(DISCONNECT, self.flags, body)


@dataclass
class Auth:
    reason: int = 0
    properties: Properties = field(default_factory=dict)
    flags: int = 0

    def encode(self, version: int) -> bytes:
        body = bytes([self.reason]) + encode_properties(self.properties) if self.reason or self.properties else b""
        return frame(AUTH, self.flags, body)


@dataclass
class Pingreq:
    def encode(self, version: int) -> bytes:
        return frame(PINGREQ, 0, b"")


@dataclass
class Connack:
    session_present: bool
    reason: int
    properties: Properties


@dataclass
class Suback:
    packet_id: int
    reasons: list[int]
    properties: Properties


@dataclass
class Unsuback:
    packet_id: int
    reasons: list[int]
    properties: Properties


@dataclass
class Pingresp:
    pass


FromServer = Connack | Publish | Ack | Suback | Unsuback | Pingresp | Disconnect | Auth


def check(condition: bool, message: str) -> None:
    if not condition:
        raise ProtocolViolation(message)


def decode_connack(reader: Reader, version: int) -> Connack:
    flags, reason = reader.byte(), reader.byte()
    check(flags & 0xFE == 0, f"reserved CONNACK flags {flags:#x}")  # [MQTT-3.2.2-1]
    if version == V5:
        check(reason in CONNACK_REASONS, f"CONNACK reason {reason:#x}")  # [MQTT-3.2.2-8]
        properties = decode_properties(reader, "CONNACK")
    else:
        check(reason <= 5, f"CONNACK return code {reason:#x}")
        properties = {}
    # [MQTT-3.2.2-6] [MQTT3-3.2.2-4]
    check(not (reason and flags), "Session Present in a refusing CONNACK")
    return Connack(bool(flags & 1), reason, properties)


def decode_publish(flags: int, reader: Reader, version: int) -> Publish:
    qos, dup = flags >> 1 & 3, bool(flags & 8)
    check(qos != 3, "PUBLISH with QoS 3")  # [MQTT-3.3.1-4] [MQTT3-3.3.1-4]
    check(qos != 0 or not dup, "DUP with QoS 0")  # [MQTT-3.3.1-2] [MQTT-4.3.1-1] [MQTT3-3.3.1-2] [MQTT3-4.3.1-1]
    topic = reader.utf8()  # [MQTT-3.3.2-1] [MQTT3-3.3.2-1]
    check(not set("+#") & set(topic), f"wildcard in topic name {topic!r}")  # [MQTT-3.3.2-2] [MQTT-4.7.0-1]
    packet_id = reader.u16() if qos else 0
    check(qos == 0 or packet_id != 0, "packet identifier 0")  # [MQTT-2.2.1-4] [MQTT3-2.3.1-1]
    properties = decode_properties(reader, "PUBLISH") if version == V5 else {}
    # [MQTT-4.7.3-1]
    check(bool(topic) or "topic_alias" in properties, "empty topic name without an alias")
    return Publish(topic, reader.rest(), qos, bool(flags & 1), dup, packet_id, properties)


def decode_ack(kind: int, reader: Reader, version: int) -> Ack:
    packet_id = reader.u16()
    check(packet_id != 0, "acknowledgement of packet identifier 0")
    if version != V5 or not reader.left():
        return Ack(kind, packet_id)
    name, reasons = {
        PUBACK: ("PUBACK", PUBACK_REASONS),  # [MQTT-3.4.2-1]
        PUBREC: ("PUBREC", PUBACK_REASONS),  # [MQTT-3.5.2-1]
        PUBREL: ("PUBREL", PUBREL_REASONS),  # [MQTT-3.6.2-1]
        PUBCOMP: ("PUBCOMP", PUBREL_REASONS),  # [MQTT-3.7.2-1]
    }[kind]
    reason = reader.byte()
    check(reason in reasons, f"{name} reason {reason:#x}")
    return Ack(kind, packet_id, reason, decode_properties(reader, name) if reader.left() else {})


def decode_suback(reader: Reader, version: int) -> Suback:
    packet_id = reader.u16()
    properties = decode_properties(reader, "SUBACK") if version == V5 else {}
    reasons = list(reader.rest())
    allowed = SUBACK_REASONS if version == V5 else SUBACK_CODES_V3
    check(set(reasons) <= allowed, f"SUBACK reasons {reasons}")  # [MQTT-3.9.3-2] [MQTT3-3.9.3-2]
    return Suback(packet_id, reasons, properties)


def decode_unsuback(reader: Reader, version: int) -> Unsuback:
    packet_id = reader.u16()
    if version != V5:
        return Unsuback(packet_id, [], {})
    properties = decode_properties(reader, "UNSUBACK")
    reasons = list(reader.rest())
    check(set(reasons) <= UNSUBACK_REASONS, f"UNSUBACK reasons {reasons}")  # [MQTT-3.11.3-2]
    return Unsuback(packet_id, reasons, properties)


def decode_disconnect(reader: Reader, version: int) -> Disconnect:
    check(version == V5, "DISCONNECT from a Server before MQTT 5.0")
    reason = reader.byte() if reader.left() else 0
    check(reason in DISCONNECT_REASONS_OF_SERVER, f"DISCONNECT reason {reason:#x}")  # [MQTT-3.14.2-1]
    properties = decode_properties(reader, "DISCONNECT") if reader.left() else {}
    # [MQTT-3.14.2-2]
    check("session_expiry_interval" not in properties, "Session Expiry Interval from the Server")
    return Disconnect(reason, properties)


def decode_auth(reader: Reader, version: int) -> Auth:
    check(version == V5, "AUTH before MQTT 5.0")
    reason = reader.byte() if reader.left() else 0
    check(reason in AUTH_REASONS_OF_SERVER, f"AUTH reason {reason:#x}")  # [MQTT-4.12.0-2]
    return Auth(reason, decode_properties(reader, "AUTH") if reader.left() else {})


def decode(first: int, body: bytes, version: int) -> FromServer:
    """One packet from the Server; `first` is the first byte of the fixed header."""
    kind, flags = first >> 4, first & 15
    if kind != PUBLISH:
        # [MQTT-2.1.3-1] [MQTT3-2.2.2-1]
        check(flags == (2 if kind == PUBREL else 0), f"reserved flags {flags:#x} in packet type {kind}")
    reader = Reader(body)
    if kind == CONNACK:
        packet: FromServer = decode_connack(reader, version)
    elif kind == PUBLISH:
        packet = decode_publish(flags, reader, version)
    elif kind in (PUBACK, PUBREC, PUBREL, PUBCOMP):
        packet = decode_ack(kind, reader, version)
    elif kind == SUBACK:
        packet = decode_suback(reader, version)
    elif kind == UNSUBACK:
        packet = decode_unsuback(reader, version)
    elif kind == PINGRESP:
        packet = Pingresp()
    elif kind == DISCONNECT:
        packet = decode_disconnect(reader, version)
    elif kind == AUTH:
        packet = decode_auth(reader, version)
    else:
        raise ProtocolViolation(f"packet type {kind} from a Server")
    check(reader.left() == 0, f"{reader.left()} bytes after the end of {packet}")
    return packet
