"""What a client may publish in a time, and what becomes of more (X1, X2)."""

import shutil
import subprocess
import time

import pytest

from packets import V5

QUOTA_EXCEEDED, MESSAGE_RATE_TOO_HIGH = 0x97, 0x96
THREE = "mqtt.limiter.messages_rate=3/1h"

pytestmark = pytest.mark.ringmq_only("limits of what a client may publish")


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_what_is_too_much_is_dropped(connect, unique, broker_with, version, qos):
    """The publisher is told where the protocol can do it [MQTT-4.3.3-9]."""
    to = broker_with(THREE, "ringmq.limit_action=drop")
    subscriber, publisher = connect(to=to), connect(version=version, to=to)
    subscriber.subscribe(unique, qos=2)
    allowed = [publisher.publish(unique, b"%d" % number, qos, reasons=(0,)) for number in range(3)]
    refusal = QUOTA_EXCEEDED if version == V5 else 0
    for number in range(3):
        publisher.publish(unique, b"more %d" % number, qos, reasons=(refusal,))
    publisher.ping()
    assert len(allowed) == 3
    assert subscriber.payloads(3) == [b"0", b"1", b"2"]
    subscriber.quiet(connect(to=to))


def test_who_publishes_too_much_is_disconnected(connect, unique, broker_with, version):
    to = broker_with(THREE, "ringmq.limit_action=reject")
    publisher = connect(version=version, to=to)
    for _ in range(3):
        publisher.publish(unique)
    publisher.ping()
    publisher.publish(unique)
    publisher.expect_disconnect(MESSAGE_RATE_TOO_HIGH)


@pytest.mark.skipif(not shutil.which("mosquitto_pub"), reason="mosquitto-clients is not installed")
def test_who_publishes_too_fast_is_slowed_down(connect, unique, broker_with):
    """Nothing is lost, with a client that knows nothing of it."""
    to = broker_with("listeners.tcp.default.messages_rate=20/s")
    subscriber = connect(to=to)
    subscriber.subscribe(unique)
    lines = [b"%d" % number for number in range(60)]
    command = ["mosquitto_pub", "-h", to.address[0], "-p", str(to.address[1]), "-q", "1", "-t", unique, "-l"]
    start = time.monotonic()
    # It sends at most 20 messages before it waits for acknowledgements: the last 20 follow a whole second's worth.
    subprocess.run(command, input=b"\n".join(lines) + b"\n", check=True, timeout=60)
    assert time.monotonic() - start > 0.8
    assert subscriber.payloads(60) == lines
