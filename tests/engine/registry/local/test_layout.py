from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.registry.clients import local_image
from tests.fakes.archives import layout, tar_of, write
from tests.fakes.images import ImageParts, index_of, make_attested, make_image, make_index, refer_to
from towline.errors import ConfigError, DigestMismatch, TowlineError
from towline.registry.local import layout as module
from towline.registry.local.layout import LayoutFolder, OciLayout, is_digest
from towline.registry.local.spool import Spool
from towline.registry.local.tar import Tar
from towline.registry.manifest import MANIFEST_LIMIT
from towline.registry.source import LOCAL

SHAPES = ["folder", "tar"]
_descriptors: list[int] = []


@pytest.fixture(autouse=True)
def closing() -> Iterator[None]:
    yield
    while _descriptors:
        os.close(_descriptors.pop())


def folder_at(path: Path) -> LayoutFolder:
    _descriptors.append(os.open(path, os.O_RDONLY))
    return LayoutFolder(_descriptors[-1], str(path))


@contextmanager
def opened(files: Mapping[str, bytes], shape: str, folder: Path) -> Iterator[OciLayout]:
    if shape == "folder":
        yield OciLayout(folder_at(write(folder, files)), name="OCI layout app")
        return
    with Spool() as spool:
        spool.append(tar_of(files))
        yield OciLayout(
            Tar(spool.fileno(), spool.size, where="app.tar"), name="OCI archive app.tar"
        )


def refused(files: Mapping[str, bytes], folder: Path, target: str = "") -> TowlineError:
    with (
        pytest.raises((ConfigError, DigestMismatch)) as caught,
        opened(files, "folder", folder) as source,
    ):
        source.get_manifest(local_image(target))
    assert caught.value.where
    return caught.value


def blob(source: OciLayout, digest: str, start: int = 0) -> bytes:
    with source.open_blob(LOCAL, digest, start=start) as content:
        return content.read()


def edited(files: dict[str, bytes], **changes: object) -> dict[str, bytes]:
    return {
        **files,
        "index.json": json.dumps({**json.loads(files["index.json"]), **changes}).encode(),
    }


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("tag", ["", "1.0"])
def test_the_only_image_needs_no_tag(shape: str, tag: str, tmp_path: Path) -> None:
    image = make_image(layers=2)
    with opened(layout([(tag, image)]), shape, tmp_path) as source:
        manifest = source.get_manifest(local_image())
        assert (manifest.body, manifest.digest, manifest.media_type) == (
            image.manifest,
            image.digest,
            image.media_type,
        )
        assert source.head_manifest(local_image()) == manifest.descriptor
        assert {digest: blob(source, digest) for digest in image.blobs} == dict(image.blobs)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_tag_chooses_among_several(shape: str, tmp_path: Path) -> None:
    first, second = make_image(seed=1), make_index(seed=2)
    with opened(
        layout([("1", first), ("docker.io/library/app:2", second), ("2", second)]), shape, tmp_path
    ) as source:
        assert source.get_manifest(local_image("1")).digest == first.digest
        assert (
            source.get_manifest(local_image("docker.io/library/app:2")).digest
            == source.get_manifest(local_image("2")).digest
            == second.digest
        )
        assert source.head_manifest(local_image("3")) is None
        for target in ("", "3"):
            with pytest.raises(ConfigError) as caught:
                source.get_manifest(local_image(target))
            assert "1, 2, docker.io/library/app:2" in caught.value.hint


def test_without_a_tag_the_one_of_the_place_is_meant(tmp_path: Path) -> None:
    images = {"1": make_image(seed=1), "2": make_image(seed=2)}
    folder = folder_at(write(tmp_path, layout(images.items())))
    for tag, image in images.items():
        assert (
            OciLayout(folder, name="OCI layout app", target=tag).get_manifest(local_image()).digest
            == image.digest
        )
    with pytest.raises(ConfigError, match="no image '3'"):
        OciLayout(folder, name="OCI layout app", target="3").get_manifest(local_image())


