from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.calls import Ending, team_file
from tests.engine.steps.push_workspace import PASSWORD, PushWorkspace
from tests.fakes.archives import layout, old_save, tar, write
from tests.fakes.docker_daemon import DockerDaemon
from tests.fakes.images import ImageParts, make_image, make_index, missing, put, refer_to
from tests.fakes.registry import FakeRegistry, Status, on
from tests.fakes.serve import Answer, Request


def there(place: PushWorkspace, name: str, parts: ImageParts) -> bool:
    return dict(place.target.storage[name].blobs) == parts.all_blobs()


def test_the_image_of_the_pipeline_environment_goes_to_the_target(place: PushWorkspace) -> None:
    ending = place.push()
    assert ending.result["status"] == "success", ending.err
    assert place.target.storage["team/app"].tags == {"1.0.0-7": place.image.digest}
    assert there(place, "team/app", place.image)


def test_the_outcome_says_where_the_image_is_now(place: PushWorkspace) -> None:
    assert place.push().result["pipelineEnvironment"] == {
        "container/targetRegistryUrl": place.target.url,
        "container/targetImageNameTag": "team/app:1.0.0-7",
        "container/targetImageNameTags": ["team/app:1.0.0-7"],
        "container/targetImageDigests": [place.image.digest],
    }


def test_the_outputs_count_bytes_and_blobs_and_name_platforms(place: PushWorkspace) -> None:
    outputs = place.push().result["outputs"]
    blobs = place.image.all_blobs()
    assert outputs["blobs"] == {"copied": len(blobs), "mounted": 0, "skipped": 0}
    assert outputs["bytes"]["moved"] >= sum(map(len, blobs.values()))
    assert outputs["images"][0]["platforms"] == ["linux/amd64", "linux/arm64"]


def test_a_path_in_the_url_becomes_part_of_the_name_and_a_slash_at_its_end_does_not(
    place: PushWorkspace,
) -> None:
    place.configure(f"{place.target.url}/mirror/")
    ending = place.push()
    assert list(place.target.storage) == ["mirror/team/app"]
    assert (
        ending.result["pipelineEnvironment"]["container/targetRegistryUrl"]
        == f"{place.target.url}/mirror"
    )
    assert (
        ending.result["pipelineEnvironment"]["container/targetImageNameTag"] == "team/app:1.0.0-7"
    )


def test_one_architecture_alone_is_pushed_as_its_own_image(place: PushWorkspace) -> None:
    place.push(parameters={"targetArchitecture": "linux/arm64"})
    child = next(
        parts
        for parts in place.image.walk()
        if parts.digest != place.image.digest
        and parts.digest in str(place.image.manifest)
        and place.target.storage["team/app"].tags["1.0.0-7"] == parts.digest
    )
    assert there(place, "team/app", child)


def test_a_second_run_needs_no_staging_registry(place: PushWorkspace) -> None:
    place.push()
    place.staging.stop()
    writes = place.target.count("PUT", "") + place.target.count("POST", "")
    ending = place.push()
    assert ending.result["status"] == "unchanged"
    assert ending.result["pipelineEnvironment"]["container/targetImageDigests"] == [
        place.image.digest
    ]
    assert place.target.count("PUT", "") + place.target.count("POST", "") == writes


BUILT = [
    "container/registryUrl",
    "container/imageNames",
    "container/imageNameTags",
    "container/imageDigests",
]


def test_a_digest_that_the_builder_is_not_known_to_have_left_is_looked_for_at_the_source(
    place: PushWorkspace,
) -> None:
    """Otherwise a committed file makes an older image of the target the built one."""
    older = make_image(seed=3)
    put(older, place.target, "team/app", "older")
    for unproven in (["container/imageDigests"], BUILT):
        place.unproven = unproven
        claimed: dict[str, Any] = {"container/imageDigests": [older.digest]}
        refused = place.push(**claimed)
        what = (
            f"the image team/app@{older.digest} does not exist on the source registry"
            f" {place.staging.host}"
        )
        assert (refused.code, refused.message) == (5, what), refused.err
        assert "1.0.0-7" not in place.target.storage["team/app"].tags
    assert place.push().result["status"] == "success"
    again = place.push()
    assert (again.result["status"], again.result["outputs"]["images"][0]["digest"]) == (
        "unchanged",
        place.image.digest,
    )


