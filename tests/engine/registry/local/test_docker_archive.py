from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.registry.clients import local_image
from tests.fakes.archives import (
    Member,
    config_of,
    member,
    new_save,
    old_save,
    packed_layers,
    plain_layers,
    tar,
    tar_of,
)
from tests.fakes.images import DOCKER_MANIFEST, OCI_MANIFEST, ImageParts, index_of, make_image
from tests.fakes.registry import digest_of
from towline.errors import ConfigError, DigestMismatch, TowlineError
from towline.registry.gzip import LIBRARY
from towline.registry.local.docker_archive import DockerArchive
from towline.registry.local.spool import Spool
from towline.registry.local.tar import Tar
from towline.registry.manifest import Manifest
from towline.registry.source import LOCAL

IMAGE = make_image(layers=3, size=3000)


@contextmanager
def opened(data: bytes, *, library: object = LIBRARY) -> Iterator[DockerArchive]:
    with Spool() as spool:
        spool.append(data)
        with DockerArchive(
            Tar(spool.fileno(), spool.size, where="app.tar"),
            name="Docker archive app.tar",
            library=library,
        ) as source:
            yield source


def old(image: ImageParts = IMAGE, *names: str) -> bytes:
    return tar(old_save([(names or ("app:1",), image)]))


def blob(source: DockerArchive, digest: str, start: int = 0) -> bytes:
    with source.open_blob(LOCAL, digest, start=start) as content:
        return content.read()


def blobs(source: DockerArchive, manifest: Manifest) -> list[bytes]:
    found = [blob(source, part.digest) for part in manifest.blobs]
    assert [(digest_of(data), len(data)) for data in found] == [
        (part.digest, part.size) for part in manifest.blobs
    ]
    return found


def refused(data: bytes, target: str = "") -> TowlineError:
    with pytest.raises((ConfigError, DigestMismatch)) as caught, opened(data) as source:
        source.get_manifest(local_image(target))
    assert caught.value.where
    return caught.value


def made_of(
    config: Any, layers: Sequence[bytes], names: Sequence[str] = (), extra: Sequence[Member] = ()
) -> bytes:
    """An archive of parts that need not match each other."""
    body = config if isinstance(config, bytes) else json.dumps(config).encode()
    index = [
        {
            "Config": "config.json",
            "RepoTags": ["app:1"],
            "Layers": list(names) or [f"{number}/layer.tar" for number in range(len(layers))],
        }
    ]
    stored = [member(f"{number}/layer.tar", layer) for number, layer in enumerate(layers)]
    return tar(
        [
            member("config.json", body),
            *stored,
            *extra,
            member("manifest.json", json.dumps(index).encode()),
        ]
    )


def knowing(*layers: bytes) -> dict[str, Any]:
    return {
        "os": "linux",
        "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
    }


@pytest.mark.parametrize("library", [zlib, LIBRARY], ids=["zlib", "usual"])
def test_the_old_shape_becomes_an_image_of_docker(library: object) -> None:
    with opened(old(), library=library) as source:
        manifest = source.get_manifest(local_image("app:1"))
        config, *layers = blobs(source, manifest)
    assert manifest.media_type == DOCKER_MANIFEST
    assert config == config_of(IMAGE)
    assert [gzip.decompress(layer) for layer in layers] == plain_layers(IMAGE)
    kinds = [part["mediaType"] for part in json.loads(manifest.body)["layers"]]
    assert kinds == ["application/vnd.docker.image.rootfs.diff.tar.gzip"] * 3


def test_the_new_shape_with_plain_layers_becomes_an_image_of_oci() -> None:
    with opened(tar_of(new_save([(["app:1"], IMAGE)], packed=False))) as source:
        manifest = source.get_manifest(local_image())
        config, *layers = blobs(source, manifest)
    assert manifest.media_type == OCI_MANIFEST
    assert config == config_of(IMAGE)
    assert [gzip.decompress(layer) for layer in layers] == plain_layers(IMAGE)
    assert {part["mediaType"] for part in json.loads(manifest.body)["layers"]} == {
        "application/vnd.oci.image.layer.v1.tar+gzip"
    }


