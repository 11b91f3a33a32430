"""Pure.

Tables of CI systems and their variables, for ci.py and docs/contract.md, "CI systems".

The source is each system's documentation. A fact is a list of texts with variables in braces; the
first text whose variables are all set is taken.
"""

from __future__ import annotations

from towline.record import frozen

# Variables that only a build of a change request has: Jenkins with its plugins, then the others.
SIGNS = (
    "CHANGE_ID",
    "ghprbPullId",
    "GERRIT_CHANGE_NUMBER",
    "gitlabMergeRequestIid",
    "GITHUB_PR_NUMBER",
    "BITBUCKET_PULL_REQUEST_ID",
    "pullRequestId",
    "GITHUB_HEAD_REF",
    "SYSTEM_PULLREQUEST_PULLREQUESTID",
    "CI_MERGE_REQUEST_IID",
    "CI_EXTERNAL_PULL_REQUEST_IID",
    "BITBUCKET_PR_ID",
    "CIRCLE_PULL_REQUEST",
    "CIRCLE_PR_NUMBER",
    "CI_COMMIT_PULL_REQUEST",
    "DRONE_PULL_REQUEST",
    "TRAVIS_PULL_REQUEST",
    "BUILDKITE_PULL_REQUEST",
    "APPVEYOR_PULL_REQUEST_NUMBER",
    "SEMAPHORE_GIT_PR_NUMBER",
    "CIRRUS_PR",
    "CF_PULL_REQUEST_NUMBER",
    "PULL_NUMBER",  # Prow, whose checkout is the target's branch with the change merged into it
    "BITRISE_PULL_REQUEST",
    "VELA_PULL_REQUEST",
    "SD_PULL_REQUEST",
    "BUDDY_EXECUTION_PULL_REQUEST_NO",
    "bamboo_repository_pr_key",
)
CHANGE_REF = r"refs/(pull|pull-requests|merge-requests|changes)/.*|pull/[0-9]+(/.*)?|pr/[0-9]+"
EVENTS = {
    "GITHUB_EVENT_NAME": r"pull_request.*|merge_group",
    "BUILD_REASON": "PullRequest",
    "CI_PIPELINE_SOURCE": "(merge_request|external_pull_request)_event",
    "CI_PIPELINE_EVENT": "pull_request.*",
    "CI_BUILD_EVENT": "pull_request.*",
    "DRONE_BUILD_EVENT": "pull_request",
    "TRAVIS_EVENT_TYPE": "pull_request",
    "PULL_REFS": "[^,]+,.+",  # of a batch too: the target, then the changes
    # Of Jenkins' git plugin: the remote, then what its refspec calls a change.
    "GIT_BRANCH": (
        rf"(refs/remotes/)?[^/]+/(pull|pull-requests|pr|merge-requests)/[0-9]+(/.*)?|{CHANGE_REF}"
    ),
}
# These name a branch or a tag by its whole reference, others by its short name: of these a branch
# that is called `refs/heads/main` is another one than `main`.
WHOLE_REF = frozenset({"GITHUB_REF", "BUILD_SOURCEBRANCH"})
REFS = (
    "GITHUB_REF",
    "BUILD_SOURCEBRANCH",
    "CI_COMMIT_REF",
    "DRONE_COMMIT_REF",
    "CIRCLE_BRANCH",
    "CODEBUILD_WEBHOOK_TRIGGER",
)
# For that event, the change that is built has been merged into its branch.
MERGED = {"GERRIT_CHANGE_NUMBER": ("GERRIT_EVENT_TYPE", "change-merged")}


@frozen
class System:
    """The signs of a CI system (a variable, or `NAME=value`), and its facts.

    `own`: signs of a build that checks out the branch that it runs for, such as a push; a step may
    have made a commit on top of it. Other builds may check out another branch: on GitHub, workflows
    that a person or a schedule starts often do.
    """

    name: str
    known_by: tuple[str, ...]
    own: tuple[str, ...] = ()
    branch: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()
    commit: tuple[str, ...] = ()
    number: tuple[str, ...] = ()
    url: tuple[str, ...] = ()
    job: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    time: tuple[str, ...] = ()
    started_by: tuple[str, ...] = ()
    default: tuple[str, ...] = ()  # the default branch of the repository


