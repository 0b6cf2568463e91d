"""Properties of PUBLISH passing through the Server (P7, P16), and what older clients see of them."""

import pytest

from packets import V311

ALL = {
    "payload_format_indicator": 1,
    "message_expiry_interval": 4_000_000_000,
    "content_type": "application/json; ü",
    "response_topic": "réponse/à/moi",
    "correlation_data": b"\x00\xff" * 100,
    "user_property": [("first", "1"), ("second", "2"), ("first", "3"), ("", ""), ("ключ", "значение")],
}


def through(connect, unique, properties, qos=1, version=5):
    subscriber = connect(version=version)
    subscriber.subscribe(unique, qos=qos)
    connect().publish(unique, b"m", qos=qos, properties=properties)
    return subscriber.receive_publish().properties


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_all_unaltered(connect, unique, qos):
    """[MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
    [MQTT-3.3.2-13] [MQTT-3.3.2-19] [MQTT-1.5.7-1]"""
    got = through(connect, unique, ALL, qos)
    assert got.pop("message_expiry_interval") in (3_999_999_999, 4_000_000_000)
    assert got == {name: value for name, value in ALL.items() if name != "message_expiry_interval"}


def test_none(connect, unique):
    """[MQTT-2.2.2-1] a Property Length of zero, and nothing made up."""
    assert through(connect, unique, {}) == {}


@pytest.mark.parametrize("value", [0, 1])
def test_payload_format_indicator(connect, unique, value):
    """[MQTT-3.3.2-4] 0 may be left out: it says the same."""
    got = through(connect, unique, {"payload_format_indicator": value})
    assert got.get("payload_format_indicator", 0) == value


def test_order_of_many_user_properties(connect, unique):
    """[MQTT-3.3.2-17] [MQTT-3.3.2-18] P7"""
    pairs = [(f"name{number % 7}", f"value{number}") for number in range(1000)]
    assert through(connect, unique, {"user_property": pairs}) == {"user_property": pairs}


def test_empty_values(connect, unique):
    """[MQTT-3.3.2-16] [MQTT-3.3.2-20] zero lengths are values."""
    given = {"content_type": "", "correlation_data": b"", "user_property": [("", "")]}
    assert through(connect, unique, given) == given


def test_long_values(connect, unique):
    """[MQTT-3.3.2-15] [MQTT-3.3.2-16] up to 65535 bytes each."""
    given = {"content_type": "c" * 65535, "response_topic": "r" * 65535, "correlation_data": b"\7" * 65535}
    assert through(connect, unique, given) == given


def test_older_subscribers_get_the_message(connect, unique):
    """P1: to MQTT 3.1.1 the payload alone."""
    assert through(connect, unique, ALL, version=V311) == {}


def test_older_publishers(connect, unique):
    """P1: a message from MQTT 3.1.1 has no properties."""
    subscriber = connect()
    subscriber.subscribe(unique, qos=1)
    connect(version=V311).publish(unique, b"m", qos=1)
    assert subscriber.receive_publish().properties == {}


def test_request_and_response(connect, unique):
    """P16: a whole exchange."""
    requester, responder = connect(), connect()
    requester.subscribe(unique + "/reply", qos=1)
    responder.subscribe(unique + "/ask", qos=1)
    asked = {"response_topic": unique + "/reply", "correlation_data": b"\x01\x02"}
    requester.publish(unique + "/ask", b"?", qos=1, properties=asked)
    request = responder.receive_publish()
    responder.publish(
        request.properties["response_topic"],
        b"!",
        qos=1,
        properties={"correlation_data": request.properties["correlation_data"]},
    )
    answer = requester.receive_publish()
    assert (answer.payload, answer.properties) == (b"!", {"correlation_data": b"\x01\x02"})


def test_byte_order_mark_in_values(connect, unique):
    """[MQTT-1.5.4-3]"""
    given = {"content_type": "\ufefftext", "user_property": [("\ufeff", "a\ufeff")]}
    assert through(connect, unique, given) == given


def test_no_problem_information_if_not_wanted(connect, unique):
    """[MQTT-3.1.2-29] the client checks each packet."""
    client = connect(properties={"request_problem_information": 0})
    client.publish(unique, b"m", qos=1)
    client.publish(unique, b"m", qos=2)
    client.unsubscribe(unique)
    client.subscribe(f"$share/g/{unique}", qos=1)
