"""The trailers of a message, compared with those that git itself finds."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from towline.gitops.commit_message import append_trailers, default_message, last_paragraph

OURS = ("Towline-Stage: Release", "Towline-Image: r.example/app:1")
SIGNED = "Signed-off-by: Bot <bot@example.com>"
CHANGE = "Change-Id: I0123456789012345678901234567890123456789"
FOLDED = "Reviewed-by: Ann\n  of the team\n\tthat reviews"


def git_finds(message: str) -> list[str]:
    """The trailers that `git interpret-trailers` finds, with folded lines joined."""
    done = subprocess.run(
        ["git", "interpret-trailers", "--parse", "--no-divider"],
        input=message,
        text=True,
        capture_output=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    "text",
    [
        "chore: deploy",
        f"chore: deploy\n\n{SIGNED}",
        f"chore: deploy\n\nBecause.\n\n{CHANGE}\n{SIGNED}\nCo-authored-by: Ann <ann@example.com>\n",
        f"chore: deploy\n\n{FOLDED}\n{SIGNED}",
        # git takes a paragraph that has one of git's own lines for trailers
        f"chore: deploy\n\nFixes the pipeline,\nat last.\n{SIGNED}",
        "chore: deploy\n\n(cherry picked from commit 0123456789abcdef)\nit is\na backport",
        f"chore: deploy\n\none\ntwo\nthree\nfour\n{SIGNED}",  # but not where most of it is text
        "chore: deploy\n\nRefs #12\nCo-authored-by: Ann <ann@example.com>",
        f"chore: deploy\n\none\n  two\n\tthree\n  four\n{SIGNED}",
        f"chore: deploy\n{SIGNED}",  # the title's paragraph
        f"chore: deploy\r\n\r\nBecause.\r\n\r\n{SIGNED}\r\n",
        f"chore: deploy\n \t\n{SIGNED}",
        f"chore: deploy\n\n\n\n{SIGNED}\n\n\n",
        f"chore: deploy\n\n{SIGNED}\n\nThe end",
        "chore: deploy\n\nCo-authored-by: Ann <ann@example.com>\n# a comment",
        "chore: deploy\n\n# a comment\n  indented\nCo-authored-by: Ann <ann@example.com>",
        "chore: deploy\n\n  indented\nCo-authored-by: Ann <ann@example.com>",
        "chore: deploy\n\nspaced-out : value",
        "chore: deploy\n\nno trailer: since its name has a blank",
        "chore: deploy\n\nhttps://example.com/what-git-takes-for-one",
        "chore: deploy\n\n: nothing",
        "chore: deploy\n\nDone: yes, it is\nit goes on here",
        SIGNED,
    ],
)
def test_git_finds_the_trailers_of_the_text_and_ours(text: str) -> None:
    clean = text.replace("\r\n", "\n")
    message = append_trailers(text, OURS, reserved=["Towline-"])
    assert git_finds(message) == [*git_finds(f"{clean.strip()}\n"), *OURS]
    assert last_paragraph(message)[-2:] == list(OURS)
    words = clean.strip().split()
    assert message.split()[: len(words)] == words, "nothing of the text is lost"


@pytest.mark.parametrize(
    "left",
    ["Towline-Stage: other", "towline-stage: other\n goes on", "TOWLINE-X: y\nTowline-Request: z"],
)
def test_a_reserved_name_is_left_out_and_nothing_else(left: str) -> None:
    message = append_trailers(f"Ship\n\n{SIGNED}\n{left}\n{CHANGE}", OURS, reserved=["Towline-"])
    assert message == f"Ship\n\n{SIGNED}\n{CHANGE}\n{OURS[0]}\n{OURS[1]}\n"


def test_without_ours_the_text_stays() -> None:
    assert append_trailers(f"Ship\n\n{SIGNED}", (), reserved=["Towline-"]) == f"Ship\n\n{SIGNED}\n"
    assert append_trailers("Ship", (), reserved=["Towline-"]) == "Ship\n"


def test_a_commit_shows_them(tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*words: str, stdin: str = "") -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        return subprocess.run(
            ["git", *identity, *words],
            cwd=tmp_path,
            env=environ,
            input=stdin,
            text=True,
            capture_output=True,
            check=True,
        ).stdout.strip()

    git("init", "--quiet", "--bare")
    commit = git(
        "commit-tree",
        git("mktree"),
        stdin=append_trailers(f"Ship\n\n{FOLDED}\n{CHANGE}\n{SIGNED}", OURS, reserved=["Towline-"]),
    )
    assert git("log", "-1", "--format=%(trailers:only,unfold)", commit).splitlines() == [
        "Reviewed-by: Ann of the team that reviews",
        CHANGE,
        SIGNED,
        *OURS,
    ]


def test_the_default_text_is_pipers_with_the_stage() -> None:
    assert (
        default_message("r.example.com/demo", "1.0") == "Updated r.example.com/demo to version 1.0"
    )
    assert (
        default_message("r.example.com/demo", "1.0", stage="Release\nx: y")
        == "Updated r.example.com/demo to version 1.0 in Release x: y"
    )
