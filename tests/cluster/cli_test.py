#!/usr/bin/python3
"""The command line, as people and scripts use it: every subcommand against real nodes, what it prints, its --json, its errors and exit codes.

Usage: cli_test.py PROGRAM [TEST...]
"""

import base64
import contextlib
import json
import os
import pathlib
import random
import select
import signal
import subprocess
import tempfile
import unittest

from cli_support import (HANDLER_FAILED, LIMIT, LIMIT_S, NOT_FOUND, OK, OTHER, PROGRAM, TIMEOUT, USAGE, CliTest, Cluster, Running,
                         await_true, environment, run)

MAX_CONTENT_BYTES = 4_128_768


class CallTest(CliTest):

    def test_call_prints_the_result_and_with_json_the_node_too(self):
        self.assertEqual(json.loads(self.cli("rpc", "call", "node.ping", "--node", self.node).stdout)["node_id"], self.node)
        [reply] = self.cli_json("rpc", "call", "node.ping", "--node", self.node)
        self.assertEqual((list(reply), reply["node_id"], reply["result"]["node_id"]), (["result", "node_id"], self.node, self.node))
        self.assertIn("node_id", self.cli_json("rpc", "call", "node.ping", "--any")[0])

    def test_call_fails_by_kind(self):
        self.assertEqual(self.cli_error(NOT_FOUND, "rpc", "call", "nobody.offers.this")["reason"], "METHOD_NOT_FOUND")
        self.assertEqual(self.cli_error(NOT_FOUND, "rpc", "call", "node.ping", "--node", "nope")["reason"], "NODE_NOT_FOUND")
        self.assertEqual(self.cli_error(NOT_FOUND, "rpc", "call", "x", "--connection", "nope")["reason"], "CONNECTION_NOT_FOUND")
        self.assertEqual(self.cli_error(USAGE, "rpc", "call", "x" * 257)["code"], "INVALID_ARGUMENT")

    def test_arguments_that_are_no_json_array_are_refused_before_anything_is_sent(self):
        for args in ('"hi"', "[1", "{}", "", "[1] 2"):
            self.assertIn("JSON array", self.cli_error(USAGE, "rpc", "call", "node.ping", args)["message"])
        self.cli_error(USAGE, "rpc", "call", "node.ping", "[]", "--data-file", "/dev/null")
        self.assertIn("/no/such", self.cli_error(USAGE, "rpc", "call", "node.ping", "--data-file", "/no/such")["message"])

    def test_call_all_prints_each_nodes_reply(self):
        lines = self.cli("rpc", "call-all", "node.ping").stdout.splitlines()
        self.assertEqual(lines[0].split(), ["NODE", "RESULT"])
        replies = self.cli_json("rpc", "call-all", "node.ping")
        for nodes in ([line.split()[0] for line in lines[1:]], [reply["node_id"] for reply in replies]):
            self.assertEqual(sorted(nodes), [f"actioncluster-worker-{i}" for i in (1, 2, 3)])
        self.assertEqual(self.cli_error(NOT_FOUND, "rpc", "call-all", "nope")["reason"], "METHOD_NOT_FOUND")

    def test_call_all_with_one_error_ends_with_that(self):
        self.serve("broken", "echo no >&2; exit 4")
        result = self.cli("rpc", "call-all", "broken", "--json", code=HANDLER_FAILED)
        reply = json.loads(result.stdout)
        self.assertEqual((reply["error"]["reason"], reply["error"]["message"]), ("HANDLER_FAILED", "no"))
        self.assertIn("HANDLER_FAILED (UNKNOWN) no", self.cli("rpc", "call-all", "broken", code=HANDLER_FAILED).stdout)

    def test_notify_says_how_many_nodes_it_went_to(self):
        self.assertEqual(self.cli("rpc", "notify", "node.log", '["hello"]').stdout, "sent to 3 nodes\n")
        self.assertEqual(self.cli_json("rpc", "notify", "node.log", '["hello"]', "--any"), [{"receivers": 1}])
        self.assertEqual(self.cli_error(NOT_FOUND, "rpc", "notify", "nope")["reason"], "METHOD_NOT_FOUND")

    def test_methods_are_listed_with_their_nodes(self):
        host = self.serve("listed.method", "cat", "--json")
        host.close()
        self.serve("listed.method", "cat")
        [answer] = self.cli_json("rpc", "methods", "--prefix", "listed.")
        self.assertEqual([method["name"] for method in answer["methods"]], ["listed.method"])
        self.assertRegex(self.cli("rpc", "methods").stdout, r"^METHOD +NODES\n(.*\n)*listed\.method +actioncluster-worker-\d")
        self.assertEqual(self.cli_json("rpc", "methods", "--prefix", "nope"), [{"methods": []}])


