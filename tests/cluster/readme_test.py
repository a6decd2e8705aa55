#!/usr/bin/python3
"""What the README says of one language works as printed: how to make the stubs, the programs, and what they print.

Usage: readme_test.py LANGUAGE BUILD_DIR, with LANGUAGE one of python, node, go, cpp, grpcurl. Only the README's ports and the repository's path are replaced.
All is made in BUILD_DIR/tools; what package clients download is in their own caches.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

LANGUAGE = sys.argv[1]
BUILD = pathlib.Path(sys.argv[2]).resolve()
SOURCE = pathlib.Path(__file__).resolve().parents[2]
TOOLS = BUILD / "tools"
sys.path.insert(0, str(BUILD / "tests/interop/gen"))

import grpc  # noqa: E402
from actioncluster.v1 import cluster_pb2, cluster_pb2_grpc  # noqa: E402

TITLES = {"python": "Python", "node": "Node.js", "go": "Go", "cpp": "C++", "grpcurl": "grpcurl"}
NODE = "actioncluster-worker-"
LIMIT_S = 30  # For one step of a program.
SET_UP_LIMIT_S = 180  # For what downloads and compiles. All together is less than CTest's limit, so that nothing is left running.


@contextlib.contextmanager
def within(seconds, what):
    def out_of_time(*_):
        raise TimeoutError(f"not within {seconds} s: {what}")

    signal.signal(signal.SIGALRM, out_of_time)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def environment():
    nodes = "127.0.0.1"  # Are not reached through a proxy, where registries are.
    return os.environ | {"PATH": f"{TOOLS}/bin:{os.environ['PATH']}", "GOBIN": f"{TOOLS}/bin", "no_proxy": nodes, "NO_PROXY": nodes}


class Ports:
    """Four ports in a row that nobody listens on, and that no other test takes: see ports.cc."""

    def __init__(self):
        for first in range(28000 + os.getpid() % 250 * 8, 30100, 8):
            self.names = [socket.socket(socket.AF_UNIX) for _ in range(4)]
            try:
                for port, name in enumerate(self.names, first):
                    name.bind(f"\0actioncluster-test/port/{port}")
                    with socket.socket() as probe:
                        probe.bind(("127.0.0.1", port))
                self.first = first
                return
            except OSError:
                continue
        sys.exit("no free ports")

    def replace(self, text):
        return re.sub(r"127\.0\.0\.1:740(\d)", lambda match: f"127.0.0.1:{self.first + int(match[1])}", text)


class Readme:
    """The parts of the page, by their place in it."""

    def __init__(self, ports):
        text = ports.replace((SOURCE / "README.md").read_text())
        text = text.replace("~/actioncluster/build/release", str(BUILD)).replace("~/actioncluster", str(SOURCE))
        page = re.search(r"\n## From your language\n(.*?)\n## ", text, re.S)[1]
        self.intro, *sections = re.split(r"\n### ", page)
        self.section = next(s for s in sections if s.startswith(TITLES[LANGUAGE] + "\n"))
        self.python = next(s for s in sections if s.startswith("Python\n"))

    def folder_command(self):
        return re.search(r"```sh\n(.*?)```", self.intro, re.S)[1]

    def set_up_commands(self):
        return re.search(r"```sh\n(.*?)```", self.section, re.S)[1]

    def programs(self, section=None):
        return dict(re.findall(r"<summary><b>(.*?)</b>.*?</summary>\n\n```\w+\n(.*?)```", section or self.section, re.S))

    def run_command(self, program):
        return re.search(r"\nThen `(.*?)`", self.section)[1].replace("host", program)

    def printed(self, program):
        """What the table says that it prints, line by line."""
        rows = [[cell.strip() for cell in row.split("|")[1:4]] for row in re.findall(r"^\|.*\|$", self.intro, re.M)]
        lines, of = [], ""
        for name, _, prints in rows:
            of = name or of
            if of == f"`{program}`":
                lines.append(prints.split("`")[1])
        return lines

    def grpcurl_lines(self, *texts):
        """The only line that has all of the texts."""
        lines = [s for s in self.section.splitlines() if s.startswith("grpcurl ") and all(text in s for text in texts)]
        assert len(lines) == 1, (texts, lines)
        return lines[0]


class Process:
    """A shell command in a process group of its own."""

    def __init__(self, command, folder):
        self.process = subprocess.Popen(["bash", "-c", command], cwd=folder, env=environment(), text=True, start_new_session=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def read_until(self, text, limit_s=LIMIT_S):
        """Everything up to the line that has the text."""
        lines = []
        with within(limit_s, f"{text!r} from {self.process.args}"):
            for line in self.process.stdout:
                lines.append(line)
                if text in line:
                    return lines
        raise AssertionError(f"{self.process.args} ended before it said {text!r}: {''.join(lines)}")


def run(command, folder, limit_s=LIMIT_S, fails=False):
    """What it prints."""
    with Process(f"set -e\n{command}", folder) as running, within(limit_s, command):
        output, _ = running.process.communicate()
        status = running.process.returncode
    assert (status != 0) == fails, f"{command}: {status}\n{output}"
    return output


class Cluster:
    """Three nodes."""

    def __init__(self, folder, ports):
        self.folder = folder
        self.addresses = [f"127.0.0.1:{ports.first + i}" for i in range(4)]
        self.process = subprocess.Popen([BUILD / "actioncluster", "start", "--workers", "3", "--port", str(ports.first), "--data-dir", folder],
                                        stdout=subprocess.PIPE, text=True)
        self.channel = grpc.insecure_channel(self.addresses[1], options=[("grpc.enable_http_proxy", 0)])
        self.stub = cluster_pb2_grpc.ClusterServiceStub(self.channel)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()
        self.process.terminate()
        assert self.process.wait(LIMIT_S) == 0

    def await_ready(self):
        with within(LIMIT_S, "the cluster's start"):
            assert any("3 nodes are ready" in line for line in self.process.stdout), "the cluster did not start"

    def kill(self, number):
        """Returns when the others know."""
        node_id = f"{NODE}{number}"
        os.kill(int(pathlib.Path(self.folder, f"{node_id}.pid").read_text()), signal.SIGKILL)
        events = self.stub.WatchNodes(cluster_pb2.WatchNodesRequest(), timeout=LIMIT_S)
        assert any(e.event == e.EVENT_LOST and e.node.id == node_id for e in events)

    def drain(self, number):
        self.stub.Drain(cluster_pb2.DrainRequest(node_id=f"{NODE}{number}"), timeout=LIMIT_S)


def try_programs(readme, cluster, folder):
    for name, text in readme.programs().items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    run(readme.set_up_commands(), folder, SET_UP_LIMIT_S)

    def call():
        return run(readme.run_command("call"), folder).splitlines()

    offered, = readme.printed("host")
    *outcomes, first_node = readme.printed("call")
    assert offered.endswith(f"{NODE}2") and outcomes[0].endswith(f"{NODE}2") and first_node == f"{NODE}1", (offered, outcomes)
    with Process(readme.run_command("host"), folder) as host:
        host.read_until(offered)
        lines = call()
        assert lines == [*outcomes, f"{NODE}1", f"{NODE}2", f"{NODE}3"], lines
        lines = run(readme.run_command("pubsub"), folder).splitlines()
        assert lines == readme.printed("pubsub"), lines
        if LANGUAGE == "cpp":
            lines = run(readme.run_command("chat"), folder).splitlines()
            assert lines == ["bob in lobby: hi"], lines

        cluster.kill(2)
        host.read_until(f"offered on {NODE}3")
        lines = call()
        assert lines[0] == outcomes[0].replace(f"{NODE}2", f"{NODE}3"), lines

        # The second may have been started again by now, or not.
        cluster.drain(3)
        node = host.read_until(f"offered on {NODE}")[-1].split()[-1]
        assert node in (f"{NODE}1", f"{NODE}2"), node
        lines = call()
        assert lines[0] == outcomes[0].replace(f"{NODE}2", node), lines
        if LANGUAGE == "cpp":
            with within(LIMIT_S, "the host's end"):
                host.process.communicate("\n")
            assert host.process.returncode == 0, host.process.returncode


def documents(text):
    """The JSON documents that stand one after the other."""
    found, position = [], 0
    while position < len(text.rstrip()):
        document, position = json.JSONDecoder().raw_decode(text, position)
        position += len(text[position:]) - len(text[position:].lstrip())
        found.append(document)
    return found


def try_grpcurl(readme, folder):
    def grpcurl(*texts):
        return run(readme.grpcurl_lines(*texts), folder)

    run(readme.set_up_commands(), folder, SET_UP_LIMIT_S)
    assert {"actioncluster.v1.RpcService", "actioncluster.v1.PubSubService"} < set(grpcurl(" list").splitlines())
    nodes, = documents(grpcurl("ListNodes"))
    assert [node["id"] for node in nodes["nodes"]] == [f"{NODE}{i}" for i in (1, 2, 3)], nodes
    answers = documents(grpcurl("CallAll"))
    assert sorted(answer["node_id"] for answer in answers) == [f"{NODE}{i}" for i in (1, 2, 3)], answers
    answer, = documents(grpcurl("node.ping", "node_id"))
    assert answer["node_id"] == f"{NODE}2", answer

    (folder / "host.py").write_text(readme.programs(readme.python)["host.py"])
    with Process(f"PYTHONPATH={BUILD}/tests/interop/gen /usr/bin/python3 host.py", folder) as host:
        host.read_until("greet is offered")
        answer, = documents(grpcurl("greet"))
        assert answer == {"result": "hello, world", "node_id": f"{NODE}2"}, answer

    with Process(readme.grpcurl_lines("Subscribe"), folder) as subscriber:
        subscriber.read_until(re.search(r"line `(Response .*?)`", readme.section)[1])
        answer, = documents(grpcurl("Publish"))
        assert answer == {"receivers": 1}, answer
        subscriber.read_until('"text": "hi"')
    refused = run(readme.grpcurl_lines("nobody.offers.this"), folder, fails=True)
    assert "Unimplemented" in refused and '"reason": "METHOD_NOT_FOUND"' in refused, refused


def main():
    ports = Ports()
    readme = Readme(ports)
    work = TOOLS / "readme" / LANGUAGE
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    folder = pathlib.Path(run(f"{readme.folder_command()}\npwd", work).strip())
    with tempfile.TemporaryDirectory() as data, Cluster(data, ports) as cluster:
        cluster.await_ready()
        if LANGUAGE == "grpcurl":
            try_grpcurl(readme, folder)
        else:
            try_programs(readme, cluster, folder)


main()
