"""Who decides in tests where credentials go: the engine's own rules, for a build of which the
test says whether it is productive.
"""

from __future__ import annotations

from towline.config.credential_rules import rules_of
from towline.config.settings import Settings
from towline.credential_hosts import Addressees, Standing

PRODUCTIVE = Standing(project=True, build="the productive branch main")
BRANCH = Standing(project=False, build="branch x is built, which is not productive")
REQUEST = Standing(
    project=False, build="CHANGE_ID says that a change request is built", request=True
)


def addressees(
    settings: Settings, standing: Standing = PRODUCTIVE, told: list[str] | None = None
) -> Addressees:
    """What is asked before each use of a credential; `told` gets what is said, warnings behind
    `warning: `.
    """
    lines = [] if told is None else told
    return Addressees(
        rules_of(settings, lambda: standing),
        say=lines.append,
        warn=lambda text: lines.append(f"warning: {text}"),
    )
