"""A deployment writes no file that makes a code host run programs.

Unless the platform team allows it.
"""

from __future__ import annotations

import pytest

from towline.errors import ConfigError
from towline.gitops.host_files import check_files


@pytest.mark.parametrize(
    "path",
    [
        ".github/workflows/x.yaml",
        ".GitHub/workflows/x.yaml",
        ".github/CODEOWNERS",
        ".gitlab-ci.yml",
        ".gitlab/ci/x.yml",
        "Jenkinsfile",
        "Jenkinsfile.release",
        "azure-pipelines.yml",
        ".circleci/config.yml",
        ".pipeline/config.yml",
        "CODEOWNERS",
        ".gitmodules",
        ".woodpecker.yml",
        ".forgejo/workflows/a.yml",
    ],
)
def test_files_that_run_something(path: str) -> None:
    with pytest.raises(ConfigError, match="does not write it") as caught:
        check_files(["apps/web.yaml", path], ["other/**"])
    assert caught.value.where == path
    check_files([path], [path])
    check_files([path], ["**/*", "*"] if "/" not in path else [f"{path.partition('/')[0]}/**"])


@pytest.mark.parametrize(
    "path",
    [
        "apps/.github.yaml",
        "apps/Jenkinsfile",
        "github/workflows/x.yaml",
        "deploy/jenkins/values.yaml",
        "jenkins.yaml",
        "a/.gitlab-ci.yml",
    ],
)
def test_files_that_deploy(path: str) -> None:
    check_files([path], [])
