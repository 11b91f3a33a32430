"""Builds of every CI system by the variables that its documentation has for them."""

from __future__ import annotations

from typing import Any

import pytest

from towline.pipeline.ci import BuildFacts, build_facts, change_variable, system_of

SHA = "0123456789abcdef0123456789abcdef01234567"

JENKINS = {
    "JENKINS_URL": "https://ci.example.com/",
    "BUILD_NUMBER": "12",
    "BUILD_URL": "https://ci.example.com/job/shop/job/main/12/",
    "JOB_NAME": "shop/main",
    "BRANCH_NAME": "main",
    "GIT_URL": "https://git.example.com/shop.git",
    "GIT_COMMIT": SHA,
    "BUILD_USER_ID": "ann",
    "GIT_BRANCH": "origin/main",
}
GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_SHA": SHA,
    "GITHUB_RUN_NUMBER": "12",
    "GITHUB_RUN_ID": "9876543210",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "team/shop",
    "GITHUB_ACTOR": "bob",
    "GITHUB_TRIGGERING_ACTOR": "ann",
    "GITHUB_WORKFLOW_REF": "team/shop/.github/workflows/ci.yml@refs/heads/main",
    "GITHUB_EVENT_NAME": "push",
    "GITHUB_HEAD_REF": "",
}
AZURE = {
    "TF_BUILD": "True",
    "BUILD_SOURCEBRANCH": "refs/heads/main",
    "BUILD_SOURCEVERSION": SHA,
    "BUILD_BUILDID": "1234",
    "BUILD_BUILDNUMBER": "20260102.1",
    "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI": "https://dev.azure.com/team/",
    "SYSTEM_TEAMPROJECT": "My Shop",
    "BUILD_DEFINITIONNAME": "ci",
    "BUILD_REPOSITORY_URI": "https://team@dev.azure.com/team/shop/_git/shop",
    "BUILD_REQUESTEDFOR": "Ann Example",
    "BUILD_REASON": "IndividualCI",
}
GITLAB = {
    "GITLAB_CI": "true",
    "CI_COMMIT_BRANCH": "main",
    "CI_COMMIT_SHA": SHA,
    "CI_PIPELINE_ID": "12",
    "CI_PIPELINE_URL": "https://gitlab.com/t/shop/-/pipelines/12",
    "CI_PROJECT_PATH": "t/shop",
    "CI_PROJECT_URL": "https://gitlab.com/t/shop",
    "GITLAB_USER_LOGIN": "ann",
    "CI_PIPELINE_SOURCE": "push",
    "CI_COMMIT_TIMESTAMP": "2026-01-02T03:04:05+00:00",
    "CI_REPOSITORY_URL": "https://gitlab-ci-token:s3cret@gitlab.com/t/shop.git",
}
BITBUCKET = {
    "BITBUCKET_BUILD_NUMBER": "12",
    "BITBUCKET_BRANCH": "main",
    "BITBUCKET_COMMIT": SHA,
    "BITBUCKET_REPO_FULL_NAME": "t/shop",
    "BITBUCKET_GIT_HTTP_ORIGIN": "https://bitbucket.org/t/shop",
    "BITBUCKET_STEP_TRIGGERER_UUID": "{a-b}",
}
CIRCLE = {
    "CIRCLECI": "true",
    "CIRCLE_BRANCH": "main",
    "CIRCLE_SHA1": SHA,
    "CIRCLE_BUILD_NUM": "12",
    "CIRCLE_BUILD_URL": "https://circleci.com/gh/t/shop/12",
    "CIRCLE_PROJECT_USERNAME": "t",
    "CIRCLE_PROJECT_REPONAME": "shop",
    "CIRCLE_JOB": "deploy",
    "CIRCLE_REPOSITORY_URL": "git@github.com:t/shop.git",
    "CIRCLE_USERNAME": "ann",
}
WOODPECKER = {
    "CI": "woodpecker",
    "CI_COMMIT_BRANCH": "main",
    "CI_COMMIT_SHA": SHA,
    "CI_PIPELINE_NUMBER": "12",
    "CI_PIPELINE_EVENT": "push",
    "CI_REPO": "t/shop",
    "CI_PIPELINE_URL": "https://ci.example.com/repos/7/pipeline/12",
    "CI_REPO_CLONE_URL": "https://git.example.com/t/shop.git",
    "CI_PIPELINE_AUTHOR": "ann",
    "CI_COMMIT_REF": "refs/heads/main",
}
DRONE = {
    "DRONE": "true",
    "CI": "true",
    "DRONE_BRANCH": "main",
    "DRONE_COMMIT_SHA": SHA,
    "DRONE_BUILD_NUMBER": "12",
    "DRONE_BUILD_EVENT": "push",
    "DRONE_BUILD_LINK": "https://drone.example.com/t/shop/12",
    "DRONE_REPO": "t/shop",
    "DRONE_GIT_HTTP_URL": "https://git.example.com/t/shop.git",
    "DRONE_BUILD_TRIGGER": "ann",
    "DRONE_COMMIT_REF": "refs/heads/main",
}
TRAVIS = {
    "TRAVIS": "true",
    "TRAVIS_BRANCH": "main",
    "TRAVIS_COMMIT": SHA,
    "TRAVIS_BUILD_NUMBER": "12",
    "TRAVIS_REPO_SLUG": "t/shop",
    "TRAVIS_PULL_REQUEST": "false",
    "TRAVIS_BUILD_WEB_URL": "https://app.travis-ci.com/t/shop/builds/999",
    "TRAVIS_EVENT_TYPE": "push",
}
BUILDKITE = {
    "BUILDKITE": "true",
    "BUILDKITE_BRANCH": "main",
    "BUILDKITE_COMMIT": SHA,
    "BUILDKITE_BUILD_NUMBER": "12",
    "BUILDKITE_PULL_REQUEST": "false",
    "BUILDKITE_BUILD_URL": "https://buildkite.com/t/shop/builds/12",
    "BUILDKITE_PIPELINE_SLUG": "shop",
    "BUILDKITE_REPO": "git@github.com:t/shop.git",
    "BUILDKITE_BUILD_CREATOR": "Ann Example",
}
EVERY: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "Jenkins": (
        JENKINS,
        {
            "branch_by": "BRANCH_NAME",
            "number": "12",
            "url": "https://ci.example.com/job/shop/job/main/12/",
            "job": "shop/main",
            "source": "https://git.example.com/shop.git",
            "started_by": "ann",
        },
    ),
    "GitHubActions": (
        GITHUB,
        {
            "branch_by": "GITHUB_REF",
            "number": "12",
            "url": "https://github.com/team/shop/actions/runs/9876543210",
            "job": "team/shop/.github/workflows/ci.yml@refs/heads/main",
            "source": "https://github.com/team/shop",
            "started_by": "ann",
        },
    ),
    "AzureDevOps": (
        AZURE,
        {
            "branch_by": "BUILD_SOURCEBRANCH",
            "number": "1234",
            "url": "https://dev.azure.com/team/My%20Shop/_build/results?buildId=1234",
            "job": "My Shop/ci",
            "source": "https://team@dev.azure.com/team/shop/_git/shop",
            "started_by": "Ann Example",
        },
    ),
    "GitLab": (
        GITLAB,
        {
            "branch_by": "CI_COMMIT_BRANCH",
            "number": "12",
            "url": "https://gitlab.com/t/shop/-/pipelines/12",
            "job": "t/shop",
            "source": "https://gitlab.com/t/shop",
            "started_by": "ann",
            "time": "2026-01-02T03:04:05+00:00",
        },
    ),
    "Bitbucket": (
        BITBUCKET,
        {
            "branch_by": "BITBUCKET_BRANCH",
            "number": "12",
            "url": "https://bitbucket.org/t/shop/pipelines/results/12",
            "job": "t/shop",
            "source": "https://bitbucket.org/t/shop",
            "started_by": "{a-b}",
        },
    ),
    "CircleCI": (
        CIRCLE,
        {
            "branch_by": "CIRCLE_BRANCH",
            "url": "https://circleci.com/gh/t/shop/12",
            "job": "t/shop/deploy",
            "source": "git@github.com:t/shop.git",
            "started_by": "ann",
        },
    ),
    "Woodpecker": (
        WOODPECKER,
        {
            "branch_by": "CI_COMMIT_BRANCH",
            "number": "12",
            "url": "https://ci.example.com/repos/7/pipeline/12",
            "job": "t/shop",
            "source": "https://git.example.com/t/shop.git",
            "started_by": "ann",
        },
    ),
    "Drone": (
        DRONE,
        {
            "branch_by": "DRONE_BRANCH",
            "number": "12",
            "url": "https://drone.example.com/t/shop/12",
            "job": "t/shop",
            "source": "https://git.example.com/t/shop.git",
            "started_by": "ann",
        },
    ),
    "Travis": (
        TRAVIS,
        {
            "branch_by": "TRAVIS_BRANCH",
            "number": "12",
            "url": "https://app.travis-ci.com/t/shop/builds/999",
            "job": "t/shop",
        },
    ),
    "Buildkite": (
        BUILDKITE,
        {
            "branch_by": "BUILDKITE_BRANCH",
            "number": "12",
            "url": "https://buildkite.com/t/shop/builds/12",
            "job": "shop",
            "source": "git@github.com:t/shop.git",
            "started_by": "Ann Example",
        },
    ),
}