def test_one_image_with_two_tags_is_one_image(tmp_path: Path) -> None:
    image = make_image()
    with opened(layout([("1", image), ("latest", image)]), "folder", tmp_path) as source:
        assert source.get_manifest(local_image()).digest == image.digest


def test_one_tag_for_two_images_says_nothing(tmp_path: Path) -> None:
    fault = refused(layout([("1", make_image(seed=1)), ("1", make_image(seed=2))]), tmp_path, "1")
    assert "more than one image '1'" in fault.message
    assert fault.hint == "give each a tag of its own, or build or save the image anew"


@pytest.mark.parametrize("content", [None, b"{}"])
def test_an_entry_that_cannot_be_read_and_may_be_the_image_is_told_as_that(
    content: bytes | None, tmp_path: Path
) -> None:
    image, other = make_image(), make_image(seed=5)
    files = layout([("1", image), ("", other)])
    name = "blobs/" + other.digest.replace(":", "/")
    files = (
        {**files, name: content}
        if content
        else {key: value for key, value in files.items() if key != name}
    )
    fault = refused(files, tmp_path)
    assert (
        f"lacks the manifest {other.digest}, or has other content for it, and no tag says whether"
        " it is the image" in fault.message
    )
    assert fault.hint == "add :tag; it has: 1"
    assert (
        OciLayout(folder_at(tmp_path), name="OCI layout app", target="1")
        .get_manifest(local_image())
        .digest
        == image.digest
    )


def flat(index: ImageParts, *names: str) -> dict[str, bytes]:
    """A layout whose index.json is the image's own index, its entries under these names."""
    files, data = layout([("", index)]), json.loads(index.manifest)
    del files["blobs/" + index.digest.replace(":", "/")]
    for entry, name in zip(data["manifests"], names, strict=False):
        entry["annotations"] = {
            **entry.get("annotations", {}),
            "org.opencontainers.image.ref.name": name,
        }
    return {**files, "index.json": json.dumps(data).encode() if names else index.manifest}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "index",
    [
        make_index(),
        make_index(docker=True),
        make_attested(),
        index_of([make_image(), make_image("unknown/unknown", seed=1)]),
    ],
)
def test_an_index_json_that_is_the_image_of_several_platforms_is_that_image(
    index: ImageParts, shape: str, tmp_path: Path
) -> None:
    with opened(flat(index), shape, tmp_path) as source:
        found = source.get_manifest(local_image())
        assert (found.body, found.digest, found.media_type) == (
            index.manifest,
            index.digest,
            index.media_type,
        )
        assert source.get_manifest(local_image(index.digest)) == found
        assert [
            source.get_manifest(local_image(child.digest)).digest for child in found.children
        ] == [child.digest for child in index.children]


def test_platforms_under_one_tag_are_one_image_of_those_alone(tmp_path: Path) -> None:
    index = make_index(["linux/amd64", "linux/arm64", "linux/s390x"])
    with opened(flat(index, "1", "1", "2"), "folder", tmp_path) as source:
        found = source.get_manifest(local_image("1"))
        assert [child.digest for child in found.children] == [
            child.digest for child in index.children[:2]
        ]
        assert source.get_manifest(local_image(found.digest)) == found
        assert source.get_manifest(local_image("2")).digest == index.children[2].digest
        with pytest.raises(ConfigError, match="more than one image, and no tag says which"):
            source.get_manifest(local_image())


@pytest.mark.parametrize(
    "index",
    [
        index_of([make_image(seed=1), make_image(seed=2)]),
        index_of([make_index(), make_image(seed=3)]),
    ],
)
def test_two_images_for_one_platform_or_for_none_that_is_named_are_two(
    index: ImageParts, tmp_path: Path
) -> None:
    assert "more than one image" in refused(flat(index), tmp_path).message


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("tag", ["", "1.0"])
def test_what_refers_to_an_image_is_none_itself(shape: str, tag: str, tmp_path: Path) -> None:
    image = make_image()
    several = refer_to(image), refer_to(image, content=b"other")
    with opened(
        layout([("", several[0]), (tag, image), (tag, several[1])]), shape, tmp_path
    ) as source:
        assert (
            source.get_manifest(local_image(tag)).digest
            == source.get_manifest(local_image()).digest
            == image.digest
        )
        assert {one.digest for one in source.referrers(LOCAL, image.digest)} == {
            one.digest for one in several
        }
        assert source.tags(LOCAL) == frozenset({tag} - {""})