def test_once_a_step_has_pushed_it_no_staging_registry_is_needed_for_it(
    place: PushWorkspace,
) -> None:
    place.unproven = BUILT
    first = place.push()
    place.staging.stop()
    ending = place.push(**first.result["pipelineEnvironment"])
    assert ending.result["status"] == "unchanged", ending.err
    place.staging.start()


def test_a_staging_registry_that_is_gone_before_the_push_is_an_error_that_says_so(
    place: PushWorkspace,
) -> None:
    place.staging.stop()
    ending = place.push()
    assert ending.code == 5
    assert ending.result["error"]["category"] == "infrastructure"
    assert place.staging.host in ending.message + ending.where


def test_the_docker_configuration_is_the_other_way_to_log_in(place: PushWorkspace) -> None:
    encoded = base64.b64encode(f"pusher:{PASSWORD}".encode()).decode()
    path = place.folder / "docker.json"
    path.write_text(json.dumps({"auths": {place.target.host: {"auth": encoded}}}))
    before = path.read_text()
    ending = place.push(environ={"PIPER_dockerConfigJSON": str(path)})
    assert ending.code == 0, ending.err
    assert path.read_text() == before


def test_a_wrong_password_names_registry_user_and_origin_and_not_itself(
    place: PushWorkspace,
) -> None:
    ending = place.push(
        environ={
            "PIPER_targetRegistryUser": "pusher",
            "PIPER_targetRegistryPassword": "wrong-pass-word",
        }
    )
    assert ending.code == 4
    text = json.dumps(ending.result) + ending.err
    assert place.target.host in text
    assert "pusher" in text
    assert "PIPER_targetRegistryPassword" in text
    assert "wrong-pass-word" not in text


@pytest.mark.parametrize(
    "registry", ["registry/UPPER", "https://pusher:pass-word@registry.example.com"]
)
def test_a_registry_that_is_none_names_the_line_that_says_so(
    place: PushWorkspace, registry: str
) -> None:
    place.configure(registry)
    ending = place.push()
    assert ending.code == 3
    assert ending.where == ".pipeline/config.yml:3"
    assert "pass-word" not in ending.err


def test_half_a_login_is_an_error_and_no_anonymous_attempt(place: PushWorkspace) -> None:
    ending = place.push(environ={"PIPER_targetRegistryUser": "pusher"})
    assert ending.code == 4
    assert "targetRegistryPassword" in ending.message
    assert not place.target.requests


def test_a_host_that_the_platform_team_does_not_allow_gets_no_credential(
    place: PushWorkspace, tmp_path: Path
) -> None:
    team = team_file(
        tmp_path, "steps:\n  imagePushToRegistry:\n    credentialHosts: [registry.example.com]\n"
    )
    environ = {
        "PIPER_targetRegistryUser": "pusher",
        "PIPER_targetRegistryPassword": PASSWORD,
        "TOWLINE_DEFAULTS": str(team),
    }
    ending = place.push(environ=environ)
    assert ending.code == 4
    assert not place.target.requests


def test_the_project_cannot_allow_hosts_itself(place: PushWorkspace) -> None:
    place.configure(place.target.url, f"    credentialHosts: ['{place.target.host}']\n")
    ending = place.push()
    assert ending.code == 3
    assert "credentialHosts" in ending.message


def test_a_dry_run_changes_nothing_and_claims_nothing(place: PushWorkspace) -> None:
    ending = place.push("--dry-run")
    assert ending.code == 0, ending.err
    assert place.target.count("PUT", "") + place.target.count("POST", "") == 0
    assert ending.result["pipelineEnvironment"] == {}
    assert "bytes to move" in ending.result["summary"]
    assert ending.result["outputs"]["plan"]


def local(place: PushWorkspace, path: str = "image", **parameters: object) -> Ending:
    """Push the layout at `path` instead of the image in staging."""
    given = {"pushLocalDockerImage": True, "localDockerImagePath": path, **parameters}
    return place.push(parameters=given, **{"container/registryUrl": None})


