from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.calls import Ending, configure, request
from tests.fakes.images import ImageParts, make_image, make_index, put
from tests.fakes.registry import FakeRegistry
from tests.fakes.serve import Answer, Request

PASSWORD = "target-pass-word"


class Place:
    """A workspace between a staging and a target registry, with one two-platform image in staging."""

    def __init__(self, folder: Path, staging: FakeRegistry, target: FakeRegistry) -> None:
        self.folder, self.staging, self.target = folder, staging, target
        self.image = make_index(("linux/amd64", "linux/arm64"))
        put(self.image, staging, "team/app", "1.0.0-7")
        self.configure(target.url)

    def configure(self, url: str, more: str = "") -> None:
        configure(self.folder, f"steps:\n  imagePushToRegistry:\n    targetRegistryUrl: {url}\n{more}")

    def push(self, *words: str, parameters: dict[str, object] | None = None, environ: dict[str, str] | None = None, **environment: object) -> Ending:
        known: dict[str, Any] = {
            "container/registryUrl": self.staging.url, "container/imageNames": ["team/app"], "container/imageNameTags": ["team/app:1.0.0-7"],
            "container/imageDigests": [self.image.digest], "artifactVersion": "1.0.0+7", **environment,
        }
        known = {key: value for key, value in known.items() if value is not None}
        login = {"PIPER_targetRegistryUser": "pusher", "PIPER_targetRegistryPassword": PASSWORD} if environ is None else environ
        flag = request(self.folder, step="imagePushToRegistry", pipelineEnvironment=known, parameters=parameters or {})
        return Ending(["run", "imagePushToRegistry", *flag, *words], self.folder, login)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.chdir(tmp_path)
    with FakeRegistry() as staging, FakeRegistry(username="pusher", password=PASSWORD, auth="basic") as target:
        yield Place(tmp_path, staging, target)


def there(place: Place, name: str, parts: ImageParts) -> bool:
    return dict(place.target.storage[name].blobs) == parts.all_blobs()


def test_the_image_of_the_pipeline_environment_goes_to_the_target(place: Place) -> None:
    ending = place.push()
    assert ending.result["status"] == "success", ending.err
    assert place.target.storage["team/app"].tags == {"1.0.0-7": place.image.digest}
    assert there(place, "team/app", place.image)


def test_the_outcome_says_where_the_image_is_now(place: Place) -> None:
    assert place.push().result["pipelineEnvironment"] == {
        "container/targetRegistryUrl": place.target.url,
        "container/targetImageNameTag": "team/app:1.0.0-7",
        "container/targetImageNameTags": ["team/app:1.0.0-7"],
        "container/targetImageDigests": [place.image.digest],
    }


def test_the_outputs_count_bytes_and_blobs_and_name_platforms(place: Place) -> None:
    outputs = place.push().result["outputs"]
    blobs = place.image.all_blobs()
    assert outputs["blobs"] == {"copied": len(blobs), "mounted": 0, "skipped": 0}
    assert outputs["bytes"]["moved"] >= sum(map(len, blobs.values()))
    assert outputs["images"][0]["platforms"] == ["linux/amd64", "linux/arm64"]


def test_a_path_in_the_url_becomes_part_of_the_name_and_a_slash_at_its_end_does_not(place: Place) -> None:
    place.configure(f"{place.target.url}/mirror/")
    ending = place.push()
    assert list(place.target.storage) == ["mirror/team/app"]
    assert ending.result["pipelineEnvironment"]["container/targetRegistryUrl"] == f"{place.target.url}/mirror"
    assert ending.result["pipelineEnvironment"]["container/targetImageNameTag"] == "team/app:1.0.0-7"


def test_target_images_rename_and_a_tag_and_latest_are_one_copy(place: Place) -> None:
    place.push(parameters={"targetImages": {"team/app": "shop"}, "targetImageTag": "2.0", "tagLatest": True})
    assert place.target.storage["shop"].tags == {"2.0": place.image.digest, "latest": place.image.digest}
    assert place.staging.count("GET", r"/blobs/") == len(place.image.all_blobs())