# which do not say what has started a build
EXACT = ("Bitbucket", "CircleCI", "Travis", "Buildkite")


@pytest.mark.parametrize("name", EVERY)
def test_a_build_of_a_branch_says_what_it_is_of_and_where_it_comes_from(name: str) -> None:
    environ, known = EVERY[name]
    assert system_of(environ) == name
    assert build_facts(environ) == BuildFacts(
        system=name, branch="main", commit=SHA, exact=name in EXACT, **known
    )
    assert change_variable(environ) == ""


@pytest.mark.parametrize(
    ("environ", "default", "by"),
    [
        ({**JENKINS, "BRANCH_IS_PRIMARY": "true"}, "main", "BRANCH_IS_PRIMARY"),
        (JENKINS, "", ""),
        ({**JENKINS, "BRANCH_IS_PRIMARY": "false"}, "", ""),
        ({**GITLAB, "CI_DEFAULT_BRANCH": "trunk"}, "trunk", "CI_DEFAULT_BRANCH"),
        ({**GITLAB, "BRANCH_IS_PRIMARY": "true"}, "", ""),
        ({**WOODPECKER, "CI_REPO_DEFAULT_BRANCH": "trunk"}, "trunk", "CI_REPO_DEFAULT_BRANCH"),
        ({**DRONE, "DRONE_REPO_BRANCH": "trunk"}, "trunk", "DRONE_REPO_BRANCH"),
        (
            {**BUILDKITE, "BUILDKITE_PIPELINE_DEFAULT_BRANCH": "trunk"},
            "trunk",
            "BUILDKITE_PIPELINE_DEFAULT_BRANCH",
        ),
        ({"CI_DEFAULT_BRANCH": "trunk"}, "", ""),
    ],
)
def test_some_systems_name_the_default_branch(
    environ: dict[str, str], default: str, by: str
) -> None:
    found = build_facts(environ)
    assert (found.default, found.default_by) == (default, by)


