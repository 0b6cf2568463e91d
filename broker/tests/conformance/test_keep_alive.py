"""Keep Alive, PINGREQ and the time allowed for CONNECT (P18, P19)."""

import time

import pytest

from packets import V5, Pingreq, Pingresp
from wire_client import ConnectionClosed

KEEP_ALIVE_TIMEOUT = 0x8D
EARLY = 0.1
"""Seconds by which two clocks may differ."""
LATE = 3.0
"""Seconds after which the Server is too late for a machine under load."""


def test_ping(connect, version):
    """[MQTT-3.12.4-1] [MQTT3-3.12.4-1]"""
    client = connect(version=version)
    for _ in range(5):
        client.ping()
    client.send(*[Pingreq()] * 50)
    for _ in range(50):
        client.expect(Pingresp)


def test_silence_ends_the_connection(connect, version):
    """P18 [MQTT-3.1.2-22] [MQTT-3.2.2-22] [MQTT3-3.1.2-24] after one and a half times Keep Alive."""
    client = connect(version=version, keep_alive=1)
    start = time.monotonic()
    client.expect_disconnect(KEEP_ALIVE_TIMEOUT)
    assert 1.5 - EARLY <= time.monotonic() - start <= 1.5 + LATE


def test_deliveries_do_not_count(connect, unique):
    """[MQTT-3.1.2-22] only packets from the client do."""
    client, publisher = connect(keep_alive=1), connect()
    client.subscribe(unique)
    start = time.monotonic()
    with pytest.raises(ConnectionClosed):
        while time.monotonic() - start < 1.5 + LATE:
            publisher.publish(unique, b"m")
            publisher.ping()
            client.receive()
    assert time.monotonic() - start >= 1.5 - EARLY
    assert not client.announces_errors or client.disconnect.reason == KEEP_ALIVE_TIMEOUT


@pytest.mark.parametrize("kind", ["ping", "publish", "subscribe"])
def test_any_packet_counts(connect, unique, kind):
    """[MQTT-3.1.2-22] [MQTT3-3.1.2-24] packets keep the connection for as long as they come."""
    client = connect(keep_alive=1)
    neighbour = connect(keep_alive=1)
    start = time.monotonic()
    while time.monotonic() - start < 2.5:
        # The neighbour's silence would end it; ours is broken all the time.
        getattr(client, kind)(*([] if kind == "ping" else [unique]))
        client.ping()
    neighbour.expect_disconnect(KEEP_ALIVE_TIMEOUT)


def test_zero_means_never(connect):
    """3.1.2.10: 0 turns the mechanism off; a neighbour with 1 is closed meanwhile."""
    client, neighbour = connect(keep_alive=0), connect(keep_alive=1)
    neighbour.expect_disconnect(KEEP_ALIVE_TIMEOUT)
    client.ping()


def test_session_stays(connect, unique):
    """[MQTT-3.1.2-22] as if the network had failed: the session is kept."""
    client = connect(unique, session=60, keep_alive=1)
    client.subscribe(unique, qos=1)
    client.expect_disconnect(KEEP_ALIVE_TIMEOUT)
    connect().publish(unique, b"m", qos=1)
    assert connect(unique, session=60, resume=True).payloads(1) == [b"m"]


@pytest.mark.ringmq_only("mqtt.server_keepalive")
def test_keep_alive_of_the_server(connect, broker_with):
    """P18 [MQTT-3.1.2-21] the Server's value replaces the client's."""
    client = connect(keep_alive=100, to=broker_with("mqtt.server_keepalive=1"))
    assert client.connack.properties["server_keep_alive"] == 1
    start = time.monotonic()
    client.expect_disconnect(KEEP_ALIVE_TIMEOUT)
    assert 1.5 - EARLY <= time.monotonic() - start <= 1.5 + LATE


@pytest.mark.ringmq_only("mqtt.keepalive_multiplier")
def test_multiplier(connect, broker_with):
    """P18"""
    client = connect(keep_alive=1, to=broker_with("mqtt.keepalive_multiplier=2.5"))
    start = time.monotonic()
    client.expect_disconnect(KEEP_ALIVE_TIMEOUT)
    assert 2.5 - EARLY <= time.monotonic() - start <= 2.5 + LATE


@pytest.mark.ringmq_only("mqtt.idle_timeout")
@pytest.mark.parametrize("sent", [b"", b"\x10\x20\x00\x04MQ"], ids=["nothing", "half a CONNECT"])
def test_connection_without_connect(raw, broker_with, sent):
    """P19: `mqtt.idle_timeout`."""
    client = raw(V5, broker_with("mqtt.idle_timeout=1s"))
    client.send_raw(sent)
    start = time.monotonic()
    client.expect_closed()
    assert 1 - EARLY <= time.monotonic() - start <= 1 + LATE


@pytest.mark.ringmq_only("mqtt.idle_timeout")
def test_idle_timeout_ends_with_connect(connect, broker_with):
    """P19: an accepted client may be silent for longer."""
    to = broker_with("mqtt.idle_timeout=1s")
    client = connect(to=to)
    neighbour = connect(keep_alive=1, to=to)
    neighbour.expect_disconnect(KEEP_ALIVE_TIMEOUT)
    client.ping()
