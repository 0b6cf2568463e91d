"""Message queues (`$q/<name>`): held until consumed, one consumer each, redelivered, last values, bounded (N3)."""

import pytest

from packets import V5, V31, V311, Filter
from wire_client import collect, let_time_pass

pytestmark = pytest.mark.ringmq_only("message queues")

NOT_DECLARED, NO_LOCAL_REFUSED = 0x8F, 0x83
FAILURE = 0x80
"""What a client before MQTT 5 gets in the place of either."""


def queue(name, **settings):
    """The settings that declare a queue of the topics below its name."""
    settings = {"topic_filter": f'"{name}/#"', **settings}
    return tuple(f"ringmq.queues.{name}.{key}={value}" for key, value in settings.items())


@pytest.fixture
def to(start_broker):
    """A broker with a queue of each sort."""
    broker = start_broker(
        *queue("jobs", max_inflight=3),
        *queue("values", last_value="true"),
        *queue("devices", last_value="true", key='"user_property:device"'),
        *queue("small", max_length=5),
        *queue("newest", max_length=5, full_policy="drop_newest"),
        *queue("brief", message_expiry="1s"),
    )
    yield broker
    assert broker.terminate() == 0, broker.describe()


def payloads(numbers):
    return [b"%d" % number for number in numbers]


@pytest.fixture(params=[V31, V311, V5], ids=["v3.1", "v3.1.1", "v5"])
def protocol(request):
    return request.param


@pytest.mark.parametrize("qos", [0, 1])
def test_messages_are_held_until_they_are_consumed(connect, to, protocol, qos):
    publisher = connect(to=to, version=protocol)
    for number in range(20):
        publisher.publish("jobs/a", b"%d" % number, 1, reasons=(0,))
    for _ in range(3):
        consumer = connect(to=to, version=protocol)
        consumer.subscribe("$q/jobs", qos=qos)
        assert consumer.payloads(20) == payloads(range(20))
        consumer.unsubscribe("$q/jobs")
        consumer.ping()
        for number in range(20):
            publisher.publish("jobs/a", b"%d" % number, 1, reasons=(0,))


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_each_message_goes_to_one_consumer(connect, to, qos):
    """At QoS 1 at most, wherever publisher and consumers live."""
    consumers = [connect(to=to) for _ in range(6)]
    for consumer in consumers:
        consumer.subscribe("$q/jobs", qos=qos, granted=[min(qos, 1)])
    publisher = connect(to=to)
    for number in range(120):
        publisher.publish("jobs/a", b"%d" % number, 2)
    got = collect(consumers, 120)
    assert sorted(int(each) for some in got for each in some) == list(range(120))
    assert all(got), "everybody has had a turn"
    assert all(some == sorted(some, key=int) for some in got), "each in order"


def test_a_consumer_has_no_more_than_it_may(connect, to):
    publisher = connect(to=to)
    for number in range(10):
        publisher.publish("jobs/a", b"%d" % number, 1)
    consumer = connect(to=to)
    consumer.subscribe("$q/jobs", qos=1)
    held = [consumer.receive_publish(acknowledge=False) for _ in range(3)]
    consumer.ping()
    for number in range(3, 10):
        consumer.acknowledge(held.pop(0))
        held.append(consumer.receive_publish(acknowledge=False))
        assert held[-1].payload == b"%d" % number


@pytest.mark.parametrize("session", [0, 100])
def test_what_a_consumer_leaves_goes_to_another(connect, unique, to, session):
    """What it has acknowledged does not, and what it gets when it comes back is new to it."""
    publisher = connect(to=to)
    for number in range(5):
        publisher.publish("jobs/a", b"%d" % number, 1)
    one = connect(unique, to=to, session=session)
    one.subscribe("$q/jobs", qos=1)
    held = [one.receive_publish(acknowledge=False) for _ in range(3)]
    one.acknowledge(held[0])
    held.append(one.receive_publish(acknowledge=False))
    assert [each.payload for each in held] == payloads(range(4))
    one.ping()
    one.goodbye()
    two = connect(to=to)
    two.subscribe("$q/jobs", qos=1)
    rest = [two.receive_publish(acknowledge=False) for _ in range(3)]
    three = connect(unique, to=to, session=session, resume=True) if session else connect(to=to)
    if not session:
        three.subscribe("$q/jobs", qos=1)
    rest.append(three.receive_publish())
    assert sorted(each.payload for each in rest) == payloads([1, 2, 3, 4])
    two.drop()
    again = [three.receive_publish() for _ in range(3)]
    assert sorted(each.payload for each in again) == sorted(each.payload for each in rest[:3])
    assert not any(each.dup for each in rest + again)
    three.ping()


