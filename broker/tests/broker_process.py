"""Starts the broker under test, or Debian's mosquitto to validate the tests themselves, and ends it.

Absent: pytest (`conftest.py`), MQTT.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BANNER = re.compile(rb"listening on tcp \S*?:(\d+)")
START_TIMEOUT = 15.0
"""Seconds for the banner to appear."""
STOP_TIMEOUT = 10.0
"""Seconds from SIGTERM to the exit of the process."""

# ringmq setting -> mosquitto option; tests with other settings do not run against mosquitto.
MOSQUITTO_OPTIONS = {
    "mqtt.max_inflight": "max_inflight_messages",
    "mqtt.max_mqueue_len": "max_queued_messages",
    "mqtt.max_packet_size": "max_packet_size",
    "mqtt.retain_available": "retain_available",
    "mqtt.max_qos_allowed": "max_qos",
    "mqtt.max_topic_alias": "max_topic_alias",
}
HONOURED_BY_DEFAULT = {"mqtt.max_topic_alias=65535"}


class Unsupported(Exception):
    """This broker has no such setting."""


class Broker:
    """A running broker process."""

    def __init__(
        self, command: list[str], workdir: Path, environment: dict[str, str] | None = None, listeners: int = 1
    ):
        self.command = command
        self.workdir = workdir
        self.listeners = listeners
        self.output = b""
        self.address = ("127.0.0.1", 0)
        self.ports: list[int] = []
        self.started = threading.Event()
        environment = dict(os.environ if environment is None else environment, RUST_BACKTRACE="1")
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=workdir, env=environment
        )
        self.reader = threading.Thread(target=self.read_output, daemon=True)
        self.reader.start()

    def read_output(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.output += line
            found = BANNER.search(line)
            if found and not self.started.is_set():
                self.ports.append(int(found[1]))
                self.address = ("127.0.0.1", self.ports[0])
                if len(self.ports) == self.listeners:
                    self.started.set()
        self.started.set()

    def alive(self) -> bool:
        return self.process.poll() is None

    def describe(self) -> str:
        return f"{' '.join(self.command)}: exit {self.process.poll()}\n{self.output.decode(errors='replace')[-4000:]}"

    def terminate(self) -> int:
        """SIGTERM and the exit status; fails when the process does not end in time."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"no exit within {STOP_TIMEOUT} s of SIGTERM\n{self.describe()}") from None

    def kill(self) -> None:
        if self.alive():
            self.process.kill()
        self.process.wait()

    def remove_files(self) -> None:
        """Removes what the ended process has left."""
        shutil.rmtree(self.workdir, ignore_errors=True)


def end_in_order(brokers: list[Broker]) -> None:
    """Ends those that run and removes their files; fails unless all stop with status 0 and none has panicked."""
    failures = []
    for broker in brokers:
        if broker.alive() and broker.terminate() != 0:
            failures.append(broker.describe())
        if b"panicked" in broker.output:
            failures.append(broker.describe())
    # Only then: one that was started again has the directory of the one before.
    for broker in brokers:
        broker.remove_files()
    assert not failures, "\n".join(failures)


def ringmq_binary() -> Path:
    return Path(os.environ.get("RINGMQ_BIN", ROOT / "target" / "release" / "ringmq"))


def start_ringmq(settings: tuple[str, ...]) -> Broker:
    workdir = Path(tempfile.mkdtemp(prefix="ringmq-test-"))
    command = [str(ringmq_binary()), "--tcp", "127.0.0.1:0", "--data-dir", str(workdir / "data")]
    for variable, option in (("RINGMQ_DRIVER", "--driver"), ("RINGMQ_SHARDS", "--shards")):
        if os.environ.get(variable):
            command += [option, os.environ[variable]]
    for setting in settings:
        command += ["--set", setting]
    broker = Broker(command, workdir)
    broker.started.wait(START_TIMEOUT)
    if not broker.address[1]:
        broker.kill()
        raise AssertionError(f"the broker printed no listener address\n{broker.describe()}")
    return broker


def start_mosquitto(settings: tuple[str, ...]) -> Broker:
    options = {"allow_anonymous": "true", "set_tcp_nodelay": "true", "max_inflight_messages": "32"}
    options["max_queued_messages"] = "1000"
    # A bound per listener has to follow the listener line.
    per_listener = {"max_topic_alias": "65535"}
    for setting in settings:
        if setting in HONOURED_BY_DEFAULT:
            continue
        key, value = setting.split("=", 1)
        if key not in MOSQUITTO_OPTIONS:
            raise Unsupported(f"mosquitto has no {key}")
        target = per_listener if MOSQUITTO_OPTIONS[key] in ("max_topic_alias", "max_qos") else options
        target[MOSQUITTO_OPTIONS[key]] = value
    workdir = Path(tempfile.mkdtemp(prefix="mosquitto-test-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lines = [f"listener {port} 127.0.0.1"]
    lines += [f"{key} {value}" for key, value in {**per_listener, **options}.items()]
    config = workdir / "mosquitto.conf"
    config.write_text("\n".join(lines) + "\n")
    broker = Broker(["/usr/sbin/mosquitto", "-c", str(config)], workdir)
    broker.address = ("127.0.0.1", port)
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            socket.create_connection(broker.address, 1).close()
            return broker
        except OSError:
            if time.monotonic() > deadline or not broker.alive():
                broker.kill()
                raise AssertionError(broker.describe()) from None
            time.sleep(0.01)  # mosquitto announces nothing that could be awaited
