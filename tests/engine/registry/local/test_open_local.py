from __future__ import annotations

import contextlib
import gzip
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.engine.registry.clients import local_image
from tests.fakes.archives import config_of, layout, new_save, old_save, tar, tar_of, write
from tests.fakes.docker_daemon import DockerDaemon
from tests.fakes.images import make_image
from tests.fakes.registry import digest_of
from towline import dispatch
from towline.errors import ConfigError, MachineError
from towline.http.client import Transport
from towline.registry.local.locations import LocalLocation, parse_local_location
from towline.registry.local.open_local import open_source
from towline.registry.manifest import Manifest
from towline.registry.source import LOCAL, ImageSource

IMAGE = make_image(layers=2)
SKOPEO = shutil.which("skopeo")
needs_skopeo = pytest.mark.skipif(
    SKOPEO is None, reason="no skopeo: install it to hold what is read here against what it reads"
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the image in every local form."""
    old, new = (
        tar(old_save([(["app:1"], IMAGE)])),
        tar_of(new_save([(["app:1"], IMAGE)], packed=True)),
    )
    flat = layout([("1", IMAGE)])
    write(tmp_path / "layout", flat)
    return write(
        tmp_path,
        {
            "old.tar": old,
            "old.tar.gz": gzip.compress(old),
            "new.tar": new,
            "oci.tar": tar_of(flat),
            "oci.tar.gz": gzip.compress(tar_of(flat)),
            "dotted.tar": tar_of({"./" + name: data for name, data in flat.items()}),
        },
    )


def parsed(text: str, folder: Path) -> LocalLocation:
    prefix, colon, rest = text.partition(":") if ":" in text else ("", "", text)
    return parse_local_location(f"{prefix}{colon}{folder}/{rest}")


def layers(source: ImageSource, manifest: Manifest) -> object:
    """The digests of the unpacked layers that the image's configuration knows."""
    body = bytearray(manifest.blobs[0].size)
    with source.open_blob(LOCAL, manifest.blobs[0].digest) as content:
        assert content.readinto(memoryview(body)) == len(body)
    return json.loads(body)["rootfs"]["diff_ids"]


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("nosuch", "the folder does not exist"),
        ("old.tar", "it is not a folder"),
        ("old.tar/x", "Not a directory"),
        ("n" * 300, "File name too long"),
    ],
)
def test_a_layout_that_is_not_there_says_why(place: Path, path: str, why: str) -> None:
    with (
        pytest.raises(ConfigError) as caught,
        open_source(parsed(f"oci:{path}", place), environ={}),
    ):
        pass
    assert caught.value.message == f"there is no OCI layout at {place}/{path}: {why}"
    assert "anew" not in caught.value.hint


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("layout", "OCI layout"),
        ("oci:layout", "OCI layout"),
        ("oci:layout:1", "OCI layout"),
        ("oci.tar", "OCI archive"),
        ("oci.tar.gz", "OCI archive"),
        ("oci-archive:oci.tar:1", "OCI archive"),
        ("oci-archive:new.tar", "OCI archive"),
        ("dotted.tar", "OCI archive"),
        ("old.tar", "Docker archive"),
        ("old.tar.gz", "Docker archive"),
        ("new.tar", "Docker archive"),
        ("docker-archive:old.tar.gz:app:1", "Docker archive"),
        ("docker-archive:new.tar:app:1", "Docker archive"),
    ],
)
def test_every_place_is_opened_and_read_to_the_end(
    text: str, name: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(place / "layout"))
    before, where = set(Path("/proc/self/fd").iterdir()), parsed(text, place)
    with open_source(where, environ={}) as source:
        manifest = source.get_manifest(local_image())
        assert str(source).startswith(name)
        assert (manifest.digest == IMAGE.digest) == ("old" not in text)
        for blob in manifest.blobs:
            with source.open_blob(LOCAL, blob.digest) as content:
                assert content.readinto(memoryview(bytearray(1 << 20))) == blob.size
    assert set(Path("/proc/self/fd").iterdir()) == before
    assert sorted(path.name for path in (place / "layout").iterdir()) == [
        "blobs",
        "index.json",
        "oci-layout",
    ]


def test_the_daemons_image_is_opened_by_what_the_machine_says(tmp_path: Path) -> None:
    with DockerDaemon(tmp_path, {"app:1": tar(old_save([(["app:1"], IMAGE)]))}) as daemon:
        where = parse_local_location("docker-daemon:app:1")
        with open_source(where, environ=daemon.environ) as source:
            assert len(source.get_manifest(local_image()).blobs) == 3
            assert str(source) == "image app:1 of the Docker daemon"


