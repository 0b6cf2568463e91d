"""`mqtt.strict_mode`: what a broker lets pass that is told not to be strict, and what it refuses all the same.

That the same packets are refused by default is the subject of `test_malformed.py` and `test_connect_refused.py`.
"""

import struct
import time

import pytest

from packets import (
    CONNECT,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBSCRIBE,
    UNSUBSCRIBE,
    V5,
    V311,
    Connack,
    Filter,
    Pingresp,
    Suback,
    Unsuback,
    frame,
)
from properties import encode_utf8
from wire_client import TIMEOUT

pytestmark = pytest.mark.ringmq_only("a setting of EMQX")


@pytest.fixture
def lenient(broker_with):
    return broker_with("mqtt.strict_mode=false")


def properties(version: int) -> bytes:
    return b"\0" if version == V5 else b""


@pytest.mark.parametrize("strict", [True, False])
def test_flags_of_subscribe(connect, broker, lenient, current, unique, strict):
    """Without strict mode flags of the fixed header are ignored; with it they end the connection."""
    client = connect(version=current, to=broker if strict else lenient)
    body = struct.pack(">H", 7) + properties(current) + Filter(unique).encode()
    client.send_raw(frame(SUBSCRIBE, 0, body))
    if strict:
        client.expect_end()
        return
    suback = client.expect(Suback)
    assert (suback.packet_id, suback.reasons) == (7, [0])
    client.publish(unique, b"to myself")
    assert client.receive_publish().payload == b"to myself"
    body = struct.pack(">H", 8) + properties(current) + encode_utf8(unique)
    client.send_raw(frame(UNSUBSCRIBE, 0, body))
    assert client.expect(Unsuback).packet_id == 8


def test_flags_of_pingreq(connect, lenient, current):
    client = connect(version=current, to=lenient)
    client.send_raw(b"\xc5\x00")
    client.expect(Pingresp)


def test_duplicate_at_qos_0(connect, lenient, current, unique):
    """It is a message like any other."""
    subscriber = connect(version=current, to=lenient)
    subscriber.subscribe(unique)
    connect(version=current, to=lenient).send_raw(
        frame(PUBLISH, 8, encode_utf8(unique) + properties(current) + b"once")
    )
    message = subscriber.receive_publish()
    assert (message.payload, message.dup) == (b"once", False)


@pytest.mark.parametrize("qos", [1, 2])
def test_packet_identifier_0(connect, lenient, current, unique, qos):
    """A message, its acknowledgements and a subscription with identifier 0."""
    subscriber = connect(version=current, to=lenient)
    subscriber.send_raw(frame(SUBSCRIBE, 2, b"\0\0" + properties(current) + Filter(unique).encode()))
    assert subscriber.expect(Suback).packet_id == 0

    def answer(first: int) -> None:
        # A client of the standard would not know this identifier.
        got, body = publisher.read_frame(time.monotonic() + TIMEOUT)
        assert (got, body[:2]) == (first, b"\0\0")

    publisher = connect(version=current, to=lenient)
    message = frame(PUBLISH, qos << 1, encode_utf8(unique) + b"\0\0" + properties(current) + b"x")
    for _ in range(2):
        publisher.send_raw(message)
        if qos == 1:
            answer(PUBACK << 4)
        else:
            answer(PUBREC << 4)
            publisher.send_raw(frame(PUBREL, 2, b"\0\0"))
            answer(PUBCOMP << 4)
        assert subscriber.receive_publish().payload == b"x"


def test_password_without_a_user_name(raw, lenient):
    """[MQTT3-3.1.2-22] is not enforced without strict mode."""
    client = raw(V311, lenient)
    body = encode_utf8("MQTT") + bytes([4, 0x42]) + struct.pack(">H", 0) + encode_utf8("") + encode_utf8("secret")
    client.send_raw(frame(CONNECT, 0, body))
    assert client.expect(Connack).reason == 0


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(frame(PUBLISH, 0, encode_utf8(b"a\xff") + b"x"), id="ill-formed topic"),
        pytest.param(frame(PUBLISH, 0, encode_utf8(b"a\x00b") + b"x"), id="null in a topic"),
        pytest.param(frame(PUBLISH, 6, encode_utf8(b"a") + b"\0\1x"), id="QoS 3"),
        pytest.param(frame(PUBLISH, 0, encode_utf8(b"a/#") + b"x"), id="wildcard in a topic"),
        pytest.param(frame(SUBSCRIBE, 2, b"\0\1" + encode_utf8(b"a") + b"\x04"), id="reserved bits of options"),
        pytest.param(frame(SUBSCRIBE, 2, b"\0\1"), id="no filter"),
        pytest.param(b"\x00\x00", id="type 0"),
    ],
)
def test_harm_is_refused_all_the_same(connect, lenient, packet):
    client = connect(version=V311, to=lenient)
    client.send_raw(packet)
    client.expect_end()
