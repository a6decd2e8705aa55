#!/usr/bin/python3
"""The command line's connections and rooms, as people and scripts use them, against real nodes.

Usage: cli_connections_test.py PROGRAM [TEST...]
"""

import base64
import json
import os
import pathlib
import signal
import subprocess
import unittest
import uuid

from cli_support import HANDLER_FAILED, NOT_FOUND, OK, TIMEOUT, USAGE, CliTest, await_true

CONFLICT = 9


class ConnectionsTest(CliTest):

    def setUp(self):
        self.room = f"r-{uuid.uuid4()}"
        self.id = f"c-{uuid.uuid4()}"

    def connect(self, *args):
        """A connection that stands, and is in its rooms."""
        connection = self.running("connect", *args, stdin=subprocess.PIPE)
        connection.err('"ready"' if "--json" in args else "this is ")
        return connection

    def members(self):
        [status] = self.cli_json("room", "status", self.room)
        return [member["connection_id"] for member in status["members"]]

    def test_a_room_is_made_shown_and_ended(self):
        self.assertEqual(self.cli("room", "exists", self.room).stdout, "no\n")
        self.assertEqual(self.cli("room", "create", self.room, "--keep", "100", "--keep-for", "7d").stdout, "created\n")
        self.assertEqual(self.cli_error(CONFLICT, "room", "create", self.room)["reason"], "ROOM_EXISTS")
        self.assertEqual(self.cli_json("room", "exists", self.room), [{"exists": True}])
        self.assertRegex(self.cli("room", "list", "--prefix", self.room).stdout,
                         rf"^ROOM +MEMBERS +CREATED +HISTORY\n{self.room} +0 +\S+Z +100 messages of 168h\n$")
        [listed] = self.cli_json("room", "list", "--prefix", self.room)
        self.assertEqual(listed["rooms"][0]["history"], {"messages": 100, "keep_for": "604800s"})
        self.assertIn("members        0\n", self.cli("room", "status", self.room).stdout)
        self.assertEqual(self.cli("room", "destroy", self.room).stdout, "destroyed, with 0 in it\n")
        self.assertEqual(self.cli_error(NOT_FOUND, "room", "destroy", self.room)["reason"], "ROOM_NOT_FOUND")
        self.assertEqual(self.cli_error(NOT_FOUND, "room", "status", self.room)["reason"], "ROOM_NOT_FOUND")

    def test_lists_go_over_pages(self):
        for number in range(3):
            self.cli("room", "create", f"{self.room}.{number}")
        [all_of_them] = self.cli_json("room", "list", "--prefix", self.room)
        self.assertEqual([room["room"] for room in all_of_them["rooms"]], [f"{self.room}.{n}" for n in range(3)])
        self.assertEqual(all_of_them["next_page_token"], "")
        [two] = self.cli_json("room", "list", "--prefix", self.room, "--limit", "2")
        self.assertEqual(len(two["rooms"]), 2)
        self.assertNotEqual(two["next_page_token"], "")

    def test_people_talk_line_by_line(self):
        self.cli("room", "create", self.room)
        ann = self.connect("--id", self.id, "--room", self.room)
        bob = self.connect("--id", f"{self.id}-2", "--room", self.room, "--json")
        ann.write("hello\nwörld \u2603\n")
        self.assertEqual([json.loads(bob.out())["message"]["value"] for _ in range(2)], ["hello", "wörld \u2603"])
        bob.write("hi\n")
        # Who says something hears it too.
        lines = [ann.out() for _ in range(3)]
        self.assertRegex(lines[0], rf"^\d\d:\d\d:\d\d\.\d{{3}}  {self.room}  {self.id}  \"hello\"$")
        self.assertTrue(lines[2].endswith('"hi"'), lines)
        message = json.loads(bob.out())["message"]
        self.assertEqual((message["room"], message["from"], message["context"], message["offset"]),
                         (self.room, f"{self.id}-2", "user", "0"))
        self.assertEqual(sorted(self.members()), [self.id, f"{self.id}-2"])
        ann.write("last")
        ann.process.stdin.close()
        self.assertEqual(ann.process.wait(30), OK)
        self.assertEqual(json.loads(bob.out())["message"]["value"], "last")
        await_true(lambda: self.members() == [f"{self.id}-2"])
        self.assertEqual(bob.stop(), OK)

    def test_the_server_side_speaks_in_rooms(self):
        self.cli("room", "create", self.room, "--keep", "10")
        ann = self.connect("--id", self.id, "--room", self.room, "--json")
        self.assertEqual(self.cli("room", "broadcast", self.room, '{"dinner": true}').stdout,
                         "sent to 1 node with members\n")
        message = json.loads(ann.out())["message"]
        self.assertEqual((message["from"], message["value"], message["context"]), ("", {"dinner": True}, "system"))
        [said] = self.cli_json("room", "broadcast", self.room, "--data-file", "-", "--from", self.id, stdin=b"\0\xff")
        message = json.loads(ann.out())["message"]
        self.assertEqual((message["from"], base64.b64decode(message["data"])), (self.id, b"\0\xff"))
        self.assertEqual(message["offset"], said["offset"])
        self.cli_error(USAGE, "room", "broadcast", self.room)
        self.assertEqual(self.cli_error(NOT_FOUND, "room", "broadcast", f"{self.room}-no", "1")["reason"],
                         "ROOM_NOT_FOUND")

    def test_members_are_put_in_taken_out_and_watched(self):
        self.cli("room", "create", self.room)
        ann = self.connect("--id", self.id, "--listen")
        watch = self.running("room", "watch", self.room, "--json")
        snapshot = json.loads(watch.out())
        self.assertEqual((snapshot["kind"], snapshot["members"], snapshot["more"]), ("KIND_SNAPSHOT", [], False))
        self.assertEqual(self.cli("room", "add", self.room, self.id).stdout, "added\n")
        joined = json.loads(watch.out())
        self.assertEqual((joined["kind"], joined["members"][0]["connection_id"]), ("KIND_JOINED", self.id))
        self.assertEqual(self.cli_error(CONFLICT, "room", "add", self.room, self.id)["reason"], "ALREADY_MEMBER")
        self.assertIn(self.id, self.cli("connection", "list", "--room", self.room).stdout)
        for_people = self.running("room", "watch", self.room)
        self.assertRegex(for_people.out(), rf"^\d\d:\d\d:\d\d  there   {self.id} ")
        self.assertEqual(self.cli_json("room", "remove", self.room, self.id), [{}])
        self.assertEqual(json.loads(watch.out())["kind"], "KIND_LEFT")
        self.assertRegex(for_people.out(), rf"  left    {self.id}")
        self.assertIn("removed", ann.err(f"out of {self.room}"))
        self.assertEqual(self.cli_error(CONFLICT, "room", "remove", self.room, self.id)["reason"], "NOT_MEMBER")
        self.assertEqual(self.cli_error(NOT_FOUND, "room", "add", self.room, f"{self.id}-no")["reason"],
                         "CONNECTION_NOT_FOUND")
        self.cli("room", "destroy", self.room)
        self.assertEqual(watch.wait(), NOT_FOUND)
        self.assertEqual(ann.stop(signal.SIGTERM), OK)

    def test_a_connection_is_shown_and_changed(self):
        ann = self.connect("--id", self.id, "--type", "robot", "--fingerprint", "f", "--claims", '{"a": [1]}', "--json")
        [got] = self.cli_json("connection", "get", self.id)
        self.assertEqual((got["connection"]["type"], got["connection"]["claims"]), ("robot", {"a": [1]}))
        shown = self.cli("connection", "get", self.id).stdout
        self.assertRegex(shown, rf"^connection +{self.id}\nnode +actioncluster-worker-\d\ntype +robot\n")
        self.assertIn('claims         {"a":[1]}\n', shown)
        self.assertIn('attributes     {"colour":"red"}\n',
                      self.cli("connection", "apply", self.id, "set", '["colour", "red"]').stdout)
        self.cli("connection", "apply", self.id, "sendMessage", '[{"text": "hi"}]')
        self.assertEqual(json.loads(ann.out())["direct"]["value"], {"text": "hi"})
        [listed] = self.cli_json("connection", "list", "--type", "robot")
        self.assertIn(self.id, [connection["id"] for connection in listed["connections"]])
        self.assertEqual(self.cli_json("connection", "list", "--type", f"{self.id}")[0]["connections"], [])
        self.assertEqual(self.cli_error(NOT_FOUND, "connection", "list", "--node", "nobody")["reason"], "NODE_NOT_FOUND")
        self.assertEqual(self.cli_error(NOT_FOUND, "connection", "apply", self.id, "no-such")["reason"],
                         "METHOD_NOT_FOUND")
        self.cli("connection", "apply", self.id, "destroy", '["enough"]')
        error = json.loads(ann.err("ABORTED"))
        self.assertEqual((error["metadata"]["goodbye"], error["exit_code"]), ("destroyed", CONFLICT))
        self.assertEqual(ann.wait(), CONFLICT)
        self.assertEqual(self.cli_error(NOT_FOUND, "connection", "get", self.id)["reason"], "CONNECTION_NOT_FOUND")

    def test_a_client_is_asked_and_answers_with_what_a_command_prints(self):
        self.connect("--id", self.id, "--answer", "shout", "--exec", "tr a-z A-Z")
        self.assertEqual(self.cli("connection", "invoke", self.id, "shout", '["hi"]').stdout, '["HI"]\n')
        [answer] = self.cli_json("connection", "invoke", self.id, "shout", "--data-file", "-", stdin=b"x")
        self.assertEqual(answer["result"], "X")
        failed = self.cli_error(HANDLER_FAILED, "connection", "invoke", self.id, "other")
        self.assertEqual(failed["reason"], "HANDLER_FAILED")
        self.assertEqual(self.cli_error(NOT_FOUND, "connection", "invoke", f"{self.id}-no", "shout")["reason"],
                         "CONNECTION_NOT_FOUND")
        self.connect("--id", f"{self.id}-2", "--answer", "hang", "--exec", "sleep 60")
        self.assertEqual(
            self.cli_error(TIMEOUT, "connection", "invoke", f"{self.id}-2", "hang", "--timeout", "300ms")["reason"],
            "RPC_TIMEOUT")

    def test_a_room_that_is_not_there_ends_it(self):
        ann = self.running("connect", "--room", self.room, "--json", stdin=subprocess.PIPE)
        self.assertEqual(json.loads(ann.err("exit_code"))["reason"], "ROOM_NOT_FOUND")
        self.assertEqual(ann.wait(), NOT_FOUND)

    def test_an_id_is_one_connection_s(self):
        self.connect("--id", self.id)
        other = self.running("connect", "--id", self.id, "--json", stdin=subprocess.PIPE)
        self.assertEqual(json.loads(other.err("exit_code"))["reason"], "CONNECTION_EXISTS")
        self.assertEqual(other.wait(), CONFLICT)

    def test_nonsense_is_told(self):
        self.cli_error(USAGE, "connect", "--claims", "[1]")
        self.cli_error(USAGE, "connect", "--answer", "x")
        self.cli_error(USAGE, "room", "create", self.room, "--keep-for", "soon")
        self.cli_error(USAGE, "room", "create", self.room, "--require-hook", "nonsense")
        self.cli_error(USAGE, "connection", "invoke", self.id, "x", "{}")
        self.cli_error(USAGE, "room", "list", "--limit", "0")


class KilledNodeTest(CliTest):
    """A node is killed under one who listens: on a cluster of its own."""

    def test_who_listens_goes_on_at_another_node_and_misses_nothing(self):
        self.cli("room", "create", "hall", "--keep", "1000")
        ann = self.running("connect", "--id", "ann", "--room", "hall", "--json", stdin=subprocess.PIPE)
        node = json.loads(ann.err("attached"))["node_id"]
        ann.err('"ready"')
        self.cli("room", "broadcast", "hall", "0")
        self.assertEqual(json.loads(ann.out())["message"]["value"], 0)
        os.kill(int(pathlib.Path(self.cluster.data_dir, f"{node}.pid").read_text()), signal.SIGKILL)
        for number in range(1, 20):
            self.cli("room", "broadcast", "hall", str(number))
        self.assertNotEqual(json.loads(ann.err("attached"))["node_id"], node)
        self.assertEqual([json.loads(ann.out())["message"]["value"] for _ in range(19)], list(range(1, 20)))
        self.assertEqual(ann.stop(), OK)


if __name__ == "__main__":
    unittest.main()
