#!/usr/bin/python3
"""The command line around its subcommands: how it finds a cluster, tokens, mistakes, help with its examples, shell completion.

Usage: cli_program_test.py PROGRAM [TEST...]
"""

import json
import pathlib
import re
import shlex
import socket
import subprocess
import tempfile
import unittest

from cli_support import (LIMIT_S, OK, PROGRAM, TIMEOUT, UNAUTHORIZED, UNAVAILABLE, USAGE, CliTest, Cluster, Running, environment,
                         free_port, run)

TASK_SUBCOMMANDS = ["enqueue", "await", "get", "watch", "list", "cancel", "delete", "failed", "retry", "remove", "stats", "queues", "workers",
                    "pause", "resume", "delete-queue", "limits", "schedule", "schedules", "unschedule"]
SUBCOMMANDS = ["rpc call", "rpc call-all", "rpc notify", "rpc methods", "rpc serve", "nodes", "watch", "drain", "publish", "subscribe",
               "work", *(f"tasks {name}" for name in TASK_SUBCOMMANDS), "completion bash", "completion zsh", "completion fish"]


def help_of(subcommand):
    return run(*subcommand.split(), "--help").stdout


def example_of(subcommand):
    """The command line under "Example:", as words."""
    [example] = re.findall(r"\nExample:\n  (.+)\n", help_of(subcommand))
    return shlex.split(example)


class AddressTest(unittest.TestCase):

    def test_the_data_directory_knows_the_address_while_the_cluster_runs(self):
        cluster = Cluster(2)
        self.assertEqual(cluster.address_file.read_text(),
                         "".join(f"127.0.0.1:{port}\n" for port in range(cluster.port, cluster.port + 3)))
        for flags, env in (([f"--data-dir={cluster.data_dir}"], environment()),
                           ([], environment(ACTIONCLUSTER_DATA_DIR=cluster.data_dir)),
                           ([f"--address=127.0.0.1:{cluster.port}"], environment()),
                           ([], environment(ACTIONCLUSTER_ADDRESS=f"127.0.0.1:{cluster.port + 1},127.0.0.1:{cluster.port + 2}")),
                           ([f"--address=localhost:{cluster.port}"], environment(ACTIONCLUSTER_ADDRESS="127.0.0.1:1"))):
            for args in (["nodes", "--json", *flags], [*flags, "--json", "nodes"]):
                result = run(*args, env=env)
                self.assertEqual((result.returncode, len(json.loads(result.stdout)["nodes"])), (OK, 2), result)
        cluster.close()
        self.assertFalse(cluster.address_file.exists())
        self.assertEqual(run("nodes", f"--data-dir={cluster.data_dir}").returncode, UNAVAILABLE)

    def test_the_default_data_directory_is_looked_into(self):
        with tempfile.TemporaryDirectory() as folder:
            home = pathlib.Path(folder, "state", "actioncluster")
            home.mkdir(parents=True)
            home.joinpath("actioncluster.address").write_text("127.0.0.1:1\n")
            result = run("nodes", env=environment(XDG_STATE_HOME=f"{folder}/state"))
            self.assertEqual(result.returncode, UNAVAILABLE)
            self.assertIn(f"{home}/actioncluster.address", result.stderr)

    def test_a_cluster_that_was_killed_is_named_and_its_successor_found(self):
        cluster = Cluster(1)
        self.addCleanup(cluster.close)
        cluster.process.kill()
        cluster.process.wait(LIMIT_S)
        cluster.process.stdout.close()
        self.assertTrue(cluster.address_file.exists())
        # Its nodes end by themselves as soon as they hear of it.
        while (result := run("nodes", f"--data-dir={cluster.data_dir}")).returncode == OK:
            pass
        self.assertEqual(result.returncode, UNAVAILABLE, result)
        for text in (f"127.0.0.1:{cluster.port}", str(cluster.address_file), "was killed", "Connection refused"):
            self.assertIn(text, result.stderr)
        self.assertEqual(len(result.stderr.splitlines()), 1)
        for subcommand in (["watch"], ["publish", "x"], ["subscribe", "x"], ["rpc", "serve", "x", "--exec", "cat"], ["drain"],
                           ["rpc", "call", "x"], ["rpc", "call-all", "x"], ["rpc", "notify", "x"], ["rpc", "methods"],
                           ["work", "--exec", "cat"], ["tasks", "enqueue", "x"], ["tasks", "stats"], ["tasks", "watch", "q/1"]):
            self.assertEqual(run(*subcommand, f"--data-dir={cluster.data_dir}").returncode, UNAVAILABLE, subcommand)
        cluster.start(1)
        self.assertEqual(run("nodes", f"--data-dir={cluster.data_dir}").returncode, OK)

    def test_start_takes_no_offence_at_the_variables_of_clients(self):
        port = free_port(2)
        with tempfile.TemporaryDirectory() as folder:
            env = environment(ACTIONCLUSTER_ADDRESS="127.0.0.1:1", ACTIONCLUSTER_CALL_METHOD="x", ACTIONCLUSTER_TASK_ID="x")
            start = subprocess.Popen([PROGRAM, "start", "--port", str(port), "--data-dir", f"{folder}/data"], env=env,
                                     stdout=subprocess.PIPE, text=True)
            self.assertTrue(any("ready on" in line for line in start.stdout))
            start.terminate()
            self.assertEqual(start.wait(LIMIT_S), 0)
            start.stdout.close()

    def test_one_that_takes_connections_and_says_nothing_is_a_timeout(self):
        with socket.create_server(("127.0.0.1", 0)) as mute:
            address = f"127.0.0.1:{mute.getsockname()[1]}"
            for subcommand in (["nodes"], ["rpc", "call", "x"], ["subscribe", "x"], ["rpc", "serve", "x", "--exec", "cat"],
                               ["work", "--exec", "cat"], ["tasks", "stats"]):
                result = run(*subcommand, "--address", address, "--timeout", "200ms")
                self.assertIn(result.returncode, (TIMEOUT, UNAVAILABLE), result)
                self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)


