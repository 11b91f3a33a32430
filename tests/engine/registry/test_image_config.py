from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fakes.archives import config_of, layout, write
from tests.fakes.images import ImageParts, make_image
from tests.fakes.registry import digest_of
from towline.errors import ConfigError, DigestMismatch
from towline.image import Platform
from towline.registry.image_config import CONFIG_LIMIT, ImageConfig, parse_config, read_config
from towline.registry.layout import Folder, Layout


def read(image: ImageParts, folder: Path, **changed: bytes) -> ImageConfig:
    digest = json.loads(image.manifest)["config"]["digest"]
    files = layout([("", image)])
    write(folder, {**files, **{"blobs/" + digest.replace(":", "/"): data for data in changed.values()}})
    source = Layout(Folder(str(folder)), name="OCI layout app")
    return read_config(source, "", source.get_manifest("", ""))


@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm/v7"])
def test_an_image_says_its_platform_and_layers(platform: str, tmp_path: Path) -> None:
    image = make_image(platform, layers=3)
    config = read(image, tmp_path)
    assert str(config.platform) == platform
    assert list(config.diff_ids) == json.loads(config_of(image))["rootfs"]["diff_ids"]


@pytest.mark.parametrize("changed", [b"", b"{}", b" longer"])
def test_another_configuration_than_the_manifests_is_refused(changed: bytes, tmp_path: Path) -> None:
    image = make_image()
    with pytest.raises(DigestMismatch, match="configuration is not sha256:"):
        read(image, tmp_path, changed=config_of(image) + changed if changed.startswith(b" ") else changed)
    with pytest.raises(DigestMismatch, match="configuration is not sha256:"):
        read(image, tmp_path, changed=config_of(image).replace(b"amd64", b"arm64"))


def test_a_configuration_is_not_read_past_its_limit(tmp_path: Path) -> None:
    image = make_image()
    manifest = json.loads(image.manifest)
    manifest["config"]["size"] = CONFIG_LIMIT + 1
    body = json.dumps(manifest).encode()
    huge = ImageParts(manifest=body, media_type=image.media_type, digest=digest_of(body), blobs=image.blobs)
    source = Layout(Folder(str(write(tmp_path, layout([("", huge)])))), name="OCI layout app")
    with pytest.raises(ConfigError, match="larger than"):
        read_config(source, "", source.get_manifest("", ""))


@pytest.mark.parametrize(("data", "platform"), [
    ({}, None), ({"os": "linux"}, None), ({"os": "", "architecture": "amd64"}, None), ({"os": 1, "architecture": "amd64"}, None),
    ({"os": "linux", "architecture": "arm", "variant": 7}, Platform(os="linux", architecture="arm")),
])
def test_a_configuration_may_say_no_platform(data: dict[str, object], platform: Platform | None) -> None:
    assert parse_config(json.dumps(data).encode(), where="x") == ImageConfig(platform=platform, diff_ids=())


@pytest.mark.parametrize("body", [
    b"", b"[]", b"{", b"[" * 100_000, b"\xff",
    b'{"rootfs":{"diff_ids":"a"}}', b'{"rootfs":{"diff_ids":[1]}}', b'{"rootfs":{"diff_ids":["a"]}}',
])
def test_what_is_no_configuration_is_refused(body: bytes) -> None:
    with pytest.raises(ConfigError):
        parse_config(body, where="x")
