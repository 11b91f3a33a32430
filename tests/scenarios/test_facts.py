"""In a shell, the pipeline environment is trusted as far as this build's steps wrote it.

That is case S5, for values below `.pipeline/commonPipelineEnvironment`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.calls import Ending, configure
from tests.fakes.git_server import GitServer
from tests.fakes.images import ImageParts, make_image, put
from tests.fakes.registry import FakeRegistry
from towline.pipeline.environment import ENVIRONMENT_FOLDER

PUSH, DEPLOY = "imagePushToRegistry", "gitOpsUpdateDeployment"
PASSWORD = "a-pass-word-of-the-team"
MANIFEST = (
    b"kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n      - {name: app,"
    b" image: a:1}\n"
)
LOGIN = {"PIPER_targetRegistryUser": "bot", "PIPER_targetRegistryPassword": PASSWORD}
UNKNOWN = "in the pipeline environment, which no step of this build is known to have written"


class Shell:
    """A workspace, a home beside it, staging, target and GitOps repository.

    Each call belongs to build 7 unless it says otherwise.
    """

    def __init__(
        self, folder: Path, registries: tuple[FakeRegistry, FakeRegistry], git: GitServer
    ) -> None:
        self.folder, self.home, self.git = folder / "workspace", folder / "home", git
        self.staging, self.target = registries
        self.image = make_image("linux/amd64")
        put(self.image, self.staging, "app", "1")
        for made in (self.folder, self.home):
            made.mkdir()
        git.create("ops", {"a.yaml": MANIFEST})
        ops = {
            "serverUrl": git.url("ops"),
            "filePath": "a.yaml",
            "containerName": "app",
            "tool": "kubectl",
            "checkImage": True,
        }
        configure(
            self.folder,
            json.dumps({"steps": {PUSH: {"targetRegistryUrl": self.target.url}, DEPLOY: ops}}),
        )

    def run(
        self, step: str, *words: str, branch: str = "main", number: str = "7", **environ: str
    ) -> Ending:
        known = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.home),
            "GITLAB_CI": "true",
            "CI_PIPELINE_ID": number,
            "CI_PROJECT_PATH": "team/app",
            "CI_PIPELINE_URL": f"https://gitlab.example/{number}",
            **LOGIN,
            **environ,
        }
        given = {name: value for name, value in known.items() if value}
        ending = Ending(["run", step, *words, "--branch", branch], self.folder, given)
        assert PASSWORD not in ending.err + ending.out + json.dumps(ending.result)
        return ending

    def leave(self, values: Mapping[str, object]) -> None:
        """Write values as another program, or a commit, leaves them."""
        for key, value in values.items():
            path = (
                self.folder
                / ENVIRONMENT_FOLDER
                / (key if isinstance(value, str) else f"{key}.json")
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(value if isinstance(value, str) else json.dumps(value))

    def built(self) -> dict[str, object]:
        """The values that Piper's step leaves after it has built an image."""
        return {
            "container/registryUrl": self.staging.url,
            "container/imageNameTag": "app:1",
            "container/imageNameTags": ["app:1"],
            "container/imageNames": ["app"],
            "container/imageDigests": [self.image.digest],
            "artifactVersion": "1",
            "container/repositoryUsername": "stage",
            "container/repositoryPassword": PASSWORD,
        }

    def overwrite(self) -> ImageParts:
        """Push another image to the tag, as another user does."""
        other = make_image("linux/amd64", seed=9)
        put(other, self.target, "app", "1")
        return other


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    (tmp_path / "git").mkdir()
    with (
        FakeRegistry(username="stage", password=PASSWORD, auth="basic") as staging,
        FakeRegistry(username="bot", password=PASSWORD, auth="basic") as target,
        GitServer(tmp_path / "git") as git,
    ):
        found = Shell(tmp_path, (staging, target), git)
        monkeypatch.chdir(found.folder)
        yield found


