"""The rights in deploy/redis-users.acl are those that the scripts and the nodes' own commands need, and no others."""

import re
import unittest

import sources

CALL = re.compile(r"redis\.p?call\(([^,)]*)")
# A call may choose between two.
NAME = re.compile(r"'([A-Z]+)'")
IN_SOURCES = re.compile(r'(?:\bCommand\(|> \w+ = )\{\s*"([A-Z]+)"(?:, "([A-Z]+)")?')
CONTAINERS = {"CLIENT", "PUBSUB", "SCRIPT"}
# Everybody may say who he is; sentinels have users of their own.
OTHERS = {"auth", "sentinel"}


def needed():
    commands = set()
    for path in sources.paths(".lua", under=("backplane",)):
        for call in CALL.findall(sources.text(path)):
            commands.update(name.lower() for name in NAME.findall(call))
    for path in sources.paths(".cc", ".h", under=("backplane",)):
        for name, second in IN_SOURCES.findall(sources.text(path)):
            commands.add((f"{name}|{second}" if name in CONTAINERS else name).lower())
    return commands - OTHERS


class UsersTest(unittest.TestCase):
    def test_the_node_s_user_may_run_what_is_run_and_nothing_else(self):
        (line,) = sources.text("deploy/redis-users.acl").splitlines()
        rules = line.split()
        self.assertEqual(rules[:2], ["user", "actioncluster"])
        self.assertIn("-@all", rules)
        allowed = {rule[1:] for rule in rules if rule.startswith("+")}
        self.assertEqual(allowed, needed())

    def test_scripts_spell_commands_so_that_they_are_found(self):
        for path in sources.paths(".lua", under=("backplane",)):
            for call in CALL.findall(sources.text(path)):
                self.assertTrue(NAME.search(call), f"{path}: {call}")


if __name__ == "__main__":
    unittest.main()
