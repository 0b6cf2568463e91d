"""Packets that are wrong after CONNECT: for each the reason a client of MQTT 5.0 gets; earlier ones see the end.

Where the standard leaves open whether something is malformed (0x81) or a protocol error (0x82), both pass.
"""

import struct

import pytest

from packets import (
    AUTH,
    CONNACK,
    DISCONNECT,
    PINGREQ,
    PINGRESP,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    SUBSCRIBE,
    UNSUBACK,
    UNSUBSCRIBE,
    V5,
    V311,
    Ack,
    Filter,
    Pingreq,
    Pingresp,
    Publish,
    Subscribe,
    Unsubscribe,
    Will,
    frame,
)
from properties import encode_one, encode_utf8, encode_varint
from wire_client import ConnectionClosed

MALFORMED, PROTOCOL_ERROR = 0x81, 0x82
BAD = (MALFORMED, PROTOCOL_ERROR)
FILTER_INVALID, TOPIC_INVALID, ALIAS_INVALID = 0x8F, 0x90, 0x94
ILL_FORMED = [
    pytest.param(b"\xff\xfe", id="0xff"),
    pytest.param(b"a\xc0\x80", id="overlong null"),
    pytest.param(b"a\xed\xa0\x80", id="surrogate"),
    pytest.param(b"a\x00b", id="null"),
    pytest.param(b"\xf4\x90\x80\x80", id="over U+10FFFF"),
    pytest.param(b"a\xe2\x82", id="truncated"),
]


def refused(connect, version, data: bytes, *reasons: int):
    """A session sends `data` and is ended. [MQTT-4.13.1-1] [MQTT-4.13.2-1] [MQTT-3.14.4-2] [MQTT3-4.8.0-1]"""
    client = connect(version=version)
    client.send_raw(data)
    client.expect_disconnect(*reasons)


# -- fixed header ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [1, 2, 4, 8])
@pytest.mark.parametrize(
    ("kind", "body"),
    [(PINGREQ, b""), (PUBACK, b"\0\1"), (PUBREC, b"\0\1"), (PUBCOMP, b"\0\1")],
    ids=["ping", "ack", "rec", "comp"],
)
def test_reserved_flags(connect, current, kind, body, flags):
    """[MQTT-2.1.3-1] [MQTT3-2.2.2-1] [MQTT3-2.2.2-2]"""
    refused(connect, current, frame(kind, flags, body), *BAD)


@pytest.mark.parametrize("flags", [1, 2, 4, 8])
def test_reserved_flags_of_disconnect(connect, current, flags):
    """[MQTT-3.14.1-1] [MQTT3-3.14.1-1]"""
    refused(connect, current, frame(DISCONNECT, flags, b""), MALFORMED, PROTOCOL_ERROR)


@pytest.mark.parametrize("flags", [0, 1, 3, 6, 10])
def test_flags_of_pubrel(connect, current, flags):
    """[MQTT-3.6.1-1] [MQTT3-3.6.1-1]"""
    refused(connect, current, Ack(PUBREL, 1, flags=flags).encode(current), *BAD)


@pytest.mark.parametrize("flags", [0, 1, 3, 6, 10])
def test_flags_of_subscribe(connect, current, flags):
    """[MQTT-3.8.1-1] [MQTT3-3.8.1-1]"""
    refused(connect, current, Subscribe(1, [Filter("a")], flags=flags).encode(current), *BAD)


@pytest.mark.parametrize("flags", [0, 1, 3, 6, 10])
def test_flags_of_unsubscribe(connect, current, flags):
    """[MQTT-3.10.1-1] [MQTT3-3.10.1-1]"""
    refused(connect, current, Unsubscribe(1, ["a"], flags=flags).encode(current), *BAD)


@pytest.mark.parametrize("flags", [1, 2, 4, 8])
def test_flags_of_auth(connect, flags):
    """[MQTT-3.15.1-1]"""
    refused(connect, V5, frame(AUTH, flags, b""), *BAD)


@pytest.mark.parametrize("kind", [0, CONNACK, SUBACK, UNSUBACK, PINGRESP])
def test_packet_types_a_client_never_sends(connect, current, kind):
    """2.1.2: direction of flow."""
    body = {CONNACK: b"\0\0", SUBACK: b"\0\1\0", UNSUBACK: b"\0\1"}.get(kind, b"")
    refused(connect, current, frame(kind, 0, body), *BAD)


def test_packet_type_15_before_v5(connect):
    """3.1.1 section 2.2.1: forbidden."""
    refused(connect, V311, frame(AUTH, 0, b""))


@pytest.mark.parametrize("length", [b"\xff\xff\xff\xff\x7f", b"\x80\x80\x80\x80\x01"])
def test_remaining_length_of_five_bytes(connect, current, length):
    """[MQTT-1.5.5-1]"""
    refused(connect, current, b"\x30" + length, *BAD, 0x95)