def test_a_name_that_target_images_lacks_is_an_error_with_its_line(place: Place) -> None:
    place.configure(place.target.url, "    targetImages:\n      other: shop\n")
    ending = place.push()
    assert ending.code == 3
    assert "team/app" in ending.message
    assert ending.where == ".pipeline/config.yml:4"


def test_name_tags_are_pushed_as_they_are_with_latest_beside_them(place: Place) -> None:
    ending = place.push(parameters={"useImageNameTags": True, "tagLatest": True, "targetImageNameTags": ["shop:2.0+1"]})
    assert ending.code == 0, ending.err
    assert place.target.storage["shop"].tags == {"2.0-1": place.image.digest, "latest": place.image.digest}


def test_name_tags_of_different_number_are_an_error(place: Place) -> None:
    ending = place.push(parameters={"useImageNameTags": True, "targetImageNameTags": ["a:1", "b:1"]})
    assert ending.code == 3
    assert "2 entries for 1" in ending.message


def test_one_architecture_alone_is_pushed_as_its_own_image(place: Place) -> None:
    place.push(parameters={"targetArchitecture": "linux/arm64"})
    child = next(parts for parts in place.image.walk() if parts.digest != place.image.digest and parts.digest in str(place.image.manifest)
                 and place.target.storage["team/app"].tags["1.0.0-7"] == parts.digest)
    assert there(place, "team/app", child)


def test_a_second_run_needs_no_staging_registry(place: Place) -> None:
    place.push()
    place.staging.stop()
    writes = place.target.count("PUT", "") + place.target.count("POST", "")
    ending = place.push()
    assert ending.result["status"] == "unchanged"
    assert ending.result["pipelineEnvironment"]["container/targetImageDigests"] == [place.image.digest]
    assert place.target.count("PUT", "") + place.target.count("POST", "") == writes


def test_a_staging_registry_that_is_gone_before_the_push_is_an_error_that_says_so(place: Place) -> None:
    place.staging.stop()
    ending = place.push()
    assert ending.code == 5
    assert ending.result["error"]["category"] == "infrastructure"
    assert place.staging.host in ending.message + ending.where


@pytest.mark.parametrize("missing", ["container/imageNames", "container/registryUrl"])
def test_an_image_or_a_registry_that_nobody_knows_is_an_error(place: Place, missing: str) -> None:
    assert place.push(**{missing: None}).code == 3


def test_the_docker_configuration_is_the_other_way_to_log_in(place: Place) -> None:
    encoded = base64.b64encode(f"pusher:{PASSWORD}".encode()).decode()
    path = place.folder / "docker.json"
    path.write_text(json.dumps({"auths": {place.target.host: {"auth": encoded}}}))
    before = path.read_text()
    ending = place.push(environ={"PIPER_dockerConfigJSON": str(path)})
    assert ending.code == 0, ending.err
    assert path.read_text() == before


def test_a_wrong_password_names_registry_user_and_origin_and_not_itself(place: Place) -> None:
    ending = place.push(environ={"PIPER_targetRegistryUser": "pusher", "PIPER_targetRegistryPassword": "wrong-pass-word"})
    assert ending.code == 4
    text = json.dumps(ending.result) + ending.err
    assert place.target.host in text
    assert "pusher" in text
    assert "PIPER_targetRegistryPassword" in text
    assert "wrong-pass-word" not in text


def test_half_a_login_is_an_error_and_no_anonymous_attempt(place: Place) -> None:
    ending = place.push(environ={"PIPER_targetRegistryUser": "pusher"})
    assert ending.code == 4
    assert "targetRegistryPassword" in ending.message
    assert not place.target.requests


