"""MQTT.js against the broker: each scenario of `mqttjs/scenarios.mjs` at each version it knows."""

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest

DIRECTORY = Path(__file__).parent / "mqttjs"
SCENARIOS = ["publish_subscribe", "retained", "will", "resume", "large_payload", "shared_subscription"]
TIMEOUT = 30.0
"""Seconds for one scenario, a little more than its own deadline."""
INSTALL_TIMEOUT = 180.0
"""Seconds for npm."""


@pytest.fixture(scope="session")
def scenarios() -> Path:
    """The script, with the locked dependencies installed once for all workers."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed")
    with open(DIRECTORY / "package-lock.json") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (DIRECTORY / "node_modules" / "mqtt").exists():
            command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            subprocess.run(command, cwd=DIRECTORY, check=True, timeout=INSTALL_TIMEOUT, capture_output=True)
    return DIRECTORY / "scenarios.mjs"


def run(scenarios: Path, broker, name: str, version: int) -> None:
    command = ["node", str(scenarios), name, str(broker.address[1]), str(version)]
    done = subprocess.run(command, timeout=TIMEOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("version", [3, 4, 5], ids=["v3.1", "v3.1.1", "v5"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(scenarios, broker, name, version):
    if version == 3 and name == "resume":
        pytest.skip("MQTT.js does not resume sessions of MQTT 3.1: CONNACK has no Session Present there")
    run(scenarios, broker, name, version)


def test_properties(scenarios, broker):
    run(scenarios, broker, "properties", 5)
