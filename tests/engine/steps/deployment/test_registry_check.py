from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.engine.steps.deployment.test_images import images
from tests.fakes.images import ImageParts, make_image, make_index, put
from tests.fakes.registry import Answer, FakeRegistry, digest_of
from tests.fakes.serve import Request
from tests.trust import addressees
from towline.console import Console
from towline.contract import Build
from towline.errors import ConfigError, DigestMismatch
from towline.pipeline.environment import PipelineEnvironment
from towline.steps.deployment.registry_check import check
from towline.steps.task import Task

LOGIN = ("puller", "pull-pass-word")
WITH_LOGIN = {"targetRegistryUser": LOGIN[0], "targetRegistryPassword": LOGIN[1]}


class Look:
    """A check of one image, its log, and the requests to the registry."""

    def __init__(self, folder: Path, registry: FakeRegistry) -> None:
        self.folder, self.registry, self.log = folder, registry, io.StringIO()
        self.holds(make_index())

    def holds(self, image: ImageParts) -> None:
        """Let the registry have this image, and forget its requests."""
        self.digest = put(image, self.registry, "team/app", "2.0")
        self.registry.forget()

    def __call__(
        self, *, digest: str = "", pushed: str = "", promoted: str = "", **parameters: Any
    ) -> None:
        environment: dict[str, object] = {
            "container/targetRegistryUrl": pushed or f"{self.registry.url}/team",
            "container/targetImageNameTag": "app:2.0",
            "container/targetImageNameTags": ["app:2.0"],
            "container/targetImageDigests": [digest or self.digest],
            "container/promotedTo": promoted,
        }
        return self.of(environment, environment, **parameters)

    def of(
        self, values: Mapping[str, object], facts: Mapping[str, object], **parameters: Any
    ) -> None:
        environment = PipelineEnvironment(values, facts)
        found = images(environment, **parameters)
        task = Task(
            settings=found.settings,
            pipeline_environment=environment,
            stage="",
            build=Build(),
            folder=self.folder,
            environ={},
            console=Console(self.log),
            dry_run=False,
            addressees=addressees(found.settings),
        )
        check(task, [found.single()])


@pytest.fixture
def look(tmp_path: Path) -> Iterator[Look]:
    with FakeRegistry(username=LOGIN[0], password=LOGIN[1], auth="bearer") as registry:
        yield Look(tmp_path, registry)


def test_an_image_that_is_there_is_asked_for_with_a_login_that_may_only_pull(look: Look) -> None:
    look(**WITH_LOGIN)
    assert look.log.getvalue() == ""
    assert look.registry.count("HEAD", "/v2/team/app/manifests/2.0") >= 1
    assert {scope for scopes in look.registry.scopes for scope in scopes} == {
        "repository:team/app:pull"
    }


def test_a_missing_image_says_what_to_do(look: Look) -> None:
    with pytest.raises(ConfigError, match="team/gone:1 does not exist") as caught:
        look(
            **WITH_LOGIN,
            containerImageNameTag="team/gone:1",
            containerRegistryUrl=look.registry.host,
        )
    assert "imagePushToRegistry" in caught.value.hint
    assert caught.value.where == look.registry.url, "the scheme that it was asked by"


def test_a_tag_that_somebody_has_pushed_over_is_a_mismatch(look: Look) -> None:
    with pytest.raises(DigestMismatch, match=" now, and the build pushed"):
        look(**WITH_LOGIN, digest=f"sha256:{'0' * 64}")


@pytest.mark.parametrize("platform", ["", "linux/arm64"])
def test_what_was_pushed_just_now_may_need_a_moment_to_be_seen(look: Look, platform: str) -> None:
    older = put(make_image(seed=5), look.registry, "team/app", "older")
    tags, plain, asked = (
        look.registry.storage["team/app"].tags,
        look.registry.answer,
        iter(range(99)),
    )

    def late(request: Request) -> Answer:
        """The tag does not exist at first, then has its old image, and then the pushed one."""
        if "manifests/2.0" in request.path and "authorization" in request.headers:
            number = next(asked)
            tags["2.0"] = look.digest if number > 2 else older
            if number == 0:
                return Answer(status=404)
        return plain(request)

    look.registry.answer = late  # type: ignore[method-assign]
    look(**WITH_LOGIN, imagePlatform=platform)
    assert look.log.getvalue() == ""


def test_the_wanted_platform_must_be_there(look: Look) -> None:
    look(**WITH_LOGIN, imagePlatform="linux/arm64")
    with pytest.raises(ConfigError, match="linux/s390x"):
        look(**WITH_LOGIN, imagePlatform="linux/s390x")