TAGS: dict[str, dict[str, str]] = {
    "Jenkins": {**JENKINS, "BRANCH_NAME": "v1", "TAG_NAME": "v1"},
    "GitHubActions": {**GITHUB, "GITHUB_REF": "refs/tags/v1"},
    "AzureDevOps": {**AZURE, "BUILD_SOURCEBRANCH": "refs/tags/v1"},
    "GitLab": {**GITLAB, "CI_COMMIT_BRANCH": "", "CI_COMMIT_TAG": "v1"},
    "Bitbucket": {**BITBUCKET, "BITBUCKET_BRANCH": "", "BITBUCKET_TAG": "v1"},
    "CircleCI": {**CIRCLE, "CIRCLE_BRANCH": "", "CIRCLE_TAG": "v1"},
    # and the branch stays
    "Woodpecker": {
        **WOODPECKER,
        "CI_PIPELINE_EVENT": "tag",
        "CI_COMMIT_REF": "refs/tags/v1",
        "CI_COMMIT_TAG": "v1",
    },
    "Drone": {
        **DRONE,
        "DRONE_BUILD_EVENT": "tag",
        "DRONE_TAG": "v1",
        "DRONE_COMMIT_REF": "refs/tags/v1",
    },
    "Travis": {**TRAVIS, "TRAVIS_BRANCH": "v1", "TRAVIS_TAG": "v1"},
    "Buildkite": {**BUILDKITE, "BUILDKITE_TAG": "v1"},
}