@pytest.mark.parametrize("length", [b"\x80\x00", b"\x80\x80\x00", b"\x80\x80\x80\x00"])
def test_remaining_length_not_minimal(connect, length):
    """[MQTT-1.5.5-1]"""
    refused(connect, V5, b"\xc0" + length, *BAD)


def test_pingreq_with_a_body(connect, current):
    """3.12: PINGREQ has no payload."""
    refused(connect, current, frame(PINGREQ, 0, b"\0"), *BAD)


# -- PUBLISH ---------------------------------------------------------------------------------------------------


def test_publish_with_qos_three(connect, current):
    """[MQTT-3.3.1-4] [MQTT3-3.3.1-4]"""
    refused(connect, current, Publish("a", b"x", 3, packet_id=1).encode(current), *BAD)


def test_publish_with_dup_and_qos_zero(connect, current):
    """[MQTT-3.3.1-2] [MQTT3-3.3.1-2]"""
    refused(connect, current, Publish("a", b"x", 0, dup=True).encode(current), *BAD)


@pytest.mark.parametrize("qos", [1, 2])
def test_publish_with_packet_identifier_zero(connect, current, qos):
    """[MQTT-2.2.1-3] [MQTT3-2.3.1-1]"""
    refused(connect, current, Publish("a", b"x", qos, packet_id=0).encode(current), *BAD)


@pytest.mark.parametrize("topic", ["a/#", "a/+/b", "#", "+", "a+", "b#c"])
def test_publish_to_a_wildcard(connect, current, topic):
    """[MQTT-3.3.2-2] [MQTT-4.7.0-1] [MQTT3-3.3.2-2] [MQTT3-4.7.3-1] [MQTT3-4.7.3-2] P21"""
    refused(connect, current, Publish(topic, b"x").encode(current), TOPIC_INVALID)


def test_publish_to_the_empty_topic(connect, current):
    """[MQTT-4.7.3-1] [MQTT3-4.7.0-1]"""
    refused(connect, current, Publish("", b"x").encode(current), TOPIC_INVALID, *BAD)


@pytest.mark.parametrize("text", ILL_FORMED)
def test_publish_topic_ill_formed(connect, current, text):
    """[MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-3.3.2-1] [MQTT-4.7.3-2]
    [MQTT3-1.5.3-1] [MQTT3-1.5.3-2] [MQTT3-3.3.2-1]"""
    refused(connect, current, Publish(text, b"x").encode(current), *BAD, TOPIC_INVALID)


@pytest.mark.parametrize("body", [b"", b"\0", b"\0\5ab", b"\xff\xff"])
def test_publish_cut_short(connect, current, body):
    refused(connect, current, frame(PUBLISH, 0, body), *BAD)


def test_publish_without_its_packet_identifier(connect, current):
    """[MQTT-2.2.1-2] [MQTT3-2.3.1-1] with QoS 1 the packet ends before the identifier."""
    refused(connect, current, frame(PUBLISH, 2, encode_utf8("a")), *BAD)


@pytest.mark.parametrize("alias", [0])
def test_topic_alias_zero(connect, alias):
    """[MQTT-3.3.2-8] P10"""
    refused(connect, V5, Publish("a", b"x", properties={"topic_alias": alias}).encode(V5), ALIAS_INVALID)


def test_unknown_topic_alias(connect):
    """3.3.2.3.4: an alias without a topic and without a mapping."""
    refused(connect, V5, Publish("", b"x", properties={"topic_alias": 5}).encode(V5), PROTOCOL_ERROR, ALIAS_INVALID)


def test_publish_with_subscription_identifier(connect):
    """[MQTT-3.3.4-6]"""
    refused(connect, V5, Publish("a", b"x", properties={"subscription_identifier": 1}).encode(V5), *BAD)


@pytest.mark.parametrize("topic", ["a/#", "a/+", "#"])
def test_response_topic_with_wildcard(connect, topic):
    """[MQTT-3.3.2-14]"""
    refused(connect, V5, Publish("a", b"x", properties={"response_topic": topic}).encode(V5), *BAD, TOPIC_INVALID)


@pytest.mark.parametrize("text", ILL_FORMED)
@pytest.mark.parametrize("name", ["response_topic", "content_type"])
def test_publish_property_ill_formed(connect, name, text):
    """[MQTT-3.3.2-13] [MQTT-3.3.2-19]"""
    refused(connect, V5, Publish("a", b"x", properties={name: text}).encode(V5), *BAD, TOPIC_INVALID)


@pytest.mark.parametrize("text", ILL_FORMED)
@pytest.mark.parametrize("pair", ["name", "value"])
def test_user_property_ill_formed(connect, pair, text):
    """[MQTT-1.5.7-1]"""
    value = (text, "v") if pair == "name" else ("n", text)
    refused(connect, V5, Publish("a", b"x", properties={"user_property": [value]}).encode(V5), *BAD)


