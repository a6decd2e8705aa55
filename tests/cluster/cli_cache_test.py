#!/usr/bin/python3
"""The command line's cache, as people and scripts use it: values, locks and lists, against real nodes.

Usage: cli_cache_test.py PROGRAM [TEST...]
"""

import base64
import tempfile
import unittest
import uuid

from cli_support import LIMIT, NOT_FOUND, USAGE, CliTest, await_true, run

CONFLICT = 9


class CacheTest(CliTest):

    def setUp(self):
        self.key = f"k-{uuid.uuid4()}"

    def cache(self, command, *args, **more):
        return self.cli("cache", command, self.key, *args, **more).stdout

    def cache_json(self, command, *args):
        [response] = self.cli_json("cache", command, self.key, *args)
        return response

    def cache_error(self, code, command, *args, **more):
        return self.cli_error(code, "cache", command, self.key, *args, **more)

    def test_a_value_is_set_got_and_deleted(self):
        self.assertEqual(self.cache_error(NOT_FOUND, "get")["reason"], "CACHE_KEY_NOT_FOUND")
        self.assertRegex(self.cache("set", '{"a": [1, null, "\N{SNOWMAN}"]}'), r"^saved, version \d+\n$")
        self.assertEqual(self.cache("get"), '{"a":[1,null,"\N{SNOWMAN}"]}\n')
        self.assertRegex(self.cache("set", '"text"'), r"^replaced, version \d+\n$")
        self.assertEqual(self.cache("get"), '"text"\n')
        self.assertEqual(self.cache("get", "--raw"), "text\n")
        self.assertEqual(self.cache("get", "--near"), '"text"\n')
        self.assertEqual(self.cache("delete"), "deleted\n")
        self.assertEqual(self.cache_json("delete"), {"destroyed": False})

    def test_bytes_come_back_as_they_were(self):
        data = bytes(range(256)) * 20_000
        with tempfile.NamedTemporaryFile() as file:
            file.write(data[: 4 << 20])
            file.flush()
            self.cache("set", "--data-file", file.name)
        self.assertEqual(self.cache("get", text=False), data[: 4 << 20])
        self.cache("set", "--data-file", "-", stdin=b"\0\xff")
        self.assertEqual(base64.b64decode(self.cache_json("get")["data"]), b"\0\xff")
        self.assertEqual(self.cache_error(LIMIT, "set", "--data-file", "-", stdin=data)["metadata"]["limit"], "cache_value_bytes")

    def test_what_is_said_of_a_value_comes_with_it(self):
        version = self.cache_json("set", "1", "--expire-after", "1h")["version"]
        entry = self.cache_json("get", "--track-reads")
        self.assertEqual((entry["value"], entry["version"], entry["near"]), (1, version, False))
        self.assertLess(entry["created_at"], entry["expires_at"])
        self.assertNotIn("read_at", entry)
        self.assertIn("read_at", self.cache_json("get", "--track-reads", "--expire-after", "50ms"))
        await_true(lambda: run("cache", "get", self.key, env=self.env).returncode == NOT_FOUND)

    def test_a_version_is_only_replaced_if_it_is_still_there(self):
        version = self.cache_json("set", "1", "--version", "0")["version"]
        mismatch = self.cache_error(CONFLICT, "set", "2", "--version", "0")
        self.assertEqual((mismatch["reason"], mismatch["metadata"]["version"]), ("VERSION_MISMATCH", version))
        self.assertRegex(self.cache("set", "2", "--version", version), r"^saved, version \d+\n$")
        self.assertEqual(self.cache("get"), "2\n")

    def test_increments_add_up(self):
        self.assertEqual(self.cache("increment"), "1\n")
        self.assertEqual(self.cache("increment", "41"), "42\n")
        self.assertEqual(self.cache("increment", "--", "-50"), "-8\n")
        self.assertEqual(self.cache_json("increment", "9223372036854775807")["value"], "9223372036854775799")
        self.assertEqual(self.cache_error(USAGE, "increment", "1000")["code"], "OUT_OF_RANGE")
        self.cache("set", "[]")
        self.assertEqual(self.cache_error(CONFLICT, "increment")["reason"], "NOT_AN_INTEGER")

    def test_a_lock_keeps_others_out(self):
        token = self.cache("lock", "--holder", "me").strip()
        self.assertEqual(self.cache("lock", "--holder", "me", "--expire-after", "1m").strip(), token)
        self.assertRegex(self.cache("check-lock"), r"^held by me until \d{4}-")
        self.assertTrue(self.cache_json("check-lock", "--holder", "me")["obtainable"])
        refused = self.cache_error(CONFLICT, "set", "1")
        self.assertEqual((refused["reason"], refused["metadata"]["held_by"]), ("KEY_LOCKED", "me"))
        self.cache("set", "1", "--holder", "me")
        self.cache("set", "2", "--token", token)
        self.assertEqual(self.cache_error(CONFLICT, "delete", "--token", str(int(token) - 1))["reason"], "LEASE_LOST")
        self.assertEqual(self.cache("get", "--holder", "me"), "2\n")
        refused = self.cli("cache", "lock", self.key, "--holder", "other", code=CONFLICT)
        self.assertEqual((refused.stdout, refused.stderr), ("", "actioncluster: ABORTED the lock is held by me\n"))
        self.assertEqual(self.cache_error(CONFLICT, "unlock", "--holder", "other")["reason"], "KEY_LOCKED")
        self.assertEqual(self.cache("unlock", "--token", token), "unlocked\n")
        self.assertEqual(self.cache_json("unlock", "--holder", "me"), {"released": False})
        self.assertEqual(self.cache("check-lock"), "nobody has it\n")

    def test_who_waits_for_a_lock_gets_it_next(self):
        self.cache("set", '"v"')
        self.cache("lock", "--holder", "me", "--expire-after", "1m")
        locker = self.running("cache", "lock", self.key, "--holder", "other", "--wait", "30s")
        self.assertEqual(self.cache_error(CONFLICT, "get", "--wait", "50ms")["reason"], "KEY_LOCKED")
        self.cache("unlock", "--holder", "me")
        self.assertRegex(locker.out(), r"^\d+$")
        self.assertEqual(locker.wait(), 0)
        reader = self.running("cache", "get", self.key, "--wait", "30s")
        self.cache("unlock", "--holder", "other")
        self.assertEqual(reader.out(), '"v"')

    def test_a_list_gives_first_what_came_first(self):
        self.assertEqual(self.cache("push", '{"n": 1}'), "1\n")
        self.assertEqual(self.cache_json("push", "--data-file", "/dev/null"), {"length": "2"})
        self.assertEqual(self.cache("push", "null"), "3\n")
        self.assertEqual(self.cache("length"), "3\n")
        self.assertEqual(self.cache("pop"), '{"n":1}\n')
        self.assertEqual(self.cache_json("pop"), {"data": ""})
        self.assertEqual(self.cache("pop"), "null\n")
        self.assertEqual(self.cache_error(NOT_FOUND, "pop")["message"], "the list is empty")
        self.assertEqual(self.cache_error(NOT_FOUND, "pop", "--wait", "50ms")["message"], "the list is empty")
        popper = self.running("cache", "pop", self.key, "--wait", "30s", "--raw")
        self.cache("push", '"x"')
        self.assertEqual(popper.out(), "x")
        self.assertEqual(self.cache_json("length"), {"length": "0"})

    def test_nonsense_is_told(self):
        self.cache_error(USAGE, "set", "[1")
        self.cache_error(USAGE, "set")
        self.cache_error(USAGE, "set", "1", "--expire-after", "5")
        self.cache_error(USAGE, "lock")
        self.cache_error(USAGE, "unlock")
        self.cache_error(USAGE, "pop", "--wait", "soon")
        self.cache_error(USAGE, "increment", "x")


if __name__ == "__main__":
    unittest.main()
