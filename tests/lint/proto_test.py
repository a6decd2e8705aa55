"""The contracts in proto/: everything has a comment, each rpc its own types, each public rpc a line in the authorization table, and what may be repeated is in the service config."""

import json
import pathlib
import subprocess
import tempfile
import unittest

from google.protobuf import descriptor_pb2

import sources

AUTHORIZER = "server/grpc/authorizer.cc"
SERVICE_CONFIG = "proto/actioncluster/v1/service_config.json"

# Field numbers in descriptor.proto, of which the paths to comments are made.
FILE_MESSAGE, FILE_ENUM, FILE_SERVICE = 4, 5, 6
MESSAGE_FIELD, MESSAGE_NESTED, MESSAGE_ENUM, MESSAGE_ONEOF = 2, 3, 4, 8
ENUM_VALUE, SERVICE_METHOD = 2, 2


def descriptors():
    protos = [path[len("proto/"):] for path in sources.paths(".proto", under=("proto",)) if path.startswith("proto/actioncluster/")]
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder) / "set"
        subprocess.run(
            ["protoc", "-I", str(sources.ROOT / "proto"), "--include_source_info", f"--descriptor_set_out={output}", *protos],
            check=True)
        return descriptor_pb2.FileDescriptorSet.FromString(output.read_bytes()).file


def enum_elements(enum, path, name):
    yield path, name
    for i, value in enumerate(enum.value):
        yield path + (ENUM_VALUE, i), f"{name}.{value.name}"


def message_elements(message, path, name):
    if message.options.map_entry:
        return
    yield path, name
    for i, field in enumerate(message.field):
        yield path + (MESSAGE_FIELD, i), f"{name}.{field.name}"
    optional = {field.oneof_index for field in message.field if field.proto3_optional}
    for i, oneof in enumerate(message.oneof_decl):
        if i not in optional:
            yield path + (MESSAGE_ONEOF, i), f"{name}.{oneof.name}"
    for i, nested in enumerate(message.nested_type):
        yield from message_elements(nested, path + (MESSAGE_NESTED, i), f"{name}.{nested.name}")
    for i, enum in enumerate(message.enum_type):
        yield from enum_elements(enum, path + (MESSAGE_ENUM, i), f"{name}.{enum.name}")


def elements(file):
    for i, message in enumerate(file.message_type):
        yield from message_elements(message, (FILE_MESSAGE, i), message.name)
    for i, enum in enumerate(file.enum_type):
        yield from enum_elements(enum, (FILE_ENUM, i), enum.name)
    for i, service in enumerate(file.service):
        yield (FILE_SERVICE, i), service.name
        for j, method in enumerate(service.method):
            yield (FILE_SERVICE, i, SERVICE_METHOD, j), f"{service.name}.{method.name}"


class ProtoTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.files = list(descriptors())

    def rpcs(self):
        for file in self.files:
            for service in file.service:
                for method in service.method:
                    yield f"/{file.package}.{service.name}/{method.name}", method

    def test_everything_has_a_comment(self):
        bare = []
        for file in self.files:
            commented = {
                tuple(location.path)
                for location in file.source_code_info.location
                if location.leading_comments.strip() or location.trailing_comments.strip()
            }
            bare += [f"{file.name}: {name}" for path, name in elements(file) if path not in commented]
        self.assertEqual([], bare, "\n" + "\n".join(bare))

    def test_each_rpc_has_a_request_and_a_response_of_its_own(self):
        user = {}
        for name, method in self.rpcs():
            for kind, suffix in ((method.input_type, "Request"), (method.output_type, "Response")):
                self.assertNotIn(kind, user, f"{name} shares {kind} with {user.get(kind)}")
                # By the rpc's name, or, where other services have an rpc of that name, by the service's too.
                service = name.split("/")[1].split(".")[-1]
                self.assertIn(kind.split(".")[-1], (f"{method.name}{suffix}", f"{service}{method.name}{suffix}"), name)
                user[kind] = name
        self.assertTrue(user)

    def test_each_public_rpc_stands_in_the_authorization_table(self):
        table = sources.text(AUTHORIZER)
        missing = [name for name, _ in self.rpcs() if name.startswith("/actioncluster.v1.") and f'"{name}"' not in table]
        self.assertEqual([], missing, f"{AUTHORIZER} does not say who may call {', '.join(missing)}")

    def test_the_service_config_repeats_what_is_marked_and_nothing_else(self):
        repeated, rest = json.loads(sources.text(SERVICE_CONFIG))["methodConfig"]
        named = {f"/{name['service']}/{name['method']}" for name in repeated["name"]}
        marked = {name for name, method in self.rpcs() if method.options.idempotency_level}
        self.assertTrue(marked)
        self.assertEqual(set(), named - marked, f"{SERVICE_CONFIG} repeats what may not be")
        self.assertEqual(set(), marked - named, f"{SERVICE_CONFIG} lacks what may be repeated")
        self.assertEqual(["UNAVAILABLE", "CANCELLED"], repeated["retryPolicy"]["retryableStatusCodes"])
        self.assertTrue(repeated["waitForReady"])
        # Of all else only what no node has begun.
        services = {name.split("/")[1] for name, _ in self.rpcs() if name.startswith("/actioncluster.v1.")}
        self.assertEqual(sorted(services), sorted(name["service"] for name in rest["name"]))
        self.assertFalse(any("method" in name for name in rest["name"]))
        self.assertEqual(["CANCELLED"], rest["retryPolicy"]["retryableStatusCodes"])


if __name__ == "__main__":
    unittest.main()