@pytest.mark.parametrize("docker", [False, True])
def test_the_new_shape_with_packed_layers_keeps_its_manifest(*, docker: bool) -> None:
    image = make_image(layers=2, docker=docker)
    with opened(tar_of(new_save([(["app:1"], image)], packed=True))) as source:
        manifest = source.get_manifest(local_image("app:1"))
        assert (manifest.digest, manifest.body, manifest.media_type) == (
            image.digest,
            image.manifest,
            image.media_type,
        )
        assert blobs(source, manifest) == [config_of(image), *packed_layers(image)]


def test_an_image_of_an_index_is_found_below_it() -> None:
    files = new_save([(["app:1"], IMAGE)], packed=True)
    index = index_of([make_image("linux/s390x"), IMAGE])
    files["blobs/" + index.digest.replace(":", "/")] = index.manifest
    files["index.json"] = json.dumps(
        {
            "schemaVersion": 2,
            "manifests": [{"mediaType": index.media_type, "digest": index.digest, "size": 1}],
        }
    ).encode()
    with opened(tar_of(files)) as source:
        assert source.get_manifest(local_image()).digest == IMAGE.digest


def test_a_manifest_whose_blobs_are_elsewhere_is_made_anew() -> None:
    files = new_save([(["app:1"], IMAGE)], packed=True)
    del files["blobs/" + IMAGE.digest.replace(":", "/")]
    with opened(tar_of(files)) as source:
        manifest = source.get_manifest(local_image())
        assert blobs(source, manifest) == [config_of(IMAGE), *packed_layers(IMAGE)]
        assert manifest.media_type == DOCKER_MANIFEST


def test_packed_layers_go_as_they_are_in_the_old_shape_too() -> None:
    data = made_of(config_of(IMAGE), packed_layers(IMAGE))
    with opened(data) as source:
        assert blobs(source, source.get_manifest(local_image())) == [
            config_of(IMAGE),
            *packed_layers(IMAGE),
        ]


def test_zstd_has_a_name_with_oci_only() -> None:
    layers = [b"\x28\xb5\x2f\xfd" + b"x" * 100, plain_layers(IMAGE)[0]]
    with opened(made_of(knowing(b"", layers[1]), layers)) as source:
        manifest = source.get_manifest(local_image())
        assert blob(source, manifest.blobs[1].digest) == layers[0]
    kinds = [part["mediaType"].rpartition("+")[2] for part in json.loads(manifest.body)["layers"]]
    assert (manifest.media_type, kinds) == (OCI_MANIFEST, ["zstd", "gzip"])


def test_the_same_archive_gives_the_same_digest_every_time_and_whatever_its_packing() -> None:
    digests = set()
    for data in (old(), old(), tar(reversed(old_save([(["other:2"], IMAGE)])), tarfile.GNU_FORMAT)):
        with opened(data) as source:
            digests.add(source.get_manifest(local_image()).digest)
    assert len(digests) == 1


def test_an_image_is_chosen_by_any_spelling_of_its_name() -> None:
    other = make_image("linux/arm64", layers=1)
    with opened(
        tar(
            old_save(
                [(["app:1", "registry.example/app:1"], IMAGE), (["docker.io/library/app:2"], other)]
            )
        )
    ) as source:
        first, second = (
            source.get_manifest(local_image("docker.io/library/app:1")),
            source.get_manifest(local_image("app:2")),
        )
        assert source.get_manifest(local_image("registry.example/app:1")) is first
        assert [
            json.loads(blob(source, manifest.blobs[0].digest))["architecture"]
            for manifest in (first, second)
        ] == ["amd64", "arm64"]
        assert source.head_manifest(local_image("app:2")) == second.descriptor
        assert source.head_manifest(local_image(second.digest)) == second.descriptor
        assert source.get_manifest(local_image(second.digest)) == second
        assert source.head_manifest(local_image("sha256:" + "0" * 64)) is None
        assert source.head_manifest(local_image("app:3")) is None
        for target in ("", "app:3"):
            with pytest.raises(ConfigError) as caught:
                source.get_manifest(local_image(target))
            assert "app:1, app:2, registry.example/app:1" in caught.value.hint