ONCE = [
    ("payload_format_indicator", 1),
    ("message_expiry_interval", 9),
    ("topic_alias", 1),
    ("response_topic", "r"),
    ("correlation_data", b"c"),
    ("content_type", "t"),
]


@pytest.mark.parametrize(("name", "value"), ONCE, ids=[name for name, _ in ONCE])
def test_publish_property_twice(connect, name, value):
    """3.3.2.3: a Protocol Error."""
    refused(connect, V5, Publish("a", b"x", properties={name: [value, value]}).encode(V5), *BAD)


FOREIGN = [("session_expiry_interval", 1), ("reason_string", "r"), ("maximum_qos", 1), ("will_delay_interval", 1)]


@pytest.mark.parametrize(("name", "value"), FOREIGN, ids=[name for name, _ in FOREIGN])
def test_publish_with_a_property_of_other_packets(connect, name, value):
    """2.2.2.2"""
    refused(connect, V5, Publish("a", b"x", properties={name: value}).encode(V5), *BAD)


def with_properties(block: bytes) -> bytes:
    return frame(PUBLISH, 0, encode_utf8("a") + block)


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(b"\x02\x7e\x00", id="unknown identifier"),
        pytest.param(b"\x7f\x01\x01", id="length beyond the packet"),
        pytest.param(b"\x80\x00", id="length not minimal"),
        pytest.param(b"\x03\x02\x00\x00", id="value cut short"),
        pytest.param(b"\xff\xff\xff\xff\x01", id="length of five bytes"),
        pytest.param(b"\x01\x26", id="identifier alone"),
    ],
)
def test_malformed_property_block(connect, block):
    """[MQTT-1.5.5-1] [MQTT-2.2.2-1]"""
    refused(connect, V5, with_properties(block), *BAD)


def test_publish_without_property_length(connect):
    """[MQTT-2.2.2-1] MQTT 5.0 wants a length even when there are no properties."""
    refused(connect, V5, frame(PUBLISH, 0, encode_utf8("a")), *BAD)


# -- acknowledgements ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [PUBACK, PUBREC, PUBREL, PUBCOMP], ids=["PUBACK", "PUBREC", "PUBREL", "PUBCOMP"])
@pytest.mark.parametrize("body", [b"", b"\0"], ids=["empty", "one byte"])
def test_acknowledgement_cut_short(connect, current, kind, body):
    refused(connect, current, frame(kind, 2 if kind == PUBREL else 0, body), *BAD)


@pytest.mark.parametrize("kind", [PUBACK, PUBREC, PUBREL, PUBCOMP], ids=["PUBACK", "PUBREC", "PUBREL", "PUBCOMP"])
def test_acknowledgement_of_identifier_zero(connect, current, kind):
    """2.2.1: an identifier is never 0. Ignored or the end; never answered with 0 (the decoder would object)."""
    client = connect(version=current)
    client.send(Ack(kind, 0), Pingreq())
    try:
        packet = client.receive()
        assert isinstance(packet, Pingresp) or packet.reason in BAD, packet
    except ConnectionClosed:
        pass


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(PUBACK, 0x01), (PUBREC, 0x92), (PUBREL, 0x10), (PUBCOMP, 0x80)],
    ids=["PUBACK", "PUBREC", "PUBREL", "PUBCOMP"],
)
def test_acknowledgement_with_a_wrong_reason(connect, kind, reason):
    """[MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]"""
    refused(connect, V5, Ack(kind, 1, reason).encode(V5), *BAD)


@pytest.mark.parametrize("kind", [PUBACK, PUBREC, PUBREL, PUBCOMP], ids=["PUBACK", "PUBREC", "PUBREL", "PUBCOMP"])
def test_acknowledgement_with_a_foreign_property(connect, kind):
    refused(connect, V5, Ack(kind, 1, 0, {"content_type": "t"}).encode(V5), *BAD)


# -- SUBSCRIBE and UNSUBSCRIBE ---------------------------------------------------------------------------------


def test_subscribe_without_filters(connect, current):
    """[MQTT-3.8.3-2] [MQTT3-3.8.3-3]"""
    refused(connect, current, Subscribe(1, []).encode(current), *BAD)


def test_unsubscribe_without_filters(connect, current):
    """[MQTT-3.10.3-2] [MQTT3-3.10.3-2]"""
    refused(connect, current, Unsubscribe(1, []).encode(current), *BAD)


def test_subscribe_with_packet_identifier_zero(connect, current):
    """[MQTT-2.2.1-3] [MQTT3-2.3.1-1]"""
    refused(connect, current, Subscribe(0, [Filter("a")]).encode(current), *BAD)