@pytest.mark.parametrize("docker", [False, True], ids=["OCI", "Docker schema 2"])
def test_an_image_of_one_platform_says_itself_what_it_is_for(look: Look, *, docker: bool) -> None:
    look.holds(make_image("linux/arm64/v8", docker=docker))
    look(**WITH_LOGIN, imagePlatform="linux/arm64")
    look(**WITH_LOGIN, imagePlatform="linux/arm64/v8")
    with pytest.raises(
        ConfigError, match="the image is for the platform linux/arm64/v8, not for linux/amd64"
    ) as caught:
        look(**WITH_LOGIN, imagePlatform="linux/amd64")
    assert caught.value.where.endswith("/team/app:2.0")
    assert look.log.getvalue() == ""
    look.registry.forget()
    look(**WITH_LOGIN)
    assert look.registry.count("GET", "/blobs/") == 0, "nobody asks what for"


@pytest.mark.parametrize(
    "strange",
    [{"size": 5_000_000}, {"digest": f"sha256:{'0' * 64}"}],
    ids=["too long", "not there"],
)
def test_a_configuration_that_cannot_be_read_is_a_warning(
    look: Look, strange: dict[str, object]
) -> None:
    image = make_image()
    manifest = json.loads(image.manifest)
    body = json.dumps({**manifest, "config": {**manifest["config"], **strange}}).encode()
    look.digest = digest_of(body)
    look.registry.storage["team/app"].manifests[look.digest] = image.media_type, body
    look.registry.storage["team/app"].tags["2.0"] = look.digest
    look(**WITH_LOGIN, imagePlatform="linux/amd64")
    assert "could not be checked" in look.log.getvalue()


@pytest.mark.parametrize("path", ["", "/team", "/team/app"])
def test_a_docker_configuration_s_login_will_do(look: Look, path: str) -> None:
    auth = base64.b64encode(":".join(LOGIN).encode()).decode()
    (look.folder / "config.json").write_text(
        json.dumps({"auths": {f"{look.registry.host}{path}": {"auth": auth}}})
    )
    look(dockerConfigJSON="config.json")
    assert look.registry.count("HEAD", "manifests/2.0") >= 1


def test_a_registry_that_the_image_was_promoted_to_does_not_get_the_login_of_the_one_before_it(
    look: Look,
) -> None:
    look(**WITH_LOGIN, promoted=look.registry.url)
    assert (look.registry.requests, look.log.getvalue()) == ((), "")
    look(**WITH_LOGIN, promoted="https://elsewhere.example.com")
    assert look.registry.count("HEAD", "manifests/2.0") >= 1


TO, PROMOTED = "container/targetRegistryUrl", "container/promotedTo"


@pytest.mark.parametrize(
    ("values", "facts", "asked"),
    [
        ([TO, PROMOTED], [TO, PROMOTED], False),
        # an image that a step has promoted stays promoted, even if the file is removed
        ([TO], [TO, PROMOTED], False),
        # adding a file does not switch the look-up off
        ([TO, PROMOTED], [TO], True),
        ([TO, PROMOTED], [], True),
        ([TO], [TO], True),
        ([TO], [], True),
    ],
)
def test_that_an_image_was_promoted_the_step_says_that_has_done_so_and_nobody_else(
    look: Look, values: list[str], facts: list[str], *, asked: bool
) -> None:
    known: dict[str, object] = {
        "container/targetImageNameTag": "app:2.0",
        TO: f"{look.registry.url}/team",
        PROMOTED: look.registry.url,
    }
    left = {
        key: value
        for key, value in known.items()
        if key in (*values, "container/targetImageNameTag")
    }
    look.of(
        left,
        {key: known[key] for key in facts},
        **WITH_LOGIN,
        containerRegistryUrl=f"{look.registry.url}/team",
    )
    assert (look.registry.requests != ()) is asked


def test_user_and_password_go_to_the_registry_that_was_pushed_to_and_to_no_other(
    look: Look,
) -> None:
    look(
        **WITH_LOGIN,
        pushed="https://elsewhere.example.com",
        containerRegistryUrl=f"{look.registry.url}/team",
    )
    assert look.registry.requests == ()


def test_a_registry_that_cannot_say_is_a_warning(look: Look) -> None:
    look(targetRegistryUser="puller", targetRegistryPassword="wrong-word")
    assert "could not be checked" in look.log.getvalue()
    assert "wrong-word" not in look.log.getvalue()


def test_without_a_login_the_registry_is_asked_only_where_the_project_says_so(look: Look) -> None:
    look()
    assert look.registry.requests == ()
    look(checkImage=True)
    assert look.registry.requests != ()