def test_without_a_name_the_image_of_the_place_is_meant() -> None:
    data = tar(old_save([(["app:1"], IMAGE), (["app:2"], make_image(seed=2))]))
    with Spool() as spool:
        spool.append(data)
        archive = Tar(spool.fileno(), spool.size, where="app.tar")
        for name in ("app:1", "app:2"):
            with DockerArchive(archive, name="Docker archive app.tar", target=name) as source:
                assert source.get_manifest(local_image()) == source.get_manifest(local_image(name))
        with (
            DockerArchive(archive, name="Docker archive app.tar", target="app:3") as source,
            pytest.raises(ConfigError, match="no image 'app:3'"),
        ):
            source.get_manifest(local_image())


def test_an_image_without_a_name_is_the_only_one() -> None:
    with opened(tar(old_save([([], IMAGE)]))) as source:
        assert source.get_manifest(local_image()).blobs
        with pytest.raises(ConfigError) as caught:
            source.get_manifest(local_image("app:1"))
    assert "no image with a name" in caught.value.hint


def test_a_layer_that_images_share_is_packed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    shared = {"a": b"1" * 5000}
    images = [
        ([f"app:{number}"], make_image(platform, files=shared))
        for number, platform in enumerate(("linux/amd64", "linux/arm64"))
    ]
    with opened(tar(old_save(images))) as source:
        first, second = (
            source.get_manifest(local_image("app:0")),
            source.get_manifest(local_image("app:1")),
        )
        assert first.blobs[1] == second.blobs[1]
        assert source._spool.size == first.blobs[1].size
        assert list(tmp_path.iterdir()) == []


def test_a_layer_twice_in_an_image_is_one_blob() -> None:
    layer = plain_layers(IMAGE)[0]
    with opened(made_of(knowing(layer, layer), [layer], ["0/layer.tar", "0/layer.tar"])) as source:
        manifest = source.get_manifest(local_image())
    assert len(json.loads(manifest.body)["layers"]) == 2
    assert len({part.digest for part in manifest.blobs}) == 2


def test_an_image_of_nothing_has_no_layers() -> None:
    with opened(made_of(knowing(), [])) as source:
        assert len(source.get_manifest(local_image()).blobs) == 1


def test_threads_ask_at_once_and_the_work_is_done_once() -> None:
    with opened(old()) as source, ThreadPoolExecutor(8) as pool:
        manifests = list(pool.map(lambda _: source.get_manifest(local_image()), range(16)))
        assert all(manifest is manifests[0] for manifest in manifests)
        found = list(
            pool.map(lambda start: blob(source, manifests[0].blobs[1].digest, start), range(20))
        )
    assert [part == found[0][start:] for start, part in enumerate(found)] == [True] * 20


def test_a_blob_that_no_manifest_named_is_not_there() -> None:
    for data in (old(), tar_of(new_save([(["app:1"], IMAGE)], packed=False))):
        with opened(data) as source, pytest.raises(ConfigError, match="lacks the blob"):
            source.open_blob(LOCAL, "sha256:" + "0" * 64)


def test_longer_layer_digests_are_checked_as_well() -> None:
    layer = plain_layers(IMAGE)[0]
    config = {"rootfs": {"diff_ids": ["sha512:" + hashlib.sha512(layer).hexdigest()]}}
    with opened(made_of(config, [layer])) as source:
        assert source.get_manifest(local_image()).blobs
    config["rootfs"]["diff_ids"] = ["sha512:" + "0" * 128]
    assert "layer 1 (0/layer.tar)" in refused(made_of(config, [layer])).message


def test_a_layer_that_the_configuration_does_not_know_is_named() -> None:
    layers = plain_layers(IMAGE)
    fault = refused(made_of(config_of(IMAGE), [layers[0], layers[2], layers[1]]))
    assert isinstance(fault, DigestMismatch)
    assert "layer 2 (1/layer.tar)" in fault.message