def test_an_image_of_this_machine_goes_to_every_name_that_it_is_to_have(
    place: PushWorkspace,
) -> None:
    image = make_image(seed=3)
    write(place.folder / "image", layout([("", image)]))
    ending = local(
        place, targetImages={"a": "shop/one", "b": "shop/two"}, targetImageTag="2.0", tagLatest=True
    )
    assert ending.code == 0, ending.err
    for name in ("shop/one", "shop/two"):
        assert place.target.storage[name].tags == dict.fromkeys(("2.0", "latest"), image.digest)
        assert there(place, name, image)
    environment = ending.result["pipelineEnvironment"]
    assert environment["container/targetImageNameTags"] == ["shop/one:2.0", "shop/two:2.0"]
    assert environment["container/targetImageDigests"] == [image.digest] * 2
    assert (
        local(
            place,
            targetImages={"a": "shop/one", "b": "shop/two"},
            targetImageTag="2.0",
            tagLatest=True,
        ).result["status"]
        == "unchanged"
    )
    assert place.staging.requests == ()


def test_what_refers_to_a_local_image_travels_with_it(place: PushWorkspace) -> None:
    image = make_image(seed=3)
    sbom = refer_to(image, content=b"what is in it")
    folder = write(place.folder / "image", layout([("1", image), ("", sbom)]))
    assert local(place, copyReferrers=False).code == 0
    assert place.target.storage["team/app"].manifests.keys() == {image.digest}
    ending = local(place)
    assert (ending.code, "WARN" in ending.err, missing(sbom, place.target, "team/app")) == (
        0,
        False,
        (),
    )
    (folder / "blobs" / sbom.digest.replace(":", "/")).write_bytes(b"{}")
    ending = local(place, "oci:image:1", targetImages={"app": "other/app"})
    assert (ending.code, f"{sbom.digest} is not copied" in ending.err) == (0, True)
    ending = local(place, "oci:image:1", targetImages={"app": "third/app"}, copyReferrers=True)
    assert (ending.code, "third/app" in place.target.storage) == (5, False)


def test_without_names_of_its_own_a_local_image_is_called_as_the_build_called_it(
    place: PushWorkspace,
) -> None:
    image = make_image(seed=3)
    write(place.folder / "image", layout([("", image)]))
    assert local(place).code == 0
    assert place.target.storage["team/app"].tags == {"1.0.0-7": image.digest}
    assert local(place, useImageNameTags=True, targetImageNameTags=["other:3+1"]).code == 0
    assert place.target.storage["other"].tags == {"3-1": image.digest}


