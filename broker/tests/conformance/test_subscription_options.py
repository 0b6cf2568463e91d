"""Options of MQTT 5.0 subscriptions (P9): No Local, Retain As Published, Retain Handling."""

import pytest

from packets import V5, V311, Filter


@pytest.fixture
def publisher(connect):
    return connect()


def test_no_local(connect, unique, publisher):
    """[MQTT-3.8.3-3]"""
    client = connect()
    client.subscribe(Filter(unique, 1, no_local=True))
    client.publish(unique, b"own", qos=1)
    publisher.publish(unique, b"other", qos=1)
    assert client.payloads(1) == [b"other"]
    client.quiet(publisher)


def test_no_local_off(connect, unique):
    """[MQTT-3.8.3-3] P9"""
    client = connect()
    client.subscribe(Filter(unique, 1))
    client.publish(unique, b"own", qos=1)
    assert client.payloads(1) == [b"own"]


def test_no_local_is_per_subscription(connect, unique):
    """P8 P9: another subscription of the same client still gets the message."""
    client = connect()
    client.subscribe(Filter(unique + "/a", 1, no_local=True), Filter(unique + "/#", 1))
    client.publish(unique + "/a", b"own", qos=1)
    assert client.payloads(1) == [b"own"]
    client.ping()


def test_no_local_does_not_count_as_a_subscriber_of_others(connect, unique, publisher):
    """[MQTT-3.8.3-3] the rule names the client identifier, not the topic."""
    client = connect()
    client.subscribe(Filter(unique, 1, no_local=True))
    assert publisher.publish(unique, b"m", qos=1).reason == 0


@pytest.mark.ringmq_only("mqtt.ignore_loop_deliver")
def test_no_local_for_old_clients(connect, unique, broker_with):
    """P9: `mqtt.ignore_loop_deliver`."""
    to = broker_with("mqtt.ignore_loop_deliver=true")
    client, other = connect(version=V311, to=to), connect(to=to)
    client.subscribe(unique, qos=1)
    client.publish(unique, b"own", qos=1)
    other.publish(unique, b"other", qos=1)
    assert client.payloads(1) == [b"other"]


@pytest.mark.parametrize("retain", [False, True])
@pytest.mark.parametrize("as_published", [False, True])
def test_retain_as_published(connect, unique, publisher, as_published, retain):
    """[MQTT-3.3.1-12] [MQTT-3.3.1-13]"""
    client = connect()
    client.subscribe(Filter(unique, 1, retain_as_published=as_published))
    publisher.publish(unique, b"m", qos=1, retain=retain)
    assert client.receive_publish().retain == (as_published and retain)


@pytest.mark.parametrize("as_published", [False, True])
def test_new_subscription_sees_retain_1(connect, unique, publisher, as_published):
    """[MQTT-3.3.1-9] 3.3.1.3: what is sent because of a new subscription has RETAIN 1 in any case."""
    publisher.publish(unique, b"m", qos=1, retain=True)
    client = connect()
    client.subscribe(Filter(unique, 1, retain_as_published=as_published))
    assert client.receive_publish().retain


def test_retain_handling_0_sends_each_time(connect, unique, publisher):
    """[MQTT-3.3.1-9] [MQTT-3.8.4-4] M7"""
    publisher.publish(unique, b"m", qos=1, retain=True)
    client = connect()
    for _ in range(2):
        client.subscribe(Filter(unique, 1, retain_handling=0))
        assert client.payloads(1) == [b"m"]
    client.quiet(publisher)


def test_retain_handling_1_sends_to_new_subscriptions(connect, unique, publisher):
    """[MQTT-3.3.1-10] M7"""
    publisher.publish(unique, b"m", qos=1, retain=True)
    client = connect()
    client.subscribe(Filter(unique, 1, retain_handling=1))
    assert client.payloads(1) == [b"m"]
    client.subscribe(Filter(unique, 0, retain_handling=1))
    client.quiet(publisher)
    client.unsubscribe(unique)
    client.subscribe(Filter(unique, 1, retain_handling=1))
    assert client.payloads(1) == [b"m"]


def test_retain_handling_1_on_a_resumed_session(connect, unique, publisher):
    """[MQTT-3.3.1-10] the subscription exists in the session."""
    publisher.publish(unique, b"m", qos=1, retain=True)
    client = connect(unique, session=60)
    client.subscribe(Filter(unique, 1, retain_handling=1))
    assert client.payloads(1) == [b"m"]
    client.goodbye()
    client = connect(unique, session=60, resume=True)
    client.subscribe(Filter(unique, 1, retain_handling=1))
    client.quiet(publisher)


def test_retain_handling_2_never_sends(connect, unique, publisher):
    """[MQTT-3.3.1-11] M7"""
    publisher.publish(unique, b"m", qos=1, retain=True)
    client = connect()
    client.subscribe(Filter(unique, 1, retain_handling=2))
    client.quiet(publisher)
    publisher.publish(unique, b"live", qos=1)
    assert client.payloads(1) == [b"live"]


def test_options_are_replaced(connect, unique, publisher):
    """[MQTT-3.8.4-3] a second SUBSCRIBE of the same filter replaces every option."""
    client = connect()
    client.subscribe(Filter(unique, 2, no_local=True, retain_as_published=True))
    client.subscribe(Filter(unique, 1, retain_handling=2))
    client.publish(unique, b"own", qos=2, retain=True)
    packet = client.receive_publish()
    assert (packet.qos, packet.retain) == (1, False)
    client.ping()


def test_options_survive_a_resume(connect, unique, publisher):
    """[MQTT-3.1.2-5] options belong to the subscription, and that to the session."""
    client = connect(unique, V5, session=60)
    client.subscribe(Filter(unique, 1, no_local=True, retain_as_published=True))
    client.goodbye()
    client = connect(unique, V5, session=60, resume=True)
    client.publish(unique, b"own", qos=1)
    publisher.publish(unique, b"other", qos=1, retain=True)
    packet = client.receive_publish()
    assert (packet.payload, packet.retain) == (b"other", True)
