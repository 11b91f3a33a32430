from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.calls import Ending, configure, request
from tests.fakes.images import make_image, make_index, put, refer_to
from tests.fakes.registry import FakeRegistry

PASSWORD = "release-pass-word"


class Promotion:
    """A registry with tested images, and the registry of releases."""

    def __init__(self, folder: Path, tested: FakeRegistry, releases: FakeRegistry) -> None:
        self.folder, self.tested, self.releases = folder, tested, releases
        self.image, self.unproven = make_index(), list[str]()
        put(self.image, tested, "team/app", "1.0.0-7")
        configure(folder, f"general:\n  dockerRegistryUrl: {releases.url}\n")

    def push(
        self,
        *words: str,
        parameters: dict[str, object] | None = None,
        environ: dict[str, str] | None = None,
        **environment: object,
    ) -> Ending:
        known = {
            "container/targetRegistryUrl": self.tested.url,
            "container/targetImageNameTag": "team/app:1.0.0-7",
            "container/registryUrl": "https://staging.example.com",
            "container/imageNameTag": "team/app:1.0.0-7",
            "artifactVersion": "1.0.0+7",
            **environment,
        }
        flag = request(
            self.folder,
            step="containerPushToRegistry",
            pipelineEnvironment=known,
            unproven=self.unproven,
            parameters=parameters or {},
        )
        login = {"PIPER_dockerRegistryUser": "releaser", "PIPER_dockerRegistryPassword": PASSWORD}
        return Ending(
            ["run", "containerPushToRegistry", *flag, *words],
            self.folder,
            login if environ is None else environ,
        )


@pytest.fixture
def promotion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Promotion]:
    monkeypatch.chdir(tmp_path)
    with (
        FakeRegistry(referrers=True) as tested,
        FakeRegistry(username="releaser", password=PASSWORD) as releases,
    ):
        yield Promotion(tmp_path, tested, releases)


def test_what_was_pushed_last_goes_on_to_the_registry_of_releases(promotion: Promotion) -> None:
    ending = promotion.push()
    assert ending.result["status"] == "success", ending.err
    assert promotion.releases.storage["team/app"].tags == {"1.0.0-7": promotion.image.digest}
    assert ending.result["pipelineEnvironment"] == {
        "container/targetRegistryUrl": promotion.releases.url,
        "container/targetImageNameTag": "team/app:1.0.0-7",
        "container/targetImageNameTags": ["team/app:1.0.0-7"],
        "container/targetImageDigests": [promotion.image.digest],
        "container/promotedTo": promotion.releases.url,
        "container/promotedFrom": promotion.tested.url,
        "container/promotedImages": ["team/app:1.0.0-7"],
    }
    assert promotion.push().result["status"] == "unchanged"


def test_a_second_run_that_finds_its_own_push_in_the_environment_asks_where_the_first_did(
    promotion: Promotion,
) -> None:
    first = promotion.push(parameters={"dockerImage": "shop/app:9"})
    promotion.releases.forget()
    again = promotion.push(
        parameters={"dockerImage": "shop/app:9"}, **first.result["pipelineEnvironment"]
    )
    assert (again.result["status"], again.result["pipelineEnvironment"]) == (
        "unchanged",
        first.result["pipelineEnvironment"],
    ), again.err
    assert {record.method for record in promotion.releases.requests} == {"HEAD"}
    named = promotion.push(
        parameters={
            "sourceImage": "shop/app:9",
            "sourceRegistryUrl": promotion.releases.url,
            "sourceRegistryUser": "releaser",
            "sourceRegistryPassword": PASSWORD,
            "dockerImage": "shop/app:stable",
        },
        **first.result["pipelineEnvironment"],
    )
    assert named.result["status"] == "success", named.err
    assert promotion.releases.storage["shop/app"].tags == dict.fromkeys(
        ("9", "stable"), promotion.image.digest
    )


