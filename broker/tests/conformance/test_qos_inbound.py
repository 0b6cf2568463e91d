"""Publishing to the Server at QoS 0, 1 and 2: acknowledgements, identifiers, duplicates.

Absent: deliveries from the Server (`test_qos_outbound.py`), limits on unreleased identifiers (`test_limits.py`).
"""

import pytest

from packets import PUBACK, PUBCOMP, PUBREC, PUBREL, V5, V311, Ack, Publish

NO_MATCHING_SUBSCRIBERS, IN_USE, NOT_FOUND = 0x10, 0x91, 0x92


@pytest.fixture
def watcher(connect, unique):
    """Subscribed to everything below the test's own topic."""
    client = connect()
    client.subscribe(unique + "/#", qos=2)
    return client


def test_qos0_has_no_answer(connect, unique, watcher, version):
    """[MQTT-3.3.4-1] [MQTT3-3.3.4-1] [MQTT-2.2.1-2] [MQTT3-2.3.1-5]"""
    client = connect(version=version)
    client.publish(unique + "/0", b"m")
    client.ping()
    packet = watcher.receive_publish()
    assert (packet.payload, packet.qos, packet.dup) == (b"m", 0, False)


def test_qos1_is_acknowledged(connect, unique, watcher, version):
    """[MQTT-3.3.4-1] [MQTT-4.3.2-4] [MQTT-2.2.1-5] [MQTT3-4.3.2-2] [MQTT3-3.3.4-1] [MQTT3-2.3.1-6]"""
    client = connect(version=version)
    client.send(Publish(unique + "/1", b"m", 1, packet_id=65535))
    ack = client.expect(Ack)
    assert (ack.kind, ack.packet_id, ack.reason) == (PUBACK, 65535, 0)
    assert watcher.receive_publish().qos == 1
    client.ping()


def test_qos2_in_four_steps(connect, unique, watcher, version):
    """[MQTT-4.3.3-8] [MQTT-4.3.3-11] [MQTT3-4.3.3-2] [MQTT-3.3.4-1] [MQTT3-3.3.4-1]"""
    client = connect(version=version)
    client.send(Publish(unique + "/2", b"m", 2, packet_id=77))
    ack = client.expect(Ack)
    assert (ack.kind, ack.packet_id, ack.reason) == (PUBREC, 77, 0)
    client.send(Ack(PUBREL, 77))
    ack = client.expect(Ack)
    assert (ack.kind, ack.packet_id, ack.reason) == (PUBCOMP, 77, 0)
    assert watcher.receive_publish().qos == 2
    watcher.quiet(client)


def test_identifier_of_qos1_is_free_after_puback(connect, unique, watcher, current):
    """[MQTT-4.3.2-5] [MQTT3-4.3.2-2] the same identifier is a new message, whatever DUP says."""
    client = connect(version=current)
    for number, dup in enumerate((False, False, True)):
        client.send(Publish(unique, b"%d" % number, 1, dup=dup, packet_id=9))
        client.expect_ack(PUBACK, 9)
    assert watcher.payloads(3) == [b"0", b"1", b"2"]


def test_identifier_of_qos2_is_free_after_pubcomp(connect, unique, watcher, current):
    """[MQTT-4.3.3-12] [MQTT3-4.3.3-2]"""
    client = connect(version=current)
    for number in range(3):
        client.send(Publish(unique, b"%d" % number, 2, packet_id=9))
        client.expect_ack(PUBREC, 9)
        client.release(9)
    assert watcher.payloads(3) == [b"0", b"1", b"2"]


def test_retransmission_of_qos2_is_delivered_once(connect, unique, watcher, current):
    """[MQTT-4.3.3-10] [MQTT3-4.3.3-2] answered by PUBREC each time, and delivered once. Q8"""
    client = connect(version=current)
    for dup in (False, True, True):
        client.send(Publish(unique, b"once", 2, dup=dup, packet_id=5))
        assert client.expect_ack(PUBREC, 5).reason in ((0, IN_USE) if dup else (0,))
    client.release(5)
    assert watcher.payloads(1) == [b"once"]
    watcher.quiet(client)


def test_identifier_reused_before_release(connect, unique, watcher):
    """Q8: EMQX answers a new PUBLISH under an unreleased identifier with PUBREC 0x91."""
    client = connect()
    client.send(Publish(unique, b"first", 2, packet_id=5))
    assert client.expect_ack(PUBREC, 5).reason == 0
    client.send(Publish(unique, b"second", 2, packet_id=5))
    assert client.expect_ack(PUBREC, 5).reason == IN_USE
    client.release(5)
    assert watcher.payloads(1) == [b"first"]
    watcher.quiet(client)


def test_two_unreleased_identifiers_are_independent(connect, unique, watcher):
    """[MQTT-4.3.3-11] released in another order than published."""
    client = connect()
    client.send(Publish(unique, b"a", 2, packet_id=1), Publish(unique, b"b", 2, packet_id=2))
    client.expect_ack(PUBREC, 1)
    client.expect_ack(PUBREC, 2)
    client.release(2)
    client.release(1)
    assert sorted(watcher.payloads(2)) == [b"a", b"b"]


