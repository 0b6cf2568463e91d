"""Fixtures of all black-box tests: a broker for the session, brokers with settings of their own, clients, names."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from broker_process import Broker, Unsupported, end_in_order, ringmq_binary, start_mosquitto, start_ringmq
from packets import V5, V31, V311, Connect, Will
from wire_client import Client

COMPANIONS = 12
"""Clients of which surely one lives on each of a few shards."""

_serial = itertools.count()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--broker",
        choices=("ringmq", "mosquitto"),
        default="ringmq",
        help="mosquitto checks the tests themselves against an established broker",
    )


def mosquitto_deviations() -> list[tuple[str, bool, str]]:
    """Patterns of test names that fail with mosquitto, whether always, and why."""
    lines = (Path(__file__).parent / "mosquitto_deviations.tsv").read_text().splitlines()
    rows = (line.split("\t") for line in lines if line and not line.startswith("#"))
    # A "[" of a parametrised name stands for itself.
    return [(pattern.replace("[", "[[]"), often == "always", reason) for pattern, often, reason in rows]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--broker") == "mosquitto":
        Client.announces_errors = False
        deviations = mosquitto_deviations()
        for item in items:
            for mark in item.iter_markers("ringmq_only"):
                item.add_marker(pytest.mark.skip(reason=mark.args[0]))
            for pattern, always, reason in deviations:
                if fnmatchcase(f"{item.path.name}::{item.name}", pattern):
                    item.add_marker(pytest.mark.xfail(reason=reason, strict=always))
    elif not ringmq_binary().exists():
        raise pytest.UsageError(f"no broker at {ringmq_binary()}: build it or set RINGMQ_BIN")


@pytest.fixture(scope="session")
def broker_name(request: pytest.FixtureRequest) -> str:
    return request.config.getoption("--broker")


@pytest.fixture(scope="session")
def start_broker(broker_name: str) -> Iterator[Callable[..., Broker]]:
    """Starts a broker with settings; it is ended with the session unless the test ends it."""
    started: list[Broker] = []

    def start(*settings: str) -> Broker:
        try:
            broker = start_ringmq(settings) if broker_name == "ringmq" else start_mosquitto(settings)
        except Unsupported as error:
            pytest.skip(str(error))
        started.append(broker)
        return broker

    yield start
    end_in_order(started)


@pytest.fixture(scope="session")
def broker_with(start_broker: Callable[..., Broker]) -> Callable[..., Broker]:
    """A broker with these settings, shared by the tests that ask for the same ones."""
    cache: dict[tuple[str, ...], Broker] = {}

    def get(*settings: str) -> Broker:
        if settings not in cache:
            cache[settings] = start_broker(*settings)
        return cache[settings]

    return get


@pytest.fixture(scope="session")
def shared_broker(broker_with: Callable[..., Broker]) -> Broker:
    return broker_with()


@pytest.fixture
def broker(shared_broker: Broker) -> Iterator[Broker]:
    """The broker of the session, with default settings; a test that ends it has broken the broker."""
    yield shared_broker
    assert shared_broker.alive(), shared_broker.describe()


@pytest.fixture
def unique() -> str:
    """A name no other test uses, as a client identifier (23 characters at most) or first topic level."""
    return f"t{os.getpid()}x{next(_serial)}"


@pytest.fixture
def raw(broker: Broker) -> Iterator[Callable[..., Client]]:
    """Opens a connection without CONNECT."""
    opened: list[Client] = []

    def open_one(version: int = V5, to: Broker | None = None) -> Client:
        opened.append(Client((to or broker).address, version))
        return opened[-1]

    yield open_one
    for client in opened:
        client.drop()


@pytest.fixture
def connect(raw: Callable[..., Client]) -> Callable[..., Client]:
    """Opens a connection and has it accepted.

    `session` is the Session Expiry Interval in seconds of a session that survives the connection (before MQTT 5.0
    CleanSession=0); `resume` continues one.
    """

    def open_one(
        client_id: str | None = None,
        version: int = V5,
        *,
        to: Broker | None = None,
        clean: bool | None = None,
        session: int = 0,
        resume: bool = False,
        keep_alive: int = 0,
        will: Will | None = None,
        properties: dict | None = None,
        present: bool | None = None,
        **more,
    ) -> Client:
        properties = dict(properties or {})
        if version == V5 and session:
            properties.setdefault("session_expiry_interval", session)
        if clean is None:
            clean = not (resume or (session and version != V5))
        name = f"c{os.getpid()}x{next(_serial)}" if client_id is None else client_id
        client = raw(version, to)
        packet = Connect(name, version, clean, keep_alive, properties, will, **more)
        connack = client.connect(packet)
        assert connack.reason == 0, f"refused: {connack}"
        if version != V31:  # byte 1 of CONNACK has no meaning there
            assert connack.session_present == (resume if present is None else present)
        return client

    return open_one


@pytest.fixture
def settle(connect: Callable[..., Client]) -> Callable[[Client, Broker], None]:
    """Waits until every shard has taken in what a publisher has published.

    An acknowledgement says that the Server owns the message, not that the session of an absent subscriber, which may
    live on another shard, has queued it. Messages to enough companions go the same ways after it.
    """

    def wait(publisher: Client, broker: Broker) -> None:
        topic = f"settle/{os.getpid()}/{next(_serial)}"
        companions = [connect(to=broker) for _ in range(COMPANIONS)]
        for each in companions:
            each.subscribe(topic)
        publisher.publish(topic)
        for each in companions:
            each.receive_publish()
            each.drop()

    return wait


@pytest.fixture(params=[V31, V311, V5], ids=["v3.1", "v3.1.1", "v5"])
def version(request: pytest.FixtureRequest) -> int:
    """Each protocol version."""
    return request.param


@pytest.fixture(params=[V311, V5], ids=["v3.1.1", "v5"])
def current(request: pytest.FixtureRequest) -> int:
    """The two versions that are OASIS standards."""
    return request.param
