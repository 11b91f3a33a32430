from __future__ import annotations

import hashlib
import json
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.engine.registry.clients import client, job
from tests.fakes.archives import config_of, old_save, plain_layers, tar
from tests.fakes.images import ImageParts, make_image
from tests.fakes.registry import (
    CutAnswer,
    CutRequest,
    FakeRegistry,
    Fault,
    Record,
    Status,
    digest_of,
    on,
)
from tests.fakes.slow_line import SlowLine
from towline.errors import DigestMismatch
from towline.http.client import Transport
from towline.image import Repository
from towline.record import replace
from towline.registry.copy.copying import Copying
from towline.registry.copy.early_uploads import EarlyUploads
from towline.registry.copy.images import copy_images
from towline.registry.copy.job import COPIED, CopyJob, CopyReport
from towline.registry.copy.plan import CopyBlob
from towline.registry.copy.progress import Progress
from towline.registry.gzip import PackedBlob
from towline.registry.local.docker_archive import DockerArchive
from towline.registry.local.growing_blob import GrowingBlob, PackingObserver
from towline.registry.local.spool import Spool
from towline.registry.local.tar import Tar
from towline.registry.parallel import Cancelled, in_parallel
from towline.registry.source import LOCAL
from towline.retry import Clock

MIB = 1024 * 1024
DATA = random.Random(1).randbytes(10 * MIB)
PACKED = PackedBlob(plain=digest_of(b"plain"), digest=digest_of(DATA), size=len(DATA))
LARGE = make_image(files={"large": random.Random(2).randbytes(6 * MIB)}, layers=2)


class Packing:
    """A source that packs blobs; it gets no requests here."""

    def __init__(self) -> None:
        self.observers: list[PackingObserver] = []


class Desk:
    """A target, its early uploads, and a blob that is being packed."""

    def __init__(self, target: FakeRegistry, transport: Transport, spool: Spool) -> None:
        self.target, self.client = target, client(target, "target", transport)
        self.source = Packing()
        self.copying = Copying(
            source=self.source,  # type: ignore[arg-type]
            targets={self.client.registry: self.client},
            progress=Progress(None, transport.clock),
        )
        self.growing = GrowingBlob(spool, config=digest_of(b"{}"), plain=PACKED.plain)
        self.sending, self.asked = threading.Event(), threading.Event()
        target.fault = self.seen

    def seen(self, record: Record) -> None:
        """Set the event of the request: an early upload sends, or a manifest is asked for."""
        if record.method == "PATCH":
            self.sending.set()
        if "/manifests/" in record.path:
            self.asked.set()

    def early(self) -> EarlyUploads:
        return EarlyUploads(
            [job(self.target, self.target, "app:1", "app:1", "app:2")], self.copying
        )

    @property
    def blob(self) -> CopyBlob:
        return CopyBlob(
            source=LOCAL,
            repository=Repository(registry=self.client.registry, name="app"),
            digest=PACKED.digest,
            size=PACKED.size,
        )


@pytest.fixture
def desk(target: FakeRegistry, transport: Transport) -> Iterator[Desk]:
    with Spool() as spool:
        yield Desk(target, transport, spool)


def test_a_layer_is_sent_while_it_is_packed_and_stored_when_its_digest_is_known(desk: Desk) -> None:
    with desk.early() as early:
        for observer in desk.source.observers:
            observer.begin(desk.growing)
        desk.growing.append(DATA[: 5 * MIB])
        assert desk.sending.wait(30)
        assert early.take(desk.blob) is None  # nobody knows its digest
        desk.growing.append(DATA[5 * MIB :])
        desk.growing.end(PACKED)
        assert early.has(desk.blob)
        upload = early.take(desk.blob)
        assert upload is not None
        assert (upload.offset, early.has(desk.blob)) == (len(DATA), False)
        assert desk.target.storage["app"].blobs == {}
        with desk.client.uploads.send(upload, PACKED.digest, PACKED.size) as sink:
            sink.finish()
    (patch,) = desk.target.seen("PATCH")
    assert (
        patch.headers["transfer-encoding"],
        "content-range" in patch.headers,
        patch.bytes_in,
    ) == ("chunked", False, len(DATA))
    assert desk.target.storage["app"].blobs == {PACKED.digest: DATA}
    assert (desk.target.count("DELETE"), desk.source.observers) == (0, [])


def test_a_small_layer_is_left_to_the_usual_way(desk: Desk) -> None:
    with desk.early() as early:
        early.begin(desk.growing)
        desk.growing.append(DATA[: 3 * MIB])
        desk.growing.end(PACKED)
        assert early.take(desk.blob) is None
    assert desk.target.requests == ()