@pytest.mark.parametrize("name", TAGS)
def test_a_build_of_a_tag_is_of_no_branch(name: str) -> None:
    found = build_facts(TAGS[name])
    assert (found.tag, found.branch, found.commit, change_variable(TAGS[name])) == (
        "v1",
        "",
        SHA,
        "",
    )


CHANGES: list[tuple[dict[str, str], str]] = [
    ({**JENKINS, "BRANCH_NAME": "PR-7", "CHANGE_ID": "7"}, "CHANGE_ID"),
    ({**JENKINS, "BRANCH_NAME": "", "ghprbPullId": "7"}, "ghprbPullId"),
    (
        {
            **JENKINS,
            "BRANCH_NAME": "",
            "GERRIT_CHANGE_NUMBER": "7",
            "GERRIT_EVENT_TYPE": "patchset-created",
        },
        "GERRIT_CHANGE_NUMBER",
    ),
    ({**JENKINS, "BRANCH_NAME": "", "GERRIT_CHANGE_NUMBER": "7"}, "GERRIT_CHANGE_NUMBER"),
    ({**JENKINS, "BRANCH_NAME": "", "gitlabMergeRequestIid": "7"}, "gitlabMergeRequestIid"),
    (
        {
            **GITHUB,
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_REF": "refs/pull/7/merge",
            "GITHUB_HEAD_REF": "fix",
        },
        "GITHUB_HEAD_REF",
    ),
    (
        {**GITHUB, "GITHUB_EVENT_NAME": "pull_request_target", "GITHUB_HEAD_REF": ""},
        "GITHUB_EVENT_NAME",
    ),
    ({**GITHUB, "GITHUB_EVENT_NAME": "pull_request_review"}, "GITHUB_EVENT_NAME"),
    (
        {
            **GITHUB,
            "GITHUB_EVENT_NAME": "merge_group",
            "GITHUB_REF": "refs/heads/gh-readonly-queue/main/pr-7",
        },
        "GITHUB_EVENT_NAME",
    ),
    (
        {**GITHUB, "GITHUB_EVENT_NAME": "workflow_dispatch", "GITHUB_REF": "refs/pull/7/head"},
        "GITHUB_REF",
    ),
    (
        {
            **AZURE,
            "BUILD_SOURCEBRANCH": "refs/pull/7/merge",
            "SYSTEM_PULLREQUEST_PULLREQUESTID": "7",
        },
        "SYSTEM_PULLREQUEST_PULLREQUESTID",
    ),
    ({**AZURE, "BUILD_REASON": "PullRequest"}, "BUILD_REASON"),
    (
        {**AZURE, "BUILD_REASON": "Manual", "BUILD_SOURCEBRANCH": "refs/pull/7/merge"},
        "BUILD_SOURCEBRANCH",
    ),
    (
        {
            **GITLAB,
            "CI_COMMIT_BRANCH": "",
            "CI_MERGE_REQUEST_IID": "7",
            "CI_PIPELINE_SOURCE": "merge_request_event",
        },
        "CI_MERGE_REQUEST_IID",
    ),
    ({**GITLAB, "CI_EXTERNAL_PULL_REQUEST_IID": "7"}, "CI_EXTERNAL_PULL_REQUEST_IID"),
    ({**GITLAB, "CI_PIPELINE_SOURCE": "merge_request_event"}, "CI_PIPELINE_SOURCE"),
    ({**BITBUCKET, "BITBUCKET_BRANCH": "fix", "BITBUCKET_PR_ID": "7"}, "BITBUCKET_PR_ID"),
    (
        {
            **CIRCLE,
            "CIRCLE_BRANCH": "fix",
            "CIRCLE_PULL_REQUEST": "https://github.com/t/shop/pull/7",
        },
        "CIRCLE_PULL_REQUEST",
    ),
    ({**CIRCLE, "CIRCLE_BRANCH": "pull/7"}, "CIRCLE_BRANCH"),
    ({**CIRCLE, "CIRCLE_PR_NUMBER": "7"}, "CIRCLE_PR_NUMBER"),
    # CI_COMMIT_BRANCH is the target
    (
        {**WOODPECKER, "CI_COMMIT_PULL_REQUEST": "7", "CI_PIPELINE_EVENT": "pull_request"},
        "CI_COMMIT_PULL_REQUEST",
    ),
    ({**WOODPECKER, "CI_PIPELINE_EVENT": "pull_request_closed"}, "CI_PIPELINE_EVENT"),
    ({**WOODPECKER, "CI_COMMIT_REF": "refs/pull/7/head"}, "CI_COMMIT_REF"),
    # DRONE_BRANCH is the target
    (
        {**DRONE, "DRONE_PULL_REQUEST": "7", "DRONE_BUILD_EVENT": "pull_request"},
        "DRONE_PULL_REQUEST",
    ),
    (
        {**DRONE, "DRONE_BUILD_EVENT": "promote", "DRONE_COMMIT_REF": "refs/merge-requests/7/head"},
        "DRONE_COMMIT_REF",
    ),
    ({**TRAVIS, "TRAVIS_PULL_REQUEST": "7"}, "TRAVIS_PULL_REQUEST"),
    ({**BUILDKITE, "BUILDKITE_PULL_REQUEST": "7"}, "BUILDKITE_PULL_REQUEST"),
    ({"CODEBUILD_WEBHOOK_TRIGGER": "pr/7"}, "CODEBUILD_WEBHOOK_TRIGGER"),
    (
        {"JOB_TYPE": "presubmit", "PULL_NUMBER": "7", "PULL_REFS": f"main:{SHA},7:{SHA}"},
        "PULL_NUMBER",
    ),
    ({"JOB_TYPE": "batch", "PULL_REFS": f"main:{SHA},7:{SHA},8:{SHA}"}, "PULL_REFS"),
    *(
        ({name: "7"}, name)
        for name in (
            "BITRISE_PULL_REQUEST",
            "VELA_PULL_REQUEST",
            "SD_PULL_REQUEST",
            "BUDDY_EXECUTION_PULL_REQUEST_NO",
            "bamboo_repository_pr_key",
        )
    ),
    # a plain job with a refspec for changes
    *(
        ({**JENKINS, "BRANCH_NAME": "", "GIT_BRANCH": branch}, "GIT_BRANCH")
        for branch in (
            "origin/pr/7/merge",
            "origin/pull/7/head",
            "refs/remotes/origin/pr/7/from",
            "gitlab/merge-requests/7",
            "refs/changes/34/1234/5",
            "pr/7",
        )
    ),
    ({"CHANGE_ID": "7"}, "CHANGE_ID"),  # whatever runs there
    ({**GITHUB, "CHANGE_ID": "7"}, "CHANGE_ID"),
]


