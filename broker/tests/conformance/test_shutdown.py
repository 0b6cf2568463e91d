"""The end of the process: SIGTERM tells clients, ends in time and with status 0."""

import time

import pytest

from broker_process import STOP_TIMEOUT
from packets import V5, V311, Disconnect, Will

SERVER_SHUTTING_DOWN = 0x8B


@pytest.mark.ringmq_only("mosquitto says nothing")
def test_clients_are_told(connect, start_broker):
    """4.13.1: DISCONNECT 0x8B where the version has it. [MQTT-3.14.4-2]"""
    to = start_broker()
    clients = [connect(version=version, to=to) for version in (V5, V311, V5, V311, V5)]
    start = time.monotonic()
    assert to.terminate() == 0
    assert time.monotonic() - start < STOP_TIMEOUT
    for client in clients:
        client.expect_disconnect(SERVER_SHUTTING_DOWN)


def test_idle_broker_ends(start_broker):
    assert start_broker().terminate() == 0


def test_stop_with_work_in_progress(connect, unique, start_broker):
    """Sessions, wills, queues and half-open connections do not keep the process."""
    to = start_broker()
    connect(unique, session=60, to=to, will=Will("w", b"m")).subscribe(unique, qos=2)
    publisher = connect(to=to)
    for _ in range(50):
        publisher.publish(unique, b"m", qos=2)
    assert to.terminate() == 0
    publisher.expect_end()
    assert publisher.disconnect is None or isinstance(publisher.disconnect, Disconnect)


def test_new_connections_are_refused_after_the_end(connect, start_broker):
    to = start_broker()
    connect(to=to).goodbye()
    to.terminate()
    with pytest.raises(OSError):
        connect(to=to)
