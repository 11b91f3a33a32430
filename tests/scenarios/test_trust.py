"""Which hosts get a credential, on real servers.

A build of a branch or of a change request that names a host of its own sends no credential there.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.calls import Ending, configure, request
from tests.fakes.git_server import GitServer
from tests.fakes.images import ImageParts, make_image, put
from tests.fakes.registry import FakeRegistry

PASSWORD = "a-pass-word-of-the-team"
MANIFEST = (
    b"kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n      - {name: app,"
    b" image: a:1}\n"
)
LOGIN = {
    "PIPER_targetRegistryUser": "bot",
    "PIPER_targetRegistryPassword": PASSWORD,
    "PIPER_username": "bot",
    "PIPER_password": PASSWORD,
}
BRANCH, REQUEST, MAIN, JOB = (
    {"branch": "x"},
    {"changeRequest": "7", "branch": "PR-7"},
    {"branch": "main"},
    dict[str, str](),
)
PUSH, DEPLOY, PROMOTE = "imagePushToRegistry", "gitOpsUpdateDeployment", "containerPushToRegistry"


@dataclass(kw_only=True)
class Place:
    """A workspace that names a target registry and a repository, both of which want a login, and
    a staging registry that earlier steps have named.
    """

    folder: Path
    staging: FakeRegistry
    target: FakeRegistry
    git: GitServer
    image: ImageParts
    team: dict[str, Any] = field(default_factory=dict)

    def configure(self, **general: object) -> None:
        names = {"targetRegistryUrl": self.target.url}
        ops = {
            "serverUrl": self.git.url("ops"),
            "filePath": "a.yaml",
            "containerName": "app",
            "tool": "kubectl",
            "checkImage": False,
        }
        promote = {"dockerRegistryUrl": self.target.url}
        configure(
            self.folder,
            json.dumps({"general": general, "steps": {PUSH: names, DEPLOY: ops, PROMOTE: promote}}),
        )

    def run(
        self,
        step: str,
        build: dict[str, str],
        *words: str,
        unproven: Sequence[str] = (),
        **environ: str,
    ) -> Ending:
        self.target.forget()
        self.git.requests.clear()
        (self.folder.parent / "team.yml").write_text(json.dumps(self.team))
        known = {
            "container/registryUrl": self.staging.url,
            "container/imageNames": ["app"],
            "container/imageNameTags": ["app:1"],
            "artifactVersion": "1",
            "container/repositoryUsername": "stage",
            "container/imageNameTag": "app:1",
        }
        if step == DEPLOY:
            known |= {
                "container/targetRegistryUrl": self.target.url,
                "container/targetImageNameTag": "app:1",
            }
        secret = {
            "secrets": {"pipelineEnvironment/container/repositoryPassword": "TOWLINE_SECRET_1"}
        }
        asked = request(
            self.folder,
            step=step,
            build=build,
            pipelineEnvironment=known,
            unproven=list(unproven),
            **secret,
        )
        stage = {
            "PIPER_sourceRegistryUrl": self.staging.url,
            "PIPER_sourceRegistryUser": "stage",
            "PIPER_sourceRegistryPassword": PASSWORD,
        }
        agent = {
            "TOWLINE_SECRET_1": PASSWORD,
            "TOWLINE_DEFAULTS": str(self.folder.parent / "team.yml"),
            "PATH": "/usr/bin:/bin",
        }
        variables = {**LOGIN, **(stage if step == PROMOTE else {}), **agent, **environ}
        ending = Ending(
            ["run", step, *asked, *words],
            self.folder,
            {name: value for name, value in variables.items() if value},
        )
        assert PASSWORD not in ending.err + ending.out + json.dumps(ending.result)
        return ending

    def logged_in(self) -> bool:
        """Whether the target registry or the git server was sent a login."""
        return any(each.authorization for each in self.target.requests) or any(
            each.authorized for each in self.git.requests
        )


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (tmp_path / "git").mkdir()
    monkeypatch.chdir(workspace)
    with (
        FakeRegistry(username="stage", password=PASSWORD, auth="basic") as staging,
        FakeRegistry(username="bot", password=PASSWORD, auth="basic") as target,
        GitServer(tmp_path / "git", username="bot", password=PASSWORD) as git,
    ):
        git.create("ops", {"a.yaml": MANIFEST})
        image = make_image("linux/amd64")
        put(image, staging, "app", "1")
        found = Place(folder=workspace, staging=staging, target=target, git=git, image=image)
        found.configure()
        yield found


def hosts(place: Place) -> str:
    """Both hosts, as a variable names them for the one password."""
    both = [place.target.host, place.git.url("ops").split("/")[2]]
    return json.dumps(
        dict.fromkeys(["targetRegistryPassword", "dockerRegistryPassword", "password"], both)
    )


STEPS = [PUSH, DEPLOY, PROMOTE]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("build", [MAIN, JOB])
def test_the_productive_branch_and_a_plain_job_name_hosts_themselves_and_the_log_says_so(
    place: Place, step: str, build: dict[str, str]
) -> None:
    """The sample project works without any setting of a platform team."""
    ending = place.run(step, build)
    assert (ending.code, ending.result["status"], place.logged_in()) == (
        0,
        "success",
        True,
    ), ending.err
    what = "the productive branch main" if build else "a job whose branch its owner has set"
    assert (
        f"the password of user 'bot' (PIPER_{password(step)}) goes to {host(place, step)}: named by"
        f" .pipeline/config.yml:1, for {what}" in ending.err
    )


def password(step: str) -> str:
    return {PUSH: "targetRegistryPassword", PROMOTE: "dockerRegistryPassword", DEPLOY: "password"}[
        step
    ]


def host(place: Place, step: str) -> str:
    return place.git.url("ops").split("/")[2] if step == DEPLOY else place.target.host


@pytest.fixture(autouse=True)
def promoted(monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("User", "Password"):
        monkeypatch.setitem(
            LOGIN, f"PIPER_dockerRegistry{part}", LOGIN[f"PIPER_targetRegistry{part}"]
        )


@pytest.mark.parametrize("step", STEPS)
def test_on_another_branch_a_host_of_the_project_gets_nothing_until_the_platform_team_names_it(
    place: Place, step: str
) -> None:
    refused = place.run(step, BRANCH)
    assert (refused.code, place.logged_in()) == (4, False)
    assert (
        f"is not sent to {host(place, step)}, since this host is named only by"
        " .pipeline/config.yml:1, and a pull request can change that: branch x is built, which is"
        " not productive" in refused.message
    )
    line = f"`general: {{credentials: {{{password(step)}: ['{host(place, step)}']}}}}`"
    assert line.replace("'", "") in refused.hint
    # the line itself
    place.team = {"general": {"credentials": {password(step): [host(place, step)]}}}
    ending = place.run(step, BRANCH)
    assert (ending.code, place.logged_in()) == (0, True), ending.err
    assert "goes to" not in ending.err


@pytest.mark.parametrize("step", STEPS)
def test_a_change_request_gets_nothing_by_its_own_word_nor_by_that_of_its_call(
    place: Place, step: str
) -> None:
    assert place.run(step, REQUEST).result["status"] == "skipped"
    carried = [{"name": "t.yml", "text": "general: {credentialHosts: ['127.0.0.1']}"}]
    words = [
        "run",
        step,
        *request(
            place.folder,
            step=step,
            build=REQUEST,
            defaults=carried,
            parameters=(
                {
                    "containerRegistryUrl": place.target.url,
                    "containerImageNameTag": "app:1",
                    "serverUrl": place.git.url("ops"),
                }
                if step == DEPLOY
                else {}
            ),
        ),
    ]
    for more in (
        {},
        {"PIPER_allowChangeRequest": "true"},
        {"PIPER_allowChangeRequest": "true", "PIPER_enforcement": "warn"},
    ):
        for dry in ([], ["--dry-run"]):
            place.target.forget()
            ending = Ending(
                [*words, *dry], place.folder, {**LOGIN, "PATH": "/usr/bin:/bin", **more}
            )
            assert ending.result["status"] in ("skipped", "failure"), ending.err
            assert not place.logged_in()


@pytest.mark.parametrize("step", STEPS)
def test_a_change_request_publishes_where_the_platform_team_has_both_allowed(
    place: Place, step: str
) -> None:
    refused = place.run(step, REQUEST, PIPER_allowChangeRequest="true")
    assert (
        refused.code,
        "whose" in refused.message or "a change request is built" in refused.message,
        place.logged_in(),
    ) == (4, True, False)
    ending = place.run(
        step, REQUEST, PIPER_allowChangeRequest="true", PIPER_credentials=hosts(place)
    )
    assert (ending.code, ending.result["status"], place.logged_in()) == (
        0,
        "success",
        True,
    ), ending.err


@pytest.mark.parametrize("step", STEPS)
def test_what_is_refused_newly_is_a_warning_for_one_release_where_a_trusted_layer_says_so(
    place: Place, step: str
) -> None:
    place.team = {"general": {"enforcement": "warn"}}
    ending = place.run(step, BRANCH)
    assert (ending.code, place.logged_in()) == (0, True), ending.err
    assert (
        "warning: without `enforcement: warn` this will be refused: the password of user 'bot'"
        in ending.err
    )
    assert "; allow it by `general: {credentials:" in ending.err
    place.team = {"general": {"enforcement": "warn", "credentialHosts": ["registry.example.com"]}}
    # refusals of older versions stay refusals
    assert (place.run(step, MAIN).code, place.logged_in()) == (4, False)


def test_a_login_that_only_confirms_the_image_may_go_nowhere_and_the_warning_has_the_line(
    place: Place,
) -> None:
    ending = place.run(
        DEPLOY,
        BRANCH,
        PIPER_checkImage="true",
        PIPER_credentials=json.dumps({"password": [host(place, DEPLOY)]}),
    )
    assert (ending.code, ending.result["status"]) == (0, "success"), ending.err
    assert not any(each.authorization for each in place.target.requests)
    assert (
        "could not be checked: the password of user 'bot' (PIPER_targetRegistryPassword) is not"
        " sent to" in ending.err
    )
    assert (
        "; allow it by `general: {credentials: {targetRegistryPassword:"
        f" [{place.target.host}]}}}}`" in ending.err
    )


@pytest.mark.parametrize("step", STEPS)
def test_strict_credentials_take_the_project_s_word_on_the_productive_branch_too(
    place: Place, step: str
) -> None:
    place.team = {"general": {"strictCredentials": True}}
    ending = place.run(step, MAIN)
    assert (ending.code, "strictCredentials is set" in ending.message, place.logged_in()) == (
        4,
        True,
        False,
    )


def test_a_jenkins_credential_that_only_a_branch_names_is_not_bound(place: Place) -> None:
    place.configure(targetRegistryCredentialsId="production-root")
    nobody = dict.fromkeys(LOGIN, "")
    assert (
        place.run(PUSH, MAIN, **nobody).result["bindings"][0]["credentialsId"] == "production-root"
    )
    refused = place.run(PUSH, BRANCH, **nobody)
    assert (refused.code, refused.result["bindings"]) == (4, [])
    assert (
        "the Jenkins credential 'production-root' is not bound, since it is named only by"
        " .pipeline/config.yml:1" in refused.message
    )
    for team in (
        {"allowedCredentialIds": ["production-*"]},
        {"targetRegistryCredentialsId": "production-root"},
        {"enforcement": "warn"},
    ):
        place.team = {"general": team}
        assert place.run(PUSH, BRANCH, **nobody).result["status"] == "bind"
    place.team = {"general": {"allowedCredentialIds": ["team-*"]}}
    assert place.run(PUSH, MAIN, **nobody).code == 4


def test_what_docker_login_left_goes_to_its_own_registry_whoever_names_that(place: Place) -> None:
    entry = base64.b64encode(f"bot:{PASSWORD}".encode()).decode()
    (place.folder.parent / "config.json").write_text(
        json.dumps({"auths": {place.target.host: {"auth": entry}}})
    )
    nobody = {**dict.fromkeys(LOGIN, ""), "DOCKER_CONFIG": str(place.folder.parent)}
    ending = place.run(PUSH, BRANCH, **nobody)
    assert (ending.code, place.logged_in()) == (0, True), ending.err
    ending = place.run(
        PUSH, BRANCH, **nobody, PIPER_credentialHosts=f"registry.example.com,{place.staging.host}"
    )
    assert (ending.code, place.logged_in(), "no credential may be sent to" in ending.message) == (
        4,
        False,
        True,
    ), ending.err


def test_the_login_that_the_build_left_does_not_go_where_the_project_says(place: Place) -> None:
    configure(
        place.folder,
        json.dumps(
            {
                "steps": {
                    PUSH: {
                        "targetRegistryUrl": "http://127.0.0.1:9",
                        "sourceRegistryUrl": place.target.url,
                    }
                }
            }
        ),
    )
    ending = place.run(PUSH, BRANCH, **dict.fromkeys(LOGIN, ""))
    assert (ending.code, place.logged_in()) == (4, False)
    assert (
        "the password of user 'stage' (container/repositoryPassword in the pipeline environment)"
        f" is not sent to {place.target.host}" in ending.message
    )


UNKNOWN = "in the pipeline environment, which no step of this build is known to have written"


@pytest.mark.parametrize(
    "unproven",
    [
        ["container/registryUrl"],
        ["container/repositoryPassword"],
        ["container/registryUrl", "container/repositoryPassword"],
    ],
)
def test_what_only_pipers_library_knows_names_a_host_on_the_productive_branch_alone(
    place: Place, unproven: list[str]
) -> None:
    """The library reads both values from files of the workspace."""
    hosts = json.dumps({"targetRegistryPassword": [place.target.host]})
    assert place.run(PUSH, BRANCH, PIPER_credentials=hosts).code == 0
    place.staging.forget()
    refused = place.run(PUSH, BRANCH, unproven=unproven, PIPER_credentials=hosts)
    assert (refused.code, [each for each in place.staging.requests if each.authorization]) == (
        4,
        [],
    ), refused.err
    words = [
        UNKNOWN if key in unproven else "in the pipeline environment"
        for key in ("container/repositoryPassword", "container/registryUrl")
    ]
    assert (
        f"(container/repositoryPassword {words[0]}) is not sent to {place.staging.host}"
        in refused.message
    )
    assert (
        f"this host is named only by container/registryUrl {words[1]}, and a pull request can"
        " change that: branch x is built" in refused.message
    )
    main = place.run(PUSH, MAIN, unproven=unproven)
    assert (
        main.code,
        f"goes to {place.staging.host}: named by container/registryUrl {words[1]}, for the"
        " productive branch main" in main.err,
    ) == (0, True)


def test_a_call_in_a_shell_names_hosts_itself(place: Place) -> None:
    words = [
        "run",
        PUSH,
        "--sourceRegistryUrl",
        place.staging.url,
        "--sourceImages",
        "app",
        "--sourceImageTag",
        "1",
    ]
    login = {**LOGIN, "PIPER_sourceRegistryUser": "stage", "PIPER_sourceRegistryPassword": PASSWORD}
    refused = Ending(words, place.folder, login)
    assert (
        refused.code,
        "the branch of this build is unknown" in refused.message,
        place.logged_in(),
    ) == (4, True, False)
    assert "--targetRegistryUrl in the call, or PIPER_targetRegistryUrl" in refused.hint
    for more, environ in (
        (["--targetRegistryUrl", place.target.url], {}),
        ([], {"PIPER_targetRegistryUrl": place.target.url}),
    ):
        ending = Ending([*words, *more], place.folder, {**login, **environ})
        assert (ending.code, place.logged_in()) == (0, True), ending.err
        place.target.forget()
    change = Ending(
        [*words, "--targetRegistryUrl", place.target.url, "--dry-run"],
        place.folder,
        {**login, "GITHUB_HEAD_REF": "fix"},
    )
    assert (change.code, place.logged_in()) == (4, False), change.err


def test_the_arguments_of_a_copy_name_hosts_but_for_a_change_request(place: Place) -> None:
    login = {**LOGIN, "PIPER_sourceRegistryUser": "stage", "PIPER_sourceRegistryPassword": PASSWORD}
    words = ["copy", f"{place.staging.host}/app:1", f"{place.target.host}/app:1"]
    change = Ending(words, place.folder, {**login, "GITHUB_HEAD_REF": "fix"})
    assert (
        change.code,
        "GITHUB_HEAD_REF says that a change request is built" in change.message,
        place.logged_in(),
    ) == (4, True, False)
    loose = Ending(
        [*words, "--credentialHosts", "127.0.0.1"],
        place.folder,
        {**login, "GITHUB_HEAD_REF": "fix"},
    )
    assert (loose.code, "--credentialHosts is ignored" in loose.err, place.logged_in()) == (
        4,
        True,
        False,
    )
    ours = {"PIPER_credentialHosts": f"{place.staging.host},{place.target.host}"}
    change = Ending(words, place.folder, {**login, "GITHUB_HEAD_REF": "fix", **ours})
    assert (change.code, "such a build publishes nothing" in change.message) == (4, True)
    ours["PIPER_allowChangeRequest"] = "true"
    assert Ending(words, place.folder, {**login, "GITHUB_HEAD_REF": "fix", **ours}).code == 0
    place.target.forget()
    assert (Ending(words, place.folder, login).code, place.logged_in()) == (0, True)