@pytest.mark.parametrize("tag", ["", "1.0"])
def test_lists_of_referrers_and_cosigns_tags_are_no_images_beside_one(
    tag: str, tmp_path: Path
) -> None:
    image, beside = make_image(), f"sha256-{'a' * 64}"
    several = layout(
        [
            (beside, make_index(seed=3)),
            (tag, image),
            (f"{beside}.sig", make_image(seed=4)),
            (f"host/app:{beside}.att", make_image(seed=5)),
        ]
    )
    with opened(several, "folder", tmp_path) as source:
        assert source.get_manifest(local_image()).digest == image.digest
        assert source.get_manifest(local_image(f"{beside}.sig")).digest == make_image(seed=4).digest
        assert source.tags(LOCAL) == frozenset(
            {tag, beside, f"{beside}.sig", f"{beside}.att"} - {""}
        )
        with pytest.raises(ConfigError, match="no image '2'") as caught:
            source.get_manifest(local_image("2"))
        assert caught.value.hint == f"it has: {tag or 'no image with a tag'}"


def test_the_platforms_of_an_index_that_stand_beside_it_are_its_parts(tmp_path: Path) -> None:
    index = make_index()
    with opened(
        layout([("", index), *(("", child) for child in index.children)]), "folder", tmp_path
    ) as source:
        assert source.get_manifest(local_image()).digest == index.digest
    assert (
        "more than one image"
        in refused(
            layout([("1", index), *(("2", child) for child in index.children)]), tmp_path / "b"
        ).message
    )


def test_an_artifact_without_a_tag_is_no_image_beside_one(tmp_path: Path) -> None:
    image, chart = make_image(), make_image(seed=5)
    entries = json.loads(layout([("", image), ("", chart)])["index.json"])["manifests"]
    files = edited(
        layout([("", image), ("", chart)]),
        manifests=[entries[0], {**entries[1], "artifactType": "application/vnd.example.chart"}],
    )
    with opened(files, "folder", tmp_path) as source:
        assert (
            source.get_manifest(local_image()).digest,
            source.referrers(LOCAL, image.digest),
        ) == (
            image.digest,
            (),
        )


def test_an_artifact_with_a_tag_of_its_own_may_be_what_is_meant(tmp_path: Path) -> None:
    chart = make_image(seed=5)
    files = layout([("1", make_image()), ("2", chart)])
    entries = json.loads(files["index.json"])["manifests"]
    files = edited(
        files,
        manifests=[entries[0], {**entries[1], "artifactType": "application/vnd.example.chart"}],
    )
    assert "has more than one image" in refused(files, tmp_path).message
    with opened(files, "folder", tmp_path) as source:
        assert source.get_manifest(local_image("2")).digest == chart.digest


def test_what_refers_to_another_is_copied_where_it_is_all_there_is(tmp_path: Path) -> None:
    signature = refer_to(make_image())
    with opened(layout([("", signature)]), "folder", tmp_path) as source:
        assert source.get_manifest(local_image()).digest == signature.digest


def test_platforms_beside_what_refers_to_them_are_one_image(tmp_path: Path) -> None:
    index = make_index()
    files = layout([("", index), ("", refer_to(index))])
    files = edited(
        files,
        manifests=[
            *json.loads(index.manifest)["manifests"],
            json.loads(files["index.json"])["manifests"][1],
        ],
    )
    with opened(files, "folder", tmp_path) as source:
        found = source.get_manifest(local_image())
        assert [child.digest for child in found.children] == [
            child.digest for child in index.children
        ]
        assert [one.digest for one in source.referrers(LOCAL, index.digest)] == [
            refer_to(index).digest
        ]