def test_the_project_may_not_push_files_from_outside_of_its_workspace(
    place: PushWorkspace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("agent") / "image"
    write(outside, layout([("", make_image(seed=3))]))
    place.configure(
        place.target.url, f"    pushLocalDockerImage: true\n    localDockerImagePath: {outside}\n"
    )
    ending = place.push()
    assert (ending.code, "leads out of the workspace" in ending.message) == (3, True)
    (place.folder / "link").symlink_to(outside)
    place.configure(
        place.target.url, "    pushLocalDockerImage: true\n    localDockerImagePath: link\n"
    )
    assert place.push().code == 3
    assert place.target.storage == {}
    place.configure(place.target.url)
    assert local(place, str(outside)).code == 0  # the call may: a pull request does not write it


def test_the_project_may_not_push_images_of_the_daemon_where_other_builds_leave_theirs(
    place: PushWorkspace,
) -> None:
    saved = tar(old_save([(["other-team/private:1"], make_image(seed=3))]))
    name = "docker-daemon:other-team/private:1"
    with DockerDaemon(place.folder.parent, {"other-team/private:1": saved}) as daemon:
        login = {
            "PIPER_targetRegistryUser": "pusher",
            "PIPER_targetRegistryPassword": PASSWORD,
            **daemon.environ,
        }
        place.configure(
            place.target.url, f"    pushLocalDockerImage: true\n    localDockerImagePath: {name}\n"
        )
        ending = place.push(environ=login)
        assert (ending.code, ending.where) == (3, ".pipeline/config.yml:5")
        assert "PIPER_localDockerImagePath" in ending.hint
        assert (place.target.storage, daemon.asked) == ({}, [])
        assert place.push(environ={**login, "PIPER_localDockerImagePath": name}).code == 0
        place.configure(place.target.url)
        given = {
            "pushLocalDockerImage": True,
            "localDockerImagePath": name,
            "targetImages": {"a": "shop/one"},
        }
        assert place.push(environ=login, parameters=given).code == 0


def test_a_local_image_for_another_platform_is_an_error(place: PushWorkspace) -> None:
    write(place.folder / "image", layout([("", make_image("linux/arm64", seed=3))]))
    ending = local(place, targetArchitecture="linux/amd64")
    assert (ending.code, "linux/arm64, not for linux/amd64" in ending.message) == (3, True)


def test_an_image_without_an_index_goes_over_as_it_is(place: PushWorkspace) -> None:
    single = make_image("linux/amd64", seed=9, docker=True)
    put(single, place.staging, "team/app", "one")
    place.push(
        parameters={"sourceImageTag": "one", "targetImageTag": "one"},
        **{"container/imageDigests": None},
    )
    assert place.target.storage["team/app"].manifests[single.digest] == (
        single.media_type,
        single.manifest,
    )


class Echoing(FakeRegistry):
    """Refuses every upload, and repeats the request in the answer."""

    sent = ""

    def answer(self, request: Request) -> Answer:
        if request.method != "POST":
            return super().answer(request)
        self.sent = request.headers.get("authorization", "")
        return Answer(
            status=403,
            body=json.dumps(
                {
                    "errors": [
                        {"code": "DENIED", "message": f"not with {self.sent.partition(' ')[2]}"}
                    ]
                }
            ).encode(),
        )


@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_what_the_registry_repeats_of_the_login_is_masked(place: PushWorkspace, auth: str) -> None:
    """A bearer token too, which only the engine knows."""
    with Echoing(username="pusher", password=PASSWORD, auth=auth) as target:
        place.configure(target.url)
        ending = place.push()
    assert (ending.code, ending.message.count("not with ****")) == (4, 1)
    assert target.sent.lower().startswith(f"{auth} ")
    assert target.sent.partition(" ")[2] not in json.dumps(ending.result) + ending.err


@pytest.mark.parametrize("platforms", ["linux/arm64", "linux/arm64,linux/amd64"])
def test_chosen_platforms_need_no_staging_registry_the_second_time_either(
    place: PushWorkspace, platforms: str
) -> None:
    first = place.push(parameters={"targetArchitecture": platforms})
    assert first.result["outputs"]["images"][0]["chosenFrom"] == place.image.digest
    assert first.result["pipelineEnvironment"]["container/targetImageDigests"] == [
        place.target.storage["team/app"].tags["1.0.0-7"]
    ]
    place.staging.stop()
    ending = place.push(
        parameters={"targetArchitecture": platforms}, **first.result["pipelineEnvironment"]
    )
    assert ending.result["status"] == "unchanged", ending.err
    assert (
        ending.result["outputs"]["images"][0]["digest"]
        == first.result["outputs"]["images"][0]["digest"]
        != place.image.digest
    )
    place.unproven = ["container/targetPlatformDigests"]
    claimed = place.push(
        parameters={"targetArchitecture": platforms}, **first.result["pipelineEnvironment"]
    )
    assert (claimed.code, place.staging.host in claimed.message + claimed.where) == (
        5,
        True,
    ), claimed.err
    place.staging.start()


def test_what_is_known_of_another_build_is_not_taken_for_this_one(place: PushWorkspace) -> None:
    first = place.push(parameters={"targetArchitecture": "linux/arm64"})
    rebuilt = make_index(("linux/amd64", "linux/arm64"), seed=7)
    put(rebuilt, place.staging, "team/app", "1.0.0-7")
    known = {**first.result["pipelineEnvironment"], "container/imageDigests": [rebuilt.digest]}
    place.push(parameters={"targetArchitecture": "linux/arm64"}, **known)
    assert place.target.storage["team/app"].tags["1.0.0-7"] == rebuilt.children[1].digest


def test_further_registries_get_the_images_too_and_the_source_is_read_once(
    place: PushWorkspace,
) -> None:
    with FakeRegistry() as second, FakeRegistry() as third:
        ending = place.push(parameters={"targetRegistries": [f"{second.url}/mirror", third.url]})
        assert ending.code == 0, ending.err
        assert (
            second.storage["mirror/team/app"].tags
            == third.storage["team/app"].tags
            == {"1.0.0-7": place.image.digest}
        )
        assert place.staging.count("GET", "blobs") == len(place.image.all_blobs())
        # the first one's password is not for them
        assert {record.authorization for record in second.requests + third.requests} == {""}
    assert [blob["how"] for blob in ending.result["outputs"]["images"][0]["blobs"]] == [
        "copied"
    ] * 12
    assert ending.result["pipelineEnvironment"]["container/targetRegistryUrl"] == place.target.url


def test_pipers_own_keys_name_the_target_where_that_is_asked_for(place: PushWorkspace) -> None:
    environment = place.push(parameters={"publishTargetAsRegistry": True}).result[
        "pipelineEnvironment"
    ]
    assert {key: value for key, value in environment.items() if "target" not in key} == {
        "container/registryUrl": place.target.url,
        "container/imageNameTag": "team/app:1.0.0-7",
        "container/imageNameTags": ["team/app:1.0.0-7"],
        "container/imageNames": ["team/app"],
        "container/imageDigest": place.image.digest,
        "container/imageDigests": [place.image.digest],
    }


def test_what_refers_to_the_image_travels_along_by_default(place: PushWorkspace) -> None:
    sbom, place.staging.referrers = refer_to(place.image), True
    put(sbom, place.staging, "team/app")
    assert place.push(parameters={"copyReferrers": False}).code == 0
    assert sbom.digest not in place.target.storage["team/app"].manifests
    ending = place.push()
    assert (ending.result["status"], missing(sbom, place.target, "team/app")) == (
        "success",
        (),
    ), ending.err
    assert [one["digest"] for one in ending.result["outputs"]["images"][0]["referrers"]] == [
        sbom.digest
    ]
    assert place.push().result["status"] == "unchanged"


@pytest.mark.parametrize("way", ["default", "call", "project"])
def test_a_target_that_refuses_it_is_a_warning_and_an_error_where_it_was_asked_for(
    place: PushWorkspace, way: str
) -> None:
    sbom, place.staging.referrers = refer_to(place.image), True
    put(sbom, place.staging, "team/app")
    refused = Status(
        code=400, body=b'{"errors":[{"code":"MANIFEST_INVALID","message":"no artifacts"}]}'
    )
    place.target.fault = on("PUT", f"manifests/{sbom.digest}", refused, times=99)
    if way == "project":
        place.configure(place.target.url, "    copyReferrers: true\n")
    ending = place.push(parameters={"copyReferrers": True} if way == "call" else {})
    tags = place.target.storage["team/app"].tags
    if way == "default":
        assert (ending.code, tags) == (0, {"1.0.0-7": place.image.digest})
        assert "warning: the referrers of the image" in ending.err
        assert "MANIFEST_INVALID: no artifacts" in ending.err
    else:
        assert (ending.code, tags, "MANIFEST_INVALID: no artifacts" in ending.message) == (
            5,
            {},
            True,
        )


def test_verify_brings_again_what_the_target_has_lost(place: PushWorkspace) -> None:
    place.push()
    lost = next(iter(place.target.storage["team/app"].blobs))
    del place.target.storage["team/app"].blobs[lost]
    assert place.push().result["status"] == "unchanged"
    ending = place.push(parameters={"verify": True})
    assert (ending.result["status"], there(place, "team/app", place.image)) == (
        "success",
        True,
    ), ending.err
    assert f"lacks the blob {lost} when it is read again: it is copied again" in ending.err
    assert ending.result["outputs"]["blobs"]["copied"] == 1


def test_a_dry_run_with_verify_says_what_the_target_has_lost(place: PushWorkspace) -> None:
    place.push()
    lost = next(iter(place.target.storage["team/app"].blobs))
    del place.target.storage["team/app"].blobs[lost]
    place.target.forget()
    ending = place.push("--dry-run", parameters={"verify": True})
    assert (ending.code, "holds it already" in ending.result["summary"]) == (0, False)
    assert f"lacks the blob {lost} when it is read again: it would be copied again" in ending.err
    assert [
        entry["digest"] for entry in ending.result["outputs"]["plan"] if entry["do"] == "copy blob"
    ] == [lost]
    assert place.target.count("PUT", "") + place.target.count("POST", "") == 0


def test_verify_reads_the_target_again(place: PushWorkspace) -> None:
    assert place.push(parameters={"verify": True}).code == 0
    place.target.forget()
    assert place.push(parameters={"verify": True}).result["status"] == "unchanged"
    assert place.target.count("GET", "manifests") == 3
    assert place.target.count("HEAD", "blobs") == len(place.image.all_blobs())


def test_every_blob_is_reported_with_what_it_took(place: PushWorkspace) -> None:
    blobs = place.push().result["outputs"]["images"][0]["blobs"]
    assert {blob["digest"]: blob["bytes"] for blob in blobs} == {
        digest: len(data) for digest, data in place.image.all_blobs().items()
    }
    assert {
        (blob["how"], blob["requests"] >= 3, blob["retries"], blob["registry"]) for blob in blobs
    } == {("copied", True, 0, place.target.host)}
