"""Callers in Python that go on while nodes restart: what a user would write, with grpcio and the service config alone.

Usage, with the generated stubs on PYTHONPATH: rolling_callers.py SERVICE_CONFIG CALLERS ADDRESS...
Says `calling` once each caller has made a call of each kind; ends by SIGTERM. Then prints each failure, and how many calls there were.
"""

import signal
import sys
import threading
import time

import grpc

from actioncluster.v1 import cache_pb2, cache_pb2_grpc, cluster_pb2, cluster_pb2_grpc, rpc_pb2, rpc_pb2_grpc, tasks_pb2, tasks_pb2_grpc

PACE_S = 0.02


class Caller:
    def __init__(self, name, target, config):
        self.name = name
        self.channel = grpc.insecure_channel(target, options=[("grpc.service_config", config), ("grpc.enable_http_proxy", 0)])
        self.cache = cache_pb2_grpc.CacheServiceStub(self.channel)
        self.rpc = rpc_pb2_grpc.RpcServiceStub(self.channel)
        self.tasks = tasks_pb2_grpc.TaskServiceStub(self.channel)
        self.cluster = cluster_pb2_grpc.ClusterServiceStub(self.channel)
        self.calls = 0
        self.increments = 0
        self.failures = []

    def kinds(self):
        yield self.cache.Save, cache_pb2.SaveRequest(key=self.name, data=b"value")
        yield self.cache.Load, cache_pb2.LoadRequest(key=self.name)
        yield self.cache.Increment, cache_pb2.IncrementRequest(key=f"{self.name}/count")
        yield self.rpc.Call, rpc_pb2.CallRequest(method="common", any=True)
        yield self.rpc.Call, rpc_pb2.CallRequest(method="rare", any=True)
        yield self.tasks.Enqueue, tasks_pb2.EnqueueRequest(name="work")
        yield self.cluster.ListNodes, cluster_pb2.ListNodesRequest()

    def once(self):
        for call, request in self.kinds():
            self.calls += 1
            try:
                call(request, timeout=20)
                self.increments += call is self.cache.Increment
            except grpc.RpcError as error:
                self.failures.append(f"{self.name} {type(request).__name__}: {error.code().name} {error.details()}")
            time.sleep(PACE_S)

    def check_count(self):
        value = self.cache.Load(cache_pb2.LoadRequest(key=f"{self.name}/count"), timeout=20).value.number_value
        if value != self.increments:
            self.failures.append(f"{self.name}: {self.increments} increments have made {value}")


def main(config_path, count, *addresses):
    with open(config_path, encoding="utf-8") as file:
        config = file.read()
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    ready = threading.Barrier(int(count) + 1)

    def run(caller):
        caller.once()
        ready.wait()
        while not stopping.is_set():
            caller.once()

    callers = []
    for number in range(int(count)):
        turned = addresses[number % len(addresses):] + addresses[:number % len(addresses)]
        callers.append(Caller(f"python-{number}", f"ipv4:{','.join(turned)}", config))
    threads = [threading.Thread(target=run, args=(caller,)) for caller in callers]
    for thread in threads:
        thread.start()
    ready.wait()
    print("calling", flush=True)
    stopping.wait()
    for thread in threads:
        thread.join()
    for caller in callers:
        caller.check_count()
        for failure in caller.failures:
            print("failed:", failure)
    print("calls", sum(caller.calls for caller in callers), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