def test_a_late_acknowledgement_means_nothing(connect, to):
    """After UNSUBSCRIBE what a client had is with others."""
    publisher = connect(to=to)
    publisher.publish("jobs/a", b"0", 1)
    one, two = connect(to=to), connect(to=to)
    one.subscribe("$q/jobs", qos=1)
    late = one.receive_publish(acknowledge=False)
    one.unsubscribe("$q/jobs")
    two.subscribe("$q/jobs", qos=1)
    again = two.receive_publish(acknowledge=False)
    one.acknowledge(late)
    one.ping()
    two.drop()
    three = connect(to=to)
    three.subscribe("$q/jobs", qos=1)
    assert three.payloads(1) == [again.payload]


def test_last_values(connect, to, settle):
    publisher = connect(to=to)
    for step in range(10):
        for device in "abc":
            publisher.publish(f"values/{device}", b"%d" % step, 1)
    settle(publisher, to)
    consumer = connect(to=to)
    consumer.subscribe("$q/values", qos=1)
    got = [consumer.receive_publish() for _ in range(3)]
    assert [(each.topic, each.payload) for each in got] == [(f"values/{device}", b"9") for device in "abc"]
    consumer.quiet(publisher)
    publisher.publish("values/b", b"10", 1)
    assert consumer.payloads(1) == [b"10"]


def test_last_values_by_user_property(connect, to, settle):
    publisher = connect(to=to)
    for step in range(3):
        for device in ("x", "y", None):
            properties = {"user_property": [("device", device), ("more", "z")]} if device else {}
            publisher.publish("devices/all", b"%s%d" % ((device or "none").encode(), step), 1, properties=properties)
    settle(publisher, to)
    consumer = connect(to=to)
    consumer.subscribe("$q/devices", qos=1)
    # One without the property replaces none.
    assert consumer.payloads(5) == [b"x2", b"y2", b"none0", b"none1", b"none2"]
    consumer.quiet(publisher)


@pytest.mark.parametrize(("name", "kept"), [("small", range(5, 10)), ("newest", range(5))])
def test_a_queue_is_bounded(connect, to, settle, name, kept):
    publisher = connect(to=to)
    for number in range(10):
        publisher.publish(f"{name}/a", b"%d" % number, 1, reasons=(0,))
    settle(publisher, to)
    consumer = connect(to=to)
    consumer.subscribe(f"$q/{name}", qos=1)
    assert consumer.payloads(5) == payloads(kept)
    consumer.quiet(publisher)


def test_messages_expire_in_the_queue(connect, to, settle):
    """Its own limit is not shown to clients, a message's own is [MQTT-3.3.2-6]."""
    publisher, consumer = connect(to=to), connect(to=to)
    publisher.publish("brief/a", b"gone", 1)
    publisher.publish("jobs/a", b"gone", 1, properties={"message_expiry_interval": 1})
    publisher.publish("jobs/a", b"there", 1, properties={"message_expiry_interval": 100})
    publisher.publish("jobs/a", b"for ever", 1)
    settle(publisher, to)
    let_time_pass(1.5)
    consumer.subscribe("$q/brief", "$q/jobs", qos=1)
    first, second = consumer.receive_publish(), consumer.receive_publish()
    assert (first.payload, second.payload) == (b"there", b"for ever")
    assert 90 <= first.properties["message_expiry_interval"] < 100
    assert "message_expiry_interval" not in second.properties
    consumer.quiet(publisher)


def test_what_is_not_declared_cannot_be_consumed(connect, to, protocol):
    client = connect(to=to, version=protocol)
    refusal = NOT_DECLARED if protocol == V5 else FAILURE
    client.subscribe("$q/other", "$q/", "$share/$q/jobs", qos=1, granted=[refusal] * 3)
    if protocol == V5:
        client.subscribe(Filter("$q/jobs", 1, no_local=True), granted=[NO_LOCAL_REFUSED])
    client.ping()


def test_ordinary_subscribers_get_what_a_queue_takes(connect, to):
    subscriber, consumer, publisher = (connect(to=to) for _ in range(3))
    subscriber.subscribe("jobs/#", qos=1)
    consumer.subscribe("$q/jobs", qos=1)
    for number in range(5):
        publisher.publish("jobs/a", b"%d" % number, 1)
    assert subscriber.payloads(5) == consumer.payloads(5) == payloads(range(5))
