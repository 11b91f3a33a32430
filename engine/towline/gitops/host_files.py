"""Pure.

The files of a repository by which a code host or a CI system runs programs or grants rights: to
write them is more than to deploy an image.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from towline.errors import ConfigError
from towline.file_patterns import match_files

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
    """Pass if none of `paths` is a file of a code host, except for `allowed` (paths and globs).

    Raises ConfigError.
    """
    for path in paths:
        if _is_host_file(path) and not any(match_files(pattern, [path]) for pattern in allowed):
            raise ConfigError(
                f"{path} is a file by which a code host or CI system runs programs or gives rights:"
                " a deployment does not write it",
                where=path,
                hint=(
                    "deploy another file, or let a trusted layer name it in allowedPaths"
                    " (PIPER_allowedPaths on the agent)"
                ),
            )


def _is_host_file(path: str) -> bool:
    lower_path = path.lower()
    return any(lower_path.startswith(f"{folder}/") for folder in _FOLDERS) or any(
        match_files(pattern, [lower_path]) for pattern in _FILES
    )
