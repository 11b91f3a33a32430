from __future__ import annotations

import itertools
import signal
import threading

import pytest

from tests.engine.registry.clients import Pair
from tests.fakes.clock import FakeClock
from tests.fakes.images import ImageParts, make_image, make_index, missing, put
from tests.fakes.registry import Answer, Corrupt, CutAnswer, CutRequest, FakeRegistry, Fault, Record, Status, digest_of, on
from tests.fakes.serve import Request
from towline.errors import DigestMismatch, Interrupted, RegistryError, RegistryUnreachable
from towline.registry.parallel import JOBS
from towline.registry.plan import CopyBlob, Plan
from towline.registry.transfer import ATTEMPTS, Transfer
from towline.transport import Transport

BIG = 3 * 1024 * 1024


def transfer(pair: Pair, *blobs: CopyBlob) -> dict[CopyBlob, bool]:
    return dict(Transfer(pair.source, pair.target).perform([Plan(blobs=blobs)]))


def blob_of(data: bytes, source: FakeRegistry, *, claimed: str = "", size: int | None = None) -> CopyBlob:
    digest = claimed or digest_of(data)
    source.create("app").blobs[digest] = data
    return CopyBlob(source="app", repository="app", digest=digest, size=len(data) if size is None else size)


def nothing_at(target: FakeRegistry, image: ImageParts) -> bool:
    """Whether no tag and no manifest came to the target."""
    held = target.storage.get("app")
    return held is None or (not held.tags and not held.manifests and not set(held.manifests) & {part.digest for part in image.walk()})


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024, 1024 * 1024 + 1, BIG])
def test_a_blob_of_any_size_arrives_whole(source: FakeRegistry, target: FakeRegistry, pair: Pair, size: int) -> None:
    blob = blob_of(b"x" * size, source)
    assert transfer(pair, blob) == {blob: False}
    assert target.storage["app"].blobs == {blob.digest: b"x" * size}
    assert (source.count("GET"), target.count("POST"), target.count("PUT")) == (1, 1, 1)


def test_a_blob_by_sha512_arrives_whole(source: FakeRegistry, target: FakeRegistry, pair: Pair) -> None:
    blob = blob_of(b"abc", source, claimed=digest_of(b"abc", "sha512"))
    transfer(pair, blob)
    assert target.storage["app"].blobs == {blob.digest: b"abc"}


def test_eight_blobs_move_at_once(source: FakeRegistry, target: FakeRegistry, pair: Pair) -> None:
    together = threading.Barrier(JOBS, timeout=30)
    blobs = [blob_of(bytes([number]) * 10, source) for number in range(JOBS)]

    def gather(record: Record) -> Fault | None:
        if record.method == "GET":
            together.wait()
        return None

    source.fault = gather
    transfer(pair, *blobs)
    assert len(target.storage["app"].blobs) == JOBS


@pytest.mark.parametrize("at", [0, -1])
def test_a_wrong_byte_from_the_source_never_completes_an_upload(source: FakeRegistry, target: FakeRegistry, pair: Pair, at: int) -> None:
    image = make_image(size=BIG)
    put(image, source, "app", "1")
    source.fault = on("GET", "blobs", Corrupt(at=at), times=99)
    with pytest.raises(DigestMismatch) as caught:
        pair.copy("app:1", "app:1")
    digests = {digest for digest in image.blobs if digest in caught.value.message}
    assert len(digests) == 1
    assert f"the source registry {source.host} sent the blob" in caught.value.message
    assert " as sha256:" in caught.value.message
    assert caught.value.where == source.url
    assert source.count("GET", "blobs") <= len(image.blobs)  # not tried again
    assert nothing_at(target, image)
    assert target.storage["app"].blobs == {}
    assert {record.status for record in target.seen("PUT")} <= {0}


def test_an_empty_blob_that_should_not_be_is_not_stored(source: FakeRegistry, target: FakeRegistry, pair: Pair) -> None:
    with pytest.raises(DigestMismatch):
        transfer(pair, blob_of(b"", source, claimed=digest_of(b"x")))
    assert target.count("PUT") == 0


@pytest.mark.parametrize(("size", "known_as", "what"), [
    (4, b"12345", "longer than its manifest says"), (4, b"1234", "longer than its manifest says"), (6, b"12345", "1 bytes short"),
])
def test_a_blob_of_another_size_than_announced_is_not_stored(
    source: FakeRegistry, target: FakeRegistry, pair: Pair, *, size: int, known_as: bytes, what: str,
) -> None:
    with pytest.raises(DigestMismatch, match=what):
        transfer(pair, blob_of(b"12345", source, claimed=digest_of(known_as), size=size))
    assert target.storage["app"].blobs == {}