class ServeTest(CliTest):

    def test_what_a_command_prints_is_the_result(self):
        self.serve("echo", "cat")
        self.assertEqual(self.cli("rpc", "call", "echo", '["hi", {"a": []}, null]').stdout, '["hi",{"a":[]},null]\n')
        self.assertEqual(self.cli("rpc", "call", "echo").stdout, "[]\n")
        self.serve("text", "echo 'plain text'")
        self.assertEqual(self.cli("rpc", "call", "text").stdout, '"plain text"\n')
        self.assertEqual(self.cli("rpc", "call", "text", "--raw").stdout, "plain text\n")
        self.serve("silent", "true")
        self.assertEqual(self.cli("rpc", "call", "silent").stdout, "")
        self.assertEqual(list(self.cli_json("rpc", "call", "silent")[0]), ["node_id"])

    def test_bytes_pass_as_they_are_up_to_the_limit(self):
        self.serve("bytes", "cat")
        large = random.randbytes(MAX_CONTENT_BYTES)
        with tempfile.NamedTemporaryFile() as file:
            file.write(large)
            file.flush()
            self.assertTrue(self.cli("rpc", "call", "bytes", "--data-file", file.name, text=False).stdout == large)
            file.write(b"x")
            file.flush()
            self.assertEqual(self.cli_error(LIMIT, "rpc", "call", "bytes", "--data-file", file.name)["code"], "RESOURCE_EXHAUSTED")
        [reply] = self.cli_json("rpc", "call", "bytes", "--data-file", "-", stdin=b"\x00\xff")
        self.assertEqual(base64.b64decode(reply["data"]), b"\x00\xff")

    def test_a_command_is_told_about_the_call(self):
        self.serve("told", "env | grep ^ACTIONCLUSTER_CALL_ | sort")
        told = dict(line.split("=", 1) for line in self.cli("rpc", "call", "told", "--raw").stdout.splitlines())
        self.assertEqual(told.pop("ACTIONCLUSTER_CALL_METHOD"), "told")
        self.assertEqual(told.pop("ACTIONCLUSTER_CALL_CONNECTION_ID"), "")
        self.assertRegex(told.pop("ACTIONCLUSTER_CALL_CALLER_NODE_ID"), r"^actioncluster-worker-\d$")
        self.assertRegex(told.pop("ACTIONCLUSTER_CALL_DEADLINE"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
        self.assertEqual(told, {"ACTIONCLUSTER_CALL_SCOPE": "method", "ACTIONCLUSTER_CALL_ROOM": "", "ACTIONCLUSTER_CALL_FROM_CONNECTION_ID": ""})

    def test_what_is_for_connections_is_offered_as_such(self):
        self.serve("ban", "true", "--connection-method")
        self.serve("say.receive", "cat", "--hook")
        for name in ("connection/ban", "hook/say.receive"):
            self.assertEqual([method["name"] for method in self.cli_json("rpc", "methods", "--prefix", name)[0]["methods"]], [name])
        self.assertEqual(self.cli_error(NOT_FOUND, "rpc", "call", "ban")["reason"], "METHOD_NOT_FOUND")
        self.cli_error(USAGE, "rpc", "serve", "ban", "--exec", "true", "--connection-method", "--hook")

    def test_a_command_that_fails_fails_the_call(self):
        self.serve("failing", "echo first >&2; echo 'what went wrong' >&2; exit 3")
        error = self.cli_error(HANDLER_FAILED, "rpc", "call", "failing")
        self.assertEqual((error["code"], error["reason"], error["message"]), ("UNKNOWN", "HANDLER_FAILED", "first\nwhat went wrong"))
        self.assertEqual(error["metadata"]["exit_status"], "3")
        self.assertRegex(error["node_id"], r"^actioncluster-worker-\d$")

    def test_a_command_past_the_deadline_is_ended_with_what_it_started(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkfifo(f"{folder}/life")
            # Whoever reads the pipe hears of the end of all that have it open.
            self.serve("slow", f"exec 9>{folder}/life; sleep 1000 & sleep 1000")
            life = os.open(f"{folder}/life", os.O_RDONLY | os.O_NONBLOCK)
            self.addCleanup(os.close, life)
            self.assertEqual(self.cli("rpc", "call", "slow", "--timeout", "1s", code=TIMEOUT).stdout, "")
            ended, _, _ = select.select([life], [], [], LIMIT_S)
            self.assertEqual((ended, os.read(life, 1)), ([life], b""))

    def test_a_command_whose_caller_is_gone_is_ended(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkfifo(f"{folder}/life")
            self.serve("left", f"exec 9>{folder}/life; echo begun >&9; sleep 1000")
            caller = self.running("rpc", "call", "left", "--timeout", "1m")
            with open(f"{folder}/life", "rb") as life:
                self.assertEqual(life.readline(), b"begun\n")
                caller.close()
                self.assertEqual(life.read(), b"")

    def test_a_command_that_prints_without_end_fails_with_the_limit(self):
        self.serve("endless", "yes")
        error = self.cli_error(HANDLER_FAILED, "rpc", "call", "endless")
        self.assertEqual((error["reason"], error["code"]), ("HANDLER_FAILED", "RESOURCE_EXHAUSTED"))

    def test_it_leaves_no_descriptor_and_no_process_behind(self):
        host = self.serve("counted", "cat")
        self.cli("rpc", "call", "counted")
        # What belongs to one call is let go a moment after its answer.
        left = lambda: len(os.listdir(f"/proc/{host.pid}/fd"))
        before = left()
        callers = [self.running("rpc", "call", "counted", f"[{i}]") for i in range(8)]
        self.assertEqual([caller.out() for caller in callers], [f"[{i}]" for i in range(8)])
        self.assertEqual([caller.wait() for caller in callers], [OK] * 8)
        await_true(lambda: left() <= before)
        children = "".join(path.read_text() for path in pathlib.Path(f"/proc/{host.pid}/task").glob("*/children"))
        self.assertEqual(children, "")

    def test_it_is_sent_no_more_calls_at_once_than_it_wants(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkfifo(f"{folder}/life")
            self.serve("alone", f"exec 9>{folder}/life; echo begun >&9; sleep 1000", "--max-in-flight", "1")
            self.running("rpc", "call", "alone", "--timeout", "1m")
            with open(f"{folder}/life", "rb") as life:
                self.assertEqual(life.readline(), b"begun\n")
                self.assertEqual(self.cli_error(LIMIT, "rpc", "call", "alone")["reason"], "LIMIT_EXCEEDED")

    def test_it_stops_in_good_order_by_a_signal(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            host = self.serve("stopped", "echo begun >&2; cat")
            self.cli("rpc", "call", "stopped")
            self.assertEqual(host.stop(number), OK)
            self.cli("rpc", "call", "stopped", code=NOT_FOUND)

    def test_what_runs_is_gone_when_its_terminal_has_gone(self):
        for number in (signal.SIGHUP, signal.SIGQUIT):
            with tempfile.TemporaryDirectory() as folder:
                os.mkfifo(f"{folder}/life")
                host = self.serve("orphan", f"exec 9>{folder}/life; echo begun >&9; sleep 1000")
                self.running("rpc", "call", "orphan", "--timeout", "1m")
                with open(f"{folder}/life", "rb") as life:
                    self.assertEqual(life.readline(), b"begun\n")
                    host.process.send_signal(number)
                    host.err("stopping")
                    host.process.send_signal(number)
                    self.assertEqual(life.read(), b"")
                self.assertEqual(host.wait(), OK)

    def test_a_hangup_that_is_ignored_stays_so(self):
        host = Running("rpc", "serve", "kept.up", "--exec", "cat", env=self.env, ignored=signal.SIGHUP)
        self.addCleanup(host.close)
        host.err("attached")
        host.process.send_signal(signal.SIGHUP)
        self.assertEqual(self.cli("rpc", "call", "kept.up", "[1]").stdout, "[1]\n")
        self.assertEqual(host.stop(), OK)

    def test_it_stops_also_when_nobody_reads_what_it_says(self):
        with contextlib.ExitStack() as stack:
            reader, writer = os.pipe()
            stack.callback(os.close, reader)
            # Full before it says anything.
            os.set_blocking(writer, False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(writer, b"x" * 4096)
            os.set_blocking(writer, True)
            host = subprocess.Popen([PROGRAM, "rpc", "serve", "unheard", "--exec", "cat"], env=self.env, stderr=writer)
            stack.callback(host.wait)
            stack.callback(host.kill)
            os.close(writer)
            await_true(lambda: run("rpc", "call", "unheard", "[1]", env=self.env).stdout == "[1]\n")
            host.terminate()
            self.assertEqual(host.wait(LIMIT_S), OK)

    def test_a_call_that_runs_ends_before_it_stops(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkfifo(f"{folder}/go")
            host = self.serve("finishing", f"read line < {folder}/go; echo $line")
            caller = self.running("rpc", "call", "finishing", "--timeout", "30s")
            with open(f"{folder}/go", "w") as go:
                host.process.send_signal(signal.SIGTERM)
                host.err("stopping")
                go.write("done\n")
            self.assertEqual((caller.out(), caller.wait()), ('"done"', OK))
            self.assertEqual(host.wait(), OK)

    def test_a_second_signal_ends_what_runs(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkfifo(f"{folder}/life")
            host = self.serve("hurried", f"exec 9>{folder}/life; echo begun >&9; sleep 1000")
            caller = self.running("rpc", "call", "hurried", "--timeout", "1m")
            with open(f"{folder}/life", "rb") as life:
                self.assertEqual(life.readline(), b"begun\n")
                host.process.send_signal(signal.SIGINT)
                host.err("stopping")
                host.process.send_signal(signal.SIGINT)
                self.assertEqual(life.read(), b"")
            self.assertEqual(host.wait(), OK)
            self.assertEqual(caller.wait(), HANDLER_FAILED)

    def test_when_its_node_is_killed_it_says_so_and_finds_another(self):
        cluster = Cluster(2)
        self.addCleanup(cluster.close)
        # The first is tried first. With it alone a host would have to learn of the other before the first is killed.
        env = environment(ACTIONCLUSTER_ADDRESS=f"127.0.0.1:{cluster.port + 1},127.0.0.1:{cluster.port + 2}")
        for_people = [Running("rpc", "serve", "kept", "--exec", "cat", env=env), Running("subscribe", "kept", env=env)]
        for_programs = Running("rpc", "serve", "kept.json", "--exec", "cat", "--json", env=env)
        for running in (*for_people, for_programs):
            self.addCleanup(running.close)
            self.assertIn("actioncluster-worker-1", running.err("attached"))
        os.kill(int(pathlib.Path(cluster.data_dir, "actioncluster-worker-1.pid").read_text()), signal.SIGKILL)
        for running in for_people:
            # A gap in its messages is told by itself, maybe before that.
            running.err(f"lost 127.0.0.1:{cluster.port + 1}")
            self.assertIn("actioncluster-worker-2", running.err("attached"))
        lost = json.loads(for_programs.err())
        self.assertEqual((lost["event"], lost["error"]["code"]), ("lost", "UNAVAILABLE"))
        self.assertEqual(json.loads(for_programs.err("attached"))["node_id"], "actioncluster-worker-2")
        self.assertEqual(run("rpc", "call", "kept", "[7]", "--data-dir", cluster.data_dir).stdout, "[7]\n")

    def test_it_says_as_json_where_it_is_attached(self):
        host = self.running("rpc", "serve", "seen", "--exec", "cat", "--json")
        event = json.loads(host.err())
        self.assertEqual(list(event), ["event", "address", "node_id", "error"])
        self.assertEqual((event["event"], event["error"]), ("attached", None))
        self.assertEqual(host.stop(), OK)

    def test_a_name_that_is_the_nodes_own_is_refused(self):
        self.assertIn("node.", self.cli_error(USAGE, "rpc", "serve", "node.mine", "--exec", "cat")["message"])


class NodeTest(CliTest):

    def test_nodes_are_listed(self):
        lines = self.cli("nodes").stdout.splitlines()
        self.assertEqual(lines[0].split()[:3], ["NODE", "STATE", "ADDRESS"])
        self.assertEqual([line.split()[:2] for line in lines[1:]], [[f"actioncluster-worker-{i}", "ready"] for i in (1, 2, 3)])
        [answer] = self.cli_json("nodes")
        node = answer["nodes"][1]
        self.assertEqual((node["id"], node["draining"], node["methods"]), (self.node, False, []))
        self.assertEqual(node["addresses"], [f"127.0.0.1:{self.cluster.port + 2}", f"127.0.0.1:{self.cluster.port}"])

    def test_one_node_is_shown(self):
        self.assertRegex(self.cli("nodes", self.node).stdout, rf"(?m)^node +{self.node}\nstate +ready$")
        self.assertEqual(self.cli_json("nodes", self.node)[0]["node"]["id"], self.node)
        self.assertEqual(self.cli_error(NOT_FOUND, "nodes", "nope")["reason"], "NODE_NOT_FOUND")

    def test_watch_prints_changes_until_ctrl_c(self):
        for_people, for_programs = self.running("watch"), self.running("watch", "--json")
        self.assertEqual(sorted(for_people.out().split()[1:3] for _ in range(3)),
                         [["joined", f"actioncluster-worker-{i}"] for i in (1, 2, 3)])
        events = [json.loads(for_programs.out()) for _ in range(3)]
        self.assertEqual({event["event"] for event in events}, {"EVENT_JOINED"})
        self.serve("watched", "cat")
        self.assertEqual(for_people.out().split()[1], "updated")
        self.assertEqual(json.loads(for_programs.out())["node"]["methods"], ["watched"])
        for watch in (for_people, for_programs):
            self.assertEqual(watch.stop(), -signal.SIGINT)  # What a shell calls 130.

    def test_a_reader_that_goes_away_ends_it_quietly(self):
        watch = self.running("watch")
        for _ in range(3):
            watch.out()
        watch.process.stdout.close()
        self.serve("seen.by.nobody", "cat")
        self.assertEqual(watch.process.wait(LIMIT_S), 141)
        self.assertEqual(watch.process.stderr.read(), b"")
        shell = subprocess.run(["sh", "-c", 'exec "$0" nodes >/dev/full', PROGRAM], env=self.env, capture_output=True, timeout=LIMIT_S)
        self.assertEqual((shell.returncode, len(shell.stderr.splitlines())), (OTHER, 1))

    def test_drain_waits_until_nothing_runs_there(self):
        cluster = Cluster(3)
        self.addCleanup(cluster.close)
        env = environment(ACTIONCLUSTER_DATA_DIR=cluster.data_dir)
        self.assertEqual(run("drain", "actioncluster-worker-2", env=env).stdout, "drained\n")
        self.assertIn("draining", run("nodes", "actioncluster-worker-2", env=env).stdout)
        with tempfile.TemporaryDirectory() as folder:
            os.mkfifo(f"{folder}/life")
            host = Running("rpc", "serve", "busy", "--exec", f"exec 9>{folder}/life; sleep 1000", "--address",
                           f"127.0.0.1:{cluster.port + 1}", env=env)
            self.addCleanup(host.close)
            host.err("attached")
            # A call that is waited for counts too, where its caller is.
            caller = Running("rpc", "call", "busy", "--timeout", "1m", "--address", f"127.0.0.1:{cluster.port + 3}", env=env)
            self.addCleanup(caller.close)
            with open(f"{folder}/life", "rb"):
                result = run("drain", "actioncluster-worker-1", "--timeout", "200ms", "--json", env=env)
                self.assertEqual((result.returncode, json.loads(result.stdout)), (TIMEOUT, {"calls_running": 1}))
                self.assertEqual(json.loads(result.stderr)["exit_code"], TIMEOUT)
        self.cli_error(NOT_FOUND, "drain", "nope")


class MessageTest(CliTest):

    def test_a_message_reaches_its_subscribers(self):
        for_people = self.subscribe("news", "--count", "2")
        for_programs = self.subscribe("--pattern", "n*s", "--pattern", "other.*", "--count", "3", "--json")
        self.assertRegex(self.cli("publish", "news", '{"n": 1}').stdout, r"^sent to \d+ nodes? with subscribers$")
        [answer] = self.cli_json("publish", "news", "--data-file", "-", stdin=b"\x1b[2J")
        self.assertGreaterEqual(answer["receivers"], 1)
        self.cli("publish", "other.type")
        lines = [for_people.out() for _ in range(2)]
        self.assertRegex(lines[0], r'^\d\d:\d\d:\d\d\.\d{3}  news +actioncluster-worker-\d +\{"n":1\}$')
        self.assertTrue(lines[1].endswith('"\\u001b[2J"'), lines[1])
        messages = [json.loads(for_programs.out()) for _ in range(3)]
        self.assertEqual([message["message_type"] for message in messages], ["news", "news", "other.type"])
        self.assertEqual((messages[0]["value"], base64.b64decode(messages[1]["data"])), ({"n": 1}, b"\x1b[2J"))
        self.assertEqual((messages[0]["missed"], messages[0]["gap"]), ("0", False))
        self.assertNotIn("value", messages[2])
        self.assertEqual([for_people.wait(), for_programs.wait()], [OK, OK])

    def test_any_json_value_can_be_published(self):
        values = ["-5", "null", "[]", '"text"', "true", "{}"]
        subscriber = self.subscribe("values", "--count", str(len(values)), "--json")
        for value in values:
            self.cli("publish", "values", value)
        self.assertEqual([json.loads(subscriber.out())["value"] for _ in values], [json.loads(value) for value in values])
        self.assertEqual(subscriber.wait(), OK)
        self.cli_error(USAGE, "publish", "values", "{no json}")
        self.cli_error(USAGE, "publish", "")

    def test_who_cannot_keep_up_is_told_how_many_are_missing(self):
        subscriber = self.subscribe("large", "--json")
        subscriber.process.send_signal(signal.SIGSTOP)
        with tempfile.NamedTemporaryFile() as file:
            file.write(bytes(MAX_CONTENT_BYTES))
            file.flush()
            for _ in range(12):
                self.cli("publish", "large", "--data-file", file.name)
        subscriber.process.send_signal(signal.SIGCONT)
        self.cli("publish", "large", '"last"')
        seen = missed = 0
        while seen + missed < 13:
            message = json.loads(subscriber.out())
            seen += message["message_type"] == "large"
            missed += int(message["missed"])
        self.assertEqual((seen + missed, message.get("value")), (13, "last"))
        self.assertGreater(missed, 0)

    def test_subscribe_goes_on_until_ctrl_c(self):
        self.assertEqual(self.subscribe("news").stop(), -signal.SIGINT)
        self.cli_error(USAGE, "subscribe")
        self.cli_error(USAGE, "subscribe", "news", "--count", "0")
        self.assertEqual(self.cli_error(USAGE, "subscribe", "x" * 257)["code"], "INVALID_ARGUMENT")


if __name__ == "__main__":
    unittest.main()