def sent(registry: FakeRegistry) -> bool:
    """Whether the registry was sent a login."""
    return any(each.authorization for each in registry.requests)


def test_a_committed_environment_chooses_no_registry_for_a_login_but_on_the_productive_branch(
    shell: Shell,
) -> None:
    with FakeRegistry(username="bot", password=PASSWORD, auth="basic") as evil:
        put(shell.image, evil, "app", "1")
        shell.leave(
            {"container/targetRegistryUrl": evil.url, "container/targetImageNameTag": "app:1"}
        )
        evil.forget()
        for more in ({}, {"PIPER_strictCredentials": "true"}):
            branch = "main" if more else "feature/x"
            refused = shell.run(DEPLOY, "--dry-run", branch=branch, **more)
            assert (refused.code, sent(evil)) == (0, False), refused.err
            said = (
                f"is not sent to {evil.host}, since this host is named only by"
                f" container/targetRegistryUrl {UNKNOWN}, and a pull request can change that: "
            )
            assert said in refused.err
        ending = shell.run(DEPLOY, "--dry-run")
        assert (ending.code, sent(evil)) == (0, True), ending.err
        assert (
            f"goes to {evil.host}: named by container/targetRegistryUrl {UNKNOWN}, for the"
            " productive branch main" in ending.err
        )


def test_an_image_of_pipers_step_is_pushed_and_deployed_on_the_productive_branch_without_a_setting(
    shell: Shell,
) -> None:
    shell.leave(shell.built())
    pushed = shell.run(PUSH)
    assert (pushed.code, pushed.result["status"]) == (0, "success"), pushed.err
    assert (
        f"the password of user 'stage' (container/repositoryPassword {UNKNOWN}) goes to"
        f" {shell.staging.host}" in pushed.err
    )
    deployed = shell.run(DEPLOY)
    assert (deployed.code, deployed.result["status"]) == (0, "success"), deployed.err
    assert (
        "named by container/targetRegistryUrl in the pipeline environment, for the productive"
        " branch main" in deployed.err
    )
    assert "is known to have written" not in deployed.err
    shell.staging.stop()
    assert [shell.run(step).result["status"] for step in (PUSH, DEPLOY)] == [
        "unchanged",
        "unchanged",
    ]
    shell.staging.start()


@pytest.mark.parametrize("name", ["{host}/app:1", "app:1@{other}", "{host}/app:1@{other}"])
def test_the_image_that_was_pushed_is_known_however_the_workspace_writes_it_by_now(
    shell: Shell, name: str
) -> None:
    shell.leave(shell.built())
    assert shell.run(PUSH).code == 0
    other = shell.overwrite()
    shell.leave(
        {"container/targetImageNameTag": name.format(host=shell.target.host, other=other.digest)}
    )
    refused = shell.run(DEPLOY)
    assert (refused.code, shell.image.digest in refused.message) == (5, True), refused.err


def test_another_image_than_the_one_that_was_pushed_is_not_promoted_by_a_digest_in_the_workspace(
    shell: Shell,
) -> None:
    shell.leave(shell.built())
    assert shell.run(PUSH).code == 0
    other = shell.overwrite()
    shell.leave(
        {
            "container/targetImageNameTag": f"app:1@{other.digest}",
            "container/targetImageNameTags": [],
        }
    )
    with FakeRegistry() as releases:
        login = {"PIPER_sourceRegistryUser": "bot", "PIPER_sourceRegistryPassword": PASSWORD}
        refused = shell.run("containerPushToRegistry", "--dockerRegistryUrl", releases.url, **login)
        assert (refused.code, releases.count("PUT", "manifests")) == (5, 0), refused.err
    assert (
        f"is not the image that a step of this build has pushed, which is {shell.image.digest}"
        in refused.message
    )