def test_a_damaged_entry_beside_the_image_is_no_hindrance(tmp_path: Path) -> None:
    image, other = make_image(), refer_to(make_image(seed=3))
    files = layout([("1", image), ("2", other)])
    files["blobs/" + other.digest.replace(":", "/")] = b"{}"
    source = OciLayout(folder_at(write(tmp_path, files)), name="OCI layout app", target="1")
    assert (source.get_manifest(local_image()).digest, source.referrers(LOCAL, image.digest)) == (
        image.digest,
        (),
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_indexes_in_indexes_are_reached_by_digest(
    shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = make_index()
    outer = index_of([inner, make_image("linux/s390x", docker=True)])
    with opened(layout([("1", outer)]), shape, tmp_path) as source:
        for part in outer.walk():
            assert source.get_manifest(local_image(part.digest)).body == part.manifest
        assert {image.digest for image in source.images()} == {
            part.digest for part in outer.walk() if not part.children
        }
        monkeypatch.setattr(module, "MANIFESTS", 2)
        assert len(list(source.images())) < 3


def test_images_that_are_not_there_are_passed_over(tmp_path: Path) -> None:
    index = make_index()
    files = layout([("1", index)])
    del files["blobs/" + index.children[0].digest.replace(":", "/")]
    with opened(files, "folder", tmp_path) as source:
        assert [image.digest for image in source.images()] == [index.children[1].digest]


def test_a_manifest_may_leave_its_type_out(tmp_path: Path) -> None:
    image = make_image()
    for body in (image.manifest, make_index().manifest):
        data = {key: value for key, value in json.loads(body).items() if key != "mediaType"}
        plain = json.dumps(data).encode()
        digest = "sha256:" + hashlib.sha256(plain).hexdigest()
        bare = ImageParts(
            manifest=plain, media_type=image.media_type, digest=digest, blobs=image.blobs
        )
        with opened(layout([("1", bare)]), "folder", tmp_path / digest[-8:]) as source:
            found = source.get_manifest(local_image("1"))
            assert bool(found.children) == ("manifests" in data)


@pytest.mark.parametrize("shape", SHAPES)
def test_longer_digests_are_as_good(shape: str, tmp_path: Path) -> None:
    image, files = make_image(), {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    digest = "sha512:" + hashlib.sha512(image.manifest).hexdigest()
    files["blobs/" + digest.replace(":", "/")] = image.manifest
    files["index.json"] = json.dumps(
        {
            "schemaVersion": 2,
            "manifests": [{"mediaType": image.media_type, "digest": digest, "size": 1}],
        }
    ).encode()
    with opened(files, shape, tmp_path) as source:
        assert source.get_manifest(local_image()).digest == digest
        assert source.has_blob(digest)
        assert not source.has_blob("sha512:" + "0" * 128)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_blob_is_read_from_where_it_broke_off(shape: str, tmp_path: Path) -> None:
    image = make_image(size=5000)
    [digest, *_] = sorted(image.blobs, key=lambda digest: -len(image.blobs[digest]))
    with opened(layout([("", image)]), shape, tmp_path) as source:
        assert blob(source, digest, 1234) == image.blobs[digest][1234:]
        with pytest.raises(ConfigError, match="lacks the blob"):
            source.open_blob(LOCAL, "sha256:" + "0" * 64)
        with pytest.raises(ConfigError, match="not a digest"):
            source.open_blob(LOCAL, "sha256:../../index.json")


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("oci-layout", b"", "not an OCI layout"),
        ("oci-layout", b"{}", "not an OCI layout"),
        ("oci-layout", b"[1]", "not an OCI layout"),
        ("oci-layout", b"[" * 100_000, "not an OCI layout"),
        ("oci-layout", b'{"imageLayoutVersion":"2.0.0"}', "version '2.0.0'"),
        ("index.json", b"", "the manifest is not a JSON object"),
        ("index.json", b"[]", "not a JSON object"),
        ("index.json", b"{}", "does not have that type's content"),
        ("index.json", b'{"schemaVersion":2,"manifests":{}}', "not a list"),
        ("index.json", b'{"schemaVersion":2,"manifests":[1]}', "without digest"),
        ("index.json", b'{"schemaVersion":2,"manifests":[]}', "has no image"),
        ("index.json", b" " * (MANIFEST_LIMIT + 1), "larger than"),
        (
            "index.json",
            b'{"schemaVersion":2,"manifests":[{"digest":"sha256:../../../etc/passwd","size":1}]}',
            "without a valid digest",
        ),
    ],
)
def test_what_is_no_layout_is_refused(name: str, data: bytes, said: str, tmp_path: Path) -> None:
    assert said in refused({**layout([("", make_image())]), name: data}, tmp_path).message


def test_entries_with_odd_annotations_have_no_tag(tmp_path: Path) -> None:
    files = layout([("1", make_image())])
    [entry] = json.loads(files["index.json"])["manifests"]
    for odd in (list[str](), "x", {"org.opencontainers.image.ref.name": 1}):
        fault = refused(edited(files, manifests=[{**entry, "annotations": odd}]), tmp_path, "1")
        assert "no image with a tag" in fault.hint


def test_other_content_than_a_digest_says_is_found_out(tmp_path: Path) -> None:
    image = make_image()
    files = {
        **layout([("1", image)]),
        "blobs/" + image.digest.replace(":", "/"): make_image(seed=9).manifest,
    }
    fault = refused(files, tmp_path)
    assert isinstance(fault, DigestMismatch)
    assert "damaged" in fault.message
    assert "registry" not in fault.message + fault.hint


def test_no_file_outside_the_folder_is_read(tmp_path: Path) -> None:
    image, files = make_image(), layout([("1", make_image())])
    inside, outside = (
        "blobs/" + image.digest.replace(":", "/"),
        write(tmp_path / "outside", {"manifest": image.manifest, **files}),
    )
    for number, name in enumerate((inside, "blobs/sha256", "blobs", "index.json", "oci-layout")):
        place = write(tmp_path / f"layout-{number}", files)
        (place / name).rename(place / "moved")
        (place / name).symlink_to(outside / name)
        with pytest.raises(ConfigError, match=r"cannot read|no oci-layout"):
            OciLayout(folder_at(place), name="OCI layout app").get_manifest(local_image())


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    image, files = make_image(), layout([("1", make_image())])
    inside = write(tmp_path, files) / "blobs" / image.digest.replace(":", "/")
    inside.unlink()
    os.mkfifo(inside)
    folder = folder_at(tmp_path)
    before = set(Path("/proc/self/fd").iterdir())
    with pytest.raises(ConfigError, match="is not a file"):
        OciLayout(folder, name="OCI layout app").get_manifest(local_image())
    inside.unlink()
    inside.mkdir()
    with pytest.raises(ConfigError, match="is not a file"):
        OciLayout(folder, name="OCI layout app").get_manifest(local_image())
    assert set(Path("/proc/self/fd").iterdir()) == before


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "manifests",
                        "mediaType",
                        "digest",
                        "size",
                        "annotations",
                        "layers",
                        "config",
                        "schemaVersion",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_no_index_at_all_breaks_it(index: object) -> None:
    files = {**layout([("1", make_image())]), "index.json": json.dumps(index).encode()}
    with Spool() as spool:
        spool.append(tar_of(files))
        with pytest.raises(ConfigError):
            OciLayout(
                Tar(spool.fileno(), spool.size, where="app.tar"), name="OCI archive app.tar"
            ).get_manifest(local_image())


def test_a_digest_is_told_from_a_tag() -> None:
    assert is_digest("sha256:" + "a" * 64)
    assert not is_digest("sha256:latest")
    assert not is_digest("")