@pytest.mark.parametrize(
    "claimed", ["container/promotedTo", "container/promotedFrom", "container/promotedImages"]
)
def test_a_promotion_that_no_step_is_known_to_have_made_is_not_repeated(
    promotion: Promotion, claimed: str
) -> None:
    """Otherwise the author of a committed file chooses the registry of releases."""
    first = promotion.push().result["pipelineEnvironment"]
    with FakeRegistry() as evil:
        other = {
            "container/promotedTo": promotion.releases.url,
            "container/promotedFrom": evil.url,
            "container/promotedImages": ["team/app:1.0.0-7"],
        }
        put(make_image(seed=9), evil, "team/app", "1.0.0-7")
        evil.forget()
        login = {
            f"PIPER_{kind}Registry{part}": value
            for kind in ("docker", "source")
            for part, value in (("User", "releaser"), ("Password", PASSWORD))
        }
        promotion.unproven = [claimed]
        again = promotion.push(**{**first, claimed: other[claimed]}, environ=login)
        assert (again.result["status"], evil.requests) == ("unchanged", ()), again.err
    assert promotion.releases.storage["team/app"].tags == {"1.0.0-7": promotion.image.digest}


def test_a_digest_counts_as_a_value_whoever_has_left_it(promotion: Promotion) -> None:
    older = make_image(seed=4)
    put(older, promotion.tested, "team/app", "older")
    names, digests = "container/targetImageNameTags", "container/targetImageDigests"
    known: dict[str, Any] = {names: ["team/app:1.0.0-7"], digests: [older.digest]}
    promotion.unproven = [names, digests]
    assert promotion.push(**known).result["status"] == "success"
    assert promotion.releases.storage["team/app"].tags == {"1.0.0-7": older.digest}


def test_every_image_of_the_last_push_goes_on_by_the_digest_that_was_pushed(
    promotion: Promotion,
) -> None:
    worker, later = make_image(seed=1), make_image(seed=2)
    put(worker, promotion.tested, "team/worker", "1.0.0-7")
    names, digests = (
        ["team/app:1.0.0-7", "team/worker:1.0.0-7"],
        [
            promotion.image.digest,
            worker.digest,
        ],
    )
    pushed: dict[str, Any] = {
        "container/targetImageNameTags": names,
        "container/targetImageDigests": digests,
    }
    put(
        later, promotion.tested, "team/worker", "1.0.0-7"
    )  # another image was pushed to the tag since then
    ending = promotion.push(**pushed)
    assert {key: ending.result["pipelineEnvironment"][key] for key in pushed} == pushed, ending.err
    assert promotion.releases.storage["team/worker"].tags == {"1.0.0-7": worker.digest}
    promotion.tested.stop()
    assert (
        promotion.push(
            parameters={"copyReferrers": False}, **ending.result["pipelineEnvironment"]
        ).result["status"]
        == "unchanged"
    )
    promotion.tested.start()
    given: list[dict[str, object]] = [{"sourceImage": names[0]}, {"dockerImage": "shop/app:9"}]
    for parameters in given:
        assert len(promotion.push(parameters=parameters, **pushed).result["outputs"]["images"]) == 1


def test_the_log_names_the_new_step_once(promotion: Promotion) -> None:
    assert promotion.push().err.count("imagePushToRegistry is its new name") == 1


def test_image_name_latest_and_version_are_those_of_the_older_step(promotion: Promotion) -> None:
    put(promotion.image, promotion.tested, "other", "2")
    given: dict[str, object] = {
        "sourceImage": "other:2",
        "dockerImage": "shop/app:9",
        "tagLatest": True,
        "tagArtifactVersion": True,
    }
    promotion.push(parameters={**given, "sourceRegistryUrl": promotion.tested.url})
    assert promotion.releases.storage["shop/app"].tags == dict.fromkeys(
        ("9", "latest", "1.0.0-7"), promotion.image.digest
    )