class TokenTest(unittest.TestCase):

    def test_the_token_is_shown_and_needed(self):
        with tempfile.TemporaryDirectory() as folder:
            right, wrong, open_, short = (pathlib.Path(folder, name) for name in ("right", "wrong", "open", "short"))
            for file, text, mode in ((right, "0123456789abcdef\n", 0o600), (wrong, "fedcba9876543210\n", 0o600),
                                     (open_, "0123456789abcdef\n", 0o644), (short, "0123\n", 0o600)):
                file.write_text(text)
                file.chmod(mode)
            cluster = Cluster(1, "--api-token-file", str(right))
            self.addCleanup(cluster.close)
            base = ["nodes", f"--data-dir={cluster.data_dir}"]
            self.assertEqual(run(*base, "--api-token-file", str(right)).returncode, OK)
            self.assertEqual(run(*base, env=environment(ACTIONCLUSTER_API_TOKEN_FILE=str(right))).returncode, OK)
            for args, code, text in (([], UNAUTHORIZED, "UNAUTHENTICATED"),
                                     (["--api-token-file", str(wrong)], UNAUTHORIZED, "UNAUTHENTICATED"),
                                     (["--api-token-file", str(open_)], UNAUTHORIZED, "chmod 600"),
                                     (["--api-token-file", str(short)], USAGE, "16"),
                                     (["--api-token-file", f"{folder}/none"], USAGE, "No such file")):
                result = run(*base, *args)
                self.assertEqual(result.returncode, code, result)
                self.assertIn(text, result.stderr)
            for subcommand in (["subscribe", "x"], ["rpc", "serve", "x", "--exec", "cat"], ["watch"], ["work", "--exec", "cat"],
                               ["tasks", "enqueue", "x"]):
                result = run(*subcommand, f"--data-dir={cluster.data_dir}")
                self.assertEqual(result.returncode, UNAUTHORIZED, result)
                self.assertIn("UNAUTHENTICATED", result.stderr)


class UsageTest(unittest.TestCase):

    def test_mistakes_are_told_in_one_line_that_names_the_help(self):
        for args, text in ((["bogus"], "no subcommand bogus; see actioncluster --help"), (["rpc", "bogus"], "see actioncluster rpc --help"),
                           (["rpc"], "see actioncluster rpc --help"), (["rpc", "call"], "METHOD is required"),
                           (["nodes", "--bogus"], "see actioncluster nodes --help"), (["nodes", "a", "b"], "b"),
                           (["rpc", "call", "x", "--node", "a", "--any"], "excludes"), (["rpc", "serve", "x"], "--exec is required"),
                           (["nodes", "--timeout", "5"], "with its unit"), (["nodes", "--address", "nowhere"], "nowhere"),
                           (["rpc", "serve", "x", "--exec", "y", "--max-in-flight", "0"], "1 to 1024"), ([], "actioncluster --help")):
            result = run(*args)
            self.assertEqual((result.returncode, result.stdout), (USAGE, ""), result)
            self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
            self.assertIn(text, result.stderr)
        self.assertEqual(json.loads(run("rpc", "bogus", "--json").stderr)["exit_code"], USAGE)

    def test_a_closed_output_is_an_error_and_nobody_elses_connection(self):
        for command, code, text in (('"$0" --help >&-', 1, "cannot be written"), ('"$0" nodes --address 127.0.0.1:1 2>&-', UNAVAILABLE, ""),
                                    ('"$0" rpc call x --data-file - <&-', USAGE, "-: ")):
            shell = subprocess.run(["sh", "-c", command, PROGRAM], capture_output=True, text=True, timeout=LIMIT_S, env=environment())
            self.assertEqual((shell.returncode, shell.stdout), (code, ""), shell)
            self.assertIn(text, shell.stderr)

    def test_foreign_text_cannot_reach_the_terminal_as_control_characters(self):
        result = run("rpc", "\x1b[2J\nforged")
        self.assertNotIn("\x1b", result.stderr)
        self.assertEqual(len(result.stderr.splitlines()), 1)

    def test_the_main_help_lists_all_subcommands_and_exit_codes(self):
        text = run("--help").stdout
        for subcommand in SUBCOMMANDS + ["start"]:
            self.assertRegex(text, rf"(?m)^  {subcommand} ")
        for code in (*range(10), 130, 141):
            self.assertRegex(text, rf"(?m)^  {code} +\w")
        for heading in ("Nodes:", "Calls:", "Messages:", "Tasks:", "This program:"):
            self.assertIn(f"\n{heading}\n", text)
        self.assertEqual(run("-h").stdout, text)
        self.assertRegex(run("--version").stdout, r"^actioncluster \d+\.\d+\.\d+\n$")


