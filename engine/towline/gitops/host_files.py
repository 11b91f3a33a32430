"""Pure.

Files of a repository by which a code host or a CI system runs programs or gives rights: whoever
writes them does more than deploy an image.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from towline.errors import ConfigError
from towline.gitops.change import match

_FOLDERS = (
    ".github",
    ".gitea/workflows",
    ".forgejo/workflows",
    ".gitlab",
    ".circleci",
    ".woodpecker",
    ".azure-pipelines",
    ".buildkite",
    ".semaphore",
    ".teamcity",
    ".tekton",
    ".pipeline",
    ".harness",
    ".bitbucket",
)
_FILES = (
    ".gitlab-ci.*",
    ".drone.*",
    ".woodpecker.*",
    "azure-pipelines*",
    "bitbucket-pipelines.*",
    ".travis.*",
    "jenkinsfile*",
    ".cirrus.*",
    "appveyor.*",
    ".appveyor.*",
    "cloudbuild.*",
    "buildspec.*",
    "codeowners",
    "docs/codeowners",
    ".gitmodules",
    ".lfsconfig",
)


def check_files(paths: Iterable[str], allowed: Sequence[str]) -> None:
    """Pass where none of `paths` is such a file, but for those that `allowed` (paths and globs) names; raises ConfigError."""
    for path in paths:
        if _runs(path) and not any(match(pattern, [path]) for pattern in allowed):
            raise ConfigError(
                f"{path} is a file by which a code host or CI system runs programs or gives rights:"
                " a deployment does not write it",
                where=path,
                hint=(
                    "deploy another file, or let a trusted layer name it in allowedPaths"
                    " (PIPER_allowedPaths on the agent)"
                ),
            )


def _runs(path: str) -> bool:
    small = path.lower()
    return any(small.startswith(f"{folder}/") for folder in _FOLDERS) or any(
        match(pattern, [small]) for pattern in _FILES
    )