def test_without_facts_a_committed_promotion_leaves_no_check_out(shell: Shell) -> None:
    """Jobs in containers of their own share no facts.

    The pushed image is then a value of the workspace, and its digest is checked all the same.
    """
    shell.leave({**shell.built(), "container/promotedTo": shell.target.url})
    assert shell.run(PUSH, HOME="").code == 0
    shell.overwrite()
    refused = shell.run(DEPLOY, HOME="")
    assert (refused.code, "and the build pushed" in refused.message) == (5, True), refused.err


def test_on_another_branch_the_password_beside_a_registry_in_the_workspace_does_not_go_there(
    shell: Shell,
) -> None:
    """The registry proves nothing: who commits it need not know the password."""
    shell.leave(shell.built())
    refused = shell.run(
        PUSH,
        branch="feature/x",
        PIPER_credentials=json.dumps({"targetRegistryPassword": [shell.target.host]}),
    )
    assert (refused.code, sent(shell.staging)) == (4, False)
    assert (
        f"this host is named only by container/registryUrl {UNKNOWN}, and a pull request can change"
        " that: branch feature/x is built, which is not productive" in refused.message
    )
    words = ["explain", "--credentials", PUSH, "--branch", "feature/x"]
    explained = Ending(words, shell.folder, {"PATH": "/usr/bin:/bin", "HOME": str(shell.home)})
    assert f"refused: it is named only by container/registryUrl {UNKNOWN}" in explained.out
    assert PASSWORD not in explained.out + json.dumps(explained.result)


@pytest.mark.parametrize("way", ["changed", "removed", "another twin"])
def test_what_was_pushed_is_known_whatever_becomes_of_the_workspace_afterwards(
    shell: Shell, way: str
) -> None:
    shell.leave(shell.built())
    assert shell.run(PUSH).code == 0
    other = shell.overwrite()
    container = shell.folder / ENVIRONMENT_FOLDER / "container"
    if way == "changed":
        shell.leave({"container/targetImageDigests": [other.digest]})
    elif way == "removed":
        (container / "targetImageDigests.json").unlink()
    else:
        (container / "targetImageDigests.json").rename(container / "targetImageDigests")
    ending = shell.run(DEPLOY)
    assert (
        ending.code,
        "app:1 has digest " + other.digest + " now, and the build pushed " + shell.image.digest
        in ending.message,
    ) == (5, True), ending.err


@pytest.mark.parametrize(
    "lost", [{"number": "8"}, {"HOME": ""}, {"HOME": "{workspace}"}, {"XDG_STATE_HOME": "{state}"}]
)
def test_a_value_of_another_build_or_place_counts_and_is_no_fact(
    shell: Shell, lost: dict[str, str]
) -> None:
    shell.leave(shell.built())
    assert shell.run(PUSH).code == 0
    (shell.home / "state").mkdir()
    places = {
        name: text.format(workspace=shell.folder, state=shell.home / "state")
        for name, text in lost.items()
    }
    ending = shell.run(DEPLOY, **places)
    assert (ending.code, ending.result["status"]) == (0, "success"), ending.err
    assert (
        f"named by container/targetRegistryUrl {UNKNOWN}, for the productive branch main"
        in ending.err
    )


def test_a_changed_value_says_that_it_was_changed(shell: Shell) -> None:
    shell.leave(shell.built())
    assert shell.run(PUSH).code == 0
    shell.leave({"container/targetRegistryUrl": f"{shell.target.url}/"})
    ending = shell.run(DEPLOY, "--dry-run", branch="feature/x")
    assert (
        "container/targetRegistryUrl in the pipeline environment, whose value is not the one that a"
        " step of this build has written" in ending.err
    )