SYSTEMS = (
    System(
        name="AzureDevOps",
        known_by=("AZURE_HTTP_USER_AGENT", "TF_BUILD"),
        own=(
            "BUILD_REASON=IndividualCI",
            "BUILD_REASON=BatchedCI",
            "BUILD_REASON=Manual",
            "BUILD_REASON=Schedule",
        ),
        branch=("{BUILD_SOURCEBRANCH}",),
        commit=("{BUILD_SOURCEVERSION}",),
        number=("{BUILD_BUILDID}",),
        url=(
            (
                "{SYSTEM_TEAMFOUNDATIONCOLLECTIONURI}{SYSTEM_TEAMPROJECT}"
                "/_build/results?buildId={BUILD_BUILDID}"
            ),
        ),
        job=("{SYSTEM_TEAMPROJECT}/{BUILD_DEFINITIONNAME}",),
        source=("{BUILD_REPOSITORY_URI}",),
        started_by=("{BUILD_REQUESTEDFOR}",),
    ),
    System(
        name="GitHubActions",
        known_by=("GITHUB_ACTION", "GITHUB_ACTIONS"),
        own=tuple(f"GITHUB_EVENT_NAME={event}" for event in ("push", "release", "create")),
        branch=("{GITHUB_REF}",),
        commit=("{GITHUB_SHA}",),
        number=("{GITHUB_RUN_NUMBER}",),
        url=("{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}",),
        job=("{GITHUB_WORKFLOW_REF}", "{GITHUB_REPOSITORY}/{GITHUB_WORKFLOW}@{GITHUB_REF}"),
        source=("{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}",),
        started_by=("{GITHUB_TRIGGERING_ACTOR}", "{GITHUB_ACTOR}"),
    ),
    System(
        name="Jenkins",
        known_by=("JENKINS_HOME", "JENKINS_URL"),
        own=("BRANCH_NAME",),
        branch=("{BRANCH_NAME}",),
        commit=("{GIT_COMMIT}",),
        number=("{BUILD_NUMBER}",),
        url=("{BUILD_URL}",),
        job=("{JOB_NAME}",),
        source=("{GIT_URL}",),
        started_by=("{BUILD_USER_ID}",),
    ),
    System(
        name="GitLab",
        known_by=("GITLAB_CI",),
        own=tuple(f"CI_PIPELINE_SOURCE={event}" for event in ("push", "schedule", "web")),
        branch=("{CI_COMMIT_BRANCH}",),
        tag=("{CI_COMMIT_TAG}",),
        commit=("{CI_COMMIT_SHA}",),
        number=("{CI_PIPELINE_ID}",),
        url=("{CI_PIPELINE_URL}",),
        job=("{CI_PROJECT_PATH}",),
        source=("{CI_PROJECT_URL}",),
        time=("{CI_COMMIT_TIMESTAMP}",),
        started_by=("{GITLAB_USER_LOGIN}",),
        default=("{CI_DEFAULT_BRANCH}",),
    ),
    System(
        name="Bitbucket",
        known_by=("BITBUCKET_BUILD_NUMBER",),
        branch=("{BITBUCKET_BRANCH}",),
        tag=("{BITBUCKET_TAG}",),
        commit=("{BITBUCKET_COMMIT}",),
        number=("{BITBUCKET_BUILD_NUMBER}",),
        url=("{BITBUCKET_GIT_HTTP_ORIGIN}/pipelines/results/{BITBUCKET_BUILD_NUMBER}",),
        job=("{BITBUCKET_REPO_FULL_NAME}",),
        source=("{BITBUCKET_GIT_HTTP_ORIGIN}",),
        started_by=("{BITBUCKET_STEP_TRIGGERER_UUID}",),
    ),
    # no `number`: its numbers count jobs, and a later job may build an earlier commit, after it has
    # waited for an approval
    System(
        name="CircleCI",
        known_by=("CIRCLECI",),
        branch=("{CIRCLE_BRANCH}",),
        tag=("{CIRCLE_TAG}",),
        commit=("{CIRCLE_SHA1}",),
        url=("{CIRCLE_BUILD_URL}",),
        job=("{CIRCLE_PROJECT_USERNAME}/{CIRCLE_PROJECT_REPONAME}/{CIRCLE_JOB}",),
        source=("{CIRCLE_REPOSITORY_URL}",),
        started_by=("{CIRCLE_USERNAME}",),
    ),
    System(
        name="Woodpecker",
        known_by=("CI=woodpecker",),
        own=tuple(
            f"CI_PIPELINE_EVENT={event}" for event in ("push", "tag", "release", "cron", "manual")
        ),
        branch=("{CI_COMMIT_BRANCH}",),
        tag=("{CI_COMMIT_TAG}",),
        commit=("{CI_COMMIT_SHA}",),
        number=("{CI_PIPELINE_NUMBER}", "{CI_BUILD_NUMBER}"),
        url=("{CI_PIPELINE_URL}", "{CI_BUILD_LINK}"),
        job=("{CI_REPO}",),
        source=("{CI_REPO_CLONE_URL}", "{CI_REPO_URL}", "{CI_REPO_LINK}"),
        started_by=("{CI_PIPELINE_AUTHOR}",),
        default=("{CI_REPO_DEFAULT_BRANCH}",),
    ),
    System(
        name="Drone",
        known_by=("DRONE",),
        own=tuple(f"DRONE_BUILD_EVENT={event}" for event in ("push", "tag", "cron")),
        branch=("{DRONE_BRANCH}",),
        tag=("{DRONE_TAG}",),
        commit=("{DRONE_COMMIT_SHA}", "{DRONE_COMMIT}"),
        number=("{DRONE_BUILD_NUMBER}",),
        url=("{DRONE_BUILD_LINK}",),
        job=("{DRONE_REPO}",),
        source=("{DRONE_GIT_HTTP_URL}", "{DRONE_REMOTE_URL}"),
        started_by=("{DRONE_BUILD_TRIGGER}",),
        default=("{DRONE_REPO_BRANCH}",),
    ),
    System(
        name="Travis",
        known_by=("TRAVIS",),
        branch=("{TRAVIS_BRANCH}",),
        tag=("{TRAVIS_TAG}",),
        commit=("{TRAVIS_COMMIT}",),
        number=("{TRAVIS_BUILD_NUMBER}",),
        url=("{TRAVIS_BUILD_WEB_URL}",),
        job=("{TRAVIS_REPO_SLUG}",),
    ),
    System(
        name="Buildkite",
        known_by=("BUILDKITE",),
        branch=("{BUILDKITE_BRANCH}",),
        tag=("{BUILDKITE_TAG}",),
        commit=("{BUILDKITE_COMMIT}",),
        number=("{BUILDKITE_BUILD_NUMBER}",),
        url=("{BUILDKITE_BUILD_URL}",),
        job=("{BUILDKITE_PIPELINE_SLUG}",),
        source=("{BUILDKITE_REPO}",),
        started_by=("{BUILDKITE_BUILD_CREATOR}",),
        default=("{BUILDKITE_PIPELINE_DEFAULT_BRANCH}",),
    ),
)