@pytest.mark.parametrize(("environ", "sign"), CHANGES)
def test_any_sign_of_a_change_request_makes_it_one(environ: dict[str, str], sign: str) -> None:
    assert change_variable(environ) == sign


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"CHANGE_ID": ""},
        {"CHANGE_ID": "false"},
        {"CHANGE_ID": "none"},
        {"BUILDKITE_PULL_REQUEST": "False"},
        {"GITHUB_EVENT_NAME": "push"},
        {"CODEBUILD_WEBHOOK_TRIGGER": "branch/main"},
        {**JENKINS, "GIT_BRANCH": "origin/pull/request-fixes"},
        {**JENKINS, "GIT_BRANCH": "origin/fix/pr/7"},
        # it is part of the branch now
        {**JENKINS, "GERRIT_CHANGE_NUMBER": "7", "GERRIT_EVENT_TYPE": "change-merged"},
        {**GITHUB, "GITHUB_EVENT_NAME": "workflow_run"},
        {**GITHUB, "GITHUB_REF": "refs/heads/pull/7"},
        {**CIRCLE, "CIRCLE_BRANCH": "pull/request-fixes"},
    ],
)
def test_variables_that_are_not_a_sign_of_a_change_request(environ: dict[str, str]) -> None:
    assert change_variable(environ) == ""


