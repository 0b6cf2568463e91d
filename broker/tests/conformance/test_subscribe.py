"""SUBSCRIBE and SUBACK: codes, replacing, several filters, overlapping filters, subscription identifiers."""

import pytest

from packets import PUBACK, PUBREC, V5, V311, Ack, Filter, Publish, Suback, Subscribe


@pytest.fixture
def publisher(connect):
    return connect()


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_suback(connect, unique, version, qos):
    """[MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-7] [MQTT-2.2.1-6] [MQTT3-3.8.4-1] [MQTT3-3.8.4-2] [MQTT3-2.3.1-7]"""
    client = connect(version=version)
    client.send(Subscribe(65535, [Filter(unique, qos)]))
    suback = client.expect(Suback)
    assert (suback.packet_id, suback.reasons) == (65535, [qos])


def test_one_code_for_each_filter_in_order(connect, unique, current):
    """[MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.9.3-1] [MQTT-3.9.3-2] [MQTT3-3.8.4-4] [MQTT3-3.8.4-5] [MQTT3-3.9.3-2]"""
    wanted = [number % 3 for number in range(50)]
    client = connect(version=current)
    suback = client.subscribe(*(Filter(f"{unique}/{number}", qos) for number, qos in enumerate(wanted)))
    assert suback.reasons == wanted


def test_every_filter_of_one_packet_is_active(connect, unique, publisher, current):
    """[MQTT-3.8.4-5] [MQTT3-3.8.4-4] [MQTT-4.5.0-1] [MQTT3-4.5.0-1]"""
    client = connect(version=current)
    client.subscribe(*(f"{unique}/{number}" for number in range(10)), qos=1)
    for number in range(10):
        publisher.publish(f"{unique}/{number}", b"%d" % number, qos=1)
    assert client.payloads(10) == [b"%d" % number for number in range(10)]


def test_later_publish_by_anybody_arrives(connect, unique):
    """M1: SUBACK promises every later message, wherever subscriber and publisher live."""
    for number in range(30):
        client, publisher = connect(), connect()
        client.subscribe(f"{unique}/{number}", qos=1)
        assert publisher.publish(f"{unique}/{number}", b"m", qos=1).reason == 0
        assert client.payloads(1) == [b"m"]
        client.goodbye()
        publisher.goodbye()


def test_replacing_a_subscription(connect, unique, publisher, current):
    """[MQTT-3.8.4-3] [MQTT3-3.8.4-3] one delivery, with the new QoS."""
    client = connect(version=current)
    client.subscribe(unique, qos=2)
    client.subscribe(unique, qos=0)
    publisher.publish(unique, b"m", qos=2)
    assert client.receive_publish().qos == 0
    client.quiet(publisher)


def test_replacing_loses_nothing(connect, unique, publisher, current):
    """[MQTT-3.8.4-4] [MQTT3-3.8.4-3] messages keep flowing while the subscription is replaced."""
    client = connect(version=current)
    client.subscribe(unique, qos=1)
    for number in range(40):
        publisher.send(Publish(unique, b"%d" % number, 1, packet_id=number + 1))
        if number % 4 == 0:
            client.send(Subscribe(client.packet_id(), [Filter(unique, 1)]))
    for number in range(40):
        publisher.expect_ack(PUBACK, number + 1)
    got = []
    while len(got) < 40:
        packet = client.receive()
        if isinstance(packet, Publish):
            client.acknowledge(packet)
            got.append(packet.payload)
    assert got == [b"%d" % number for number in range(40)]


def test_filters_are_case_sensitive_and_literal(connect, unique, publisher):
    """[MQTT-4.7.3-4] no normalisation: case, accents, empty levels, spaces."""
    client = connect()
    exact = [unique + "/a b", unique + "/Ä", unique + "//", unique + "/é"]
    client.subscribe(*exact)
    for topic in [unique + "/A B", unique + "/A\u0308", unique + "/", unique + "/e\u0301", unique]:
        publisher.publish(topic, b"no")
    for topic in exact:
        publisher.publish(topic, b"yes")
    assert [client.receive_publish().topic for _ in exact] == exact
    client.quiet(publisher)


@pytest.mark.parametrize("topic", ["\ufeffa", "a\ufeff", "a/\ufeff/b"])
def test_byte_order_mark_is_kept(connect, unique, publisher, topic, current):
    """[MQTT-1.5.4-3] [MQTT3-1.5.3-3] U+FEFF is a character of the topic."""
    client = connect(version=current)
    client.subscribe(unique + "/#")
    publisher.publish(f"{unique}/{topic}", b"m")
    assert client.receive_publish().topic == f"{unique}/{topic}"


def test_topic_of_65535_bytes(connect, unique, publisher, current):
    """[MQTT-4.7.3-3] P21: as long as a string can be."""
    topic = unique + "t" * (65535 - len(unique))
    client = connect(version=current)
    client.subscribe(topic, qos=1)
    publisher.publish(topic, b"m", qos=1)
    assert client.receive_publish().topic == topic


# -- overlapping filters ---------------------------------------------------------------------------------------


