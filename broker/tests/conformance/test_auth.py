"""Enhanced authentication where none is configured (P17): methods are refused, AUTH is an error."""

import pytest

from packets import AUTH, V311, Auth, Connect, frame

BAD_METHOD, NOT_AUTHORIZED, PROTOCOL_ERROR, MALFORMED = 0x8C, 0x87, 0x82, 0x81


@pytest.mark.parametrize("data", [{}, {"authentication_data": b"first"}], ids=["method", "method and data"])
def test_unknown_method(raw, unique, data):
    """[MQTT-4.12.0-1] [MQTT-4.12.0-4] [MQTT-3.1.4-2] CONNACK 0x8C and the end."""
    client = raw()
    connack = client.connect(Connect(unique, properties={"authentication_method": "NO-SUCH-METHOD", **data}))
    assert connack.reason == BAD_METHOD
    assert not connack.session_present
    client.expect_closed()


def test_no_method_no_auth(connect):
    """[MQTT-4.12.0-6] the Server neither sends AUTH nor names a method."""
    client = connect()
    assert "authentication_method" not in client.connack.properties
    client.ping()


@pytest.mark.parametrize("reason", [0x00, 0x18, 0x19])
def test_auth_without_method_in_connect(connect, reason):
    """[MQTT-4.12.0-7] [MQTT-4.12.1-2] a Protocol Error."""
    client = connect()
    client.send(Auth(reason, {"authentication_method": "NO-SUCH-METHOD"}))
    client.expect_disconnect(PROTOCOL_ERROR, BAD_METHOD)


def test_auth_before_connect(raw):
    """[MQTT-3.1.0-1]"""
    client = raw()
    client.send(Auth(0x18, {"authentication_method": "NO-SUCH-METHOD"}))
    client.expect_closed()


def test_auth_with_a_wrong_reason(connect):
    """[MQTT-3.15.2-1]"""
    client = connect()
    client.send_raw(frame(AUTH, 0, b"\x42\x00"))
    client.expect_disconnect(PROTOCOL_ERROR, MALFORMED)


def test_auth_in_311(connect):
    """3.1.1: packet type 15 is forbidden."""
    client = connect(version=V311)
    client.send_raw(frame(AUTH, 0, b"\x18\x00"))
    client.expect_closed()


def test_refused_session_is_untouched(raw, connect, unique):
    """[MQTT-3.1.4-6] a refused CONNECT neither takes over nor discards."""
    client = connect(unique, session=60)
    raw().connect(Connect(unique, properties={"authentication_method": "NO-SUCH-METHOD"}))
    client.ping()