def test_packing_that_fails_leaves_nothing_behind(desk: Desk) -> None:
    with desk.early() as early:
        early.begin(desk.growing)
        desk.growing.append(DATA[: 5 * MIB])
        assert desk.sending.wait(30)
        desk.growing.end(None)
    desk.target.settle()
    assert (desk.target.storage["app"].uploads, desk.target.storage["app"].blobs) == ({}, {})


def test_what_is_still_on_its_way_is_waited_for_and_counts_as_it_comes(desk: Desk) -> None:
    with SlowLine(desk.target.host, rate=4 * MIB) as line, Transport() as transport:
        desk.target.relative_location = True
        desk.client = client(line, "target", transport)
        desk.copying = Copying(
            source=desk.source,  # type: ignore[arg-type]
            targets={desk.client.registry: desk.client},
            progress=Progress(None, Clock()),
        )
        progress, wanted = desk.copying.progress, desk.blob
        progress.expect({"app": {wanted.digest: wanted.size}})
        with EarlyUploads([job(desk.target, line, "app:1", "app:1")], desk.copying) as early:
            early.begin(desk.growing)
            desk.growing.append(DATA)
            desk.growing.end(PACKED)
            assert desk.sending.wait(30)
            seen: list[int] = []

            def look_on() -> None:
                seen.append(progress.whole.done)

            [upload] = in_parallel(lambda _: early.take(wanted), [1], tick=look_on)
        assert upload is not None
        assert upload.offset == len(DATA)
    assert any(0 < done < len(DATA) for done in seen)


def test_an_interruption_leaves_no_upload_that_is_waited_for(desk: Desk) -> None:
    """What is taken by a thread that waits for it is given up all the same, since nobody else
    knows it.
    """
    held, over = threading.Event(), threading.Event()

    def hold(record: Record) -> Fault | None:
        if record.method == "PATCH":
            held.set()
            assert over.wait(30)
        return None

    desk.target.fault = hold
    with desk.early() as early:
        early.begin(desk.growing)
        desk.growing.append(DATA)
        desk.growing.end(PACKED)
        assert held.wait(30)
        taking = threading.Thread(target=early.take, args=[desk.blob], daemon=True)
        taking.start()
        desk.client.transport.close()
    over.set()
    taking.join(30)
    assert not taking.is_alive()
    desk.target.settle()
    assert desk.target.count("DELETE") == 1


@pytest.mark.parametrize("there", [0, len(DATA)])
def test_a_run_that_ends_while_packing_hangs_leaves_no_thread_that_waits_for_it(
    desk: Desk, there: int
) -> None:
    before = set(threading.enumerate())
    with desk.early() as early:
        early.begin(desk.growing)
        [waiting] = [
            thread for thread in set(threading.enumerate()) - before if thread.name == "registry"
        ]
        desk.growing.append(DATA[:there])
        assert not there or desk.sending.wait(30)
        desk.client.transport.close()
        waiting.join(30)
        assert not waiting.is_alive()
    assert desk.client.transport._open == {}


