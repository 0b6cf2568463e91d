"""Order of messages (M1): per publisher, topic and QoS, whatever the path between shards."""

import pytest

from packets import PUBACK, Publish


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_one_publisher(connect, unique, current, qos):
    """[MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT3-4.6.0-5] [MQTT3-4.6.0-6]"""
    subscribers = [connect(version=current) for _ in range(4)]
    for each in subscribers:
        each.subscribe(unique, qos=qos)
    publisher = connect(version=current)
    for number in range(150):
        publisher.publish(unique, b"%d" % number, qos=qos)
    for each in subscribers:
        assert each.payloads(150) == [b"%d" % number for number in range(150)]


def test_pipelined(connect, unique):
    """[MQTT-4.6.0-5] messages sent without waiting for acknowledgements."""
    subscriber, publisher = connect(), connect()
    subscriber.subscribe(unique, qos=1)
    for start in range(0, 1000, 50):
        publisher.send(*(Publish(unique, b"%d" % (start + at), 1, packet_id=at + 1) for at in range(50)))
        assert subscriber.payloads(50) == [b"%d" % (start + at) for at in range(50)]
        for at in range(50):
            publisher.expect_ack(PUBACK, at + 1)


def test_several_publishers(connect, unique):
    """[MQTT-4.6.0-5] each publisher's messages keep their order among others."""
    subscriber = connect()
    subscriber.subscribe(unique, qos=0)
    publishers = [connect() for _ in range(5)]
    for number in range(60):
        for index, publisher in enumerate(publishers):
            publisher.publish(unique, b"%d %d" % (index, number))
    got = [tuple(map(int, each.split())) for each in subscriber.payloads(300)]
    for index in range(5):
        assert [number for source, number in got if source == index] == list(range(60))


def test_several_topics_under_one_filter(connect, unique):
    """M1: one subscriber, ten topics."""
    subscriber, publisher = connect(), connect()
    subscriber.subscribe(unique + "/+", qos=1)
    for number in range(200):
        publisher.publish(f"{unique}/{number % 10}", b"%d" % number, qos=1)
    got = [subscriber.receive_publish() for _ in range(200)]
    for topic in range(10):
        own = [int(each.payload) for each in got if each.topic == f"{unique}/{topic}"]
        assert own == list(range(topic, 200, 10))


def test_wide_fan_out(connect, unique):
    """Every one of 60 subscribers gets every message."""
    subscribers = [connect() for _ in range(60)]
    for each in subscribers:
        each.subscribe(unique, qos=1)
    publisher = connect()
    for number in range(20):
        publisher.publish(unique, b"%d" % number, qos=1)
    for each in subscribers:
        assert each.payloads(20) == [b"%d" % number for number in range(20)]


def test_wide_fan_in(connect, unique):
    """60 publishers, one subscriber: nothing is lost."""
    subscriber = connect()
    subscriber.subscribe(unique, qos=1)
    for number in range(60):
        connect().publish(unique, b"%d" % number, qos=1)
    assert sorted(map(int, subscriber.payloads(60))) == list(range(60))
