"""A script that writes what callers rely on is durable; which are not, though they write, is said here."""

import os
import unittest

import sources

# What nodes note for themselves, and do again, or what costs nobody more than a wait.
OWN_NOTES = {
    "cache_load", "cache_wait", "membership_join", "membership_leave", "membership_renew", "membership_update",
    "presence_release", "room_history", "rooms_unlist", "tasks_claim", "tasks_sweep", "tasks_watch",
}


class DurableTest(unittest.TestCase):
    def test_every_script_is_durable_or_reads_or_writes_notes_of_nodes(self):
        kinds = {True: set(), False: set()}
        for path in sources.paths(".lua", under=("backplane",)):
            text = sources.text(path)
            if not text.startswith("#!lua"):
                continue  # A part of others.
            durable = "\n-- Durable.\n" in text
            reads = "no-writes" in text.splitlines()[0]
            self.assertFalse(durable and reads, path)
            if not reads:
                kinds[durable].add(os.path.basename(path)[:-len(".lua")])
        self.assertEqual(kinds[False], OWN_NOTES)
        self.assertTrue(kinds[True])


if __name__ == "__main__":
    unittest.main()
