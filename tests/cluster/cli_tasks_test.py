#!/usr/bin/python3
"""The command line's tasks, as people and scripts use them: every subcommand of `tasks`, and `work`, against real nodes.

Usage: cli_tasks_test.py PROGRAM [TEST...]
"""

import base64
import json
import os
import resource
import select
import signal
import subprocess
import tempfile
import time
import unittest
import uuid

import cli_support
from cli_support import HANDLER_FAILED, LIMIT_S, NOT_FOUND, OK, OTHER, TIMEOUT, USAGE, CliTest, await_true

CONFLICT = 9


class TasksTest(CliTest):

    def setUp(self):
        self.queue = f"q-{uuid.uuid4()}"

    def enqueue(self, *args, queue=None):
        return self.cli("tasks", "enqueue", *args, "--queue", queue or self.queue).stdout.strip()

    def work(self, command, *args):
        worker = self.running("work", "--queue", self.queue, "--exec", command, *args)
        worker.err("attached")
        return worker

    def task(self, task_id):
        [response] = self.cli_json("tasks", "get", task_id)
        return response["task"]

    def await_state(self, task_id, state):
        await_true(lambda: self.task(task_id)["state"] == f"TASK_STATE_{state}")
        return self.task(task_id)

    def listed(self, *args):
        [response] = self.cli_json("tasks", *args)
        return response["tasks"]


class EnqueueTest(TasksTest):

    def test_enqueue_prints_the_id_and_get_shows_all(self):
        task_id = self.enqueue("resize", '{"image": 7}', "--priority", "9", "--max-attempts", "5")
        self.assertTrue(task_id.startswith(f"{self.queue}/"), task_id)
        task = self.task(task_id)
        self.assertEqual((task["name"], task["args"], task["priority"], task["max_attempts"], task["state"]),
                         ("resize", {"image": 7}, 9, 5, "TASK_STATE_READY"))
        self.assertRegex(self.cli("tasks", "get", task_id).stdout, r'(?m)^input +\{"image":7\}$')
        self.assertEqual(self.cli_error(NOT_FOUND, "tasks", "get", f"{self.queue}/none")["reason"], "TASK_NOT_FOUND")
        self.cli_error(USAGE, "tasks", "get", "nonsense")

    def test_the_same_id_and_the_same_key_are_there_once(self):
        self.assertEqual(self.enqueue("x", "--id", "mine"), f"{self.queue}/mine")
        [again] = self.cli_json("tasks", "enqueue", "x", "--queue", self.queue, "--id", "mine")
        self.assertEqual(again, {"task_id": f"{self.queue}/mine", "created": False})
        first = self.enqueue("x", "--unique", "k", "--unique-for", "1h")
        [again] = self.cli_json("tasks", "enqueue", "x", "--queue", self.queue, "--unique", "k")
        self.assertEqual(again, {"task_id": first, "created": False})

    def test_a_task_can_wait_for_its_time(self):
        later = self.enqueue("later", "--delay", "1h")
        at = self.enqueue("at", "--run-at", "2030-01-01T00:00:00Z")
        self.assertEqual(self.task(at)["due_at"], "2030-01-01T00:00:00Z")
        self.assertEqual([task["id"] for task in self.listed("list", "--queue", self.queue, "--state", "scheduled")], [later, at])
        self.assertEqual(self.listed("list", "--queue", self.queue), [])
        self.cli_error(USAGE, "tasks", "enqueue", "x", "--delay", "1h", "--run-at", "2030-01-01T00:00:00Z")

    def test_lists_are_as_long_as_was_asked_for(self):
        ids = [self.enqueue("x", str(i)) for i in range(5)]
        lines = self.cli("tasks", "list", "--queue", self.queue).stdout.splitlines()
        self.assertEqual([line.split()[0] for line in lines], ["TASK"] + ids)
        [page] = self.cli_json("tasks", "list", "--queue", self.queue, "--limit", "2")
        self.assertEqual([task["id"] for task in page["tasks"]], ids[:2])
        self.assertTrue(page["next_page_token"])
        self.assertEqual(self.listed("list", "--queue", self.queue, "--name", "other"), [])

    def test_cancel_and_delete_end_what_waits(self):
        kept = self.enqueue("x", "--retain", "1h")
        self.assertEqual(self.cli("tasks", "cancel", kept).stdout, "cancelled\n")
        self.assertEqual(self.task(kept)["state"], "TASK_STATE_CANCELLED")
        self.assertEqual(self.cli("tasks", "await", kept, code=OTHER).stdout, "")
        self.cli_error(CONFLICT, "tasks", "cancel", kept)
        self.assertEqual(self.cli("tasks", "delete", kept).stdout, "deleted\n")
        self.cli_error(NOT_FOUND, "tasks", "delete", kept)

    def test_mistakes_are_told_before_anything_is_sent(self):
        for args, text in ((["--delay", "5"], "--delay"), (["--run-at", "soon"], "--run-at"), (["--retain", "x"], "--retain"),
                           (["--priority", "high"], "--priority"), (["[1"], "ARGS")):
            self.assertIn(text, self.cli_error(USAGE, "tasks", "enqueue", "x", *args)["message"])
        self.assertIn("priority", self.cli_error(USAGE, "tasks", "enqueue", "x", "--priority", "10")["message"])
        self.cli_error(USAGE, "tasks", "list", "--state", "sleeping")
        self.cli_error(USAGE, "tasks", "retry")
        self.cli_error(USAGE, "tasks", "retry", "q/1", "--all", "q")


