"""The flood looks to git like a server's answer."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.fakes.git_flood import flooding


@pytest.mark.parametrize(
    ("kind", "words"), [("refs", "ls-remote"), ("pack", "clone --bare --depth=1")]
)
def test_git_takes_it_until_it_is_stopped(kind: str, words: str, tmp_path: Path) -> None:
    with flooding(kind) as url:
        limited = (
            f"trap '' XFSZ; ulimit -f 16384 -v 1000000; exec git {words} {url}"
            f" {tmp_path / 'copy' if kind == 'pack' else ''}"
        )
        done = subprocess.run(
            ["bash", "-c", limited], capture_output=True, text=True, check=False, timeout=120
        )
    said = {"refs": "emory", "pack": "File too large"}[kind]
    assert (done.returncode != 0, said in done.stderr) == (True, True), done.stderr
