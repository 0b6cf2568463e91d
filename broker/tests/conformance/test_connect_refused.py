"""CONNECT that is refused: unknown levels, wrong names and flags, malformed contents.

Before MQTT 5.0 a CONNECT that does not conform is answered by the end of the connection; in 5.0 the Server may also
send a CONNACK with the reason before. Absent: limits and capabilities (`test_capabilities.py`), identifiers
(`test_client_id.py`).
"""

import time

import pytest

from packets import V5, V31, V311, Connack, Connect, Will
from properties import encode_one, encode_utf8
from wire_client import TIMEOUT, ConnectionClosed

MALFORMED, PROTOCOL_ERROR = 0x81, 0x82


def expect_refusal(client, *reasons):
    """The end, in MQTT 5.0 possibly after a CONNACK with one of these reasons. [MQTT-3.2.2-7] [MQTT-4.13.1-1]"""
    try:
        packet = client.receive()
    except ConnectionClosed:
        return
    assert client.version == V5, f"CONNACK {packet} to a CONNECT that does not conform"  # [MQTT3-3.1.4-1]
    assert isinstance(packet, Connack)
    assert packet.reason in reasons, f"reason {packet.reason:#x}"
    assert not packet.session_present  # [MQTT-3.2.2-6]
    client.expect_closed()


def expect_unsupported(client):
    """The end, possibly after CONNACK 0x84 or, in the layout of 3.1.1, code 1."""
    try:
        first, body = client.read_frame(time.monotonic() + TIMEOUT)
    except ConnectionClosed:
        return None
    assert first == 0x20
    assert body in (b"\x00\x01", b"\x00\x84\x00"), body
    with pytest.raises(ConnectionClosed):
        client.read_frame(time.monotonic() + TIMEOUT)
    return body


@pytest.mark.parametrize("level", [0, 1, 2, 6, 99])
def test_unsupported_level(raw, level):
    """[MQTT-3.1.2-2] [MQTT3-3.1.2-2] the Server says so before it closes."""
    client = raw(V311)
    client.send(Connect("c", V311, level=level))
    assert expect_unsupported(client)


@pytest.mark.parametrize("name", ["mqtt", "MQTTX", "", "MQIsdp", "HTTP"])
@pytest.mark.parametrize("level", [V311, V5])
def test_wrong_protocol_name(raw, name, level):
    """[MQTT-3.1.2-1] [MQTT3-3.1.2-1]"""
    client = raw(level)
    client.send(Connect("c", level, protocol_name=name))
    expect_unsupported(client)


def test_name_of_311_with_level_of_31(raw):
    """[MQTT3-3.1.2-1] "MQTT" belongs to level 4 and 5, "MQIsdp" to level 3."""
    client = raw(V31)
    client.send(Connect("c", V31, protocol_name="MQTT"))
    expect_unsupported(client)


@pytest.mark.parametrize(
    "value",
    [
        # [MQTT-3.1.2-3] [MQTT3-3.1.2-3]
        pytest.param(0x03, id="reserved bit"),
        # [MQTT-3.1.2-11] [MQTT3-3.1.2-11] [MQTT3-3.1.2-13]
        pytest.param(0x0A, id="will QoS without will"),
        # [MQTT-3.1.2-13] [MQTT3-3.1.2-15]
        pytest.param(0x22, id="will retain without will"),
    ],
)
def test_wrong_connect_flags(raw, current, value):
    client = raw(current)
    client.send(Connect("c", current, flags=value))
    expect_refusal(client, MALFORMED, PROTOCOL_ERROR)


def test_will_qos_three(raw, current):
    """[MQTT-3.1.2-12] [MQTT3-3.1.2-14]"""
    client = raw(current)
    client.send(Connect("c", current, will=Will("t", b"x", 3)))
    expect_refusal(client, MALFORMED, PROTOCOL_ERROR)


def test_password_without_user_name_before_v5(raw):
    """[MQTT3-3.1.2-22]"""
    client = raw(V311)
    client.send(Connect("c", V311, password=b"pw"))
    expect_refusal(client)