class WorkTest(TasksTest):

    def test_what_a_command_prints_is_the_result(self):
        self.work("cat")
        self.assertEqual(self.cli("tasks", "enqueue", "echo", '["hi", null]', "--queue", self.queue, "--await").stdout, '["hi",null]\n')
        task_id = self.enqueue("echo", '"text"', "--retain", "1m")
        self.assertEqual(self.cli("tasks", "await", task_id, "--raw").stdout, "text\n")
        [response] = self.cli_json("tasks", "await", task_id)
        self.assertEqual((response["state"], response["result"]), ("TASK_STATE_DONE", "text"))
        [response] = self.cli_json("tasks", "enqueue", "echo", "--data-file", "-", "--queue", self.queue, "--await", stdin=b"\x00\xff")
        self.assertEqual(base64.b64decode(response["data"]), b"\x00\xff")
        [response] = self.cli_json("tasks", "enqueue", "echo", "--queue", self.queue, "--await")
        self.assertEqual(list(response), ["state"])

    def test_a_command_is_told_about_the_task(self):
        self.work("env | grep ^ACTIONCLUSTER_TASK_ | sort")
        task_id = self.enqueue("told", "--attempt-timeout", "1m", "--retain", "1m")
        told = dict(line.split("=", 1) for line in self.cli("tasks", "await", task_id, "--raw").stdout.splitlines())
        self.assertRegex(told.pop("ACTIONCLUSTER_TASK_DEADLINE"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
        self.assertEqual(told, {"ACTIONCLUSTER_TASK_ID": task_id, "ACTIONCLUSTER_TASK_NAME": "told",
                                "ACTIONCLUSTER_TASK_QUEUE": self.queue, "ACTIONCLUSTER_TASK_ATTEMPT": "1",
                                "ACTIONCLUSTER_TASK_LOST_LEASES": "0"})

    def test_a_command_that_fails_is_tried_again_and_then_is_a_dead_letter(self):
        self.work('echo "attempt $ACTIONCLUSTER_TASK_ATTEMPT" >&2; exit 3')
        task_id = self.enqueue("failing", "--max-attempts", "2", "--backoff", "10ms", "--retain", "1m")
        error = self.cli_error(HANDLER_FAILED, "tasks", "enqueue", "failing", "--queue", self.queue, "--id", "same", "--max-attempts", "1",
                               "--await")
        self.assertEqual((error["reason"], error["message"]), ("HANDLER_FAILED", "attempt 1"))
        task = self.await_state(task_id, "FAILED")
        self.assertEqual((task["attempts"], task["error"]["message"]), (2, "attempt 2"))
        self.assertIn("attempt 2", self.cli("tasks", "failed", "--queue", self.queue).stdout)

    def test_one_exit_status_says_that_another_attempt_is_of_no_use(self):
        self.work("exit 65")
        task = self.await_state(self.enqueue("hopeless", "--max-attempts", "9"), "FAILED")
        self.assertEqual(task["attempts"], 1)

    def test_dead_letters_are_retried_and_removed(self):
        worker = self.work("exit 65")
        ids = [self.enqueue("x", str(i)) for i in range(3)]
        for task_id in ids:
            self.await_state(task_id, "FAILED")
        self.assertEqual(worker.stop(), OK)
        self.assertEqual(self.cli("tasks", "retry", ids[0]).stdout, "retried 1 task\n")
        self.assertEqual(self.task(ids[0])["state"], "TASK_STATE_READY")
        self.assertEqual(self.cli_error(NOT_FOUND, "tasks", "retry", ids[0])["reason"], "TASK_NOT_FOUND")
        self.assertEqual(self.cli("tasks", "remove", ids[1]).stdout, "removed 1 task\n")
        self.assertEqual([task["id"] for task in self.listed("failed", "--queue", self.queue)], [ids[2]])
        self.assertEqual(self.cli_json("tasks", "retry", "--all", self.queue), [{"retried": "1"}])
        self.assertEqual(self.cli_json("tasks", "remove", "--all", self.queue), [{"removed": "0"}])

    def test_a_worker_takes_only_the_names_that_it_says(self):
        self.work("cat", "--name", "a", "--name", "b")
        other = self.enqueue("c")
        self.cli("tasks", "enqueue", "b", "--queue", self.queue, "--await")
        self.assertEqual(self.task(other)["state"], "TASK_STATE_READY")

    def test_as_many_run_at_once_as_was_said(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkfifo(f"{folder}/begun")
            # Open for writing too: it has no end between one writer and the next.
            with open(os.open(f"{folder}/begun", os.O_RDWR), encoding="utf-8") as pipe:
                self.work(f"echo $ACTIONCLUSTER_TASK_ID >{folder}/begun; sleep 1000", "--concurrency", "2", "--worker-name", "two")
                for i in range(3):
                    self.enqueue("long", str(i))
                begun = {pipe.readline().strip() for _ in range(2)}
            self.assertEqual(len(begun), 2)
            [response] = self.cli_json("tasks", "workers")
            [worker] = [each for each in response["workers"] if each["worker_name"] == "two"]
            self.assertEqual((worker["concurrency"], worker["queues"]), (2, [self.queue]))
            self.assertEqual({task["task_id"] for task in worker["tasks"]}, begun)
            self.assertRegex(self.cli("tasks", "workers").stdout, rf"(?m)^\S+ +two +actioncluster-worker-\d +{self.queue} ")

    def test_a_cancelled_task_ends_its_command_with_what_that_started(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkfifo(f"{folder}/life")
            self.work(f"exec 9>{folder}/life; echo begun >&9; sleep 1000 & sleep 1000")
            task_id = self.enqueue("long")
            with open(f"{folder}/life", "rb") as life:
                self.assertEqual(life.readline(), b"begun\n")
                self.assertEqual(self.cli("tasks", "cancel", task_id).stdout, "cancelled while it ran\n")
                self.assertEqual(life.read(), b"")

    def test_a_command_that_takes_too_long_is_ended(self):
        self.work("sleep 1000")
        task = self.await_state(self.enqueue("long", "--attempt-timeout", "100ms", "--max-attempts", "1"), "FAILED")
        self.assertEqual(task["attempts"], 1)

    def test_watch_prints_each_change_until_the_end(self):
        task_id = self.enqueue("x", "--retain", "1m")
        watch = self.running("tasks", "watch", task_id)
        self.assertRegex(watch.out(), r"^\d\d:\d\d:\d\d  ready$")
        self.work("cat")
        lines = [watch.out()]
        while not lines[-1].endswith("done"):
            lines.append(watch.out())
        self.assertEqual(watch.wait(), OK)
        [last] = self.cli_json("tasks", "watch", task_id)
        self.assertEqual((last["id"], last["state"]), (task_id, "TASK_STATE_DONE"))

    def test_await_ends_with_the_timeout(self):
        task_id = self.enqueue("x", "--retain", "1m")
        self.assertEqual(self.cli("tasks", "await", task_id, "--timeout", "200ms", code=TIMEOUT).stdout, "")
        self.cli_error(CONFLICT, "tasks", "await", self.enqueue("x"))

    def test_an_interrupt_lets_what_runs_finish(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkfifo(f"{folder}/begun")
            os.mkfifo(f"{folder}/go")
            worker = self.work(f"echo begun >{folder}/begun; cat {folder}/go")
            task_id = self.enqueue("x", "--retain", "1m")
            with open(f"{folder}/begun", "rb") as begun:
                begun.read()
            worker.process.send_signal(signal.SIGINT)
            worker.err("stopping")
            with open(f"{folder}/go", "w", encoding="utf-8") as go:
                go.write('"finished"')
            self.assertEqual(worker.wait(), OK)
            self.assertEqual(self.cli("tasks", "await", task_id, "--raw").stdout, "finished\n")

    def test_a_second_interrupt_ends_what_runs(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkfifo(f"{folder}/life")
            worker = self.work(f"exec 9>{folder}/life; echo begun >&9; sleep 1000")
            task_id = self.enqueue("x", "--max-attempts", "1")
            with open(f"{folder}/life", "rb") as life:
                self.assertEqual(life.readline(), b"begun\n")
                begun = time.monotonic()
                worker.process.send_signal(signal.SIGINT)
                worker.err("stopping")
                self.assertEqual(worker.stop(), OK)
                self.assertLess(time.monotonic() - begun, 8, "it is not to wait for the 10 s that the first leaves")
                ended, _, _ = select.select([life], [], [], LIMIT_S)
                self.assertEqual((ended, life.read()), ([life], b""))
            # Given back, not failed.
            task = self.await_state(task_id, "READY")
            self.assertEqual((task["attempts"], task["lost_leases"]), (0, 1))

    def test_as_many_commands_run_at_once_as_were_asked_for_or_none(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        many = 60
        with tempfile.TemporaryDirectory() as folder:
            os.mkfifo(f"{folder}/go")
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
                worker = self.work(f"read line < {folder}/go", "--concurrency", str(many))
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            tasks = [self.enqueue("x", "--retain", "1m") for _ in range(many)]
            await_true(lambda: len(self.listed("list", "--queue", self.queue, "--state", "active")) == many)
            with open(f"{folder}/go", "w") as go:
                go.write("go\n" * many)
            for task_id in tasks:
                self.await_state(task_id, "DONE")
            self.assertEqual(worker.stop(), OK)
        limited = subprocess.run(["sh", "-c", 'ulimit -n 256; exec "$@"', "sh", cli_support.PROGRAM, "work", "--exec", "true", "--concurrency", "1024"],
                                 env=self.env, capture_output=True, text=True, timeout=LIMIT_S)
        self.assertEqual((limited.returncode, "256 (ulimit -n)" in limited.stderr), (USAGE, True), limited.stderr)


class QueuesTest(TasksTest):

    def test_queues_and_stats_count(self):
        self.enqueue("x")
        self.enqueue("x", "--delay", "1h")
        [response] = self.cli_json("tasks", "queues", "--prefix", self.queue)
        [queue] = response["queues"]
        self.assertEqual((queue["name"], queue["counts"]["ready"], queue["counts"]["scheduled"]), (self.queue, "1", "1"))
        self.assertRegex(self.cli("tasks", "queues").stdout, rf"(?m)^{self.queue} +1 +1 +0 ")
        [stats] = self.cli_json("tasks", "stats")
        self.assertGreaterEqual(int(stats["counts"]["ready"]), 1)
        self.assertRegex(self.cli("tasks", "stats").stdout, r"(?m)^queues +\d+$")

    def test_a_paused_queue_gives_nothing_until_it_is_resumed(self):
        self.assertEqual(self.cli("tasks", "pause", self.queue).stdout, "paused\n")
        self.work("cat")
        task_id = self.enqueue("x", "--retain", "1m")
        self.assertRegex(self.cli("tasks", "queues", "--prefix", self.queue).stdout, r"paused$|paused ")
        self.assertEqual(self.cli("tasks", "await", task_id, "--timeout", "300ms", code=TIMEOUT).stdout, "")
        self.assertEqual(self.cli_json("tasks", "resume", self.queue), [{}])
        self.cli("tasks", "await", task_id)

    def test_limits_are_set_shown_and_taken_back(self):
        self.assertEqual(self.cli("tasks", "limits", self.queue, "--rate", "2.5", "--max-length", "1").stdout, "set\n")
        self.assertIn("length 1, 2.5/s", self.cli("tasks", "limits", self.queue).stdout)
        self.enqueue("x")
        self.assertEqual(self.cli_error(7, "tasks", "enqueue", "x", "--queue", self.queue)["reason"], "LIMIT_EXCEEDED")
        self.cli("tasks", "limits", self.queue, "--overflow", "drop-oldest", "--keep-failed-for", "1d")
        [response] = self.cli_json("tasks", "limits", self.queue)
        limits = response["queues"][0]["limits"]
        self.assertEqual((limits["max_length"], limits["overflow"], limits["keep_failed_for"]),
                         ("0", "OVERFLOW_DROP_OLDEST", "86400s"))
        self.cli("tasks", "limits", self.queue, "--defaults")
        self.cli_error(USAGE, "tasks", "limits", self.queue, "--defaults", "--rate", "1")
        self.cli_error(NOT_FOUND, "tasks", "limits", f"{self.queue}-none")

    def test_a_queue_is_deleted(self):
        self.enqueue("x")
        self.assertEqual(self.cli("tasks", "delete-queue", self.queue).stdout, "deleted\n")
        self.assertEqual(self.cli_json("tasks", "queues", "--prefix", self.queue), [{"queues": []}])
        self.assertEqual(self.cli("tasks", "delete-queue", self.queue).stdout, "there was none\n")

    def test_a_schedule_enqueues_until_it_is_ended(self):
        self.assertRegex(self.cli("tasks", "schedule", "tick", "beat", "[1]", "--queue", self.queue, "--every", "200ms").stdout,
                         r"^scheduled, next at \d{4}-")
        await_true(lambda: len(self.listed("list", "--queue", self.queue)) >= 2)
        self.assertEqual(self.listed("list", "--queue", self.queue)[0]["args"], [1])
        [response] = self.cli_json("tasks", "schedules", "--queue", self.queue)
        self.assertEqual([each["schedule"]["id"] for each in response["recurring"]], ["tick"])
        [replaced] = self.cli_json("tasks", "schedule", "tick", "beat", "--queue", self.queue, "--cron", "@daily", "--time-zone",
                                   "Europe/Berlin", "--missed", "run-once")
        self.assertFalse(replaced["created"])
        self.assertRegex(self.cli("tasks", "schedules").stdout, rf"(?m)^{self.queue} +tick +beat +@daily Europe/Berlin .* run once$")
        self.assertEqual(self.cli("tasks", "unschedule", "tick", "--queue", self.queue).stdout, "stopped\n")
        self.assertEqual(self.cli_json("tasks", "unschedule", "tick", "--queue", self.queue), [{"stopped": False}])
        self.cli_error(USAGE, "tasks", "schedule", "tick", "beat")
        self.cli_error(USAGE, "tasks", "schedule", "tick", "beat", "--cron", "nonsense")


if __name__ == "__main__":
    unittest.main()
