"""paho-mqtt (Python) against the broker."""

import queue

import paho.mqtt.client as paho
import pytest

from paho_client import TIMEOUT, Paho


@pytest.fixture(params=[paho.MQTTv31, paho.MQTTv311, paho.MQTTv5], ids=["v3.1", "v3.1.1", "v5"])
def client(request, broker):
    """Makes clients of one version, ended with the test."""
    made = []

    def make(*arguments, **named):
        made.append(Paho(broker, request.param, *arguments, **named))
        return made[-1]

    make.version = request.param
    yield make
    for each in made:
        each.client.disconnect()
        each.client.loop_stop()


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_hundreds_of_messages_in_order(client, unique, qos):
    subscriber, publisher = client(), client()
    subscriber.subscribe(unique, qos)
    sent = [publisher.client.publish(unique, b"%d" % number, qos) for number in range(500)]
    for each in sent:
        each.wait_for_publish(TIMEOUT)
    got = [subscriber.receive() for _ in range(500)]
    assert [each.payload for each in got] == [b"%d" % number for number in range(500)]
    assert {each.qos for each in got} == {qos}


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_retained(client, unique, qos):
    client().publish(unique, b"kept", max(qos, 1), True)
    subscriber = client()
    subscriber.subscribe(unique, qos)
    message = subscriber.receive()
    assert (message.payload, message.retain) == (b"kept", True)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_will(client, unique, qos):
    watcher = client()
    watcher.subscribe(unique, qos)
    client(will=(unique, b"gone", qos, False)).break_off()
    message = watcher.receive()
    assert (message.payload, message.qos) == (b"gone", qos)


@pytest.mark.parametrize("qos", [1, 2])
def test_resume(client, unique, qos):
    first = client(unique, clean=False)
    first.subscribe(unique, qos)
    first.end()
    publisher = client()
    for number in range(200):
        publisher.publish(unique, b"%d" % number, qos)
    again = client(unique, clean=False)
    if client.version != paho.MQTTv31:
        assert again.flags.session_present
    assert [again.receive().payload for _ in range(200)] == [b"%d" % number for number in range(200)]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_one_megabyte(client, unique, qos):
    """As large as the default limit of 1 MB for a whole packet allows."""
    payload = bytes(range(256)) * 4096
    payload = payload[: (1 << 20) - 200]
    subscriber = client()
    subscriber.subscribe(unique, qos)
    client().publish(unique, payload, qos)
    assert subscriber.receive().payload == payload


def test_shared_subscription(client, unique):
    members = [client() for _ in range(3)]
    for member in members:
        member.subscribe(f"$share/group/{unique}", 1)
    everything: queue.Queue = queue.Queue()
    for member in members:
        member.client.on_message = lambda _client, _data, message: everything.put(message.payload)
    publisher = client()
    for number in range(90):
        publisher.publish(unique, b"%d" % number, 1)
    assert sorted(int(everything.get(timeout=TIMEOUT)) for _ in range(90)) == list(range(90))
