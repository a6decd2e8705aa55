"""Dependencies point downwards only: walks the #includes, and fails on a look into a room that is none of one's business."""

import re
import unittest

import sources

# Who may look into whom, besides itself. A new room is entered here and in CONTRIBUTING.md.
ROOMS = {
    "backplane/domain": set(),
    "backplane/keys": {"backplane/domain"},
    "backplane/redis": {"backplane/domain"},
    "backplane/scripts": {"backplane/redis"},
    "backplane/bus": {"backplane/domain", "backplane/keys", "backplane/redis"},
    "backplane/membership": {"backplane/domain", "backplane/keys", "backplane/redis", "backplane/scripts", "backplane/bus"},
    "backplane/presence": {"backplane/domain", "backplane/keys", "backplane/redis", "backplane/scripts"},
    "backplane/rpc": {"backplane/domain", "backplane/keys", "backplane/redis", "backplane/bus", "backplane/membership",
                      "backplane/presence"},
    "backplane/pubsub": {"backplane/domain", "backplane/keys", "backplane/redis", "backplane/bus", "backplane/membership"},
    "backplane/tasks": {"backplane/domain", "backplane/keys", "backplane/redis", "backplane/scripts", "backplane/bus",
                        "backplane/membership"},
    "backplane/cache": {"backplane/domain", "backplane/keys", "backplane/redis", "backplane/scripts", "backplane/bus",
                        "backplane/membership"},
    "backplane/chat": {"backplane/domain", "backplane/keys", "backplane/redis", "backplane/scripts", "backplane/bus",
                       "backplane/membership", "backplane/presence"},
    "server/config": {"backplane/domain", "backplane/keys", "backplane/redis"},
    "server/supervisor": {"backplane/domain", "server/config"},
    "server/grpc": {"backplane/domain", "server/config"},
    "server/methods": {"backplane/domain", "backplane/keys", "backplane/redis", "backplane/bus", "backplane/membership",
                       "backplane/presence", "backplane/rpc", "server/config", "server/grpc"},
    "server/workers": {"backplane/domain", "backplane/redis", "backplane/bus", "backplane/membership", "backplane/tasks"},
    "server/connections": {"backplane/domain", "backplane/keys", "backplane/redis", "backplane/bus", "backplane/membership", "backplane/presence",
                           "backplane/rpc", "backplane/pubsub", "backplane/chat", "server/grpc", "server/methods"},
    "server/services": {"backplane/domain", "backplane/redis", "backplane/membership", "backplane/presence", "backplane/rpc",
                        "backplane/pubsub", "backplane/tasks", "backplane/cache", "backplane/chat", "server/config", "server/grpc", "server/methods",
                        "server/workers", "server/connections"},
    "server/observability": {"backplane/domain", "backplane/redis", "backplane/bus", "backplane/membership",
                             "server/config", "server/methods"},
    "client/include": set(),
    "client": set(),
    "client/cli": {"client"},
}

# The composition root, which builds every room: what lies in server/ itself. Nobody includes it but tests.
COMPOSITION = re.compile(r"server/[^/]+\.(h|cc)$")

# Headers from outside, and who alone may use them.
OUTSIDE = [
    (re.compile(r"hiredis/"), ("backplane/redis/", "tests/")),
    (re.compile(r"uv\.h$"), ("backplane/redis/",)),
    (re.compile(r"nlohmann/"), ("client/json.cc",)),
    (re.compile(r"CLI/"), ("server/config/", "client/")),
    (re.compile(r"(grpcpp|grpc|grpc\+\+)/"), ("server/", "client/", "tests/")),
]

# The client's public headers, the generated ones, and who may use them.
PUBLIC = [
    (re.compile(r"actioncluster/[^/]+\.h$"), ("client/", "tests/")),
    (re.compile(r"actioncluster/internal/"), ("backplane/", "tests/", "server/services/", "server/connections/")),
    (re.compile(r"actioncluster/v1/errors\.pb\.h$"), ("backplane/", "server/", "client/", "tests/")),
    (re.compile(r"actioncluster/v1/"), ("server/", "client/", "tests/")),
]

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


def room_of(path):
    parts = path.split("/")
    return "/".join(parts[:2]) if len(parts) > 2 and parts[0] in ("backplane", "server", "client") else parts[0]


def breach(path, included):
    """Why `path` may not include `included`; None if it may."""
    for pattern, allowed in OUTSIDE + PUBLIC:
        if pattern.match(included):
            return None if path.startswith(allowed) else f"only {', '.join(allowed)} may"
    if not included.startswith(("backplane/", "server/", "client/", "tests/")):
        return None
    room, target = room_of(path), room_of(included)
    if room == target or room == "tests":
        return None
    if target == "tests":
        return "tests are for tests"
    if COMPOSITION.match(path):
        return None
    if COMPOSITION.match(included):
        return "nobody may know the composition root"
    if room not in ROOMS:
        return f"{room} is no room that is known here"
    return None if target in ROOMS[room] else f"{room} may not look into {target}"


class LayeringTest(unittest.TestCase):

    def test_includes_point_downwards_only(self):
        breaches = []
        seen = 0
        for path in sources.paths(".h", ".cc"):
            for included in INCLUDE.findall(sources.text(path)):
                seen += 1
                if reason := breach(path, included):
                    breaches.append(f"{path} includes {included}: {reason}")
        self.assertGreater(seen, 100)
        self.assertEqual([], breaches, "\n" + "\n".join(breaches))

    def test_the_rooms_have_no_cycle(self):
        order = list(ROOMS)
        for room, allowed in ROOMS.items():
            for target in allowed:
                self.assertLess(order.index(target), order.index(room), f"{room} → {target}: list rooms bottom up")

    def test_a_breach_is_found(self):
        self.assertIsNotNone(breach("backplane/bus/bus.h", "backplane/membership/membership.h"))
        self.assertIsNotNone(breach("backplane/bus/bus.cc", "hiredis/hiredis.h"))
        self.assertIsNotNone(breach("server/services/rpc_service.cc", "server/node.h"))
        self.assertIsNotNone(breach("server/services/rpc_service.cc", "backplane/bus/bus.h"))
        self.assertIsNotNone(breach("backplane/rpc/rpc.h", "actioncluster/v1/rpc.pb.h"))
        self.assertIsNotNone(breach("client/client.cc", "backplane/domain/error.h"))
        self.assertIsNotNone(breach("client/cli/cli.cc", "server/config/settings.h"))
        self.assertIsNotNone(breach("client/client.cc", "client/cli/cli.h"))
        self.assertIsNotNone(breach("client/include/actioncluster/client.h", "client/channel.h"))
        self.assertIsNotNone(breach("server/services/rpc_service.cc", "actioncluster/client.h"))
        self.assertIsNotNone(breach("server/services/rpc_service.cc", "client/channel.h"))
        self.assertIsNotNone(breach("backplane/attic/x.cc", "backplane/domain/error.h"))
        self.assertIsNone(breach("backplane/membership/membership.h", "backplane/bus/bus.h"))
        self.assertIsNone(breach("server/node.cc", "backplane/bus/bus.h"))
        self.assertIsNone(breach("server/main.cc", "client/cli/cli.h"))
        self.assertIsNone(breach("client/cli/cli.cc", "client/channel.h"))
        self.assertIsNone(breach("client/cli/cli.cc", "actioncluster/client.h"))


if __name__ == "__main__":
    unittest.main()
