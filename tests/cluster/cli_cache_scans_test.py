#!/usr/bin/python3
"""The command line's `cache keys|locks|size|clear|dump|restore`, as people and scripts use them, against real nodes.

Usage: cli_cache_scans_test.py PROGRAM [TEST...]
"""

import json
import os
import pathlib
import pty
import select
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import uuid

import cli_support
from cli_support import LIMIT_S, OK, OTHER, PROGRAM, UNAVAILABLE, USAGE, CliTest, Cluster, await_true, environment, run


class CacheScansTest(CliTest):

    def setUp(self):
        self.prefix = f"{uuid.uuid4()}:"
        folder = tempfile.TemporaryDirectory(prefix="actioncluster-dump-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.file = self.folder / "cache.dump"

    def set(self, key, value, *args):
        self.cli("cache", "set", self.prefix + key, value, *args)

    def size(self):
        return int(self.cli("cache", "size", "--prefix", self.prefix).stdout)

    def dump(self):
        self.cli("cache", "dump", str(self.file), "--prefix", self.prefix)
        return self.file.read_bytes()

    def clear(self):
        return self.cli_json("cache", "clear", "--prefix", self.prefix)[0]

    def restore(self, *args):
        return self.cli_json("cache", "restore", str(self.file), *args)[0]


class ListingTest(CacheScansTest):

    def test_keys_locks_and_size_are_of_a_prefix(self):
        for key in ("a*", "b\nc", "ä"):
            self.set(key, "1")
        self.assertEqual(sorted(self.cli("cache", "keys", "--prefix", self.prefix).stdout.splitlines()),
                         sorted([f"{self.prefix}a*", f"{self.prefix}b\\nc", f"{self.prefix}ä"]))
        self.assertEqual({line["key"] for line in self.cli_json("cache", "keys", "--prefix", self.prefix + "b")},
                         {f"{self.prefix}b\nc"})
        self.assertEqual(self.cli_json("cache", "size", "--prefix", self.prefix), [{"size": "3"}])
        self.cli("cache", "lock", self.prefix + "ä", "--holder", "me")
        [lock] = self.cli_json("cache", "locks", "--prefix", self.prefix)
        self.assertEqual((lock["key"], lock["held_by"]), (f"{self.prefix}ä", "me"))
        self.assertRegex(self.cli("cache", "locks", "--prefix", self.prefix).stdout, r"^20\S+Z  \S+ä  held by me\n$")

    def test_clear_wants_to_be_told_what(self):
        self.cli_error(USAGE, "cache", "clear")
        self.cli_error(USAGE, "cache", "clear", "--prefix", "")
        self.cli_error(USAGE, "cache", "clear", "--prefix", "x", "--all")
        self.set("a", "1")
        self.cli("cache", "push", self.prefix + "l", "1")
        self.assertEqual(self.clear(), {"values": "1", "lists": "1"})
        self.assertEqual(self.size(), 0)


class DumpTest(CacheScansTest):

    def test_what_is_dumped_comes_back(self):
        self.set("json", '{"a": [null, 1e308, "😀"]}', "--expire-after", "1h")
        self.cli("cache", "increment", self.prefix + "n", "9007199254740993")
        for item in range(5):
            self.cli("cache", "push", self.prefix + "l", str(item))
        self.dump()
        self.assertEqual([path.name for path in self.folder.iterdir()], ["cache.dump"])
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o600)
        self.clear()
        self.assertEqual(self.restore(), {"values": "2", "lists": "1", "expired": "0", "kept": "0", "resumed_at": "0"})
        self.assertEqual(json.loads(self.cli("cache", "get", self.prefix + "json").stdout), {"a": [None, 1e308, "😀"]})
        self.assertIn("9007199254740993", self.cli("cache", "get", self.prefix + "n").stdout)
        self.assertEqual([self.cli("cache", "pop", self.prefix + "l").stdout.strip() for _ in range(5)], list("01234"))
        self.set("json", "2")
        self.assertEqual(self.restore("--keep")["kept"], "2")
        self.assertEqual(self.cli("cache", "get", self.prefix + "json").stdout.strip(), "2")

    def test_what_was_restored_is_written_again_only_from_the_start(self):
        self.set("a", "1")
        self.dump()
        self.clear()
        self.restore()
        self.set("a", "2")
        self.assertEqual(self.restore(), {"values": "0", "lists": "0", "expired": "0", "kept": "0", "resumed_at": "1"})
        self.assertIn("restored before (with --from-start they are written again)",
                      self.cli("cache", "restore", str(self.file)).stdout)
        self.assertEqual(self.cli("cache", "get", self.prefix + "a").stdout.strip(), "2")
        self.assertEqual(self.restore("--from-start")["values"], "1")
        self.assertEqual(self.cli("cache", "get", self.prefix + "a").stdout.strip(), "1")

    def test_a_restore_that_no_node_has_taken_has_written_nothing(self):
        self.set("a", "1")
        self.dump()
        with socket.create_server(("127.0.0.1", 0)) as nobody:  # Takes connections, and says nothing.
            program = run("cache", "restore", str(self.file), "--address", f"127.0.0.1:{nobody.getsockname()[1]}",
                          env=self.env)
        self.assertEqual(program.returncode, UNAVAILABLE)
        self.assertIn("nothing was written", program.stderr)
        self.assertNotIn("run it again", program.stderr)

    def test_a_dump_is_restored_from_a_file_only(self):
        self.assertIn("cannot come from standard input", self.cli_error(USAGE, "cache", "restore", "-")["message"])

    def test_a_file_that_is_bad_changes_nothing_and_says_where(self):
        self.set("a", "1")
        self.set("b", "2")
        good = self.dump()
        self.clear()
        for bad, text in ((good[:-1], f"is bad at byte {len(good) - 1}: it is cut here"), (b"", "is bad at byte 0"),
                          (b"PK" + good, "is bad at byte 0: this is no dump"), (good + b"x", f"at byte {len(good)}"),
                          (good[:40] + b"\xff" + good[41:], "is bad at byte 21: the entry that begins here")):
            self.file.write_bytes(bad)
            error = self.cli_error(OTHER, "cache", "restore", str(self.file))
            self.assertEqual(error["code"], "DATA_LOSS")
            self.assertIn(text, error["message"])
        self.assertEqual(self.size(), 0)
        self.cli_error(USAGE, "cache", "restore", str(self.folder / "none"))
        self.cli_error(USAGE, "cache", "restore", str(self.folder))

    def test_a_dump_goes_to_standard_output_and_a_failed_one_leaves_no_file(self):
        self.set("a", "1")
        piped = self.cli("cache", "dump", "-", "--prefix", self.prefix, text=False).stdout
        self.assertEqual(piped, self.dump())
        self.file.unlink()
        self.cli_error(UNAVAILABLE, "cache", "dump", str(self.file), "--address", "127.0.0.1:1")
        self.cli_error(USAGE, "cache", "dump", str(self.folder / "none" / "file"))
        self.cli_error(USAGE, "cache", "dump", "/dev/null")
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_a_terminal_sees_how_far_it_is(self):
        self.set("a", "1")
        main, terminal = pty.openpty()
        program = subprocess.run([PROGRAM, "cache", "dump", str(self.file), "--prefix", self.prefix],
                                 stdout=subprocess.PIPE, stderr=terminal, env=self.env, timeout=LIMIT_S)
        os.close(terminal)
        shown = os.read(main, 65536).decode()
        os.close(main)
        self.assertEqual(program.returncode, OK)
        self.assertIn("counting keys", shown)
        self.assertIn("] 100 %  1 entry", shown)
        self.assertTrue(shown.endswith("\r\x1b[K"), repr(shown))