@pytest.mark.ringmq_only("EMQX's way of several deliveries; mosquitto sends one")
def test_overlapping_filters_deliver_once_each(connect, unique, publisher, current):
    """P8 M16 [MQTT-3.3.4-2] [MQTT3-3.3.5-1] one delivery per subscription, each at its own QoS."""
    client = connect(version=current)
    client.subscribe(Filter(unique + "/#", 0), Filter(unique + "/+", 1), Filter(unique + "/a", 2))
    publisher.publish(unique + "/a", b"m", qos=2)
    got = [client.receive_publish() for _ in range(3)]
    assert sorted(each.qos for each in got) == [0, 1, 2]
    assert {each.payload for each in got} == {b"m"}
    client.quiet(publisher)


@pytest.mark.ringmq_only("EMQX's way of several deliveries; mosquitto sends one")
def test_overlapping_filters_carry_their_own_identifier(connect, unique, publisher):
    """P8 [MQTT-3.3.4-3] [MQTT-3.3.4-5] and none for the subscription that has none."""
    client = connect()
    client.subscribe(unique + "/#", qos=1, properties={"subscription_identifier": 1})
    client.subscribe(unique + "/+", qos=1, properties={"subscription_identifier": 268_435_455})
    client.subscribe(unique + "/a", qos=1)
    publisher.publish(unique + "/a", b"m", qos=1)
    got = [client.receive_publish().properties.get("subscription_identifier") for _ in range(3)]
    assert sorted(got, key=str) == sorted([[1], [268_435_455], None], key=str)
    client.quiet(publisher)


def test_at_least_the_highest_qos_of_overlapping_filters(connect, unique, publisher, current):
    """[MQTT-3.3.4-2] [MQTT3-3.3.5-1] whether one copy is sent or several."""
    client = connect(version=current)
    client.subscribe(Filter(unique + "/#", 0), Filter(unique + "/a", 2))
    publisher.publish(unique + "/a", b"m", qos=2)
    assert client.wait_for(lambda each: isinstance(each, Publish) and each.qos == 2).payload == b"m"


# -- subscription identifiers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("identifier", [1, 127, 128, 16383, 16384, 2_097_152, 268_435_455])
def test_subscription_identifier(connect, unique, publisher, identifier):
    """[MQTT-3.3.4-3] [MQTT-3.3.4-4] P8"""
    client = connect()
    client.subscribe(unique, properties={"subscription_identifier": identifier})
    publisher.publish(unique, b"m")
    assert client.receive_publish().properties == {"subscription_identifier": [identifier]}


def test_identifier_covers_all_filters_of_the_packet(connect, unique, publisher):
    """3.8.2.1.2"""
    client = connect()
    client.subscribe(unique + "/a", unique + "/b", properties={"subscription_identifier": 7})
    for suffix in ("/a", "/b"):
        publisher.publish(unique + suffix, b"m")
        assert client.receive_publish().properties == {"subscription_identifier": [7]}


def test_identifier_is_replaced_with_the_subscription(connect, unique, publisher):
    """3.8.4: replaced, and dropped when the new SUBSCRIBE has none. [MQTT-3.8.4-3]"""
    client = connect()
    for properties in ({"subscription_identifier": 1}, {"subscription_identifier": 2}, {}):
        client.subscribe(unique, properties=properties)
        publisher.publish(unique, b"m")
        expected = {name: [value] for name, value in properties.items()}
        assert client.receive_publish().properties == expected


def test_identifier_with_retained_messages(connect, unique, publisher):
    """[MQTT-3.3.4-3]"""
    publisher.publish(unique, b"m", qos=1, retain=True)
    client = connect()
    client.subscribe(unique, properties={"subscription_identifier": 9})
    assert client.receive_publish().properties == {"subscription_identifier": [9]}


def test_identifier_survives_a_resume(connect, unique, publisher):
    """[MQTT-3.1.2-5]"""
    client = connect(unique, session=60)
    client.subscribe(unique, qos=1, properties={"subscription_identifier": 9})
    client.goodbye()
    publisher.publish(unique, b"m", qos=1)
    packet = connect(unique, session=60, resume=True).receive_publish()
    assert packet.properties == {"subscription_identifier": [9]}


def test_identifiers_of_others_are_not_shown(connect, unique, publisher):
    """Each subscriber sees its own."""
    clients = [connect() for _ in range(4)]
    for number, client in enumerate(clients):
        client.subscribe(unique, properties={"subscription_identifier": number + 1})
    old = connect(version=V311)
    old.subscribe(unique)
    publisher.publish(unique, b"m")
    for number, client in enumerate(clients):
        assert client.receive_publish().properties == {"subscription_identifier": [number + 1]}
    assert old.receive_publish().payload == b"m"


# -- answers while a window is full ----------------------------------------------------------------------------


def test_user_properties_of_subscribe_are_allowed(connect, unique):
    """P7"""
    connect().subscribe(unique, properties={"user_property": [("a", "1"), ("a", "2")]})


def test_subscribe_is_answered_with_a_full_window(connect, unique, publisher):
    """[MQTT-4.9.0-3] [MQTT-3.3.4-10]"""
    client = connect(version=V5, properties={"receive_maximum": 1})
    client.subscribe(unique, qos=2)
    publisher.publish(unique, b"1", qos=2)
    publisher.publish(unique, b"2", qos=2)
    held = client.receive_publish(acknowledge=False)
    client.subscribe(unique + "/more", qos=1)
    client.unsubscribe(unique + "/more")
    client.ping()
    client.send(Ack(PUBREC, held.packet_id))
    client.wait_for(lambda each: isinstance(each, Ack) and each.packet_id == held.packet_id)
    client.complete(held.packet_id)
    assert client.payloads(1) == [b"2"]
