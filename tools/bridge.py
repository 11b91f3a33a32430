"""Writes resources/towline/bridge.json: all that vars/towline.groovy needs, in one resource.

It holds the version, the text of the launcher (engine.sh) and the names of secrets. In a released
library it also holds the checksum of the library's engine, which the launcher's text then names;
`make dist` writes that one. A test compares the file with its sources, so run this after each
change of them: `.venv/bin/python tools/bridge.py`.
"""

# ruff: noqa: INP001 - a program beside setup.sh, not a package

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT / "resources" / "towline"
BRIDGE = SHARED / "bridge.json"


def bridge(shared: Path = SHARED, engine: Mapping[str, str] | None = None) -> str:
    """The text of bridge.json for the resources in the folder `shared`.

    `engine` has `sha256`, and `url` if the library does not hold the engine itself.
    """
    document = {
        "version": (shared / "VERSION").read_text(encoding="utf-8").strip(),
        "launcher": launcher((shared / "engine.sh").read_text(encoding="utf-8"), engine or {}),
        "secretNames": secret_names((shared / "secret_names.txt").read_text(encoding="utf-8")),
        **({"engine": dict(engine)} if engine else {}),
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def launcher(text: str, engine: Mapping[str, str]) -> str:
    """The text of the launcher with the engine that the library names; raises ValueError."""
    for name, value in engine.items():
        empty = f"library_{name}=''\n"
        if text.count(empty) != 1 or not re.fullmatch(r"[A-Za-z0-9:/?#@!$&()*+,;=%._~-]+", value):
            raise ValueError(f"engine.sh has no {empty!r}, or {value!r} is not a URL or checksum")
        text = text.replace(empty, f"library_{name}='{value}'\n")
    return text


def secret_names(text: str) -> dict[str, object]:
    """The list of secret names (secret_names.txt says how it is written).

    `secret` is a pattern that the whole name of a secret matches. `free` has the names of maps and
    lists of ids that are not secret.
    """
    words: dict[str, list[str]] = {"": [], "=": [], "-": [], "*": []}
    for sign, word in re.findall(r"^([=*-]?)([a-z0-9]+)$", text, re.MULTILINE):
        words[sign].append(word)
    ends, parts, whole = ("|".join(words[sign]) for sign in ("-", "", "="))
    return {"secret": f"(?!.*(?:{ends})$)(?:.*(?:{parts}).*|{whole})", "free": words["*"]}


def main() -> None:
    """Write the file."""
    BRIDGE.write_text(bridge(), encoding="utf-8")


if __name__ == "__main__":
    main()
