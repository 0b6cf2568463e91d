"""MQTT 5.0 properties: identifiers, data types and the packets that may carry them (section 2.2.2.2).

An independent reading of the standard, shared with no code of the broker. Absent: packet layouts (`packets.py`).
"""

from __future__ import annotations

import struct
from typing import Any

Properties = dict[str, Any]
"""Property name to value. `user_property` holds a list of (name, value); `subscription_identifier` a list of int."""


class ProtocolViolation(AssertionError):
    """The peer sent bytes that the standard does not allow."""


# name: (identifier, data type, packets that may carry it)
TABLE: dict[str, tuple[int, str, str]] = {
    "payload_format_indicator": (0x01, "byte", "PUBLISH WILL"),
    "message_expiry_interval": (0x02, "u32", "PUBLISH WILL"),
    "content_type": (0x03, "utf8", "PUBLISH WILL"),
    "response_topic": (0x08, "utf8", "PUBLISH WILL"),
    "correlation_data": (0x09, "binary", "PUBLISH WILL"),
    "subscription_identifier": (0x0B, "varint", "PUBLISH SUBSCRIBE"),
    "session_expiry_interval": (0x11, "u32", "CONNECT CONNACK DISCONNECT"),
    "assigned_client_identifier": (0x12, "utf8", "CONNACK"),
    "server_keep_alive": (0x13, "u16", "CONNACK"),
    "authentication_method": (0x15, "utf8", "CONNECT CONNACK AUTH"),
    "authentication_data": (0x16, "binary", "CONNECT CONNACK AUTH"),
    "request_problem_information": (0x17, "byte", "CONNECT"),
    "will_delay_interval": (0x18, "u32", "WILL"),
    "request_response_information": (0x19, "byte", "CONNECT"),
    "response_information": (0x1A, "utf8", "CONNACK"),
    "server_reference": (0x1C, "utf8", "CONNACK DISCONNECT"),
    "reason_string": (0x1F, "utf8", "CONNACK PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK DISCONNECT AUTH"),
    "receive_maximum": (0x21, "u16", "CONNECT CONNACK"),
    "topic_alias_maximum": (0x22, "u16", "CONNECT CONNACK"),
    "topic_alias": (0x23, "u16", "PUBLISH"),
    "maximum_qos": (0x24, "byte", "CONNACK"),
    "retain_available": (0x25, "byte", "CONNACK"),
    "user_property": (
        0x26,
        "pair",
        "CONNECT CONNACK PUBLISH WILL PUBACK PUBREC PUBREL PUBCOMP "
        "SUBSCRIBE SUBACK UNSUBSCRIBE UNSUBACK DISCONNECT AUTH",
    ),
    "maximum_packet_size": (0x27, "u32", "CONNECT CONNACK"),
    "wildcard_subscription_available": (0x28, "byte", "CONNACK"),
    "subscription_identifier_available": (0x29, "byte", "CONNACK"),
    "shared_subscription_available": (0x2A, "byte", "CONNACK"),
}
BY_IDENTIFIER = {identifier: (name, kind, where.split()) for name, (identifier, kind, where) in TABLE.items()}

# Properties whose value 0 is a Protocol Error (2.2.2.2 and the packet sections).
NEVER_ZERO = {"subscription_identifier", "receive_maximum", "maximum_packet_size", "topic_alias"}
# Byte properties that may only be 0 or 1.
BOOLEAN = {
    "payload_format_indicator",
    "maximum_qos",
    "retain_available",
    "wildcard_subscription_available",
    "subscription_identifier_available",
    "shared_subscription_available",
}


def encode_varint(value: int) -> bytes:
    """Variable Byte Integer (1.5.5)."""
    out = bytearray()
    while True:
        value, low = divmod(value, 128)
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def encode_utf8(value: str | bytes) -> bytes:
    """UTF-8 Encoded String (1.5.4); bytes go out as they are, so that a test can send an invalid one."""
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(raw)) + raw