def test_what_hangs_beside_the_network_is_not_waited_for_when_the_run_ends(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, over, ended = threading.Event(), threading.Event(), threading.Event()

    def hang(*_: object) -> int:
        hangs.set()
        over.wait(60)
        return 0

    def take(early: EarlyUploads) -> None:
        with pytest.raises(Cancelled):
            early.take(desk.blob)
        ended.set()

    monkeypatch.setattr(desk.growing, "readinto", hang)
    with desk.early() as early:
        early.begin(desk.growing)
        desk.growing.append(DATA)
        desk.growing.end(PACKED)
        assert hangs.wait(30)
        threading.Thread(target=take, args=[early], daemon=True).start()
        desk.client.transport.close()
        stopped = ended.wait(30)
        over.set()
    assert stopped


class Meanwhile(GrowingBlob):
    """One that is looked at for long: something else happens meanwhile, once."""

    def __init__(self, spool: Spool) -> None:
        self.happens: list[Callable[[], object]] = []
        super().__init__(spool, config="", plain="")

    @property
    def packed(self) -> PackedBlob | None:
        if self.happens:
            self.happens.pop()()
        return self._packed

    @packed.setter
    def packed(self, packed: PackedBlob | None) -> None:
        self._packed = packed


def test_what_is_taken_by_one_thread_while_another_looks_hides_nothing(
    desk: Desk, tmp_path: Path
) -> None:
    first, second = (
        PackedBlob(plain=digest_of(name), digest=digest_of(name), size=1) for name in (b"1", b"2")
    )
    with desk.early() as early, Spool() as spool:
        growing = [Meanwhile(spool) for _ in range(3)]
        for one, packed in zip(growing, [first, second, PACKED], strict=True):
            early.begin(one)
            one.end(packed)
        growing[1].happens = [lambda: early.take(replace(desk.blob, digest=first.digest))]
        assert early.has(desk.blob)


def test_what_nobody_takes_leaves_nothing_behind(desk: Desk) -> None:
    with desk.early() as early:
        early.begin(desk.growing)
        desk.growing.append(DATA)
        desk.growing.end(PACKED)
        assert desk.sending.wait(30)
    desk.target.settle()
    assert (desk.target.storage["app"].uploads, desk.target.storage["app"].blobs) == ({}, {})


@pytest.mark.parametrize(
    "fault",
    [
        Status(code=413),
        Status(code=404),
        Status(code=500),
        Status(code=413, early=True),
        CutRequest(after=MIB),
        CutAnswer(after=None),
        Status(code=202, headers={"Range": "0-99"}),  # the registry has dropped the rest
    ],
)
def test_an_upload_that_is_refused_or_cut_is_given_up(desk: Desk, fault: Fault) -> None:
    refuse = on("PATCH", "", fault)

    def refused(record: Record) -> Fault | None:
        desk.seen(record)
        return refuse(record)

    desk.target.fault = refused
    with desk.early() as early:
        early.begin(desk.growing)
        desk.growing.append(DATA)
        desk.growing.end(PACKED)
        assert desk.sending.wait(30)
        assert early.take(desk.blob) is None
        assert len(desk.client.uploads.unused()) == 1


def test_a_target_that_cannot_be_asked_is_no_fault(desk: Desk) -> None:
    desk.target.fault = lambda record: Status(code=403)
    with desk.early() as early:
        early.begin(desk.growing)
        desk.growing.append(DATA)
        desk.growing.end(PACKED)
        assert early.take(desk.blob) is None


def test_a_layer_that_turns_out_to_be_there_is_not_sent_on(desk: Desk) -> None:
    desk.target.create("app").blobs[PACKED.digest] = DATA
    desk.growing.append(DATA)
    desk.growing.end(PACKED)
    with desk.early() as early:
        early.begin(desk.growing)
        assert desk.sending.wait(30)
        assert early.take(desk.blob) is None
        assert (desk.target.count("HEAD"), len(desk.client.uploads.unused())) == (1, 1)


def held(target: FakeRegistry, tag: str, config: bytes) -> None:
    """An image with that configuration, at the target."""
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "layers": [],
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "size": len(config),
                "digest": digest_of(config),
            },
        }
    ).encode()
    target.create("app").blobs[digest_of(config)] = config
    target.storage["app"].manifests[digest_of(manifest)] = (
        "application/vnd.oci.image.manifest.v1+json",
        manifest,
    )
    target.storage["app"].tags[tag] = digest_of(manifest)


@pytest.mark.parametrize(
    ("tag", "config"),
    [
        ("1", b"{}"),
        ("9-last", b"{}"),
        ("2", json.dumps({"rootfs": {"diff_ids": [PACKED.plain]}}).encode()),
    ],
)
def test_a_layer_that_the_target_is_likely_to_have_waits_for_its_digest(
    desk: Desk, tag: str, config: bytes
) -> None:
    held(desk.target, tag, config)
    with desk.early() as early:
        early.begin(desk.growing)
        desk.growing.append(DATA)
        desk.growing.end(PACKED)
        assert desk.asked.wait(30)
        assert early.take(desk.blob) is None
    assert (desk.target.count("POST"), desk.target.count("PATCH")) == (0, 0)


@pytest.mark.parametrize(
    "config", [b"[]", b"{", json.dumps({"rootfs": {"diff_ids": [1, "sha256:other"]}}).encode()]
)
def test_an_image_that_tells_nothing_is_no_reason_to_wait(desk: Desk, config: bytes) -> None:
    held(desk.target, "1", config)
    with desk.early() as early:
        early.begin(desk.growing)
        desk.growing.append(DATA)
        desk.growing.end(PACKED)
        assert desk.sending.wait(30)
        assert early.take(desk.blob) is not None


# Whole copies


def copied(
    archive: bytes, target: FakeRegistry, transport: Transport, *tags: str, dry_run: bool = False
) -> CopyReport:
    return copied_to([target], archive, transport, *tags, dry_run=dry_run)


def copied_to(
    registries: Sequence[FakeRegistry],
    archive: bytes,
    transport: Transport,
    *tags: str,
    dry_run: bool = False,
) -> CopyReport:
    places = [client(registry, "target", transport) for registry in registries]
    targets = tuple(
        target
        for registry in registries
        for target in job(registry, registry, "app:1", *(f"app:{tag}" for tag in tags)).targets
    )
    with Spool() as spool:
        spool.append(archive)
        with DockerArchive(
            Tar(spool.fileno(), spool.size, where="app.tar"), name="Docker archive app.tar"
        ) as source:
            copying = Copying(
                source=source,
                targets={place.registry: place for place in places},
                progress=Progress(None, transport.clock),
                dry_run=dry_run,
            )
            return copy_images(
                [CopyJob(source=LOCAL.reference(""), name="app.tar", targets=targets)], copying
            )[0]