class ExampleTest(CliTest):

    def test_each_help_has_one_example_of_its_own_subcommand(self):
        for subcommand in SUBCOMMANDS:
            self.assertIn(f"actioncluster {subcommand}", " ".join(example_of(subcommand)))

    def test_the_examples_that_end_do_what_they_say(self):
        self.assertIn("actioncluster-worker-1", self.cli(*example_of("rpc call")[1:]).stdout)
        for subcommand in ("rpc call-all", "rpc notify", "rpc methods", "nodes", "publish", "tasks enqueue", "tasks list", "tasks failed",
                           "tasks limits", "tasks queues", "tasks stats", "tasks workers", "tasks retry", "tasks remove", "tasks pause",
                           "tasks resume", "tasks schedule", "tasks schedules", "tasks unschedule"):
            self.assertTrue(self.cli(*example_of(subcommand)[1:]).stdout, subcommand)

    def test_the_examples_that_go_on_do_what_they_say(self):
        watch = Running(*example_of("watch")[1:], env=self.env)
        self.addCleanup(watch.close)
        self.assertIn("joined", watch.out())
        subscriber = Running(*example_of("subscribe")[1:], env=self.env)
        self.addCleanup(subscriber.close)
        subscriber.err("attached")
        self.cli(*example_of("publish")[1:])
        self.assertIn('{"headline":"it works"}', subscriber.out())
        host = Running(*example_of("rpc serve")[1:], env=self.env)
        self.addCleanup(host.close)
        host.err("clock is offered")
        self.assertRegex(self.cli("rpc", "call", "clock").stdout, r"^\d{10}\n$")

    def test_the_example_of_drain_drains(self):
        cluster = Cluster(2)
        self.addCleanup(cluster.close)
        self.assertEqual(run(*example_of("drain")[1:], f"--data-dir={cluster.data_dir}").returncode, OK)


class CompletionTest(unittest.TestCase):

    def complete(self, *words):
        """What bash offers for the last of the words."""
        script = ('source <("$0" completion bash) || exit 1; COMP_WORDS=(actioncluster "$@"); COMP_CWORD=$#; _actioncluster; '
                  'complete -p actioncluster >/dev/null || exit 1; printf "%s\\n" "${COMPREPLY[@]}"')
        shell = subprocess.run(["bash", "--norc", "-uc", script, PROGRAM, *words], capture_output=True, text=True, timeout=LIMIT_S,
                               env=environment(), check=True)
        self.assertEqual(shell.stderr, "")
        return shell.stdout.split("\n")[:-1] if shell.stdout != "\n" else []

    def test_bash_completes_each_subcommand_and_each_option_in_its_help(self):
        for subcommand in SUBCOMMANDS:
            words = subcommand.split()
            for i in range(len(words)):
                self.assertIn(words[i], self.complete(*words[:i], words[i][:2]))
            offered = self.complete(*words, "--")
            in_help = re.findall(r"(?m)^  (?:-h,)?(--[a-z-]+)", help_of(subcommand))
            self.assertEqual(sorted(offered), sorted(in_help), subcommand)

    def test_bash_completes_the_settings_of_start(self):
        in_help = re.findall(r"(?m)^  (--[a-z-]+) ", run("start", "--help").stdout)
        self.assertGreater(len(in_help), 5)
        self.assertLessEqual(set(in_help), set(self.complete("start", "--")))

    def test_bash_does_not_take_an_options_value_for_a_subcommand(self):
        self.assertEqual(self.complete("--data-dir", "rpc", "no"), ["nodes"])
        self.assertEqual(self.complete("--address", "=", "nodes", "rpc", "no"), ["notify"])
        self.assertEqual(self.complete("--json", "rpc", "call-"), ["call-all"])

    def test_bash_completes_files_and_directories(self):
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "some file").touch()
            pathlib.Path(folder, "some folder").mkdir()
            self.assertEqual(sorted(self.complete("publish", "x", "--data-file", f"{folder}/some")),
                             [f"{folder}/some file", f"{folder}/some folder"])
            self.assertEqual(self.complete("nodes", "--data-dir", "=", f"{folder}/so"), [f"{folder}/some folder"])
        self.assertEqual(self.complete("nodes", "--timeout", ""), [])

    def test_zsh_and_fish_are_told_the_same(self):
        for shell in ("zsh", "fish"):
            script = run("completion", shell).stdout
            for word in ("rpc call", "data-file", "max-in-flight", "subscribe", "rpc-timeout"):
                self.assertIn(word, script)


if __name__ == "__main__":
    unittest.main()
