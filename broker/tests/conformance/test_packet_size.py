"""Maximum Packet Size in both directions (P2, P12)."""

import socket

import pytest

from packets import PUBLISH, V5, Disconnect, Filter, Publish, Subscribe, Unsubscribe
from properties import encode_utf8, encode_varint

PACKET_TOO_LARGE = 0x95


def sized(topic: str, total: int, qos: int = 0) -> int:
    """Payload bytes of the longest PUBLISH of MQTT 5.0, without properties, that is not over `total` bytes long.

    Some lengths do not exist: the Remaining Length grows from one byte to two between 129 and 131.
    """
    overhead = len(Publish(topic, b"", qos, packet_id=1).encode(V5))
    for payload in range(total - overhead, 0, -1):
        if len(Publish(topic, b"x" * payload, qos, packet_id=1).encode(V5)) <= total:
            return payload
    raise ValueError(total)


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("limit", [60, 127, 128, 129, 200])
def test_limit_of_the_client(connect, unique, limit, qos):
    """P12 [MQTT-3.1.2-24] [MQTT-3.1.2-25] what does not fit is dropped as if it had been sent, the rest arrives."""
    client, publisher = connect(properties={"maximum_packet_size": limit}), connect()
    client.subscribe(unique, qos=qos)
    for total in (limit - 2, limit + 2, limit - 3, limit * 3):
        publisher.publish(unique, b"x" * sized(unique, total, qos), qos=qos)
    assert len(client.receive_publish().payload) == sized(unique, limit - 2, qos)
    assert len(client.receive_publish().payload) == sized(unique, limit - 3, qos)
    client.quiet(publisher)


def test_dropped_messages_take_no_room(connect, unique):
    """[MQTT-3.1.2-25] they leave the window."""
    client, publisher = connect(properties={"maximum_packet_size": 100, "receive_maximum": 1}), connect()
    client.subscribe(unique, qos=1)
    for _ in range(5):
        publisher.publish(unique, b"x" * 200, qos=1)
    publisher.publish(unique, b"small", qos=1)
    assert client.payloads(1) == [b"small"]


def test_queued_message_over_the_limit_of_the_next_connection(connect, unique):
    """[MQTT-3.1.2-24] the limit is that of the connection it would be sent on."""
    client, publisher = connect(unique, session=60), connect()
    client.subscribe(unique, qos=1)
    client.goodbye()
    publisher.publish(unique, b"x" * 500, qos=1)
    publisher.publish(unique, b"small", qos=1)
    client = connect(unique, session=60, resume=True, properties={"maximum_packet_size": 100})
    assert client.payloads(1) == [b"small"]
    client.quiet(publisher)


def test_answers_fit_the_limit(connect, unique):
    """[MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.6.2-2] [MQTT-3.6.2-3] [MQTT-3.7.2-2]
    [MQTT-3.7.2-3] [MQTT-3.9.2-1] [MQTT-3.9.2-2] [MQTT-3.11.2-1] [MQTT-3.11.2-2] [MQTT-3.2.2-19] [MQTT-3.2.2-20]
    Reason String and User Property give way; the client checks each packet."""
    client = connect(properties={"maximum_packet_size": 30})
    client.send(Subscribe(1, [Filter("a/#/b")]))
    client.receive()
    client = connect(properties={"maximum_packet_size": 30})
    client.publish(unique, b"m", qos=1)
    client.publish(unique, b"m", qos=2)
    client.unsubscribe(unique)
    client.subscribe(unique, qos=1)


def test_disconnect_fits_the_limit(connect, unique):
    """[MQTT-3.14.2-3] [MQTT-3.14.2-4]"""
    client = connect(properties={"maximum_packet_size": 30})
    client.send(Publish("a/#", b"m"))
    client.expect_disconnect(0x90)


