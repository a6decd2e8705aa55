"""A client of the cache in Python: what a user would write, with grpcio alone.

Usage, with the generated stubs on PYTHONPATH:
  cache_client.py exchange ADDRESS JSON...    reads what tests/cluster/cache_contents_test.cc has saved, and writes the same under names of its own
  cache_client.py wait ADDRESS KEY COUNT      stands in line for the lock on a key with so many calls, and says `waiting`, until it is killed
"""

import sys
import threading

import grpc
from google.protobuf import duration_pb2, json_format, struct_pb2

from actioncluster.v1 import cache_pb2, cache_pb2_grpc


def exchange(cache, *texts):
    for number, text in enumerate(texts):
        expected = json_format.Parse(text, struct_pb2.Value())
        loaded = cache.Load(cache_pb2.LoadRequest(key=f"cpp-{number}"))
        assert loaded.value == expected, f"{text} became {loaded.value}"
        cache.Save(cache_pb2.SaveRequest(key=f"python-{number}", value=loaded.value))
    data = cache.Load(cache_pb2.LoadRequest(key="cpp-bytes")).data
    cache.Save(cache_pb2.SaveRequest(key="python-bytes", data=data[::-1]))
    items = [cache.Pop(cache_pb2.PopRequest(key="cpp-list")) for _ in range(3)]
    assert [item.WhichOneof("content") for item in items] == ["data", "data", None]
    for item in items[1::-1]:
        cache.Push(cache_pb2.PushRequest(key="python-list", data=item.data))
    assert cache.Increment(cache_pb2.IncrementRequest(key="cpp-count")).value == 42
    lock = cache.Lock(cache_pb2.LockRequest(key="python-locked", holder="python"))
    assert lock.acquired and lock.token > 0, lock
    try:
        cache.Load(cache_pb2.LoadRequest(key="no such key"))
        assert False, "loaded what is not there"
    except grpc.RpcError as error:
        assert error.code() is grpc.StatusCode.NOT_FOUND, error


def wait(cache, key, count):
    calls = [
        cache.Lock.future(
            cache_pb2.LockRequest(key=key, holder=f"python-{number}", wait_for=duration_pb2.Duration(seconds=600)))
        for number in range(int(count))
    ]
    print("waiting", flush=True)
    threading.Event().wait()  # For ever.
    del calls


def main(role, address, *args):
    with grpc.insecure_channel(address) as channel:
        {"exchange": exchange, "wait": wait}[role](cache_pb2_grpc.CacheServiceStub(channel), *args)


if __name__ == "__main__":
    main(*sys.argv[1:])
