"""A worker in Python, attached to one node after the other until it is killed: what a user would write, with grpcio alone, and a ledger of what it has seen.

Usage: worker.py LEDGER NAME QUEUES CONCURRENCY ADDRESS..., with the generated stubs on PYTHONPATH. What it does, and what it writes, is as in
tests/cluster/task_worker_main.cc and tests/cluster/task_ledger.h.
"""

import itertools
import os
import queue
import sys
import threading
import time

import grpc

from actioncluster.v1 import tasks_pb2, tasks_pb2_grpc

RETAIN_S = 3600


class Ledger:
    """Each event is in the kernel's hands before `write` returns."""

    def __init__(self, path):
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, kind, task_id, token, attempt=0, lost_leases=0, reason="-"):
        line = f"{kind} {time.time_ns() // 1000} {token} {attempt} {lost_leases} {reason} {task_id}\n"
        os.write(self._fd, line.encode())


class Attached:
    """A stream to one node."""

    def __init__(self, ledger, name):
        self._ledger = ledger
        self._name = name
        self._frames = queue.SimpleQueue()
        self._ended = threading.Event()
        self._revoked = {}  # By task and token, of those that wait.

    def work(self, address, queues, concurrency):
        """Until the stream ends: then raises why."""
        start = tasks_pb2.WorkRequest.Start(queues=queues, concurrency=concurrency, worker_name=self._name)
        self._frames.put(tasks_pb2.WorkRequest(start=start))
        try:
            with grpc.insecure_channel(address) as channel:
                for frame in tasks_pb2_grpc.TaskServiceStub(channel).Work(iter(self._frames.get, None)):
                    self._hear(frame)
        finally:
            self._ended.set()
            self._frames.put(None)  # For gRPC's thread that takes frames.

    def _hear(self, frame):
        kind = frame.WhichOneof("frame")
        if kind == "started":
            every = frame.started.heartbeat_every
            threading.Thread(target=self._beat, args=(every.seconds + every.nanos / 1e9,), daemon=True).start()
            print("started", frame.started.node_id, flush=True)
        elif kind == "tasks":
            outcomes = tasks_pb2.WorkRequest.Outcomes()
            for task in frame.tasks.tasks:
                self._begin(task, outcomes)
            if outcomes.completed or outcomes.failed:
                self._send(outcomes)
        elif kind == "recorded":
            for outcome in frame.recorded.outcomes:
                self._ledger.write("recorded", outcome.task_id, outcome.token, reason=outcome.state)
        elif kind == "revoked":
            revoked = frame.revoked
            self._ledger.write("revoked", revoked.task_id, revoked.token, reason=revoked.reason)
            waiting = self._revoked.get((revoked.task_id, revoked.token))
            if waiting is not None:
                waiting.set()

    def _beat(self, every):
        while not self._ended.wait(every):
            self._frames.put(tasks_pb2.WorkRequest(heartbeat=tasks_pb2.WorkRequest.Heartbeat()))

    def _send(self, outcomes):
        self._frames.put(tasks_pb2.WorkRequest(outcomes=outcomes))

    def _begin(self, task, outcomes):
        self._ledger.write("begun", task.id, task.token, task.attempt, task.lost_leases)
        if task.name == "wait":
            self._revoked[task.id, task.token] = threading.Event()
            threading.Thread(target=self._wait, args=(task,), daemon=True).start()
        else:
            self._end(task, outcomes)

    def _wait(self, task):
        revoked = self._revoked[task.id, task.token]
        while not os.path.exists(task.data):
            if revoked.wait(0.005):
                break
        outcomes = tasks_pb2.WorkRequest.Outcomes()
        self._end(task, outcomes)
        self._send(outcomes)

    def _end(self, task, outcomes):
        if task.name == "flaky" and task.attempt == 1:
            self._ledger.write("failed", task.id, task.token)
            failed = outcomes.failed.add(task_id=task.id, token=task.token)
            failed.error.code = grpc.StatusCode.UNKNOWN.value[0]
            failed.error.message = "as it was told"
            return
        self._ledger.write("completed", task.id, task.token)
        data = task.data if task.name == "echo" else f"{self._name} {task.token}".encode()
        completed = outcomes.completed.add(task_id=task.id, token=task.token, data=data)
        if task.name == "chain":
            for name in task.data.decode().split(","):
                follow_up = completed.enqueue.add(name="echo", queue=name, data=task.id.encode())
                follow_up.retain_result_for.seconds = RETAIN_S


def main(ledger_path, name, queues, concurrency, *addresses):
    ledger = Ledger(ledger_path)
    for address in itertools.cycle(addresses):
        try:
            Attached(ledger, name).work(address, queues.split(","), int(concurrency))
        except grpc.RpcError:
            pass
        time.sleep(0.02)  # All may be gone.


if __name__ == "__main__":
    main(*sys.argv[1:])
