"""The default branch of the project's repository: as the CI system names it, else as the clone has kept it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from towline.commands.build import facts
from towline.commands.call import Call
from towline.config.documents import PROJECT_FILE, Document, parse_document
from towline.errors import ConfigError
from towline.files import misfit
from towline.git.checkout import at_tip, default_branch
from towline.pipeline.productive import DefaultBranch

_EVENT, _ACTIONS = "GITHUB_EVENT_PATH", "GitHubActions"
_LARGEST = 32 * 1024 * 1024


def default_of(call: Call, config: str = "") -> Callable[[], DefaultBranch]:
    """Who asks gets the default branch; it is looked for once, and only then.

    `config` is the project's file, where that is not its usual one.
    """

    @cache
    def found() -> DefaultBranch:
        known = _named(call)
        return (
            replace(known, tip=cache(partial(_configuration, call, known.name, config)))
            if known.name
            else known
        )

    return found


def _named(call: Call) -> DefaultBranch:
    """What the CI system says, else the clone; neither may."""
    known = facts(call)
    if known.default:
        return DefaultBranch(name=known.default, by=known.default_by)
    if known.system == _ACTIONS and (name := _of_event(call)):
        return DefaultBranch(name=name, by=f"repository.default_branch in {_EVENT}")
    name = default_branch(call.folder, call.environ)
    return DefaultBranch(name=name, by="origin/HEAD") if name else DefaultBranch()


def _of_event(call: Call) -> str:
    """The default branch in the payload of a workflow's event (GitHub Actions, "Default environment variables")."""
    path = call.environ.get(_EVENT, "")
    try:
        if not path or misfit(Path(path), _LARGEST):
            return ""
        repository = json.loads(Path(path).read_text(encoding="utf-8"))["repository"]
        name = repository["default_branch"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
    return name if isinstance(name, str) else ""


def _configuration(call: Call, branch: str, config: str) -> Document | None:
    """The project's configuration on the tip of the default branch; None where the tip is not here, or its configuration cannot be read."""
    for name in (config,) if config else (PROJECT_FILE, PROJECT_FILE.replace(".yml", ".yaml")):
        text = at_tip(call.folder, call.environ, branch, name)
        if text is None:
            return None
        if text:
            try:
                return parse_document(text, f"{name} on {branch}", trusted=False)
            except ConfigError:
                return None
    return Document(name=f"{PROJECT_FILE} on {branch}", trusted=False, content={}, marks={})