def archive_of(image: ImageParts) -> bytes:
    return tar(old_save([(["app:1"], image)]))


@pytest.mark.parametrize(
    "fault",
    [None, Status(code=413), Status(code=500), CutRequest(after=5 * MIB), CutAnswer(after=None)],
)
def test_an_archive_arrives_whole_whatever_becomes_of_what_was_sent_early(
    target: FakeRegistry,
    transport: Transport,
    tmp_path: Path,
    fault: Fault | None,
) -> None:
    target.fault = on("PATCH", "", fault) if fault else None
    report = copied(archive_of(LARGE), target, transport, "1", "2")
    assert set(target.storage["app"].tags.values()) == {report.digest}
    manifest = json.loads(target.storage["app"].manifests[report.digest][1])
    for part in (manifest["config"], *manifest["layers"]):
        assert digest_of(target.storage["app"].blobs[part["digest"]]) == part["digest"]
    assert target.storage["app"].blobs[manifest["config"]["digest"]] == config_of(LARGE)
    assert target.storage["app"].uploads == {}
    assert report.count(COPIED) == len({part["digest"] for part in manifest["layers"]}) + 1


@pytest.mark.parametrize("refusing", [0, 1])
@pytest.mark.parametrize("fault", [Status(code=411), CutRequest(after=5 * MIB)])
def test_of_two_registries_each_gets_a_layer_in_its_own_way(
    tmp_path: Path, fault: Fault, refusing: int
) -> None:
    """At one of them the layer is there when its digest is known, at the other nothing is."""
    with FakeRegistry() as one, FakeRegistry() as other, Transport(limit=60) as transport:
        registries = [one, other]
        registries[refusing].fault = on("PATCH", "", fault, times=999)
        report = copied_to(registries, archive_of(LARGE), transport, "1")
        manifest = json.loads(one.storage["app"].manifests[report.digest][1])
        digests = {part["digest"] for part in (manifest["config"], *manifest["layers"])}
        for registry in registries:
            held = registry.storage["app"]
            assert {digest_of(data) for data in held.blobs.values()} == set(held.blobs) == digests
            assert (held.tags, held.uploads) == ({"1": report.digest}, {})
        layers = len({part["digest"] for part in manifest["layers"]})
        assert (
            registries[1 - refusing].count("PATCH"),
            registries[refusing].count("PUT", "/blobs/"),
        ) == (layers, layers + 1)


def test_the_second_time_no_blob_moves(
    target: FakeRegistry, transport: Transport, tmp_path: Path
) -> None:
    first = copied(archive_of(LARGE), target, transport, "1")
    for tags in (["1"], ["1", "2"]):
        target.forget()
        assert copied(archive_of(LARGE), target, transport, *tags).digest == first.digest
        assert (
            target.count("PATCH"),
            target.count("PUT", "/blobs/"),
            target.storage["app"].uploads,
        ) == (0, 0, {})


def test_a_damaged_layer_is_stored_nowhere(
    target: FakeRegistry, transport: Transport, tmp_path: Path
) -> None:
    layer = plain_layers(LARGE)[0]
    archive = bytearray(archive_of(LARGE))
    archive[archive.index(layer) + len(layer) // 2] ^= 1
    with pytest.raises(DigestMismatch):
        copied(bytes(archive), target, transport, "1")
    held = target.storage.get("app")
    assert held is None or (held.blobs, held.uploads, held.tags) == ({}, {}, {})


def test_a_dry_run_sends_nothing(
    target: FakeRegistry, transport: Transport, tmp_path: Path
) -> None:
    copied(archive_of(LARGE), target, transport, "1", dry_run=True)
    assert {record.method for record in target.requests} == {"HEAD"}


def test_an_image_of_the_same_layers_under_another_configuration_sends_no_layer(
    target: FakeRegistry, transport: Transport, tmp_path: Path
) -> None:
    copied(archive_of(LARGE), target, transport, "1")
    target.forget()
    other = make_image(
        "linux/arm64", files={"large": random.Random(2).randbytes(6 * MIB)}, layers=2
    )
    assert [hashlib.sha256(layer).digest() for layer in plain_layers(other)] == [
        hashlib.sha256(layer).digest() for layer in plain_layers(LARGE)
    ]
    copied(archive_of(other), target, transport, "2")
    assert (
        target.count("PATCH"),
        sum(record.bytes_in for record in target.seen("PUT", "/blobs/")),
    ) == (0, len(config_of(other)))