@pytest.mark.parametrize(
    ("name", "value"), [("will", 0x06), ("user name", 0x82), ("password", 0xC2)], ids=["will", "user name", "password"]
)
def test_flagged_field_is_missing(raw, current, name, value):
    """[MQTT-3.1.2-9] [MQTT-3.1.2-17] [MQTT-3.1.2-19] [MQTT3-3.1.2-9] [MQTT3-3.1.2-19] [MQTT3-3.1.2-21]"""
    client = raw(current)
    client.send(Connect("c", current, flags=value))
    expect_refusal(client, MALFORMED, PROTOCOL_ERROR)


def test_field_without_its_flag(raw, current):
    """[MQTT-3.1.2-16] [MQTT-3.1.2-18] [MQTT3-3.1.2-11] [MQTT3-3.1.2-18] [MQTT3-3.1.2-20] bytes are left over."""
    client = raw(current)
    client.send(Connect("c", current, username="user", password=b"pw", flags=0x02))
    expect_refusal(client, MALFORMED, PROTOCOL_ERROR)


@pytest.mark.parametrize("reserved", [1, 2, 4, 8])
def test_reserved_fixed_header_flags(raw, current, reserved):
    """[MQTT-2.1.3-1] [MQTT3-2.2.2-1] [MQTT3-2.2.2-2]"""
    client = raw(current)
    client.send(Connect("c", current, fixed_flags=reserved))
    expect_refusal(client, MALFORMED, PROTOCOL_ERROR)


def test_client_identifier_is_missing(raw, current):
    """[MQTT-3.1.3-3] [MQTT3-3.1.3-3]"""
    client = raw(current)
    whole = Connect("", current).encode()
    client.send_raw(bytes([whole[0], whole[1] - 2]) + whole[2:-2])
    expect_refusal(client, MALFORMED, PROTOCOL_ERROR)


@pytest.mark.parametrize("cut", [2, 6, 7, 8, 9, 10])
def test_connect_that_ends_early(raw, current, cut):
    """[MQTT-3.1.4-1] [MQTT3-3.1.4-1] the Remaining Length says less than the fields need."""
    client = raw(current)
    whole = Connect("client", current).encode()
    client.send_raw(bytes([whole[0], cut]) + whole[2 : 2 + cut])
    expect_refusal(client, MALFORMED, PROTOCOL_ERROR, 0x84)


INVALID = [b"\xff", b"a\xc0\x80", b"\xed\xa0\x80", b"a\x00b", b"\xf4\x90\x80\x80", b"\xe2\x82"]


@pytest.mark.parametrize("text", INVALID, ids=["0xff", "overlong", "surrogate", "null", "over U+10FFFF", "truncated"])
@pytest.mark.parametrize("where", ["client_id", "username", "will_topic"])
def test_ill_formed_utf8(raw, current, where, text):
    """[MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-3.1.3-4] [MQTT-3.1.3-11] [MQTT-3.1.3-12]
    [MQTT3-1.5.3-1] [MQTT3-1.5.3-2] [MQTT3-3.1.3-4] [MQTT3-3.1.3-10] [MQTT3-3.1.3-11]"""
    client = raw(current)
    fields = {"client_id": "c"}
    fields |= {"will": Will(text)} if where == "will_topic" else {where: text}
    client.send(Connect(version=current, **fields))
    expect_refusal(client, MALFORMED, PROTOCOL_ERROR, 0x85)


def test_will_topic_with_wildcard(raw, current):
    """[MQTT-4.7.0-1] a Will Topic is a Topic Name."""
    client = raw(current)
    client.send(Connect("c", current, will=Will("a/#", b"x")))
    expect_refusal(client, MALFORMED, PROTOCOL_ERROR, 0x90)


def test_will_topic_empty(raw, current):
    """[MQTT-4.7.3-1] [MQTT3-4.7.0-1]"""
    client = raw(current)
    client.send(Connect("c", current, will=Will("", b"x")))
    expect_refusal(client, MALFORMED, PROTOCOL_ERROR, 0x90)


def connect_with(block: bytes) -> bytes:
    """A CONNECT of MQTT 5.0 with this property block, its length included."""
    body = encode_utf8("MQTT") + b"\x05\x02\x00\x00" + block + encode_utf8("c")
    return bytes([0x10, len(body)]) + body


