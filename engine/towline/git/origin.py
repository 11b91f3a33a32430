"""Where the workspace comes from, for hints: the remote `origin` of its checkout."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from towline.errors import TowlineError
from towline.process import Overrun, find, run

_SECONDS = 10.0


def origin(folder: Path, environ: Mapping[str, str]) -> str:
    """The URL of the remote `origin` as `folder`'s own git configuration has it; empty where there is no checkout, no git or no such remote.

    Only the one file is read: nothing of the machine's settings, and nothing that it includes.
    """
    program, settings = find("git", environ), folder / ".git" / "config"
    if not program or not settings.is_file():
        return ""
    command = [program, "config", "--file", str(settings), "--no-includes", "--get", "remote.origin.url"]
    try:
        done = run(command, environment={"PATH": environ.get("PATH", os.defpath), "GIT_CONFIG_NOSYSTEM": "1"}, folder=folder, seconds=_SECONDS)
    except (TowlineError, Overrun):
        return ""
    return done.out.decode("utf-8", "replace").strip() if done.code == 0 else ""
