"""Brokers with an operator, and paho clients for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import paho.mqtt.client as paho
import pytest

from broker_process import end_in_order
from operated import Operated, start_operated
from paho_client import Paho


@pytest.fixture
def operate(broker_name: str) -> Iterator[Callable[..., Operated]]:
    """Starts a broker from the text of its settings; it has to end in order with the test."""
    if broker_name != "ringmq":
        pytest.skip("settings of ringmq")
    started: list[Operated] = []

    def start(settings: str = "", **more) -> Operated:
        started.append(start_operated(settings, **more))
        return started[-1]

    yield start
    end_in_order(started)


@pytest.fixture
def dial() -> Iterator[Callable[..., Paho]]:
    """Connects a paho client of MQTT 5, or of another version, to a broker; it is ended with the test."""
    made: list[Paho] = []

    def make(broker: Operated, *arguments, version: int = paho.MQTTv5, **named) -> Paho:
        made.append(Paho(broker, version, *arguments, **named))
        return made[-1]

    yield make
    for each in made:
        each.client.disconnect()
        each.client.loop_stop()


@pytest.fixture(params=[paho.MQTTv311, paho.MQTTv5], ids=["v3.1.1", "v5"])
def both(request: pytest.FixtureRequest) -> int:
    """The two versions that are OASIS standards, as paho names them."""
    return request.param