def block(*properties: bytes) -> bytes:
    body = b"".join(properties)
    return bytes([len(body)]) + body


TWICE = [
    ("session_expiry_interval", 1),
    ("receive_maximum", 5),
    ("maximum_packet_size", 1000),
    ("topic_alias_maximum", 3),
    ("request_response_information", 0),
    ("request_problem_information", 1),
    ("authentication_method", "m"),
    ("authentication_data", b"d"),
]


@pytest.mark.parametrize(("name", "value"), TWICE, ids=[name for name, _ in TWICE])
def test_property_twice(raw, name, value):
    """3.1.2.11: more than once is a Protocol Error. [MQTT-4.13.1-1]"""
    client = raw()
    client.send_raw(connect_with(block(encode_one(name, value), encode_one(name, value))))
    expect_refusal(client, MALFORMED, PROTOCOL_ERROR, 0x8C)


WRONG_VALUES = [
    ("receive_maximum", 0),
    ("maximum_packet_size", 0),
    ("request_response_information", 2),
    ("request_problem_information", 2),
]


@pytest.mark.parametrize(("name", "value"), WRONG_VALUES, ids=[name for name, _ in WRONG_VALUES])
def test_property_value_is_not_allowed(raw, name, value):
    """3.1.2.11.3, .4, .6, .7"""
    client = raw()
    client.send_raw(connect_with(block(encode_one(name, value))))
    expect_refusal(client, MALFORMED, PROTOCOL_ERROR)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(block(encode_one("topic_alias", 1)), id="property of PUBLISH"),
        pytest.param(block(encode_one("will_delay_interval", 1)), id="property of a will"),
        pytest.param(block(b"\x7f\x00"), id="unknown identifier"),
        pytest.param(block(encode_one("session_expiry_interval", 1)[:-1]), id="value cut short"),
        pytest.param(b"\x81\x00", id="length not minimal"),
        pytest.param(b"\x7f", id="length beyond the packet"),
        pytest.param(block(b"\x26" + encode_utf8(b"\xff") + encode_utf8("v")), id="user property name not UTF-8"),
        pytest.param(
            block(b"\x26" + encode_utf8("n") + encode_utf8(b"\xed\xa0\x80")), id="user property value not UTF-8"
        ),
        pytest.param(block(encode_one("authentication_data", b"d")), id="authentication data without method"),
    ],
)
def test_malformed_properties(raw, wrong):
    """[MQTT-3.1.4-1] [MQTT-1.5.5-1] [MQTT-1.5.7-1]"""
    client = raw()
    client.send_raw(connect_with(wrong))
    expect_refusal(client, MALFORMED, PROTOCOL_ERROR)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"session_expiry_interval": 1}, id="property of CONNECT"),
        pytest.param({"content_type": b"\xff"}, id="content type not UTF-8"),
    ],
)
def test_malformed_will_properties(raw, wrong):
    """3.1.3.2"""
    client = raw()
    client.send(Connect("c", will=Will("t", b"x", properties=wrong)))
    expect_refusal(client, MALFORMED, PROTOCOL_ERROR, 0x99)


def test_bytes_after_the_last_field(raw, current):
    """[MQTT-3.1.4-1] [MQTT3-3.1.4-1]"""
    client = raw(current)
    whole = Connect("c", current).encode()
    client.send_raw(bytes([whole[0], whole[1] + 1]) + whole[2:] + b"\x00")
    expect_refusal(client, MALFORMED, PROTOCOL_ERROR)


def test_payload_of_will_may_be_empty(raw, current):
    """3.1.3.4: a zero-length Will Payload is legal."""
    client = raw(current)
    assert client.connect(Connect("c-empty-will", current, will=Will("t", b""))).reason == 0


def test_remaining_length_of_five_bytes(raw, current):
    """[MQTT-1.5.5-1] [MQTT-4.13.1-1]"""
    client = raw(current)
    client.send_raw(b"\x10\xff\xff\xff\xff\x01")
    expect_refusal(client, MALFORMED, PROTOCOL_ERROR, 0x95)
