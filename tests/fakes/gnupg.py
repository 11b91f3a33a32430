"""A home of GnuPG with a key, for tests.

`gpgconf --kill` returns before the agent has ended. A gpg that connects to an agent which is about
to end fails ("error getting keyinfo from agent: End of file"), and such an agent may remove the
sockets of the next one. So one agent serves all commands of a home, and closing the home waits for
the agent's end.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

SOON = 120.0  # seconds; a wait reaches this limit only if something is broken


class GnuPG:
    """`gpg` in a home of its own, whose one agent serves all commands."""

    def __init__(self) -> None:
        # Names of sockets have at most 107 bytes, which a folder of pytest's may use up.
        self.home = Path(tempfile.mkdtemp(prefix="gnupg-", dir="/tmp"))
        self.environment = {"GNUPGHOME": str(self.home), "PATH": os.environ["PATH"]}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["gpgconf", "--kill", "gpg-agent"], env=self.environment, check=True)
        wait(lambda: not agents(self.home), f"the agent of {self.home} has not ended")
        shutil.rmtree(self.home)

    def run(self, *words: str, stdin: str = "") -> str:
        """The output of gpg."""
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
            command, input=stdin, env=self.environment, text=True, capture_output=True, check=True
        ).stdout

    def make_key(self) -> str:
        """The text of a new private key without a passphrase, which stays in the home.

        It was made yesterday: gpg signs by no key of the future, and a clock may be set back.
        """
        yesterday = f"--faked-system-time={int(time.time()) - 24 * 3600}"
        user = "Deployer <deployer@example.com>"
        self.run(yesterday, "--quick-generate-key", user, "ed25519", "sign", "never")
        return self.run("--export-secret-keys", "--armor")


def agents(home: Path) -> list[str]:
    """The command lines of the agents that run for a home; one that is about to end counts."""
    every = ["ps", "-eww", "-o", "args"]  # -ww: in full, whatever COLUMNS is set to
    running = subprocess.run(every, capture_output=True, text=True, check=True).stdout.splitlines()
    return [
        words
        for words in running
        if words.startswith("gpg-agent ") and f"--homedir {home} " in f"{words} "
    ]


def wait(done: Callable[[], bool], otherwise: str) -> None:
    """Wait for something that is certain to happen; raises AssertionError if it does not."""
    end = time.monotonic() + SOON
    while not done():
        assert time.monotonic() < end, otherwise
        time.sleep(0.01)
