"""Images made for tests are real: layers unpack, digests and sizes fit, and the same seed gives
the same bytes.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile

import pytest

from tests.fakes.images import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    ImageParts,
    index_of,
    make_image,
    make_index,
    missing,
    put,
)
from tests.fakes.registry import FakeRegistry, digest_of


def layers(image: ImageParts) -> list[bytes]:
    return [
        gzip.decompress(image.blobs[layer["digest"]])
        for layer in json.loads(image.manifest)["layers"]
    ]


def test_layers_unpack_and_the_configuration_knows_their_digests() -> None:
    image = make_image("linux/arm/v7", files={"b": b"two", "a": b"one"}, layers=2)
    config = json.loads(image.blobs[json.loads(image.manifest)["config"]["digest"]])
    assert config["rootfs"]["diff_ids"] == [digest_of(tar) for tar in layers(image)]
    assert (config["os"], config["architecture"], config["variant"]) == ("linux", "arm", "v7")
    with tarfile.open(fileobj=io.BytesIO(layers(image)[0])) as archive:
        assert [(member.name, member.size) for member in archive] == [("a", 3), ("b", 3)]


@pytest.mark.parametrize(
    ("docker", "kind", "index_kind"),
    [(False, OCI_MANIFEST, OCI_INDEX), (True, DOCKER_MANIFEST, DOCKER_LIST)],
)
def test_descriptors_fit_what_they_describe(kind: str, index_kind: str, *, docker: bool) -> None:
    index = make_index(("linux/amd64", "linux/arm64"), docker=docker)
    entries = json.loads(index.manifest)["manifests"]
    assert [(entry["digest"], entry["size"], entry["mediaType"]) for entry in entries] == [
        (c.digest, len(c.manifest), kind) for c in index.children
    ]
    assert [entry["platform"]["architecture"] for entry in entries] == ["amd64", "arm64"]
    assert (index.media_type, json.loads(index.manifest)["mediaType"], index.digest) == (
        index_kind,
        index_kind,
        digest_of(index.manifest),
    )
    described = [
        descriptor
        for child in index.children
        for m in [json.loads(child.manifest)]
        for descriptor in [m["config"], *m["layers"]]
    ]
    assert {(part["digest"], part["size"]) for part in described} == {
        (digest_of(data), len(data)) for data in index.all_blobs().values()
    }


def test_the_same_seed_gives_the_same_bytes_and_another_one_others() -> None:
    assert make_index(seed=1) == make_index(seed=1)
    assert make_index(seed=1).all_blobs().keys().isdisjoint(make_index(seed=2).all_blobs())
    # no time in the gzip header
    assert b"\x00\x00\x00\x00" in next(iter(make_image().blobs.values()))[4:8]


def test_a_size_is_about_what_moves() -> None:
    assert 1_000_000 < len(max(make_image(size=1_000_000).blobs.values(), key=len)) < 1_020_000


def test_an_index_of_indexes_is_walked_children_first() -> None:
    inner, lone = make_index(), make_image("linux/s390x", seed=4)
    outer = index_of([inner, lone])
    assert list(outer.walk()) == [*inner.children, inner, lone, outer]
    assert outer.all_blobs().keys() == inner.all_blobs().keys() | lone.blobs.keys()


def test_what_is_missing_is_named() -> None:
    index = make_index()
    registry = FakeRegistry()
    assert len(missing(index, registry, "a")) == 3 + 4
    put(index, registry, "a", "1")
    assert missing(index, registry, "a") == ()
    gone, wrong = sorted(index.all_blobs())[:2]
    del registry.storage["a"].blobs[gone]
    registry.storage["a"].blobs[wrong] = b"other"
    assert missing(index, registry, "a") == (gone, wrong)