def encode_binary(value: bytes) -> bytes:
    """Binary Data (1.5.6)."""
    return struct.pack(">H", len(value)) + value


def encode_value(kind: str, value: Any) -> bytes:
    if kind == "byte":
        return bytes([value])
    if kind == "u16":
        return struct.pack(">H", value)
    if kind == "u32":
        return struct.pack(">I", value)
    if kind == "varint":
        return encode_varint(value)
    if kind == "utf8":
        return encode_utf8(value)
    if kind == "binary":
        return encode_binary(value)
    return encode_utf8(value[0]) + encode_utf8(value[1])


def encode_one(name: str, value: Any) -> bytes:
    """One property: identifier and value."""
    identifier, kind, _ = TABLE[name]
    return bytes([identifier]) + encode_value(kind, value)


def encode_properties(properties: Properties) -> bytes:
    """Property Length and the properties, in the order of the dict. [MQTT-2.2.2-1]"""
    body = b""
    for name, value in properties.items():
        values = value if isinstance(value, list) else [value]
        body += b"".join(encode_one(name, each) for each in values)
    return encode_varint(len(body)) + body


class Reader:
    """Bytes with a position; every read past the end is a violation by the sender."""

    def __init__(self, data: bytes):
        self.data = data
        self.at = 0

    def left(self) -> int:
        return len(self.data) - self.at

    def take(self, count: int) -> bytes:
        if self.left() < count:
            raise ProtocolViolation(f"truncated: {count} bytes wanted, {self.left()} left in {self.data!r}")
        self.at += count
        return self.data[self.at - count : self.at]

    def rest(self) -> bytes:
        return self.take(self.left())

    def byte(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return struct.unpack(">H", self.take(2))[0]

    def u32(self) -> int:
        return struct.unpack(">I", self.take(4))[0]

    def varint(self) -> int:
        """[MQTT-1.5.5-1] the encoding must be minimal."""
        value = 0
        for count in range(4):
            byte = self.byte()
            value |= (byte & 0x7F) << (7 * count)
            if not byte & 0x80:
                if count and not byte:
                    raise ProtocolViolation("variable byte integer is not minimal")
                return value
        raise ProtocolViolation("variable byte integer of more than four bytes")

    def utf8(self) -> str:
        """[MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-1.5.7-1] [MQTT3-1.5.3-1] [MQTT3-1.5.3-2]"""
        raw = self.take(self.u16())
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ProtocolViolation(f"ill-formed UTF-8 {raw!r}") from error
        if "\0" in text:
            raise ProtocolViolation("U+0000 in a string")
        return text

    def binary(self) -> bytes:
        return self.take(self.u16())

    def value(self, kind: str) -> Any:
        if kind == "pair":
            return (self.utf8(), self.utf8())
        return getattr(self, kind)()


def decode_properties(reader: Reader, packet: str) -> Properties:
    """Reads Property Length and properties, checking each against the rules for `packet`."""
    block = Reader(reader.take(reader.varint()))
    found: Properties = {}
    while block.left():
        identifier = block.varint()
        if identifier not in BY_IDENTIFIER:
            raise ProtocolViolation(f"unknown property 0x{identifier:02x} in {packet}")
        name, kind, where = BY_IDENTIFIER[identifier]
        if packet not in where:
            raise ProtocolViolation(f"property {name} is not allowed in {packet}")
        value = block.value(kind)
        if name in NEVER_ZERO and value == 0:
            raise ProtocolViolation(f"{name} is 0 in {packet}")
        if name in BOOLEAN and value > 1:
            raise ProtocolViolation(f"{name} is {value} in {packet}")
        if name == "user_property" or (name == "subscription_identifier" and packet == "PUBLISH"):
            found.setdefault(name, []).append(value)
        elif name in found:
            raise ProtocolViolation(f"property {name} twice in {packet}")
        else:
            found[name] = value
    return found
