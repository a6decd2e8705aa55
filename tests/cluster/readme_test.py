#!/usr/bin/python3
"""The README's examples work as printed: its Python programs, and the calls that its grpcurl lines make, against three nodes.

Usage: readme_test.py README PROGRAM PYTHON_STUBS. The README's ports are replaced by free ones; nothing else is.
"""

import pathlib
import random
import re
import shlex
import socket
import subprocess
import sys
import tempfile

README, PROGRAM, STUBS = sys.argv[1:]
sys.path.insert(0, STUBS)

import grpc  # noqa: E402
from actioncluster.v1 import cluster_pb2, rpc_pb2  # noqa: E402
from google.protobuf import json_format, symbol_database  # noqa: E402

SERVICES = {s.full_name: s for m in (cluster_pb2, rpc_pb2) for s in m.DESCRIPTOR.services_by_name.values()}
LIMIT_S = 30


def free_port():
    """The first of four ports in a row that nobody listens on."""
    for port in range(random.randrange(20000, 30000), 32000, 4):
        try:
            for offset in range(4):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port + offset))
            return port
        except OSError:
            continue
    sys.exit("no free ports")


def read_until(process, text):
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return
    sys.exit(f"{process.args} ended before it said {text!r}: {''.join(lines)}")


def run_grpcurl_line(line):
    """Makes the call that the line makes; gives how many messages came back."""
    words = shlex.split(line)
    assert words[:2] == ["grpcurl", "-plaintext"], line
    body = words[words.index("-d") + 1] if "-d" in words else "{}"
    address, target = words[-2:]
    service, method = target.split("/")
    method = SERVICES[service].methods_by_name[method]
    prototype = symbol_database.Default().GetPrototype
    request = json_format.Parse(body, prototype(method.input_type)())
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        call = channel.unary_stream(f"/{target}", prototype(method.input_type).SerializeToString,
                                    prototype(method.output_type).FromString)
        return len(list(call(request, timeout=LIMIT_S)))


def main():
    port = free_port()
    text = re.sub(r"127\.0\.0\.1:740(\d)", lambda m: f"127.0.0.1:{port + int(m[1])}", pathlib.Path(README).read_text())
    host_source, call_source = re.findall(r"```python\n(.*?)```", text, re.S)
    grpcurl_lines = [line for line in text.splitlines() if line.startswith("grpcurl ") and "/" in line]
    assert len(grpcurl_lines) == 3, grpcurl_lines
    printed = re.findall(r"It prints `(.*?)`, and then, at once, `(.*?)`", text)[0]

    with tempfile.TemporaryDirectory() as folder:
        environment = {"PYTHONPATH": STUBS, "PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1"}
        cluster = subprocess.Popen(
            [PROGRAM, "start", "--workers", "3", "--port", str(port), "--data-dir", f"{folder}/data"],
            stdout=subprocess.PIPE, text=True)
        host = None
        try:
            read_until(cluster, "3 nodes are ready")
            for line in grpcurl_lines:
                answers = run_grpcurl_line(line)
                assert answers == (3 if "CallAll" in line else 1), (line, answers)
            host = subprocess.Popen(["/usr/bin/python3", "-c", host_source], env=environment, stdout=subprocess.PIPE, text=True)
            read_until(host, "greet is offered on actioncluster-worker-2")
            call = subprocess.run(["/usr/bin/python3", "-c", call_source], env=environment, capture_output=True,
                                  text=True, timeout=LIMIT_S, check=True)
            assert call.stdout.splitlines() == list(printed), (call.stdout, printed)
        finally:
            if host:
                host.kill()
                host.wait()
            cluster.terminate()
            assert cluster.wait(LIMIT_S) == 0


main()
