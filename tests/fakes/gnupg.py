"""A home of GnuPG with a key, for tests; its agent has ended when it is closed, and no command
meets one that is about to end.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

SOON = 120.0  # seconds that nobody waits for unless something is broken


class GnuPG:
    """`gpg` in a home of its own, whose one agent serves all commands."""

    def __init__(self, home: Path) -> None:
        home.mkdir(mode=0o700, exist_ok=True)
        self.home = home
        self._environment = {"GNUPGHOME": str(home), "PATH": os.environ["PATH"]}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["gpgconf", "--kill", "gpg-agent"], env=self._environment, check=True)
        wait(lambda: not agents(self.home), f"the agent of {self.home} has not ended")

    def run(self, *words: str, stdin: str = "") -> str:
        """What gpg prints."""
        command = [
            "gpg",
            "--batch",
            "--no-tty",
            "--passphrase",
            "",
            "--pinentry-mode",
            "loopback",
            *words,
        ]
        return subprocess.run(
            command, input=stdin, env=self._environment, text=True, capture_output=True, check=True
        ).stdout

    def make_key(self) -> str:
        """The text of a new private key without a passphrase, which stays in the home."""
        self.run(
            "--quick-generate-key", "Deployer <deployer@example.com>", "ed25519", "sign", "never"
        )
        return self.run("--export-secret-keys", "--armor")


def agents(home: Path) -> list[str]:
    """The command lines of the agents that run for a home; one that is about to end counts."""
    running = subprocess.run(
        ["ps", "-eo", "args"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [
        words
        for words in running
        if words.startswith("gpg-agent ") and f"--homedir {home} " in f"{words} "
    ]


def wait(done: Callable[[], bool], otherwise: str) -> None:
    """Wait for something that is certain to happen; raises AssertionError where it does not."""
    end = time.monotonic() + SOON
    while not done():
        assert time.monotonic() < end, otherwise
        time.sleep(0.01)
