"""A broker started from a file of settings, and what its operator asks of it while it runs.

Absent: MQTT (`paho_client.py`), pytest (`conftest.py`).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from broker_process import START_TIMEOUT, Broker, ringmq_binary

PATIENCE = 20.0
"""Seconds until something awaited is overdue."""
CTL_TIMEOUT = 30.0
"""Seconds for one request of `ringmq ctl`."""

T = TypeVar("T")


def clean_environment() -> dict[str, str]:
    """The environment without anything that would be a setting."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(("RINGMQ_", "EMQX_"))}


def eventually(look: Callable[[], T], wanted: Callable[[T], bool] = bool) -> T:
    """What `look` gives once it is as wanted; it is asked again and again, and each time has to ask the broker."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = look()
        if wanted(found):
            return found
        assert time.monotonic() < deadline, found


class Operated(Broker):
    """A running broker in a directory of its own, with `r.conf` as its settings."""

    def __init__(self, workdir: Path, listeners: int, arguments: Iterable[str], variables: dict[str, str]):
        self.arguments = list(arguments)
        self.variables = variables
        super().__init__([str(ringmq_binary()), *self.arguments], workdir, clean_environment() | variables, listeners)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`ringmq` with these arguments in the broker's directory."""
        command = [str(ringmq_binary()), *arguments]
        environment = clean_environment()
        return subprocess.run(
            command, cwd=self.workdir, env=environment, timeout=CTL_TIMEOUT, capture_output=True, text=True, check=False
        )

    def ctl(self, *arguments: str) -> str:
        """What `ringmq ctl` prints for a request that is granted."""
        done = self.run("ctl", "--socket", "data/ringmq.sock", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *arguments: str) -> str:
        """What `ringmq ctl` says of a request that is not granted."""
        done = self.run("ctl", "--socket", "data/ringmq.sock", *arguments)
        assert done.returncode == 1, done
        return done.stderr

    def ask(self, *arguments: str) -> Any:
        """The answer as JSON; the pages of a list joined."""
        pages = [json.loads(line) for line in self.ctl("--json", *arguments).splitlines()]
        if len(pages) == 1:
            return pages[0]
        name = next(key for key, value in pages[0].items() if isinstance(value, list))
        return {name: [row for page in pages for row in page[name]]}

    def say(self, requests: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """The answers to requests in the protocol of the control socket, over one connection."""
        with socket.socket(socket.AF_UNIX) as stream:
            stream.settimeout(PATIENCE)
            stream.connect(str(self.workdir / "data" / "ringmq.sock"))
            answers = []
            with stream.makefile("rw") as lines:
                for request in requests:
                    lines.write(json.dumps({"v": 1} | request) + "\n")
                    lines.flush()
                    answers.append(json.loads(lines.readline()))
        return answers

    def set(self, key: str, value: str) -> None:
        self.ctl("conf", "set", key, value)

    def counter(self, name: str) -> int:
        """The sum of a counter or gauge over the shards, as they last published it."""
        rows = self.ask("metrics") + self.ask("stats")
        return next(row["sum"] for row in rows if row["name"] == name)

    def await_counter(self, name: str, value: int) -> None:
        """Waits until a counter has this value: shards publish theirs once a second."""
        eventually(lambda: self.counter(name), lambda found: found == value)

    def reload(self) -> None:
        """SIGHUP."""
        self.process.send_signal(signal.SIGHUP)

    def remove_files(self) -> None:
        shutil.rmtree(self.workdir, ignore_errors=True)


def start_operated(
    settings: str,
    listeners: int = 0,
    shards: int | None = None,
    files: dict[str, str] | None = None,
    variables: dict[str, str] | None = None,
    workdir: Path | None = None,
) -> Operated:
    """Starts a broker.

    `listeners` is the number of those that the settings bring, in the order of their names; without any the broker
    gets one on a port of its own choice. `files` are further ones, by their path in its directory.
    """
    directory = workdir or Path(tempfile.mkdtemp(prefix="ringmq-operated-"))
    for name, text in ({"r.conf": settings} | (files or {})).items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    arguments = ["--config", "r.conf", "--data-dir", "data"]
    number = str(shards) if shards else os.environ.get("RINGMQ_SHARDS")
    for option, value in (("--driver", os.environ.get("RINGMQ_DRIVER")), ("--shards", number)):
        if value:
            arguments += [option, value]
    if listeners == 0:
        arguments += ["--tcp", "127.0.0.1:0"]
    broker = Operated(directory, max(listeners, 1), arguments, variables or {})
    broker.started.wait(START_TIMEOUT)
    if len(broker.ports) < broker.listeners:
        broker.kill()
        raise AssertionError(f"the broker printed too few addresses\n{broker.describe()}")
    return broker


def restarted(broker: Operated) -> Operated:
    """The broker, stopped in order and started again on what it left."""
    assert broker.terminate() == 0, broker.describe()
    again = Operated(broker.workdir, broker.listeners, broker.arguments, broker.variables)
    again.started.wait(START_TIMEOUT)
    assert again.ports, again.describe()
    return again
