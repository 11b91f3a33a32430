"""Calls of the engine in this process, by its entry point and with a result file."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from towline.cli import main

SAMPLE = (
    Path(__file__).resolve().parents[1] / "examples/azure-demo-k8s-go/.pipeline/config.yml"
).read_text()


class Ending:
    """The end of one call: exit code, log, output, remaining environment, and result file."""

    def __init__(
        self, words: list[str], folder: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        out, err, result = io.StringIO(), io.StringIO(), folder / "result.json"
        self.environ = dict(environ or {})
        self.code = main([*words, "--result", str(result)], environ=self.environ, out=out, err=err)
        self.out, self.err = out.getvalue(), err.getvalue()
        self.result: dict[str, Any] = json.loads(result.read_text())
        result.unlink()

    @property
    def message(self) -> str:
        """The error's message; empty if there is no error."""
        return str((self.result["error"] or {}).get("message", ""))

    @property
    def where(self) -> str:
        """The place of the error; empty if it has none."""
        return str((self.result["error"] or {}).get("where", ""))

    @property
    def hint(self) -> str:
        """The next step that the error names; empty if it names none."""
        return str((self.result["error"] or {}).get("hint", ""))


def configure(folder: Path, text: str) -> None:
    """Write the project's configuration."""
    (folder / ".pipeline").mkdir(exist_ok=True)
    (folder / ".pipeline" / "config.yml").write_text(text)


def team_file(folder: Path, text: str) -> Path:
    """Write the platform team's default document, beside the workspace `folder`."""
    path = folder.with_name(f"{folder.name}-team.yml")
    path.write_text(text)
    return path


def request(folder: Path, **fields: Any) -> list[str]:
    """Write a request and give the flag that names it."""
    (folder / "request.json").write_text(json.dumps({"protocol": 1, **fields}))
    return ["--request", "request.json"]