def test_pubrel_of_an_unknown_identifier(connect, current):
    """Q8 3.6.2.1: PUBCOMP 0x92; before MQTT 5.0 a plain PUBCOMP. [MQTT-4.3.3-11]"""
    client = connect(version=current)
    client.send(Ack(PUBREL, 4242))
    assert client.expect_ack(PUBCOMP, 4242).reason == (NOT_FOUND if current == V5 else 0)


def test_pubrec_of_an_unknown_identifier(connect):
    """3.5.2.1 Q8: PUBREL 0x92."""
    client = connect()
    client.send(Ack(PUBREC, 4242))
    answer = client.expect_ack(PUBREL, 4242)
    assert answer.reason == NOT_FOUND
    client.unacknowledged.clear()
    client.ping()


@pytest.mark.parametrize("kind", [PUBACK, PUBCOMP], ids=["PUBACK", "PUBCOMP"])
def test_stray_acknowledgement_is_ignored(connect, current, kind):
    """An acknowledgement of nothing ends no connection."""
    client = connect(version=current)
    client.send(Ack(kind, 4242))
    client.ping()


@pytest.mark.parametrize("qos", [1, 2])
def test_no_matching_subscribers(connect, unique, qos):
    """P6: 0x10 in PUBACK and PUBREC."""
    connect().publish_until_unmatched(unique, qos)


@pytest.mark.parametrize("qos", [1, 2])
def test_matching_subscriber(connect, unique, watcher, qos):
    """P6: with a subscriber the reason is 0."""
    assert connect().publish(unique, b"m", qos=qos).reason == 0


def test_pubrec_with_a_reason_of_success_only(connect, unique):
    """4.3.3: PUBREC 0x10 is not a refusal; the exchange goes on."""
    client = connect()
    client.publish_until_unmatched(unique, 2)
    client.send(Publish(unique, b"m", 2, packet_id=3))
    assert client.expect_ack(PUBREC, 3).reason == NO_MATCHING_SUBSCRIBERS
    client.release(3)


def test_retransmission_after_resume_is_delivered_once(connect, unique, watcher, current):
    """[MQTT-4.3.3-10] [MQTT-4.1.0-1] [MQTT-3.1.2-23] unreleased identifiers are part of the session."""
    client = connect(unique, current, session=60)
    client.send(Publish(unique, b"once", 2, packet_id=8))
    client.expect_ack(PUBREC, 8)
    client.drop()
    client = connect(unique, current, session=60, resume=True)
    client.send(Publish(unique, b"once", 2, dup=True, packet_id=8))
    assert client.expect_ack(PUBREC, 8).reason in (0, IN_USE)
    client.release(8)
    assert watcher.payloads(1) == [b"once"]
    watcher.quiet(client)


def test_release_after_resume(connect, unique, watcher, current):
    """[MQTT-4.3.3-11] PUBREL alone after a reconnection."""
    client = connect(unique, current, session=60)
    client.send(Publish(unique, b"m", 2, packet_id=8))
    client.expect_ack(PUBREC, 8)
    client.drop()
    client = connect(unique, current, session=60, resume=True)
    client.release(8)
    assert watcher.payloads(1) == [b"m"]


def test_new_session_forgets_unreleased_identifiers(connect, unique, watcher):
    """[MQTT-3.1.2-4] [MQTT3-3.1.2-6]"""
    client = connect(unique, V311, session=60)
    client.send(Publish(unique, b"old", 2, packet_id=8))
    client.expect_ack(PUBREC, 8)
    client.drop()
    client = connect(unique, V311)
    client.send(Publish(unique, b"new", 2, packet_id=8))
    client.expect_ack(PUBREC, 8)
    client.release(8)
    # "old" was delivered if this Server delivers at PUBLISH, which the standard leaves open
    assert watcher.wait_for(lambda each: each.payload == b"new").payload == b"new"


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_dup_is_not_forwarded(connect, unique, watcher, current, qos):
    """[MQTT-3.3.1-3] [MQTT3-3.3.1-3] [MQTT-4.3.2-2] [MQTT-4.3.3-2]"""
    client = connect(version=current)
    client.send(Publish(unique, b"m", qos, dup=qos > 0, packet_id=3))
    if qos == 2:
        client.expect_ack(PUBREC, 3)
        client.release(3)
    assert not watcher.receive_publish().dup


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16383, 16384, 200_000])
def test_payload_sizes(connect, unique, watcher, current, size):
    """Payloads are opaque and may be empty; sizes around each step of the Remaining Length."""
    payload = bytes(number * 7 & 0xFF for number in range(size))
    connect(version=current).publish(unique, payload, qos=1)
    assert watcher.receive_publish().payload == payload