def test_unsubscribe_with_packet_identifier_zero(connect, current):
    """[MQTT-2.2.1-3] [MQTT3-2.3.1-1]"""
    refused(connect, current, Unsubscribe(0, ["a"]).encode(current), *BAD)


@pytest.mark.parametrize("options", [0x03, 0x40, 0x80, 0xC0, 0x41, 0x30])
def test_subscription_options_of_v5(connect, options):
    """[MQTT-3.8.3-5] QoS 3, reserved bits, Retain Handling 3."""
    refused(connect, V5, Subscribe(1, [Filter("a", options=options)]).encode(V5), *BAD)


@pytest.mark.parametrize("options", [0x03, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xFC])
def test_requested_qos_before_v5(connect, options):
    """[MQTT3-3.8.3-4]"""
    refused(connect, V311, Subscribe(1, [Filter("a", options=options)]).encode(V311))


def test_no_local_on_a_shared_subscription(connect):
    """[MQTT-3.8.3-4]"""
    refused(connect, V5, Subscribe(1, [Filter("$share/g/a", no_local=True)]).encode(V5), PROTOCOL_ERROR)


@pytest.mark.parametrize("text", ILL_FORMED)
def test_subscribe_filter_ill_formed(connect, current, text):
    """[MQTT-3.8.3-1] [MQTT-4.7.3-2] [MQTT3-3.8.3-1]"""
    refused(connect, current, Subscribe(1, [Filter(text)]).encode(current), *BAD, FILTER_INVALID)


@pytest.mark.parametrize("text", ILL_FORMED)
def test_unsubscribe_filter_ill_formed(connect, current, text):
    """[MQTT-3.10.3-1] [MQTT3-3.10.3-1]"""
    refused(connect, current, Unsubscribe(1, [text]).encode(current), *BAD, FILTER_INVALID)


def test_subscribe_without_the_options_byte(connect, current):
    """[MQTT-3.8.3-2] [MQTT3-3.8.3-3] a filter and nothing after it."""
    properties = b"\0" if current == V5 else b""
    refused(connect, current, frame(SUBSCRIBE, 2, b"\0\1" + properties + encode_utf8("a")), *BAD)


@pytest.mark.parametrize("identifier", [0])
def test_subscription_identifier_zero(connect, identifier):
    """3.8.2.1.2"""
    refused(connect, V5, Subscribe(1, [Filter("a")], {"subscription_identifier": identifier}).encode(V5), *BAD)


def test_subscription_identifier_twice(connect):
    """3.8.2.1.2"""
    refused(connect, V5, Subscribe(1, [Filter("a")], {"subscription_identifier": [1, 2]}).encode(V5), *BAD)


def test_subscription_identifier_of_five_bytes(connect):
    """3.8.2.1.2: at most 268 435 455."""
    block = b"\x0b\xff\xff\xff\xff\x01"
    body = struct.pack(">H", 1) + encode_varint(len(block)) + block + Filter("a").encode()
    refused(connect, V5, frame(SUBSCRIBE, 2, body), *BAD)


def test_unsubscribe_with_a_foreign_property(connect):
    block = encode_one("subscription_identifier", 1)
    body = struct.pack(">H", 1) + encode_varint(len(block)) + block + encode_utf8("a")
    refused(connect, V5, frame(UNSUBSCRIBE, 2, body), *BAD)


# -- DISCONNECT ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [0x01, 0x8E, 0x8B, 0xFF])
def test_disconnect_with_a_reason_clients_do_not_have(connect, reason):
    """[MQTT-3.14.2-1] closed; whether a DISCONNECT answers a DISCONNECT is left open."""
    client = connect()
    client.send_raw(frame(DISCONNECT, 0, bytes([reason])))
    client.expect_end()
    assert client.disconnect is None or client.disconnect.reason in BAD


def test_disconnect_with_a_foreign_property(connect):
    client = connect()
    block = encode_one("topic_alias", 1)
    client.send_raw(frame(DISCONNECT, 0, b"\0" + encode_varint(len(block)) + block))
    client.expect_end()
    assert client.disconnect is None or client.disconnect.reason in BAD


def test_malformed_packet_publishes_the_will(connect, unique):
    """3.1.2.5: the Server closing because of a protocol error is no normal end."""
    watcher = connect()
    watcher.subscribe(unique)
    connect(will=Will(unique, b"gone")).send_raw(b"\x00\x00")
    assert watcher.receive_publish().payload == b"gone"


def test_others_are_not_affected(connect, unique):
    """A malformed packet ends one connection and no more."""
    watcher = connect()
    watcher.subscribe(unique)
    for _ in range(20):
        connect().send_raw(b"\xff" * 100)
    watcher.ping()
    connect().publish(unique, b"still here")
    assert watcher.receive_publish().payload == b"still here"
