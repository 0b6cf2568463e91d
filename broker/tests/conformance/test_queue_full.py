"""What becomes of a message for a client whose queue is full (Q3): `ringmq.queue_full_policy`, and by topic
`ringmq.queue_full_policies`.

Back-pressure is the subject of `test_back_pressure.py`.
"""

import pytest

pytestmark = pytest.mark.ringmq_only("policies of full queues")

QUOTA_EXCEEDED = 0x97
QUEUE = ("mqtt.max_inflight=1", "mqtt.max_mqueue_len=3")
"""One message is in flight, three wait."""
BY_TOPIC = (
    'ringmq.queue_full_policies=[{topic = "new/#", policy = drop_newest}, {topic = "cut/#", policy = disconnect},'
    ' {topic = "old/#", policy = drop_oldest}]'
)
SESSION_S = 100


def policy(name):
    return f"ringmq.queue_full_policy={name}"


def payloads(*numbers):
    return [b"%d" % number for number in numbers]


def publish(publisher, topic, *numbers):
    for number in numbers:
        publisher.publish(topic, b"%d" % number, 1)


@pytest.fixture
def take(settle):
    """Acknowledges what a client holds, and gives the payloads of everything that follows, with that."""

    def all_of(client, publisher, to, held, count):
        # What has been published is queued or dropped by now.
        settle(publisher, to)
        client.acknowledge(held)
        got = [held.payload, *client.payloads(count - 1)]
        client.quiet(publisher)
        return got

    return all_of


@pytest.mark.parametrize(
    ("name", "kept"), [("drop_oldest", (0, 7, 8, 9)), ("drop_newest", (0, 1, 2, 3))], ids=["oldest", "newest"]
)
def test_the_policy_says_which_message_goes(connect, unique, broker_with, take, current, name, kept):
    to = broker_with(*QUEUE, policy(name))
    slow, publisher = connect(version=current, to=to), connect(to=to)
    slow.subscribe(unique, qos=1)
    publish(publisher, unique, *range(10))
    held = slow.receive_publish(acknowledge=False)
    assert take(slow, publisher, to, held, 4) == payloads(*kept)


@pytest.mark.parametrize(
    ("name", "kept"),
    [("drop_oldest", (7, 8, 9)), ("drop_newest", (0, 1, 2)), ("disconnect", (7, 8, 9))],
    ids=["oldest", "newest", "disconnect"],
)
def test_of_a_client_that_is_away(connect, unique, broker_with, settle, current, name, kept):
    """There is nobody to disconnect: the oldest goes."""
    to = broker_with(*QUEUE, policy(name))
    away, publisher = connect(unique, current, to=to, session=SESSION_S), connect(to=to)
    away.subscribe(unique, qos=1)
    away.goodbye()
    publish(publisher, unique, *range(10))
    settle(publisher, to)
    back = connect(unique, current, to=to, session=SESSION_S, resume=True)
    assert back.payloads(3) == payloads(*kept)
    back.quiet(publisher)


def test_a_client_with_a_full_queue_is_disconnected(connect, unique, broker_with, current):
    """Its session stays, with what was in flight and in the queue; the message for which it went is lost."""
    to = broker_with(*QUEUE, policy("disconnect"))
    slow, publisher = connect(unique, current, to=to, session=SESSION_S), connect(to=to)
    slow.subscribe(unique, qos=1)
    publish(publisher, unique, *range(4))
    assert slow.receive_publish(acknowledge=False).payload == b"0"
    slow.ping()
    publish(publisher, unique, 4)
    slow.expect_disconnect(QUOTA_EXCEEDED)
    back = connect(unique, current, to=to, session=SESSION_S, resume=True)
    again = back.receive_publish()
    assert (again.payload, again.dup) == (b"0", True)
    assert back.payloads(3) == payloads(1, 2, 3)
    back.quiet(publisher)


def test_the_topic_decides_before_the_session(connect, unique, broker_with, take, current):
    """A full queue takes a message or not by that message's own topic."""
    to = broker_with(*QUEUE, policy("drop_oldest"), BY_TOPIC)
    slow, publisher = connect(version=current, to=to), connect(to=to)
    slow.subscribe(f"+/{unique}", qos=1)
    publish(publisher, f"any/{unique}", 0, 1, 2, 3)
    held = slow.receive_publish(acknowledge=False)
    # It is not kept; the next one is, in the place of the first that waits.
    publish(publisher, f"new/{unique}", 4)
    publish(publisher, f"any/{unique}", 5)
    assert take(slow, publisher, to, held, 4) == payloads(0, 2, 3, 5)


def test_one_topic_may_cost_the_connection(connect, unique, broker_with, settle, current):
    to = broker_with(*QUEUE, policy("drop_newest"), BY_TOPIC)
    slow, publisher = connect(version=current, to=to), connect(to=to)
    slow.subscribe(f"+/{unique}", qos=1)
    publish(publisher, f"cut/{unique}", 0, 1, 2, 3)
    publish(publisher, f"any/{unique}", 4)
    assert slow.receive_publish(acknowledge=False).payload == b"0"
    settle(publisher, to)
    slow.ping()
    publish(publisher, f"cut/{unique}", 5)
    slow.expect_disconnect(QUOTA_EXCEEDED)


def test_topics_may_be_spared_the_policy_of_the_session(connect, unique, broker_with, take, settle, current):
    to = broker_with(*QUEUE, policy("disconnect"), BY_TOPIC)
    slow, publisher = connect(version=current, to=to), connect(to=to)
    slow.subscribe(f"+/{unique}", qos=1)
    publish(publisher, f"any/{unique}", 0, 1, 2, 3)
    held = slow.receive_publish(acknowledge=False)
    publish(publisher, f"new/{unique}", 4)
    publish(publisher, f"old/{unique}", 5)
    settle(publisher, to)
    slow.ping()
    assert take(slow, publisher, to, held, 4) == payloads(0, 2, 3, 5)
