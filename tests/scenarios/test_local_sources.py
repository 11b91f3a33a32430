"""Local images of every kind, copied into Debian's docker-registry."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.registry.clients import client, local_image, registry_of, repository_at
from tests.fakes.archives import (
    config_of,
    layout,
    new_save,
    old_save,
    plain_layers,
    tar,
    tar_of,
    write,
)
from tests.fakes.docker_daemon import DockerDaemon
from tests.fakes.docker_registry import DockerRegistry
from tests.fakes.images import make_image, make_index, refer_to
from towline import dispatch
from towline.errors import ConfigError, DigestMismatch
from towline.http.client import Transport
from towline.image import Reference, parse_image, parse_platforms
from towline.registry.copy.copying import Copying
from towline.registry.copy.images import copy_images
from towline.registry.copy.job import REQUIRED, CopyJob, CopyReport
from towline.registry.copy.progress import Progress
from towline.registry.copy.referrers import ReferrerLists, referrers_tag
from towline.registry.local.locations import parse_local_location

IMAGE = make_image(layers=3, size=200_000)
OTHER = make_image("linux/arm64", seed=5)
INDEX = make_index()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[DockerRegistry]:
    with DockerRegistry(tmp_path / "registry") as started:
        yield started


@pytest.fixture
def place(tmp_path: Path) -> Path:
    images = [(["app:1"], IMAGE), (["app:2"], OTHER)]
    old, flat = tar(old_save(images)), layout([("1", IMAGE), ("2", OTHER), ("all", INDEX)])
    write(tmp_path / "layout", flat)
    return write(
        tmp_path,
        {
            "old.tar": old,
            "old.tar.gz": gzip.compress(old),
            "new.tar": tar_of(new_save(images, packed=False)),
            "oci.tar": tar_of(flat),
        },
    )


def copied(
    text: str, registry: DockerRegistry, environ: dict[str, str] | None = None, platform: str = ""
) -> CopyReport:
    """Copy a local image with its referrers, as the step does it.

    The copy also takes images that have no name.
    """
    local = parse_local_location(text)
    target = Reference(registry=registry_of(registry), image=parse_image("team/app:1.0"))
    job = CopyJob(
        source=local_image(),
        name=str(local),
        targets=(target,),
        platforms=parse_platforms(platform),
        referrers=REQUIRED,
    )
    with (
        dispatch.part("local_images").open_source(local, environ=environ or {}) as source,
        Transport() as transport,
    ):
        copying = Copying(
            source=source,
            targets={target.registry: client(registry, "target", transport)},
            progress=Progress(None, transport.clock),
        )
        return copy_images([job], copying)[0]


@pytest.mark.parametrize(
    "text",
    [
        "oci:{}/layout:1",
        "oci-archive:{}/oci.tar:1",
        "docker-archive:{}/old.tar:app:1",
        "docker-archive:{}/old.tar.gz:app:1",
        "docker-archive:{}/new.tar:app:1",
    ],
)
def test_every_shape_arrives_with_its_configuration_and_layers(
    text: str, place: Path, registry: DockerRegistry
) -> None:
    report = copied(text.format(place), registry, platform="linux/amd64")
    assert registry.unpacked(report.digest) == (config_of(IMAGE), plain_layers(IMAGE))
    assert report.tags_set == ("team/app:1.0",)
    assert not copied(text.format(place), registry).changed


def test_an_index_arrives_whole(place: Path, registry: DockerRegistry) -> None:
    report = copied(f"oci:{place}/layout:all", registry)
    assert report.digest == INDEX.digest
    assert report.platforms == ("linux/amd64", "linux/arm64")
    assert (
        copied(f"oci:{place}/layout:all", registry, platform="linux/arm64").digest
        == INDEX.children[1].digest
    )
    assert copied(
        f"oci:{place}/layout:all", registry, platform="linux/arm64,linux/amd64"
    ).platforms == ("linux/arm64", "linux/amd64")


def test_what_refers_to_an_image_of_a_layout_arrives_where_only_a_tag_lists_it(
    tmp_path: Path, registry: DockerRegistry
) -> None:
    sbom, signature, cosign = (
        refer_to(IMAGE),
        refer_to(IMAGE, "application/vnd.example.signature"),
        make_image(seed=77),
    )
    files = layout(
        [("1", IMAGE), ("", sbom), ("", signature), (f"{referrers_tag(IMAGE.digest)}.sig", cosign)]
    )
    report = copied(f"oci:{write(tmp_path / 'layout', files)}", registry)
    assert {one.digest for one in report.referrers} == {
        sbom.digest,
        signature.digest,
        cosign.digest,
    }
    assert [registry.blob(one.digest) for one in (IMAGE, sbom, signature, cosign)] == [
        one.manifest for one in (IMAGE, sbom, signature, cosign)
    ]
    assert (
        registry.manifest_digest("team/app", f"{referrers_tag(IMAGE.digest)}.sig") == cosign.digest
    )
    with Transport() as transport:
        listed = ReferrerLists(
            client(registry, "target", transport),
            repository_at(client(registry, "target", transport), "team/app"),
        ).referrers([IMAGE.digest])
    assert {one.digest for one in listed} == {sbom.digest, signature.digest}
    assert not copied(f"oci:{tmp_path}/layout", registry).changed


def test_the_daemons_image_arrives(tmp_path: Path, registry: DockerRegistry) -> None:
    with DockerDaemon(tmp_path, {"app:1": tar(old_save([(["app:1"], IMAGE)]))}) as daemon:
        report = copied("docker-daemon:app:1", registry, daemon.environ)
    assert registry.unpacked(report.digest) == (config_of(IMAGE), plain_layers(IMAGE))


def test_an_image_for_another_platform_is_not_pushed(place: Path, registry: DockerRegistry) -> None:
    with pytest.raises(ConfigError, match="is for the platform linux/amd64"):
        copied(f"docker-archive:{place}/old.tar:app:1", registry, platform="linux/arm64")


def test_a_damaged_layer_leaves_no_tag(place: Path, registry: DockerRegistry) -> None:
    whole = (place / "old.tar").read_bytes()
    at = whole.index(plain_layers(IMAGE)[0][600:700])
    (place / "old.tar").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    with pytest.raises(DigestMismatch, match="layer 1"):
        copied(f"docker-archive:{place}/old.tar:app:1", registry)
    assert not registry.manifest_digest("team/app", "1.0")
