"""The repository's files, as the lint tests see them."""

import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def paths(*suffixes, under=("backplane", "server", "client", "tests", "proto")):
    """Paths relative to the root, sorted: what git tracks, or would track."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "-c", f"safe.directory={ROOT}", "ls-files", "-z",
         "--cached", "--others", "--exclude-standard", "--", *under],
        check=True, capture_output=True, text=True).stdout.split("\0")
    return sorted(path for path in set(listed) if path.endswith(suffixes) and (ROOT / path).is_file())


def text(path):
    return (ROOT / path).read_text(encoding="utf-8")