def test_a_script_that_names_image_and_registry_wins_over_what_was_pushed(
    promotion: Promotion,
) -> None:
    put(promotion.image, promotion.tested, "scripted", "3")
    environment: dict[str, Any] = {
        "custom/containerImage": "scripted:3",
        "custom/containerRegistryUrl": promotion.tested.url,
    }
    promotion.push(**environment)
    assert list(promotion.releases.storage) == ["scripted"]


def test_what_refers_to_the_image_goes_along_unless_it_is_not_wanted(promotion: Promotion) -> None:
    sbom = refer_to(promotion.image)
    put(sbom, promotion.tested, "team/app")
    promotion.push(parameters={"copyReferrers": False})
    assert sbom.digest not in promotion.releases.storage["team/app"].manifests
    promotion.push()
    assert sbom.digest in promotion.releases.storage["team/app"].manifests


def test_each_image_is_released_by_the_account_of_its_namespace(promotion: Promotion) -> None:
    worker = make_image(seed=1)
    put(worker, promotion.tested, "shop/worker", "1.0.0-7")
    promotion.releases.owners = {
        "team": ("team-bot", "team-pass-word"),
        "shop": ("shop-bot", "shop-pass-word"),
    }
    auths = {
        f"{promotion.releases.host}/{space}": {"username": user, "password": password}
        for space, (user, password) in promotion.releases.owners.items()
    }
    pushed: dict[str, Any] = {
        "container/targetImageNameTags": ["team/app:1.0.0-7", "shop/worker:1.0.0-7"],
        "container/targetImageDigests": [promotion.image.digest, worker.digest],
    }
    ending = promotion.push(
        environ={"PIPER_dockerConfigJSON": json.dumps({"auths": auths})}, **pushed
    )
    assert ending.code == 0, ending.err
    assert [promotion.releases.storage[name].tags for name in ("team/app", "shop/worker")] == [
        {"1.0.0-7": promotion.image.digest},
        {"1.0.0-7": worker.digest},
    ]


def test_a_path_in_the_url_does_not_count_and_that_is_said(promotion: Promotion) -> None:
    ending = promotion.push(parameters={"dockerRegistryUrl": f"{promotion.releases.url}/sub"})
    assert list(promotion.releases.storage) == ["team/app"]
    assert "warning: the path 'sub' of dockerRegistryUrl is ignored" in ending.err


@pytest.mark.parametrize(
    ("parameters", "environment", "message"),
    [
        ({"dockerArchive": "image.tar"}, {}, "dockerArchive"),
        (
            {},
            {"container/targetImageNameTag": "", "container/imageNameTag": ""},
            "no image is known",
        ),
        ({"tagArtifactVersion": True}, {"artifactVersion": ""}, "no version is known"),
    ],
)
def test_what_cannot_be_done_says_what_to_do(
    promotion: Promotion,
    parameters: dict[str, object],
    environment: dict[str, Any],
    message: str,
) -> None:
    ending = promotion.push(parameters=parameters, **environment)
    assert (ending.code, message in ending.message, bool(ending.hint)) == (3, True, True)
    assert promotion.releases.storage == {}


def test_in_promote_it_runs_by_pipers_condition_and_by_its_flag(promotion: Promotion) -> None:
    assert promotion.push("--stage", "Promote", "--if-active").result["status"] == "success"
    configure(
        promotion.folder,
        f"general:\n  dockerRegistryUrl: {promotion.releases.url}\nstages:\n  Promote:\n   "
        " containerPushToRegistry: false\n",
    )
    assert promotion.push("--stage", "Promote", "--if-active").result["status"] == "skipped"


def test_a_wrong_password_names_the_registry_and_its_user(promotion: Promotion) -> None:
    promotion.releases.password = "another"
    ending = promotion.push()
    assert (
        ending.code,
        promotion.releases.host in ending.message,
        "releaser" in ending.message,
    ) == (4, True, True)
    assert PASSWORD not in ending.err
