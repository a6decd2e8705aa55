"""What the tests of the command line stand on: nodes of their own, the program as it ends, and the program as it goes on.

The program is the first argument of the test that imports this.
"""

import contextlib
import json
import os
import pathlib
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = sys.argv.pop(1)
LIMIT_S = 30

OK, OTHER, USAGE, NOT_FOUND, TIMEOUT, UNAVAILABLE, UNAUTHORIZED, LIMIT, HANDLER_FAILED = range(9)


def free_port(ports):
    """The first of some ports in a row that nobody listens on."""
    for port in range(random.randrange(20000, 30000), 32000, ports):
        with contextlib.suppress(OSError):
            for offset in range(ports):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port + offset))
            return port
    raise AssertionError("no free ports")


def await_true(condition):
    end = time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("it did not come true in time")
        time.sleep(0.01)


def environment(**more):
    """Without what is set around the test, and with a home that has no cluster."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ACTIONCLUSTER_", "XDG_"))}
    return {**kept, "HOME": "/nonexistent", **more}


class Cluster:
    """Nodes on this machine, until it is closed."""

    def __init__(self, workers=1, *args):
        self.folder = tempfile.TemporaryDirectory(prefix="actioncluster-cli-")
        self.data_dir = f"{self.folder.name}/data"
        self.port = free_port(workers + 1)
        self.start(workers, *args)

    def start(self, workers, *args):
        self.process = subprocess.Popen(
            [PROGRAM, "start", "--workers", str(workers), "--port", str(self.port), "--data-dir", self.data_dir, *args],
            stdout=subprocess.PIPE, env=environment(), text=True)
        for line in self.process.stdout:
            if "ready on" in line:
                return
        raise AssertionError("the cluster did not start")

    @property
    def address_file(self):
        return pathlib.Path(self.data_dir, "actioncluster.address")

    def close(self):
        self.process.terminate()
        code = self.process.wait(LIMIT_S)
        self.process.stdout.close()
        self.folder.cleanup()
        assert code == 0, code


class Running:
    """A subcommand that goes on, with its outputs read by line."""

    def __init__(self, *args, env=None, ignored=None, stdin=subprocess.DEVNULL):
        # What this ignores, the program that it starts does too.
        before = signal.signal(ignored, signal.SIG_IGN) if ignored else None
        self.process = subprocess.Popen([PROGRAM, *args], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env=env or environment())
        if ignored:
            signal.signal(ignored, before)
        self.pid = self.process.pid
        self.buffers = {self.process.stdout: b"", self.process.stderr: b""}

    def _line(self, stream, end=None):
        end = end or time.monotonic() + LIMIT_S
        while b"\n" not in self.buffers[stream]:
            ready, _, _ = select.select([stream], [], [], max(0, end - time.monotonic()))
            chunk = os.read(stream.fileno(), 65536) if ready else b""
            if not chunk:
                raise AssertionError(f"{self.process.args}: no line, but {self.buffers}")
            self.buffers[stream] += chunk
        line, self.buffers[stream] = self.buffers[stream].split(b"\n", 1)
        return line.decode()

    def write(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def out(self):
        return self._line(self.process.stdout)

    def err(self, text=""):
        """The next line of standard error that has this text."""
        end = time.monotonic() + LIMIT_S
        while text not in (line := self._line(self.process.stderr, end)):
            pass
        return line

    def stop(self, number=signal.SIGINT):
        self.process.send_signal(number)
        return self.wait()

    def wait(self):
        code = self.process.wait(LIMIT_S)
        self.close()
        return code

    def close(self):
        # Asked twice a host also ends what it runs; killed, it could not.
        while self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.1)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream:
                stream.close()


def run(*args, env=None, stdin=b"", text=True):
    result = subprocess.run([PROGRAM, *args], input=stdin, capture_output=True, env=env or environment(), timeout=LIMIT_S)
    if text:
        result.stdout = result.stdout.decode()
    result.stderr = result.stderr.decode()
    return result


class CliTest(unittest.TestCase):
    """Each test talks to the same three nodes, but for those that start their own."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(3)
        cls.env = environment(ACTIONCLUSTER_DATA_DIR=cls.cluster.data_dir)
        cls.node = "actioncluster-worker-2"

    @classmethod
    def tearDownClass(cls):
        cls.cluster.close()

    def cli(self, *args, code=OK, stdin=b"", text=True):
        result = run(*args, env=self.env, stdin=stdin, text=text)
        self.assertEqual(result.returncode, code, result)
        if code == OK:
            self.assertEqual(result.stderr, "")
        else:
            self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        return result

    def cli_json(self, *args, **more):
        return [json.loads(line) for line in self.cli(*args, "--json", **more).stdout.splitlines()]

    def cli_error(self, code, *args, **more):
        """The error as JSON; its line for people is checked beside it."""
        for_people = self.cli(*args, code=code, **more).stderr
        error = json.loads(self.cli(*args, "--json", code=code, **more).stderr)
        self.assertEqual(list(error), ["code", "reason", "message", "node_id", "metadata", "exit_code"])
        self.assertEqual(error["exit_code"], code)
        start = f"{error['reason']} ({error['code']}) " if error["reason"] else f"{error['code']} "
        self.assertTrue(for_people.startswith(f"actioncluster: {start}"), for_people)
        return error

    def running(self, *args, stdin=subprocess.DEVNULL):
        running = Running(*args, env=self.env, stdin=stdin)
        self.addCleanup(running.close)
        return running

    def serve(self, name, command, *args):
        host = self.running("rpc", "serve", name, "--exec", command, *args)
        host.err("attached")
        return host

    def subscribe(self, *args):
        subscriber = self.running("subscribe", *args)
        subscriber.err("attached")
        return subscriber