def test_an_older_build_leaves_what_is_deployed_as_well(shell: Shell) -> None:
    """In Jenkins, the library takes the value from the result; here only the engine writes it."""
    image = [
        "--containerRegistryUrl",
        "https://registry.example.com",
        "--checkImage=false",
        "--stage",
        "Release",
    ]
    assert shell.run(DEPLOY, *image, "--containerImageNameTag", "app:12", number="12").code == 0
    newer = shell.git.git(
        "rev-parse", "HEAD", repository=shell.folder.parent / "git" / "ops.git"
    ).strip()
    ending = shell.run(DEPLOY, *image, "--containerImageNameTag", "app:11", number="11")
    assert (ending.code, ending.result["status"]) == (8, "superseded"), ending.err
    assert (
        shell.folder / ENVIRONMENT_FOLDER / "deployment" / "Release" / "commit"
    ).read_text() == newer
    shutil.rmtree(shell.folder / ENVIRONMENT_FOLDER)
    (shell.folder / ENVIRONMENT_FOLDER / "deployment/Release/commit/x").mkdir(parents=True)
    untold = shell.run(DEPLOY, *image, "--containerImageNameTag", "app:11", number="11")
    assert (untold.code, untold.message) == (8, ending.message)  # the message matters
    assert "not all values for later steps are written (deployment/Release/commit" in untold.err
    assert untold.result["pipelineEnvironment"]["deployment/Release/commit"] == newer


def test_where_nothing_can_be_proven_the_step_says_so_and_goes_on(shell: Shell) -> None:
    shell.leave(shell.built())
    ending = shell.run(PUSH, HOME="")
    assert (
        ending.code,
        ending.err.count("note: the values of this step are not recorded as facts for later steps"),
    ) == (0, 1), ending.err
    dry = shell.run(PUSH, "--dry-run", HOME="", number="9")
    assert "is no fact for them" not in dry.err


def test_the_home_gets_no_secret_and_the_workspace_nothing_more_than_ever(shell: Shell) -> None:
    shell.leave(shell.built())
    assert shell.run(PUSH).code == shell.run(DEPLOY).code == 0
    kept = [path.read_text() for path in shell.home.rglob("*") if path.is_file()]
    assert kept
    assert not any(PASSWORD in text for text in kept)
    assert {path.name for path in shell.folder.iterdir()} == {".pipeline"}


def _in_its_place(folder: Path, way: str) -> None:
    """Put something where the pipeline environment would be written."""
    root = folder / ENVIRONMENT_FOLDER
    if way == "a file":
        root.write_text("x")
    elif way == "a link out":
        root.symlink_to(folder.parent)
    elif way == "a link to itself":
        root.symlink_to(root)
    else:
        root.parent.rename(folder / "moved")
        root.parent.write_text("x")


@pytest.mark.parametrize("way", ["a file", "a link out", "a link to itself", "a file above"])
def test_nothing_is_published_where_later_steps_could_not_be_told(shell: Shell, way: str) -> None:
    named = {
        "containerRegistryUrl": shell.target.url,
        "containerImageNameTag": "app:1",
        "sourceRegistryUrl": shell.staging.url,
        "sourceImageNameTags": "app:1",
    }
    words = {
        DEPLOY: [f"--{name}={named[name]}" for name in list(named)[:2]],
        PUSH: [f"--{name}={named[name]}" for name in list(named)[2:]],
    }
    project = (shell.folder / ".pipeline/config.yml").read_text()
    _in_its_place(shell.folder, way)
    (shell.folder / "config.yml").write_text(project)
    for step, more in words.items():
        ending = shell.run(step, *more, "--stage", "S", "--config", "config.yml")
        assert ending.code in (3, 9)
        assert "pipeline environment" in ending.message
        assert ".pipeline" in ending.where
        assert "unexpected" not in ending.message
    assert not shell.target.seen("PUT")
    assert not shell.git.requests


