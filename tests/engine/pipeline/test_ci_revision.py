from __future__ import annotations

from typing import Any

import pytest

from towline.pipeline.ci import NO_CHANGE, BuildFacts, Checkout, Revision, built_revision

ONE, TWO, THREE = "1" * 40, "2" * 40, "3" * 40
BRANCH = BuildFacts(system="GitHubActions", branch="main", branch_by="GITHUB_REF", commit=ONE)
EXACT = BuildFacts(
    system="GitHubActions", branch="main", branch_by="GITHUB_REF", commit=ONE, exact=True
)
TAG = BuildFacts(system="GitLab", tag="v1", branch_by="CI_COMMIT_TAG", commit=ONE)
JOB = BuildFacts(system="Jenkins", commit=ONE)


@pytest.mark.parametrize(
    ("facts", "checkout", "flags", "expected"),
    [
        # a change request, by any sign, comes before all else
        (
            BRANCH,
            Checkout(commits=[ONE]),
            {"change_request": "CHANGE_ID"},
            Revision(change_request="CHANGE_ID"),
        ),
        (
            BRANCH,
            Checkout(commits=[ONE]),
            {"change_request": "CHANGE_ID", "branch": "main"},
            Revision(change_request="CHANGE_ID"),
        ),
        (BRANCH, Checkout(commits=[ONE]), {"change_request": NO_CHANGE}, Revision(branch="main")),
        (BRANCH, Checkout(commits=[ONE]), {"change_request": "false"}, Revision(branch="main")),
        # then what the caller says
        (BRANCH, Checkout(commits=[TWO]), {"branch": "refs/heads/x"}, Revision(branch="x")),
        (TAG, Checkout(), {"branch": "main"}, Revision(branch="main")),
        # then the CI system's branch or tag, if HEAD is its commit or one that a step made on top
        (BRANCH, Checkout(commits=[ONE], branch="other"), {}, Revision(branch="main")),
        (BRANCH, Checkout(commits=[ONE.upper()]), {}, Revision(branch="main")),
        (BRANCH, Checkout(commits=[THREE, TWO, ONE]), {}, Revision(branch="main")),
        (BRANCH, Checkout(), {}, Revision(branch="main")),  # no checkout that could say otherwise
        # no commit is named
        (
            BuildFacts(system="Drone", branch="main"),
            Checkout(commits=[TWO]),
            {},
            Revision(branch="main"),
        ),
        (TAG, Checkout(commits=[ONE], branch="main"), {}, Revision(tag="v1")),
        # else it is not known: a fork may call its branch main, too
        (
            EXACT,
            Checkout(commits=[TWO, ONE], branch="main"),
            {},
            Revision(
                unknown=(
                    "GITHUB_REF names branch main, but HEAD is 222222222222, and the CI system"
                    " builds commit 111111111111"
                )
            ),
        ),
        (
            BRANCH,
            Checkout(commits=[TWO, THREE], branch="main"),
            {},
            Revision(
                unknown=(
                    "GITHUB_REF names branch main, but HEAD is 222222222222, and the CI system"
                    " builds commit 111111111111"
                )
            ),
        ),
        (
            TAG,
            Checkout(commits=[TWO]),
            {},
            Revision(
                unknown=(
                    "CI_COMMIT_TAG names tag v1, but HEAD is 222222222222, and the CI system"
                    " builds commit 111111111111"
                )
            ),
        ),
        # a job of Jenkins without a branch
        (JOB, Checkout(commits=[TWO], branch="feature/x"), {}, Revision()),
        # git's HEAD
        (
            BuildFacts(),
            Checkout(commits=[ONE], branch="feature/x"),
            {},
            Revision(branch="feature/x"),
        ),
        (
            BuildFacts(system="Bitbucket"),
            Checkout(commits=[ONE], branch="main"),
            {},
            Revision(branch="main"),
        ),
        (
            BuildFacts(),
            Checkout(commits=[ONE]),
            {},
            Revision(unknown="no variable of a CI system names it, and HEAD is detached"),
        ),
        (BuildFacts(), Checkout(), {}, Revision(unknown="no variable of a CI system names it")),
    ],
)
def test_the_first_source_that_knows_the_revision_wins(
    facts: BuildFacts, checkout: Checkout, flags: dict[str, Any], expected: Revision
) -> None:
    assert built_revision(facts, checkout, **flags) == expected