@pytest.mark.parametrize(
    ("environ", "known"),
    [
        ({}, {}),
        ({"BRANCH_NAME": "main", "GIT_COMMIT": SHA}, {}),
        (
            {**JENKINS, "TAG_NAME": "1.2.3"},
            {"branch": "main", "tag": ""},
        ),  # somebody's own variable
        ({**JENKINS, "GIT_COMMIT": "c0ffee"}, {"branch": "main", "commit": ""}),
        ({**BUILDKITE, "BUILDKITE_COMMIT": "HEAD"}, {"commit": ""}),
        ({**GITHUB, "GITHUB_REF": "refs/pull/7/merge"}, {"branch": "", "tag": ""}),
        ({**GITHUB, "GITHUB_REF": "refs/heads/feature/x"}, {"branch": "feature/x"}),
        ({**GITHUB, "GITHUB_REF": "refs/heads/refs/heads/main"}, {"branch": "refs/heads/main"}),
        (
            {**AZURE, "BUILD_SOURCEBRANCH": "refs/heads/refs/tags/1"},
            {"branch": "refs/tags/1", "tag": ""},
        ),
        # whoever may push can call a branch so
        *(
            ({**environ, name: branch}, {"branch": branch, "tag": ""})
            for environ, name in (
                (JENKINS, "BRANCH_NAME"),
                (GITLAB, "CI_COMMIT_BRANCH"),
                (CIRCLE, "CIRCLE_BRANCH"),
                (DRONE, "DRONE_BRANCH"),
            )
            for branch in ("refs/heads/main", "refs/tags/1", "refs/x")
        ),
        (
            {**GITHUB, "GITHUB_WORKFLOW_REF": "", "GITHUB_WORKFLOW": "ci"},
            {"job": "team/shop/ci@refs/heads/main"},
        ),
        ({**GITHUB, "GITHUB_TRIGGERING_ACTOR": ""}, {"started_by": "bob"}),
        ({**GITHUB, "GITHUB_EVENT_NAME": "workflow_run"}, {"exact": True}),
        ({**GITHUB, "GITHUB_EVENT_NAME": "issue_comment"}, {"exact": True}),
        # an input may name what is checked out
        ({**GITHUB, "GITHUB_EVENT_NAME": "workflow_dispatch"}, {"exact": True}),
        # always of the default branch, whatever is built each night
        ({**GITHUB, "GITHUB_EVENT_NAME": "schedule"}, {"exact": True}),
        ({**GITHUB, "GITHUB_EVENT_NAME": "release"}, {"exact": False}),
        ({**GITLAB, "CI_PIPELINE_SOURCE": "schedule"}, {"exact": False}),
        ({**GITLAB, "CI_PIPELINE_SOURCE": "web"}, {"exact": False}),
        ({**AZURE, "BUILD_REASON": "Manual"}, {"exact": False}),
        ({**AZURE, "BUILD_REASON": "ResourceTrigger"}, {"exact": True}),
        ({**GITLAB, "CI_PIPELINE_SOURCE": "trigger"}, {"exact": True}),
        ({**DRONE, "DRONE_BUILD_EVENT": "promote"}, {"exact": True}),
        ({**WOODPECKER, "CI_PIPELINE_EVENT": "deployment"}, {"exact": True}),
        ({**GITHUB, "JENKINS_URL": "x"}, {"system": "GitHubActions"}),
        ({**JENKINS, "BITBUCKET_BUILD_NUMBER": "1"}, {"system": "Jenkins"}),
        ({**WOODPECKER, "CI_PIPELINE_NUMBER": "", "CI_BUILD_NUMBER": "9"}, {"number": "9"}),
    ],
)
def test_an_unknown_part_is_empty(environ: dict[str, str], known: dict[str, Any]) -> None:
    found = build_facts(environ)
    assert {name: getattr(found, name) for name in known} == known
    assert known or found == BuildFacts()


def test_a_system_may_be_known_beforehand() -> None:
    assert (
        build_facts(
            {"BRANCH_NAME": "main", "GITHUB_ACTIONS": "true", "GITHUB_REF": "refs/heads/x"},
            "Jenkins",
        ).branch
        == "main"
    )