class Trickle(BaseHTTPRequestHandler):
    """A daemon that answers its version at once, and its image byte by byte."""

    protocol_version = "HTTP/1.1"
    over = threading.Event()

    def do_GET(self) -> None:
        self.send_response(200)
        if self.path.endswith("/version"):
            body = json.dumps({"ApiVersion": "1.44", "Version": "25"}).encode()
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with contextlib.suppress(OSError):
            while not self.over.wait(0.05):
                self.wfile.write(b"1\r\nx\r\n")
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def test_a_daemon_that_only_trickles_ends_with_the_deadline() -> None:
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Trickle) as daemon,
        Transport(limit=0.5) as transport,
    ):
        threading.Thread(
            target=daemon.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        environ = {"DOCKER_HOST": f"tcp://127.0.0.1:{daemon.server_address[1]}"}
        opened = open_source(
            parse_local_location("docker-daemon:app:1"), environ=environ, transport=transport
        )
        with pytest.raises(MachineError, match="the time limit of") as caught, opened:
            raise AssertionError
        assert caught.value.where == "docker-daemon:app:1"
        Trickle.over.set()
        daemon.shutdown()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("none.tar", "No such file"),
        ("oci:none", "no OCI layout"),
        ("oci:old.tar", "it is not a folder"),
        ("oci-archive:old.tar", "docker-archive:FILE"),
        ("docker-archive:oci.tar", "oci-archive:FILE"),
        ("other.tar", "oci-layout"),
        ("cut.tar.gz", "cut off"),
        ("text.tar", "not a tar archive"),
        ("docker-archive:layout", "neither a file"),
    ],
)
def test_what_is_not_what_it_is_said_to_be_is_refused(text: str, said: str, place: Path) -> None:
    write(
        place,
        {
            "other.tar": tar_of({"a": b"1"}),
            "cut.tar.gz": (place / "old.tar.gz").read_bytes()[:-20],
            "text.tar": b"no archive at all" * 100,
        },
    )
    with pytest.raises(ConfigError) as caught, open_source(parsed(text, place), environ={}):
        pass
    assert said in caught.value.message + caught.value.hint


def test_a_fault_while_it_is_used_leaves_nothing_open(place: Path) -> None:
    before = set(Path("/proc/self/fd").iterdir())
    with (
        pytest.raises(ConfigError, match="no image 'other:1'"),
        open_source(parsed("old.tar.gz", place), environ={}) as source,
    ):
        (source.get_manifest(local_image()), source.get_manifest(local_image("other:1")))
    assert set(Path("/proc/self/fd").iterdir()) == before


gives_to_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="skopeo gives the folders that an archive leaves out to root"
)


@needs_skopeo
@pytest.mark.parametrize(
    "text",
    [
        "docker-archive:old.tar",
        "docker-archive:new.tar",
        pytest.param("oci-archive:oci.tar", marks=gives_to_root),
        "oci:layout",
    ],
)
def test_skopeo_finds_the_same_platform_and_layers(text: str, place: Path) -> None:
    where = parsed(text, place)
    subprocess.run([str(SKOPEO), "copy", "-q", str(where), f"oci:{place}/theirs:1"], check=True)
    with (
        open_source(where, environ={}) as source,
        open_source(parsed("oci:theirs:1", place), environ={}) as theirs,
    ):
        ours, other = source.get_manifest(local_image()), theirs.get_manifest(local_image())
        assert layers(source, ours) == layers(theirs, other)
        assert len(ours.blobs) == len(other.blobs) == 3


@needs_skopeo
@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
def test_what_skopeo_writes_is_read(kind: str, place: Path) -> None:
    subprocess.run(
        [str(SKOPEO), "copy", "-q", f"oci:{place}/layout:1", f"{kind}:{place}/theirs.tar:app:1"],
        check=True,
    )
    with open_source(parsed(f"{kind}:theirs.tar:app:1", place), environ={}) as source:
        assert (
            layers(source, source.get_manifest(local_image()))
            == json.loads(config_of(IMAGE))["rootfs"]["diff_ids"]
        )


def test_memory_does_not_grow_with_the_image(tmp_path: Path) -> None:
    layer = random.Random(1).randbytes(1 << 20) * 128
    config = json.dumps({"rootfs": {"diff_ids": [digest_of(layer)]}}).encode()
    index = json.dumps(
        [{"Config": "config.json", "RepoTags": ["app:1"], "Layers": ["layer.tar"]}]
    ).encode()
    (tmp_path / "app.tar").write_bytes(
        tar_of({"config.json": config, "layer.tar": layer, "manifest.json": index})
    )
    program = (
        "import sys; from towline.registry.local.open_local import open_source\n"
        "from towline.registry.source import LOCAL;"
        " from towline.registry.local.locations import parse_local_location as p\n"
        "with open_source(p(sys.argv[1]), environ={}) as s:"
        " print(len(s.get_manifest(LOCAL.reference('')).blobs));"
        " print(open('/proc/self/status').read())"
    )
    said = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "app.tar")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    [peak] = [int(line.split()[1]) for line in said.splitlines() if line.startswith("VmHWM")]
    assert said.startswith("2\n")
    assert peak < 80 * 1024


def test_places_alone_load_nothing_that_reads_them() -> None:
    program = "import sys, towline.registry.local.locations, towline.dispatch; print(*sys.modules)"
    loaded = set(
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout.split()
    )
    assert not loaded & {
        "tarfile",
        "gzip",
        "zlib",
        "docker",
        "requests",
        "isal",
        "towline.registry.local.docker_archive",
        "towline.registry.local.tar",
    }
    program = "import sys, towline.registry.local.open_local; print(*sys.modules)"
    loaded = set(
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout.split()
    )
    assert not loaded & {"tarfile", "gzip", "docker", "requests"}
    assert dispatch.part("local_images").open_source is open_source
