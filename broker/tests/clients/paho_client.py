"""A client of paho-mqtt (Python) whose callbacks fill queues, so that tests wait for what happens.

Absent: pytest.
"""

from __future__ import annotations

import queue
import threading
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

TIMEOUT = 15.0
"""Seconds until something expected is overdue."""


class Paho:
    """A client that has been answered. `port` is another of the broker's than its first; `refusal` is the reason of a
    CONNACK that is expected to refuse it; `limits` are properties of its CONNECT, by their names in paho."""

    def __init__(
        self,
        broker: Any,
        version: int,
        client_id: str = "",
        clean: bool = True,
        will: tuple | None = None,
        *,
        port: int | None = None,
        username: str | None = None,
        refusal: int = 0,
        manual_ack: bool = False,
        expiry: int = 60,
        limits: dict[str, int] | None = None,
    ):
        self.version = version
        self.messages: queue.Queue = queue.Queue()
        self.connected: queue.Queue = queue.Queue()
        self.granted: queue.Queue = queue.Queue()
        self.acknowledged: queue.Queue = queue.Queue()
        self.ended: queue.Queue = queue.Queue()
        self.closed = threading.Event()
        five = version == paho.MQTTv5
        session = {} if five else {"clean_session": clean}
        self.client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id,
            protocol=version,
            reconnect_on_failure=False,
            manual_ack=manual_ack,
            **session,
        )
        self.client.on_connect = lambda _client, _data, flags, reason, properties: self.connected.put(
            (flags, reason, properties)
        )
        self.client.on_message = lambda _client, _data, message: self.messages.put(message)
        self.client.on_subscribe = lambda _client, _data, _mid, reasons, _properties: self.granted.put(reasons)
        self.client.on_unsubscribe = lambda _client, _data, _mid, reasons, _properties: self.granted.put(reasons)
        self.client.on_publish = lambda _client, _data, mid, reason, _properties: self.acknowledged.put((mid, reason))
        self.client.on_disconnect = self.note_end
        self.client.max_inflight_messages_set(20)
        if username is not None:
            self.client.username_pw_set(username)
        if will:
            self.client.will_set(*will)
        more = {}
        if five:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 0 if clean else expiry
            for name, value in (limits or {}).items():
                setattr(properties, name, value)
            more = {"clean_start": clean, "properties": properties}
        host, first = broker.address
        self.client.connect(host, port or first, keepalive=60, **more)
        self.client.loop_start()
        self.flags, reason, self.properties = self.connected.get(timeout=TIMEOUT)
        assert reason.value == refusal, reason

    def note_end(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self.ended.put(reason)
        self.closed.set()

    def subscribe(self, topic: str, qos: int = 0, granted: int | None = None, **options: Any) -> None:
        """`options` are those of MQTT 5 by their names in paho, `granted` a code other than the QoS."""
        if self.version == paho.MQTTv5:
            self.client.subscribe(topic, options=SubscribeOptions(qos, **options))
        else:
            self.client.subscribe(topic, qos)
        expected = qos if granted is None else granted
        assert [each.value for each in self.granted.get(timeout=TIMEOUT)] == [expected]

    def unsubscribe(self, topic: str) -> None:
        self.client.unsubscribe(topic)
        self.granted.get(timeout=TIMEOUT)

    def publish(
        self, topic: str, payload: bytes | str, qos: int = 0, retain: bool = False, properties: Properties | None = None
    ) -> None:
        self.client.publish(topic, payload, qos, retain, properties=properties).wait_for_publish(TIMEOUT)

    def publish_for(self, topic: str, payload: bytes | str, qos: int = 1, **more: Any) -> int:
        """Publishes, and gives the reason code of the acknowledgement. For clients that publish in no other way."""
        sent = self.client.publish(topic, payload, qos, **more)
        mid, reason = self.acknowledged.get(timeout=TIMEOUT)
        assert mid == sent.mid
        return reason.value

    def receive(self) -> paho.MQTTMessage:
        return self.messages.get(timeout=TIMEOUT)

    def payloads(self, count: int) -> list[bytes]:
        return [self.receive().payload for _ in range(count)]

    def nothing_before(self, publisher: Paho, topic: str) -> None:
        """Nothing is on its way to this client: a marker that is published now is the next to come."""
        publisher.publish(topic, b"marker", 1)
        message = self.receive()
        assert (message.topic, message.payload) == (topic, b"marker")

    def end(self) -> None:
        self.client.disconnect()
        assert self.closed.wait(TIMEOUT)
        self.client.loop_stop()

    def break_off(self) -> None:
        """Closes without DISCONNECT."""
        self.client._sock_close()
        self.client.loop_stop()

    def reason_of_end(self) -> int:
        """The reason code with which the broker ended the connection."""
        return self.ended.get(timeout=TIMEOUT).value


def shares(clients: list[Paho], count: int, publish: Any) -> list[list[bytes]]:
    """Which of `count` messages each client gets, that `publish()` sends once everybody listens."""
    together: queue.Queue = queue.Queue()
    for index, each in enumerate(clients):
        each.client.on_message = lambda _client, _data, message, index=index: together.put((index, message.payload))
    publish()
    found: list[list[bytes]] = [[] for _ in clients]
    for _ in range(count):
        index, payload = together.get(timeout=TIMEOUT)
        found[index].append(payload)
    return found