class CutTest(unittest.TestCase):
    """A node is killed while it writes what is restored; another goes on."""

    KEYS = 20000

    def test_a_restore_that_is_cut_is_gone_on_with(self):
        cluster = Cluster(2)
        self.addCleanup(cluster.close)
        folder = tempfile.TemporaryDirectory(prefix="actioncluster-dump-")
        self.addCleanup(folder.cleanup)
        file = f"{folder.name}/cache.dump"

        def cli(node, *args):
            return run("cache", *args, env=environment(ACTIONCLUSTER_ADDRESS=f"127.0.0.1:{cluster.port + node}"))

        socket = next(pathlib.Path(cluster.data_dir).rglob("*.sock"))

        def redis(*args):
            return subprocess.run(["redis-cli", "-s", str(socket), *args], check=True, capture_output=True, text=True).stdout

        redis("EVAL", "for i = 1, tonumber(ARGV[1]) do redis.call('SET', 'v{actioncluster:c:' .. i .. '}',"
              " struct.pack('>I8I8I8I8B', 1, 0, 0, i, 2) .. i) end", "0", str(self.KEYS))
        self.assertEqual(cli(1, "dump", file).returncode, OK)
        self.assertEqual(cli(1, "clear", "--all").returncode, OK)

        nodes = json.loads(run("nodes", "--json", env=environment(ACTIONCLUSTER_ADDRESS=f"127.0.0.1:{cluster.port + 2}")).stdout)
        victim = next(node["pid"] for node in nodes["nodes"] if any(a.endswith(f":{cluster.port + 1}") for a in node["addresses"]))
        restoring = subprocess.Popen([PROGRAM, "cache", "restore", file], stderr=subprocess.PIPE, text=True,
                                     env=environment(ACTIONCLUSTER_ADDRESS=f"127.0.0.1:{cluster.port + 1}"))
        await_true(lambda: "p{actioncluster:c:" in redis("KEYS", "p{actioncluster:c:*"))
        os.kill(int(victim), signal.SIGKILL)
        _, errors = restoring.communicate(timeout=LIMIT_S)
        self.assertEqual(restoring.returncode, UNAVAILABLE, errors)
        self.assertIn("run it again", errors)

        again = cli(2, "restore", file, "--json")
        self.assertEqual(again.returncode, OK, again)
        restored = json.loads(again.stdout)
        self.assertEqual(int(restored["values"]) + int(restored["resumed_at"]), self.KEYS)
        self.assertEqual(cli(2, "size").stdout.strip(), str(self.KEYS))
        self.assertEqual(redis("KEYS", "s{actioncluster:c:*").strip(), "")
        [record] = redis("KEYS", "p{actioncluster:c:*").split()
        self.assertLessEqual(int(redis("TTL", record)), 120)


if __name__ == "__main__":
    unittest.main()