@pytest.mark.parametrize(
    "key",
    [
        "container/targetImageNameTag",
        "container/targetImageDigests.json",
        "deployment/S/commit",
        "deployment",
    ],
)
def test_what_is_published_all_the_same_is_said_to_be(shell: Shell, key: str) -> None:
    """A folder stands where a value would be written, or a link out where its folder would."""
    shell.leave(shell.built())
    place = shell.folder / ENVIRONMENT_FOLDER / key
    step = DEPLOY if "deployment" in key else PUSH
    if step == DEPLOY:
        assert shell.run(PUSH).code == 0
    if key == "deployment":
        place.symlink_to(shell.home)
    else:
        (place / "x").mkdir(parents=True)
    ending = shell.run(step, "--stage", "S")
    assert ending.code == (3 if key == "deployment" else 9)
    assert ending.message.startswith(
        "the step has published everything, but not all values for later"
    )
    assert key.rpartition("/")[2] in ending.message
    assert "run the step again" in ending.hint
    result = ending.result
    left = "deployment/S/commit" if step == DEPLOY else "container/targetImageDigests"
    assert result["pipelineEnvironment"][left]
    assert result["outputs"]["files" if step == DEPLOY else "images"]
    if step == DEPLOY:
        assert (
            result["pipelineEnvironment"][left]
            == shell.git.git("rev-parse", "main", repository=shell.git.folder / "ops.git").strip()
        )
    (place.unlink if key == "deployment" else place.joinpath("x").rmdir)()
    if key != "deployment":
        place.rmdir()
    again = shell.run(step, "--stage", "S")
    assert (again.code, again.result["status"]) == (0, "unchanged"), again.err


def test_a_deployment_without_a_stage_leaves_nothing_and_needs_no_place_for_it(
    shell: Shell,
) -> None:
    shell.leave(shell.built())
    assert shell.run(PUSH).code == 0
    shell.git.requests.clear()
    named = {"containerRegistryUrl": shell.target.url, "containerImageNameTag": "app:1"}
    words = [f"--{name}={value}" for name, value in named.items()]
    shutil.rmtree(shell.folder / ENVIRONMENT_FOLDER)
    (shell.folder / ENVIRONMENT_FOLDER).write_text("x")
    ending = shell.run(DEPLOY, *words)
    assert (ending.code, ending.result["status"]) == (0, "success"), ending.err


@pytest.mark.parametrize("more", [{}, {"PIPER_enforcement": "warn"}])
def test_a_registry_that_was_changed_after_the_push_gets_no_login_and_ends_the_deployment(
    shell: Shell, more: dict[str, str]
) -> None:
    shell.leave(shell.built())
    assert shell.run(PUSH).code == 0
    shell.leave({"container/targetRegistryUrl": shell.staging.url})
    shell.staging.forget()
    ending = shell.run(DEPLOY, **more)
    assert (ending.code, sent(shell.staging)) == (4, False), ending.err
    place = (
        "container/targetRegistryUrl in the pipeline environment, whose value is not the one that a"
        " step of this build has written"
    )
    assert (ending.where, "find out who has changed it since" in ending.hint) == (place, True)
    assert f"is not sent to {shell.staging.host}: this host comes from {place}" in ending.message
    named = shell.run(
        DEPLOY, PIPER_credentials=json.dumps({"targetRegistryPassword": [shell.staging.host]})
    )
    assert "is not sent to" not in named.err


def test_a_source_that_was_changed_after_a_step_wrote_it_gets_no_login(shell: Shell) -> None:
    """A promotion reads from the registry that this build has pushed to."""
    shell.leave(shell.built())
    assert shell.run(PUSH).code == 0
    shell.leave({"container/targetRegistryUrl": shell.staging.url})
    shell.staging.forget()
    login = {"PIPER_sourceRegistryUser": "bot", "PIPER_sourceRegistryPassword": PASSWORD}
    ending = shell.run("containerPushToRegistry", "--dockerRegistryUrl", shell.target.url, **login)
    assert (ending.code, sent(shell.staging)) == (4, False), ending.err
    assert (
        f"is not sent to {shell.staging.host}: this host comes from container/targetRegistryUrl"
        in ending.message
    )
