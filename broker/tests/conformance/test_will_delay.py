"""Will Delay Interval of MQTT 5.0 and the end of sessions (P15)."""

import time

import pytest

from packets import Will

EARLY = 0.1
"""Seconds by which two clocks may differ when a delay is checked for being kept."""


@pytest.fixture
def watcher(connect, unique):
    client = connect()
    client.subscribe(unique + "/#", qos=1)
    return client


def delayed(name: str, seconds: int, payload: bytes = b"gone") -> Will:
    return Will(name + "/will", payload, 1, properties={"will_delay_interval": seconds})


def test_published_after_the_delay(connect, unique, watcher):
    """[MQTT-3.1.2-8]"""
    client = connect(unique, session=60, will=delayed(unique, 1))
    dropped = time.monotonic()
    client.drop()
    assert watcher.receive_publish().payload == b"gone"
    assert time.monotonic() - dropped >= 1 - EARLY


def test_published_when_the_session_ends_first(connect, unique, watcher):
    """[MQTT-3.1.2-8] Session Expiry Interval 1, delay 60."""
    client = connect(unique, session=1, will=delayed(unique, 60))
    dropped = time.monotonic()
    client.drop()
    assert watcher.receive_publish().payload == b"gone"
    assert time.monotonic() - dropped >= 1 - EARLY
    connect(unique, clean=False, present=False)


def test_published_at_once_without_a_session(connect, unique, watcher):
    """[MQTT-3.1.2-8] the session ends with the connection."""
    connect(unique, will=delayed(unique, 60)).drop()
    assert watcher.receive_publish().payload == b"gone"


def test_reconnection_in_time_cancels(connect, unique, watcher):
    """[MQTT-3.1.3-9] [MQTT-3.1.2-8] proven by a later will that comes first."""
    connect(unique, session=60, will=delayed(unique, 1)).drop()
    back = connect(unique, session=60, resume=True)
    connect(session=60, will=delayed(unique, 2, b"later")).drop()
    assert watcher.receive_publish().payload == b"later"
    back.ping()


def test_clean_start_ends_the_session_and_publishes(connect, unique, watcher):
    """[MQTT-3.1.2-8] the old session ends before the delay has passed. P15"""
    connect(unique, session=60, will=delayed(unique, 60)).drop()
    connect(unique, clean=True)
    assert watcher.receive_publish().payload == b"gone"


def test_take_over_by_resuming_cancels(connect, unique, watcher):
    """[MQTT-3.1.3-9] P15"""
    old = connect(unique, session=60, will=delayed(unique, 1))
    connect(unique, session=60, resume=True)
    old.expect_disconnect(0x8E)
    connect(session=60, will=delayed(unique, 2, b"later")).drop()
    assert watcher.receive_publish().payload == b"later"


def test_will_of_the_new_connection_counts(connect, unique, watcher):
    """[MQTT-3.1.2-7] each CONNECT brings its own will or none."""
    connect(unique, session=60, will=delayed(unique, 60, b"first")).drop()
    connect(unique, session=60, resume=True, will=delayed(unique, 1, b"second")).drop()
    assert watcher.receive_publish().payload == b"second"


def test_disconnect_with_will_keeps_the_delay(connect, unique, watcher):
    """P15 DISCONNECT 0x04: published when the delay has passed."""
    client = connect(unique, session=60, will=delayed(unique, 1))
    ended = time.monotonic()
    client.goodbye(0x04)
    assert watcher.receive_publish().payload == b"gone"
    assert time.monotonic() - ended >= 1 - EARLY


def test_expiry_zero_in_disconnect_publishes_at_once(connect, unique, watcher):
    """[MQTT-3.1.2-8] the session ends at the DISCONNECT; with 0x04 the will is published."""
    connect(unique, session=60, will=delayed(unique, 60)).goodbye(0x04, {"session_expiry_interval": 0})
    assert watcher.receive_publish().payload == b"gone"


def test_retained_will_with_delay(connect, unique, watcher):
    """[MQTT-3.1.2-15]"""
    will = delayed(unique, 1)
    will.retain = True
    connect(unique, session=60, will=will).drop()
    assert watcher.receive_publish().payload == b"gone"
    later = connect()
    later.subscribe(unique + "/will")
    assert later.receive_publish().retain
