"""Message queues with other people's clients: paho-mqtt, mosquitto_pub and mosquitto_sub."""

import queue
import shutil
import subprocess

import paho.mqtt.client as paho
import pytest

pytestmark = pytest.mark.ringmq_only("message queues")

TIMEOUT = 15.0
"""Seconds until something expected is overdue."""


@pytest.fixture
def to(start_broker):
    broker = start_broker('ringmq.queues.jobs.topic_filter="jobs/#"', "ringmq.queues.jobs.max_inflight=5")
    yield broker
    assert broker.terminate() == 0, broker.describe()


class Consumer:
    """A paho client that acknowledges when it is told to."""

    def __init__(self, broker, version, client_id=""):
        self.messages: queue.Queue = queue.Queue()
        granted: queue.Queue = queue.Queue()
        connected: queue.Queue = queue.Queue()
        self.client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id, protocol=version, manual_ack=True, reconnect_on_failure=False
        )
        self.client.on_message = lambda _client, _data, message: self.messages.put(message)
        self.client.on_subscribe = lambda _client, _data, _mid, reasons, _properties: granted.put(reasons)
        self.client.on_connect = lambda _client, _data, _flags, reason, _properties: connected.put(reason)
        self.client.connect(*broker.address, keepalive=60)
        self.client.loop_start()
        assert connected.get(timeout=TIMEOUT) == 0
        self.client.subscribe("$q/jobs", 1)
        assert [each.value for each in granted.get(timeout=TIMEOUT)] == [1]

    def take(self, count):
        return [self.messages.get(timeout=TIMEOUT) for _ in range(count)]

    def acknowledge(self, message):
        self.client.ack(message.mid, message.qos)

    def break_off(self):
        """Closes without DISCONNECT."""
        self.client._sock_close()
        self.client.loop_stop()


@pytest.mark.parametrize("version", [paho.MQTTv311, paho.MQTTv5], ids=["v3.1.1", "v5"])
def test_another_consumer_gets_what_was_not_acknowledged(connect, to, version):
    publisher = connect(to=to)
    for number in range(30):
        publisher.publish("jobs/a", b"%d" % number, 1)
    one = Consumer(to, version)
    held = one.take(5)
    for message in held[:3]:
        one.acknowledge(message)
    held += one.take(3)
    assert [int(each.payload) for each in held] == list(range(8))
    one.break_off()
    two = Consumer(to, version)
    numbers = []
    while len(numbers) < 27:
        (message,) = two.take(1)
        numbers.append(int(message.payload))
        two.acknowledge(message)
    assert sorted(numbers) == list(range(3, 30)), "all but what was acknowledged, each once"
    # The queue may hear late that the first has gone, when the second has been given some that come after.
    returned = [number for number in numbers if number < 8]
    assert returned == sorted(returned) and [number for number in numbers if number >= 8] == list(range(8, 30))
    two.client.disconnect()
    two.client.loop_stop()


@pytest.mark.skipif(not shutil.which("mosquitto_sub"), reason="mosquitto-clients is not installed")
@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_mosquitto_sub_consumes_what_mosquitto_pub_left(to, version):
    common = ["-h", to.address[0], "-p", str(to.address[1]), "-V", version]
    lines = [b"job %d" % number for number in range(200)]
    publish = ["mosquitto_pub", *common, "-q", "1", "-t", "jobs/a", "-l"]
    subprocess.run(publish, input=b"\n".join(lines) + b"\n", check=True, timeout=30)
    got = {}
    for qos in ("1", "0"):
        consume = ["mosquitto_sub", *common, "-W", "15", "-t", "$q/jobs", "-q", qos, "-C", "100"]
        done = subprocess.run(consume, stdout=subprocess.PIPE, timeout=30)
        got[qos] = done.stdout.splitlines()
        assert done.returncode == 0, got
    assert got["1"] == lines[:100]
    # The first one may leave before its last acknowledgements are there: those messages come again.
    start = lines.index(got["0"][0])
    assert 95 <= start <= 100 and got["0"] == lines[start : start + 100]
