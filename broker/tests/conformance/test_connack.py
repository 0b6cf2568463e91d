"""What CONNACK tells a client of MQTT 5.0 (P4), and Session Present. Absent: capability switches."""

import pytest

from packets import V311, Connect


def connack(raw, unique, **properties):
    return raw().connect(Connect(unique, properties=properties))


def test_limits_are_announced_or_default(raw, unique):
    """P4: what is announced has to be legal; the decoder checks identifiers and types. [MQTT-3.2.2-8]"""
    properties = connack(raw, unique).properties
    assert properties.get("receive_maximum", 65535) > 0
    assert properties.get("maximum_qos", 1) == 1
    assert properties.get("retain_available", 1) == 1
    assert properties.get("wildcard_subscription_available", 1) == 1
    assert properties.get("subscription_identifier_available", 1) == 1
    assert properties.get("shared_subscription_available", 1) == 1


@pytest.mark.ringmq_only("EMQX's defaults")
def test_defaults_of_emqx(raw, unique):
    """P2 P4 P10: 1 MB packets and 65535 aliases."""
    properties = connack(raw, unique).properties
    assert properties["maximum_packet_size"] == 1 << 20
    assert properties["topic_alias_maximum"] == 65535


def test_no_response_information_unless_asked(raw, unique):
    """[MQTT-3.1.2-28]"""
    assert "response_information" not in connack(raw, unique).properties
    assert "response_information" not in connack(raw, unique, request_response_information=0).properties


def test_response_information(raw, unique, broker_with):
    """P16: the configured string, if asked for. [MQTT-3.1.2-28]"""
    to = broker_with("mqtt.response_information=replies/here")
    asked = raw(to=to).connect(Connect(unique, properties={"request_response_information": 1}))
    assert asked.properties["response_information"] == "replies/here"
    not_asked = raw(to=to).connect(Connect(unique))
    assert "response_information" not in not_asked.properties


def test_no_server_keep_alive_means_the_clients_value(raw, unique):
    """[MQTT-3.2.2-22] tested by time in `test_keep_alive.py`; here: the value is not changed needlessly."""
    properties = raw().connect(Connect(unique, keep_alive=30)).properties
    assert properties.get("server_keep_alive", 30) == 30


def test_server_keep_alive(raw, unique, broker_with):
    """P4 P18 [MQTT-3.1.2-21] [MQTT-3.2.2-21]"""
    client = raw(to=broker_with("mqtt.server_keepalive=7"))
    assert client.connect(Connect(unique, keep_alive=100)).properties["server_keep_alive"] == 7


def test_session_expiry_is_repeated_only_when_changed(raw, unique):
    """P4 3.2.2.3.2: absent means that the client's value is used."""
    properties = connack(raw, unique, session_expiry_interval=120).properties
    assert properties.get("session_expiry_interval", 120) == 120


def test_session_present(connect, unique, current):
    """[MQTT-3.2.2-2] [MQTT-3.2.2-3] [MQTT3-3.2.2-1] [MQTT3-3.2.2-2] [MQTT3-3.2.2-3]
    [MQTT-3.1.2-4] [MQTT-3.1.2-5] [MQTT-3.1.2-6] [MQTT3-3.1.2-4] [MQTT3-3.1.2-6]"""
    connect(unique, current, clean=False, session=60, present=False).goodbye()
    connect(unique, current, clean=False, session=60, present=True).goodbye()
    connect(unique, current, clean=True, session=60, present=False).goodbye()


def test_small_maximum_packet_size_still_gets_a_connack(raw, unique):
    """[MQTT-3.2.2-19] [MQTT-3.2.2-20] [MQTT-3.1.2-24] optional properties give way to the client's limit."""
    client = raw()
    assert client.connect(Connect(unique, properties={"maximum_packet_size": 64})).reason == 0
    client.ping()


def test_no_authentication_method_unless_given(raw, unique):
    """[MQTT-4.12.0-6]"""
    assert "authentication_method" not in connack(raw, unique).properties


def test_layout_before_v5(raw, unique):
    """3.1.1 section 3.2: two bytes and no more (the decoder refuses more). [MQTT3-3.1.4-4]"""
    assert raw(V311).connect(Connect(unique, V311)).properties == {}