def test_a_host_that_the_platform_team_does_not_allow_gets_no_credential(place: Place, tmp_path: Path) -> None:
    team = tmp_path / "team.yml"
    team.write_text("steps:\n  imagePushToRegistry:\n    credentialHosts: [registry.example.com]\n")
    environ = {"PIPER_targetRegistryUser": "pusher", "PIPER_targetRegistryPassword": PASSWORD, "TOWLINE_DEFAULTS": str(team)}
    ending = place.push(environ=environ)
    assert ending.code == 4
    assert not place.target.requests


def test_the_project_cannot_allow_hosts_itself(place: Place) -> None:
    place.configure(place.target.url, f"    credentialHosts: ['{place.target.host}']\n")
    ending = place.push()
    assert ending.code == 3
    assert "credentialHosts" in ending.message


def test_latest_alone_is_one_tag_even_where_it_is_the_images_own(place: Place) -> None:
    put(place.image, place.staging, "team/app", "latest")
    place.push(parameters={"useImageNameTags": True, "tagLatest": True, "sourceImageNameTags": ["team/app:latest"]})
    assert place.target.storage["team/app"].tags == {"latest": place.image.digest}


def test_digests_of_another_number_than_the_images_are_left_out_with_a_warning(place: Place) -> None:
    environment: dict[str, Any] = {"container/imageDigests": [place.image.digest, place.image.digest]}
    ending = place.push(**environment)
    assert ending.code == 0
    assert "2 digests are known for 1 images" in ending.err


@pytest.mark.parametrize("parameters", [{"sourceImageTag": "0.9"}, {"useImageNameTags": True, "sourceImageNameTags": ["team/app:0.9"]}])
def test_the_builds_digest_is_not_taken_for_another_image(place: Place, parameters: dict[str, object]) -> None:
    older = make_image("linux/amd64", seed=5)
    put(older, place.staging, "team/app", "0.9")
    place.push(parameters={**parameters, "targetImageTag": "0.9"})
    assert place.target.storage["team/app"].tags == {"0.9": older.digest}


def test_a_dry_run_changes_nothing_and_claims_nothing(place: Place) -> None:
    ending = place.push("--dry-run")
    assert ending.code == 0, ending.err
    assert place.target.count("PUT", "") + place.target.count("POST", "") == 0
    assert ending.result["pipelineEnvironment"] == {}
    assert "bytes to move" in ending.result["summary"]
    assert ending.result["outputs"]["plan"]


def test_what_is_not_built_yet_is_refused_and_not_ignored(place: Place) -> None:
    ending = place.push(parameters={"pushLocalDockerImage": True})
    assert ending.code == 3
    assert "pushLocalDockerImage" in ending.message


def test_an_image_without_an_index_goes_over_as_it_is(place: Place) -> None:
    single = make_image("linux/amd64", seed=9, docker=True)
    put(single, place.staging, "team/app", "one")
    place.push(parameters={"sourceImageTag": "one", "targetImageTag": "one"}, **{"container/imageDigests": None})
    assert place.target.storage["team/app"].manifests[single.digest] == (single.media_type, single.manifest)


class Echoing(FakeRegistry):
    """Refuses every upload, and says with what it was asked."""

    sent = ""

    def answer(self, request: Request) -> Answer:
        if request.method != "POST":
            return super().answer(request)
        self.sent = request.headers.get("authorization", "")
        return Answer(status=403, body=json.dumps({"errors": [{"code": "DENIED", "message": f"not with {self.sent.partition(' ')[2]}"}]}).encode())


@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_what_the_registry_repeats_of_the_login_is_masked(place: Place, auth: str) -> None:
    """A bearer token too, which nobody but the engine knows."""
    with Echoing(username="pusher", password=PASSWORD, auth=auth) as target:
        place.configure(target.url)
        ending = place.push()
    assert (ending.code, ending.message.count("not with ****")) == (4, 1)
    assert target.sent.lower().startswith(f"{auth} ")
    assert target.sent.partition(" ")[2] not in json.dumps(ending.result) + ending.err
