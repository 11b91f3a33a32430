"""Private keys of a step: as text, or as the path of a file that a pull request cannot choose."""

from __future__ import annotations

from pathlib import Path

from towline.errors import CredentialError
from towline.steps.task import Task


def key_text(task: Task, name: str) -> str:
    """The text of the key that the parameter `name` holds or names, masked; empty where it is not set; raises CredentialError."""
    settings = task.settings
    text, origin = settings.text(name).strip(), settings.origin(name)
    if text.startswith("/") and "\n" not in text:
        if not settings.trusted(name):
            raise CredentialError(
                "what a pull request can change may not name a key on the agent",
                where=origin,
                hint=(
                    f"name it by PIPER_{name}, in the call of the step, or as a Jenkins credential"
                ),
            )
        try:
            text = Path(text).read_text(encoding="utf-8")
        except (OSError, ValueError) as fault:
            raise CredentialError(
                f"the file of {name} cannot be read",
                where=origin,
                hint="give the path of a key, or its text",
            ) from fault
    if text:
        task.console.hide(text, real=settings.trusted(name))
    return text