def test_limit_of_the_server(connect, unique, broker_with, current):
    """P2 DISCONNECT 0x95."""
    to = broker_with("mqtt.max_packet_size=1024")
    client = connect(version=current, to=to)
    if current == V5:
        assert client.connack.properties["maximum_packet_size"] == 1024
    client.publish(unique, b"x" * 900, qos=1)
    client.send(Publish(unique, b"x" * 1100, 1, packet_id=9))
    client.expect_disconnect(PACKET_TOO_LARGE)


def test_exact_limit_of_the_server(connect, unique, broker_with):
    """P2: the limit itself is allowed."""
    client = connect(to=broker_with("mqtt.max_packet_size=1024"))
    whole = Publish(unique, b"x" * sized(unique, 1024))
    assert len(whole.encode(V5)) == 1024
    client.send(whole)
    client.ping()
    client.send(Publish(unique, b"x" * (sized(unique, 1024) + 1)))
    client.expect_disconnect(PACKET_TOO_LARGE)


def test_limit_is_checked_before_the_body_is_there(connect, unique, broker_with, current):
    """P2: refused on sight of the fixed header."""
    client = connect(version=current, to=broker_with("mqtt.max_packet_size=1024"))
    client.send_raw(bytes([PUBLISH << 4]) + encode_varint(200_000_000))
    client.expect_disconnect(PACKET_TOO_LARGE)


@pytest.mark.ringmq_only("EMQX's default of 1 MB; mosquitto has none")
def test_default_limit_of_the_server(connect, unique, current):
    """P2: 1 MB less one header passes, more does not."""
    client, watcher = connect(version=current), connect()
    watcher.subscribe(unique, qos=1)
    payload = bytes(range(256)) * 4096
    fitting = payload[: (1 << 20) - 100]
    client.publish(unique, fitting, qos=1)
    assert watcher.receive_publish().payload == fitting
    client.send(Publish(unique, payload, 1, packet_id=9))
    client.expect_disconnect(PACKET_TOO_LARGE)


def test_large_subscribe_and_unsubscribe(connect, unique):
    """Packets of several segments, with a thousand filters."""
    names = [f"{unique}/{number}/" + "x" * 50 for number in range(1000)]
    client = connect()
    assert client.subscribe(*(Filter(each, 1) for each in names)).reasons == [1] * 1000
    publisher = connect()
    publisher.publish(names[999], b"m", qos=1)
    assert client.payloads(1) == [b"m"]
    assert client.unsubscribe(*names).reasons == [0] * 1000


# -- framing of the byte stream --------------------------------------------------------------------------------


def test_one_byte_at_a_time(connect, unique, current):
    """[MQTT-4.2-1] packets may come in any pieces."""
    client = connect(version=current)
    client.subscribe(unique, qos=1)
    for byte in Publish(unique, b"m" * 130, 1, packet_id=3).encode(current):
        client.send_raw(bytes([byte]))
    client.wait_for(lambda each: getattr(each, "kind", None) == 4)
    assert client.receive_publish().payload == b"m" * 130


def test_many_packets_in_one_write(connect, unique, current):
    """[MQTT-4.2-1]"""
    client, watcher = connect(version=current), connect()
    watcher.subscribe(unique, qos=0)
    client.send(*(Publish(unique, b"%d" % number) for number in range(500)))
    assert watcher.payloads(500) == [b"%d" % number for number in range(500)]


def test_packet_that_never_ends(connect, raw, unique):
    """A partial packet and the end of the stream harm nobody."""
    client = connect()
    client.send_raw(bytes([PUBLISH << 4, 100]) + encode_utf8(unique))
    client.socket.shutdown(socket.SHUT_WR)
    client.expect_end()
    connect().ping()


def test_disconnect_after_a_batch(connect, unique):
    """[MQTT-3.14.4-3] what came before DISCONNECT in the same write is processed."""
    watcher = connect()
    watcher.subscribe(unique)
    client = connect()
    client.send(Publish(unique, b"last"), Unsubscribe(1, ["x"]), Disconnect())
    client.expect_end()
    assert watcher.payloads(1) == [b"last"]
