"""mosquitto_pub and mosquitto_sub against the broker."""

import shutil
import subprocess

import pytest

TIMEOUT = "15"
"""Seconds after which mosquitto_sub gives up."""
VERSIONS = ["mqttv31", "mqttv311", "mqttv5"]

pytestmark = pytest.mark.skipif(not shutil.which("mosquitto_sub"), reason="mosquitto-clients is not installed")


@pytest.fixture(params=VERSIONS)
def tools(request, broker):
    """Argument lists of both programs for one version, and running them."""

    class Tools:
        version = request.param
        common = ["-h", broker.address[0], "-p", str(broker.address[1]), "-V", request.param]

        def pub(self, *arguments, data=None):
            subprocess.run(["mosquitto_pub", *self.common, *arguments], input=data, check=True, timeout=30)

        def sub(self, *arguments):
            """Starts mosquitto_sub and waits for its SUBACK."""
            command = ["stdbuf", "-oL", "mosquitto_sub", *self.common, "-d", "-W", TIMEOUT, *arguments]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            process.before = []  # a retained message may come before its SUBACK
            for line in process.stdout:
                process.before.append(line.rstrip(b"\n"))
                if line.startswith(b"Subscribed"):
                    return process
            raise AssertionError(f"mosquitto_sub ended with {process.wait()} before its SUBACK")

    return Tools()


def messages(process) -> list[bytes]:
    """Payload lines of a mosquitto_sub that ended by itself."""
    # Not communicate(): it does not see what the reader of the first lines has buffered. The end comes with -C or -W.
    lines = process.before + process.stdout.read().splitlines()
    assert process.wait() == 0, lines
    return [line for line in lines if not line.startswith((b"Client ", b"Subscribed"))]


@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_lines_in_order(tools, unique, qos):
    lines = [b"message %d" % number for number in range(300)]
    subscriber = tools.sub("-t", unique, "-q", qos, "-C", "300")
    tools.pub("-t", unique, "-q", qos, "-l", data=b"\n".join(lines) + b"\n")
    assert messages(subscriber) == lines


@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_retained(tools, unique, qos):
    tools.pub("-t", unique, "-q", "1", "-r", "-m", "kept")
    assert messages(tools.sub("-t", unique, "-q", qos, "-C", "1", "--retained-only")) == [b"kept"]


def test_large_payload(tools, unique, tmp_path):
    payload = b"x" * ((1 << 20) - 200)
    (tmp_path / "payload").write_bytes(payload)
    subscriber = tools.sub("-t", unique, "-q", "1", "-C", "1")
    tools.pub("-t", unique, "-q", "1", "-f", str(tmp_path / "payload"))
    assert messages(subscriber) == [payload]


def test_will(tools, unique):
    watcher = tools.sub("-t", unique, "-q", "1", "-C", "1")
    dying = tools.sub("-t", unique + "/x", "--will-topic", unique, "--will-payload", "gone", "--will-qos", "1")
    dying.kill()
    dying.wait()
    assert messages(watcher) == [b"gone"]


def test_resume(tools, unique):
    session = ["-i", unique, "-c", "-q", "1", "-t", unique]
    if tools.version == "mqttv5":
        session += ["-x", "60"]
    first = tools.sub(*session, "-E")
    assert messages(first) == []
    tools.pub("-t", unique, "-q", "1", "-l", data=b"1\n2\n3\n")
    command = ["mosquitto_sub", *tools.common, "-W", TIMEOUT, *session, "-C", "3"]
    done = subprocess.run(command, capture_output=True, timeout=30, check=True)
    assert done.stdout.split() == [b"1", b"2", b"3"]


def test_shared_subscription(tools, unique):
    members = [tools.sub("-t", f"$share/group/{unique}", "-q", "1", "-C", "20") for _ in range(2)]
    plain = tools.sub("-t", unique, "-q", "1", "-C", "40")
    lines = [b"%d" % number for number in range(40)]
    tools.pub("-t", unique, "-q", "1", "-l", data=b"\n".join(lines) + b"\n")
    assert messages(plain) == lines
    assert sorted(map(int, messages(members[0]) + messages(members[1]))) == list(range(40))