@pytest.mark.parametrize(
    ("config", "layers", "names", "said"),
    [
        (b"{}", [b"x"], (), "has 0 layers, and the archive has 1"),
        (knowing(b"x"), [], (), "has 1 layers, and the archive has 0"),
        (b"[]", [], (), "cannot be read"),
        (b"[" * 100_000, [], (), "cannot be read"),
        (b"\xff", [], (), "cannot be read"),
        ({"rootfs": {"diff_ids": "a"}}, [b"x"], (), "cannot be read"),
        ({"rootfs": {"diff_ids": [1]}}, [b"x"], (), "cannot be read"),
        ({"rootfs": {"diff_ids": ["a"]}}, [b"x"], (), "cannot be read"),
        ({"rootfs": []}, [b"x"], (), "has 0 layers"),
        (knowing(b"x"), [b"x"], ("../../etc/passwd",), "lacks layer 1"),
        (knowing(b"x"), [b"x"], ("/etc/passwd",), "lacks layer 1"),
        (b" " * (8 * 1024 * 1024 + 1), [], (), "larger than"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    config: Any, layers: list[bytes], names: Sequence[str], said: str
) -> None:
    assert said in refused(made_of(config, layers, names)).message


@pytest.mark.parametrize(
    ("index", "said"),
    [
        (None, "has no manifest.json"),
        (b"", "not a JSON list"),
        (b"{}", "not a JSON list"),
        (b"[" * 100_000, "not a JSON list"),
        (b"[]", "has no image"),
        (b"[1]", "in an unknown form"),
        (b"[{}]", "in an unknown form"),
        (b'[{"Config":"c","Layers":"l"}]', "in an unknown form"),
        (b'[{"Config":"c","Layers":[1]}]', "in an unknown form"),
        (b'[{"Config":"c","RepoTags":{"a":1}}]', "in an unknown form"),
        (b'[{"Config":"none","Layers":[]}]', "lacks the image's configuration"),
    ],
)
def test_what_is_no_archive_of_images_is_refused(index: bytes | None, said: str) -> None:
    assert (
        said
        in refused(
            tar_of({"a": b"", **({} if index is None else {"manifest.json": index})})
        ).message
    )


def test_a_part_that_is_named_by_another_digest_is_damaged() -> None:
    for files in (
        new_save([(["app:1"], IMAGE)], packed=True),
        {info.name: data for info, data in old_save([(["app:1"], IMAGE)]) if info.isreg()},
    ):
        changed = {
            name: data + b" " if data == config_of(IMAGE) else data
            for name, data in files.items()
            if name not in ("index.json", "oci-layout")
        }
        fault = refused(tar_of(changed))
        assert isinstance(fault, DigestMismatch)
        assert "is damaged" in fault.message


def test_nothing_outside_the_archive_is_read(tmp_path: Path) -> None:
    layer = plain_layers(IMAGE)[0]
    (tmp_path / "layer.tar").write_bytes(layer)
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        for link in (str(tmp_path / "layer.tar"), "../" * 30 + str(tmp_path / "layer.tar")):
            data = made_of(
                knowing(layer), [], ["l/layer.tar"], [member("l/layer.tar", kind=kind, link=link)]
            )
            assert "lacks layer 1" in refused(data).message


def test_the_threads_and_the_spool_end_with_it() -> None:
    with opened(old()) as source:
        digest = source.get_manifest(local_image()).blobs[1].digest
    assert source._spool._file.closed
    with pytest.raises(ValueError, match="closed"):
        source.open_blob(LOCAL, digest)
    with pytest.raises(RuntimeError, match="shutdown"):
        source._packer._pool.submit(int)


keys = st.sampled_from(["Config", "Layers", "RepoTags", "rootfs", "diff_ids", "os"])
leaves = (
    st.none()
    | st.integers()
    | st.sampled_from(["config.json", "0/layer.tar", "../x", "/etc/passwd", "app:1", ""])
)
documents = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=10,
)


@given(documents, documents)
def test_no_documents_at_all_break_it(index: object, config: object) -> None:
    files: Mapping[str, bytes] = {
        "manifest.json": json.dumps([index]).encode(),
        "config.json": json.dumps(config).encode(),
        "0/layer.tar": b"x" * 600,
    }
    with contextlib.suppress(ConfigError, DigestMismatch), opened(tar_of(files)) as source:
        assert source.get_manifest(local_image()).blobs
