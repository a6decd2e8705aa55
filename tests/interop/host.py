"""An application in Python that is attached to a node: what a user would write, with grpcio alone.

Usage: host.py ADDRESS..., with the generated stubs on PYTHONPATH. Prints `registered NODE` when its methods are offered. With one address it runs until the
stream ends; with several it is attached to the next as soon as that happens.
"""

import itertools
import queue
import sys
import time

import grpc

from actioncluster.v1 import errors_pb2, rpc_pb2, rpc_pb2_grpc


class HandlerError(Exception):
    """What a handler raises to choose the code and the metadata that its caller sees."""

    def __init__(self, code, message, metadata):
        super().__init__(message)
        self.error = errors_pb2.Error(code=code.value[0], message=message, metadata=metadata)


class HangUp(Exception):
    """What a handler raises to have the whole application go away."""


def greet(call):
    name = call.args.values[0].string_value if call.args.values else "nobody"
    reply = rpc_pb2.ServeRequest.Reply()
    reply.result.struct_value["greeting"] = f"Hello, {name} 👋"
    reply.result.struct_value["caller"] = call.caller_node_id
    return reply


def echo(call):
    reply = rpc_pb2.ServeRequest.Reply()
    if call.WhichOneof("content") == "data":
        reply.data = call.data
    elif call.args.values:
        reply.result.CopyFrom(call.args.values[0])
    return reply


def fail(call):
    raise HandlerError(grpc.StatusCode.OUT_OF_RANGE, "out of cheese", {"wanted": "cheddar"})


def throw(call):
    return {}["no such key"]


def hang_up(call):
    raise HangUp


def name_language(call):
    return rpc_pb2.ServeRequest.Reply(result={"string_value": "Python"})


HANDLERS = {"name-language": name_language, "py.greet": greet, "py.echo": echo, "py.fail": fail, "py.throw": throw, "py.hang-up": hang_up}


def run(call):
    try:
        reply = HANDLERS[call.method](call)
    except HandlerError as raised:
        reply = rpc_pb2.ServeRequest.Reply(error=raised.error)
    except HangUp:
        raise
    except Exception as raised:
        error = errors_pb2.Error(code=grpc.StatusCode.UNKNOWN.value[0], message=repr(raised))
        reply = rpc_pb2.ServeRequest.Reply(error=error)
    reply.call_id = call.call_id
    return rpc_pb2.ServeRequest(reply=reply)


def serve(address):
    """Until the stream ends: then raises why; or until a handler has this application go away."""
    frames = queue.SimpleQueue()
    frames.put(rpc_pb2.ServeRequest(register=rpc_pb2.ServeRequest.Register(methods=HANDLERS)))
    try:
        with grpc.insecure_channel(address) as channel:
            for frame in rpc_pb2_grpc.RpcServiceStub(channel).Serve(iter(frames.get, None)):
                kind = frame.WhichOneof("frame")
                if kind == "registered":
                    print("registered", frame.registered.node_id, flush=True)
                elif kind == "call":
                    frames.put(run(frame.call))
    finally:
        frames.put(None)  # For gRPC's thread that takes frames.


def main(addresses):
    for address in itertools.cycle(addresses):
        try:
            serve(address)
        except HangUp:
            return
        except grpc.RpcError:
            if len(addresses) == 1:
                raise
        if len(addresses) == 1:
            return
        time.sleep(0.05)  # All may be gone.


if __name__ == "__main__":
    main(sys.argv[1:])
