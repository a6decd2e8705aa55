#!/usr/bin/python3
"""What the README says of one language works as printed: how to make the stubs, the programs, and what they print.

Usage: readme_test.py LANGUAGE BUILD_DIR, with LANGUAGE one of python, node, go, cpp, grpcurl. Only the README's ports and the repository's path are replaced.
All is made in BUILD_DIR/tools; what package clients download is in their own caches.
"""

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
LIMIT_OF_ALL_S = 230  # Less than CTest's, so that nothing is left running.


def environment():
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    # A Go proxy or npm registry that is reached through an HTTP proxy needs it; see set_up.
    return kept | {"PATH": f"{TOOLS}/bin:{os.environ['PATH']}", "GOBIN": f"{TOOLS}/bin", "PYTHONUNBUFFERED": "1"}


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

    def service_config(self):
        return re.search(r"```json\n(.*?)```", self.intro, re.S)[1]

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

    def read_until(self, text):
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if text in line:
                return
        sys.exit(f"{self.process.args} ended before it said {text!r}: {''.join(lines)}")


def run(command, folder, expect_status=0):
    done = subprocess.run(["bash", "-ec", command], cwd=folder, env=environment(), text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert (done.returncode == 0) == (expect_status == 0), f"{command}: {done.returncode}\n{done.stdout}"
    return done.stdout


class Cluster:
    """Three nodes."""

    def __init__(self, folder, ports):
        self.folder = folder
        self.addresses = [f"127.0.0.1:{ports.first + i}" for i in range(4)]
        self.process = subprocess.Popen([BUILD / "actioncluster", "start", "--workers", "3", "--port", str(ports.first), "--data-dir", folder],
                                        stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            if "3 nodes are ready" in line:
                break
        else:
            sys.exit("the cluster did not start")
        self.channel = grpc.insecure_channel(self.addresses[1], options=[("grpc.enable_http_proxy", 0)])
        self.stub = cluster_pb2_grpc.ClusterServiceStub(self.channel)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()
        self.process.terminate()
        assert self.process.wait(LIMIT_S) == 0

    def kill(self, number):
        """Returns when the others know."""
        events = self.stub.WatchNodes(cluster_pb2.WatchNodesRequest(), timeout=LIMIT_S)
        os.kill(int(pathlib.Path(self.folder, f"{NODE}{number}.pid").read_text()), signal.SIGKILL)
        return lambda: next(e for e in events if e.event == e.EVENT_LOST and e.node.id == f"{NODE}{number}")

    def drain(self, number):
        self.stub.Drain(cluster_pb2.DrainRequest(node_id=f"{NODE}{number}"), timeout=LIMIT_S)


def try_programs(readme, cluster, folder):
    for name, text in readme.programs().items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (folder / "reads.json").write_text(readme.service_config())
    run(readme.set_up_commands(), folder)

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

        await_lost = cluster.kill(2)
        host.read_until(f"offered on {NODE}3")
        await_lost()
        lines = call()
        assert lines[0] == outcomes[0].replace(f"{NODE}2", f"{NODE}3"), lines

        cluster.drain(3)
        host.read_until(f"offered on {NODE}1")
        lines = call()
        assert lines[0] == outcomes[0].replace(f"{NODE}2", f"{NODE}1"), lines


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

    run(readme.set_up_commands(), folder)
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
    refused = run(readme.grpcurl_lines("nobody.offers.this"), folder, expect_status=1)
    assert "Unimplemented" in refused and '"reason": "METHOD_NOT_FOUND"' in refused, refused


def out_of_time(*_):
    raise TimeoutError("it takes too long")


def main():
    signal.signal(signal.SIGALRM, out_of_time)
    signal.alarm(LIMIT_OF_ALL_S)
    ports = Ports()
    readme = Readme(ports)
    work = TOOLS / "readme" / LANGUAGE
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    folder = pathlib.Path(run(f"{readme.folder_command()}\npwd", work).strip())
    with tempfile.TemporaryDirectory() as data, Cluster(data, ports) as cluster:
        if LANGUAGE == "grpcurl":
            try_grpcurl(readme, folder)
        else:
            try_programs(readme, cluster, folder)


main()
