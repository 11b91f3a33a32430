"""Other programs can read the archives that are made for tests."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.fakes.archives import (
    config_of,
    layout,
    new_save,
    old_save,
    plain_layers,
    tar,
    tar_of,
    unpacked,
    write,
)
from tests.fakes.images import make_image, make_index
from tests.fakes.registry import digest_of

SKOPEO = shutil.which("skopeo")
needs_skopeo = pytest.mark.skipif(
    SKOPEO is None, reason="no skopeo: install it to see that it reads the archives of the tests"
)


def names(data: bytes) -> list[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return [(entry.name, entry.type) for entry in archive]


def test_a_layer_that_two_images_share_is_a_link_in_the_old_shape() -> None:
    first, second = make_image(files={"a": b"1"}), make_image("linux/arm64", files={"a": b"1"})
    kinds = [kind for _, kind in names(tar(old_save([(["a:1"], first), (["b:1"], second)])))]
    assert (kinds.count(tarfile.SYMTYPE), kinds.count(tarfile.DIRTYPE)) == (1, 2)


def test_the_new_shape_is_a_layout_with_the_old_index_beside_it() -> None:
    image = make_image(layers=2)
    files = new_save([(["app:1"], image)], packed=False)
    [entry] = json.loads(files["manifest.json"])
    assert [files[name] for name in entry["Layers"]] == plain_layers(image)
    assert files[entry["Config"]] == config_of(image)
    assert {"oci-layout", "index.json"} < files.keys()


def test_unpacking_an_image_keeps_its_configuration() -> None:
    image = make_image()
    plain = unpacked(image)
    assert config_of(plain) == config_of(image)
    assert digest_of(plain.manifest) == plain.digest != image.digest


@needs_skopeo
@pytest.mark.parametrize("shape", ["old", "new", "layout"])
def test_skopeo_reads_them(shape: str, tmp_path: Path) -> None:
    image = make_image(layers=2)
    data = {
        "old": tar(old_save([(["app:1"], image)])),
        "new": tar_of(new_save([(["app:1"], image)], packed=False)),
        "layout": b"",
    }[shape]
    (tmp_path / "app.tar").write_bytes(data)
    write(tmp_path / "app", layout([("1", make_index())]))
    place = (
        f"oci:{tmp_path}/app:1" if shape == "layout" else f"docker-archive:{tmp_path}/app.tar:app:1"
    )
    inspected = subprocess.run(
        [str(SKOPEO), "inspect", place], capture_output=True, text=True, check=False
    )
    assert inspected.returncode == 0, inspected.stderr
    assert json.loads(inspected.stdout)["Os"] == "linux"
