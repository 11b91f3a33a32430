"""git gets limited memory and disk, for any data of a server and any number of answers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.engine.git.conftest import Opened
from tests.fakes.git_flood import flooding
from tests.fakes.git_server import GitServer
from towline.errors import GitError
from towline.git import limits
from towline.git.partial_clone import make_bare_repository
from towline.git.program import GitProgram
from towline.git.remote import parse_remote
from towline.limits import MIB
from towline.process import Completed
from towline.record import replace
from towline.retry import Clock, Deadline


def held(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("kind", "said"), [("pack", "8 MiB on disk"), ("refs", "96 MiB of memory")]
)
def test_a_server_that_sends_without_an_end_is_refused_at_once(
    kind: str, said: str, opened: Opened, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        limits,
        "USUAL_LIMITS",
        replace(
            limits.USUAL_LIMITS,
            file_size=8 * MIB,
            **({"memory": 96 * MIB} if kind == "refs" else {}),
        ),
    )
    with flooding(kind) as url, pytest.raises(GitError) as caught:
        opened(url=url).fetch("main" if kind == "pack" else "")
    assert caught.value.message.endswith(f"sends more than git may take here ({said})")
    assert (caught.value.where, "uploadpack.allowFilter" in caught.value.hint) == (url, True)
    assert held(temporary) < 10 * MIB


def test_what_the_copies_hold_already_counts(tmp_path: Path) -> None:
    mine = limits.GitLimits(tmp_path)
    assert mine.for_remote(5.0) == replace(limits.USUAL_LIMITS, seconds=5.0)
    (tmp_path / "below").mkdir()
    with (tmp_path / "below/pack").open("wb") as stream:
        stream.truncate(100 * MIB)
    assert mine.for_remote(5.0).file_size == limits.USUAL_LIMITS.file_size - 100 * MIB
    with (tmp_path / "other").open("wb") as stream:
        stream.truncate(1000 * MIB)
    assert mine.for_remote(5.0).file_size == MIB, "enough for git's own small files"
    assert mine.for_local(5.0).file_size == limits.USUAL_LIMITS.file_size


def test_a_server_that_knows_no_partial_clones_may_send_more(
    server: GitServer, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "USUAL_LIMITS", replace(limits.USUAL_LIMITS, file_size=2 * MIB))
    server.create("demo", {"large": os.urandom(4 * MIB), "small": b"1"})
    with (server.folder / "demo.git/config").open("a") as settings:
        settings.write("[uploadpack]\n\tallowFilter = false\n")
    repository = opened()
    entries = {entry.path: entry for entry in repository.listing(repository.fetch("main").commit)}
    assert repository.read([entries["small"]]) == {"small": b"1"}
    monkeypatch.setattr(limits, "STEP_LIMITS", replace(limits.STEP_LIMITS, file_size=3 * MIB))
    with pytest.raises(GitError, match="3 MiB on disk"):
        opened().fetch("main")


def test_a_file_that_takes_more_memory_than_git_may_have_is_refused(
    server: GitServer, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "USUAL_LIMITS", replace(limits.USUAL_LIMITS, memory=48 * MIB))
    server.create("demo", {"large": b"a" * 80 * MIB})  # some bytes on its way
    repository = opened()
    entries = repository.listing(repository.fetch("main").commit)
    with pytest.raises(GitError, match="48 MiB of memory"):
        repository.read(entries)


def test_what_is_here_is_worked_with_within_the_same_memory(
    temporary: Path, environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "USUAL_LIMITS", replace(limits.USUAL_LIMITS, memory=48 * MIB))
    git = GitProgram(
        parse_remote("http://127.0.0.1:1/a.git"),
        folder=temporary,
        secrets=temporary,
        environ=environ,
        deadline=Deadline.after(60, Clock()),
    )
    make_bare_repository(git.repository, 40, {})
    assert git.output("hash-object", "--stdin", "-w", stdin=b"a" * MIB)
    with pytest.raises(
        limits.RepositoryTooLarge,
        match=(
            "git hash-object needs more for this repository than it may take \\(48 MiB of memory\\)"
        ),
    ):
        git.output("hash-object", "--stdin", "-w", stdin=b"a" * 80 * MIB)


@pytest.mark.parametrize(
    ("code", "text", "said"),
    [
        (-25, "", "192 MiB on disk"),
        (128, "error: index-pack died of signal 25", "192 MiB on disk"),
        (128, "fatal: write error: File too large", "192 MiB on disk"),
        (128, "fatal: Out of memory, malloc failed", "256 MiB of memory"),
        (128, "remote: fatal: Out of memory, malloc failed", ""),
        (0, "Out of memory", ""),
        (128, "fatal: No space left on device", ""),
    ],
)
def test_what_git_ended_for_is_told_from_its_own_words(
    code: int, text: str, said: str, tmp_path: Path
) -> None:
    assert limits.GitLimits(tmp_path).exceeded(Completed(code=code, out=b"", err=b""), text) == said
