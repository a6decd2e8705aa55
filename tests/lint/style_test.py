"""What style.md asks for and a machine can see."""

import pathlib
import re
import unittest

import sources

# A little more than the style asks for: past these a file does two things.
LIMITS = {".h": 250, ".cc": 450}
TEST_LIMIT = 550

# In two halves, so that this file does not find itself.
LEFT_OVER = re.compile(r"\b(TO" + "DO|FIX" + r"ME|XX" + r"X)\b")


class StyleTest(unittest.TestCase):

    def test_nothing_is_left_for_later(self):
        found = []
        for path in sources.paths(".h", ".cc", ".lua", ".proto", ".py", ".txt", ".cmake",
                                  under=("backplane", "server", "client", "tests", "proto", "deploy", "CMakeLists.txt")):
            for number, line in enumerate(sources.text(path).splitlines(), 1):
                if LEFT_OVER.search(line):
                    found.append(f"{path}:{number}: {line.strip()}")
        self.assertEqual([], found, "\n" + "\n".join(found))

    def test_files_are_small(self):
        large = []
        for path in sources.paths(".h", ".cc"):
            lines = len(sources.text(path).splitlines())
            limit = TEST_LIMIT if path.startswith("tests/") else LIMITS[pathlib.PurePath(path).suffix]
            if lines > limit:
                large.append(f"{path}: {lines} lines, {limit} at most")
        self.assertEqual([], large, "\n" + "\n".join(large))

    def test_each_header_is_guarded_by_its_path(self):
        wrong = []
        for path in sources.paths(".h"):
            guard = "ACTIONCLUSTER_" + re.sub(r"[^A-Z0-9]", "_", path.upper()) + "_"
            text = sources.text(path)
            if not (text.startswith(f"#ifndef {guard}\n#define {guard}\n") and text.rstrip().endswith(f"#endif  // {guard}")):
                wrong.append(f"{path}: takes the guard {guard}, first and last")
        self.assertEqual([], wrong, "\n" + "\n".join(wrong))

    def test_each_source_is_listed_in_its_folder_and_none_is_globbed(self):
        wrong = []
        for path in sources.paths("CMakeLists.txt"):
            if re.search(r"file\s*\(\s*GLOB", sources.text(path)):
                wrong.append(f"{path}: globs")
        for path in sources.paths(".cc"):
            # Listed where it lies, or further up with the path from there.
            source = pathlib.PurePath(path)
            for folder in source.parents:
                lists = sources.ROOT / folder / "CMakeLists.txt"
                name = re.escape(str(source.relative_to(folder)))
                if lists.is_file() and re.search(rf"(?<![\w/]){name}\b", lists.read_text(encoding="utf-8")):
                    break
            else:
                wrong.append(f"{path}: is in no CMakeLists.txt")
        self.assertEqual([], wrong, "\n" + "\n".join(wrong))


if __name__ == "__main__":
    unittest.main()
