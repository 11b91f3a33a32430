"""A step for tests: it leaves secrets for later steps, and shows what it was given."""

from __future__ import annotations

import json
from pathlib import Path

from towline.contract import Outcome
from towline.errors import ConfigError
from towline.steps.task import Task

LEAVES_SECRETS = True
PASSWORD = 'staging-"pa55\n\u00e4'
LOGIN = {"user": "bob", "apiToken": "t0ken-of-bob"}


def leaves(_task: Task) -> bool:
    """Whether the step leaves anything."""
    return True


def run(task: Task) -> Outcome:
    """Write what was given to the file $SEEN; fail after that if $FAILS is set."""
    seen = {"environment": dict(task.pipeline_environment)}
    Path(task.environ["SEEN"]).write_text(json.dumps(seen))
    left: dict[str, object] = {
        "custom/stagingPassword": PASSWORD,
        "custom/user": "bob",
        "custom/login": LOGIN,
    }
    if task.environ.get("FAILS"):
        raise ConfigError("it fails afterwards", pipeline_environment=left)
    return Outcome(status="success", summary=f"logged in by {PASSWORD}", pipeline_environment=left)