@pytest.mark.parametrize("fault", [CutAnswer(after=BIG // 2), CutAnswer(after=10)])
def test_a_download_that_is_cut_is_begun_again(source: FakeRegistry, target: FakeRegistry, pair: Pair, time: FakeClock, fault: Fault) -> None:
    blob = blob_of(bytes(BIG), source)
    source.fault = on("GET", "", fault, times=2)
    transfer(pair, blob)
    assert target.storage["app"].blobs[blob.digest] == bytes(BIG)
    assert (source.count("GET"), time.sleeps) == (3, [0.2, 0.4])


@pytest.mark.parametrize("fault", [CutRequest(after=BIG // 2), CutRequest(after=0), CutAnswer(after=None), Status(code=503), Status(code=404)])
def test_an_upload_that_is_lost_is_begun_again(source: FakeRegistry, target: FakeRegistry, pair: Pair, fault: Fault) -> None:
    blob = blob_of(bytes(BIG), source)
    target.fault = on("PUT", "", fault)
    transfer(pair, blob)
    assert target.storage["app"].blobs[blob.digest] == bytes(BIG)
    assert target.count("POST") == 2


def test_a_registry_that_loses_every_upload_is_given_up(source: FakeRegistry, target: FakeRegistry, pair: Pair) -> None:
    target.fault = on("PUT", "", Status(code=502), times=99)
    with pytest.raises(RegistryError, match="answers 502 when asked to store"):
        transfer(pair, blob_of(b"x", source))
    assert target.count("PUT") == ATTEMPTS


def test_a_source_that_always_breaks_off_is_given_up(source: FakeRegistry, pair: Pair) -> None:
    source.fault = on("GET", "", CutAnswer(after=1), times=99)
    with pytest.raises(RegistryUnreachable, match="the source registry"):
        transfer(pair, blob_of(b"xyz", source))
    assert source.count("GET") == ATTEMPTS


def test_the_pause_that_a_target_asks_for_during_an_upload_is_kept(source: FakeRegistry, target: FakeRegistry, pair: Pair, time: FakeClock) -> None:
    target.fault = on("PUT", "", Status(code=429, headers={"Retry-After": "9"}))
    transfer(pair, blob_of(b"x", source))
    assert time.sleeps == [9.0]


def test_the_first_fault_cancels_the_rest(source: FakeRegistry, target: FakeRegistry, pair: Pair) -> None:
    blobs = [blob_of(bytes([number]) * 100, source) for number in range(100)]
    target.fault = on("POST", "", Status(code=400), times=999)
    with pytest.raises(RegistryError, match="answers 400"):
        transfer(pair, *blobs)
    assert target.count("POST") < len(blobs)  # how many had started by then is the scheduler's choice


def test_a_mounted_blob_moves_no_byte(target: FakeRegistry, pair: Pair) -> None:
    target.create("base").blobs[digest_of(b"x")] = b"x"
    blob = CopyBlob(source="base", repository="app", digest=digest_of(b"x"), size=1, mount_from="base")
    assert transfer(pair, blob) == {blob: True}
    assert target.storage["app"].blobs == {digest_of(b"x"): b"x"}


def test_tags_come_after_all_the_rest(source: FakeRegistry, target: FakeRegistry, pair: Pair) -> None:
    index = make_index()
    put(index, source, "app", "1")
    pair.copy("app:1", "app:1", "app:latest")
    puts = [record.path.rpartition("/")[2] for record in target.seen("PUT")]
    assert puts[-4:] == [*(child.digest for child in index.children), "1", "latest"]
    assert not missing(index, target, "app")


def test_no_tag_is_set_when_a_manifest_is_refused(source: FakeRegistry, target: FakeRegistry, pair: Pair) -> None:
    index = make_index()
    put(index, source, "app", "1")
    target.fault = on("PUT", index.children[1].digest, Status(code=400))
    with pytest.raises(RegistryError):
        pair.copy("app:1", "app:1")
    assert target.storage["app"].tags == {}


def test_a_token_that_ends_while_an_upload_runs_costs_one_more_try(source: FakeRegistry, target: FakeRegistry, pair: Pair) -> None:
    target.auth = "bearer"
    plain, expired = target.answer, threading.Event()

    def forgetful(request: Request) -> Answer:
        if request.method == "PUT" and not expired.is_set():
            expired.set()
            target.expire_tokens()
        return plain(request)

    target.answer = forgetful  # type: ignore[method-assign]
    blob = blob_of(b"x" * 100, source)
    transfer(pair, blob)
    assert target.storage["app"].blobs == {blob.digest: b"x" * 100}
    assert len(target.scopes) == 2


def interrupter(ready: threading.Event) -> threading.Thread:
    """What interrupts the main thread, by a signal, when `ready` is set."""
    def interrupt() -> None:
        if ready.wait(30):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
    return threading.Thread(target=interrupt, daemon=True)


@pytest.mark.parametrize(("side", "method"), [("source", "GET"), ("target", "PUT")])
def test_an_interruption_ends_the_workers_that_wait(
    source: FakeRegistry, target: FakeRegistry, side: str, method: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    blobs = [blob_of(bytes([number]) * 10, source) for number in range(3)]
    busy = source if side == "source" else target
    busy.fault = on(method, "", Status(code=503, headers={"Retry-After": "60"}), times=999)
    asleep, count = threading.Event(), itertools.count(1)
    real = threading.Event.wait

    def noticed(event: threading.Event, timeout: float | None = None) -> bool:
        if timeout == 60.0 and next(count) == len(blobs):
            asleep.set()
        return real(event, timeout)

    def interrupted(*_: object) -> None:
        raise Interrupted(signal.SIGTERM)

    monkeypatch.setattr(threading.Event, "wait", noticed)
    before = set(threading.enumerate())
    old = signal.signal(signal.SIGUSR1, interrupted)
    try:
        interrupter(asleep).start()
        with pytest.raises(Interrupted), Transport() as transport:
            transfer(Pair(source, target, transport), *blobs)
    finally:
        signal.signal(signal.SIGUSR1, old)
    workers = [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("registry")]
    for thread in workers:
        thread.join(2)
    assert not any(thread.is_alive() for thread in workers)
    assert busy.count(method) == len(blobs)
