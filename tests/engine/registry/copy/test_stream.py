from __future__ import annotations

from threading import Event
from typing import Self

import pytest

from tests.fakes.clock import FakeClock
from tests.fakes.registry import digest_of
from towline.errors import DigestMismatch, RegistryError
from towline.image import Reference, Registry, Repository
from towline.registry.copy.stream import BlobStream, read_small
from towline.registry.errors import TransferInterrupted
from towline.registry.manifest import Descriptor, Manifest
from towline.registry.parallel import Cancelled
from towline.retry import ATTEMPTS

DATA = bytes(range(256)) * 10_000

APP = Repository(registry=Registry(scheme="https", host="source.example"), name="app")


class Cut:
    """A source of one blob that breaks off after so many bytes of each answer in turn; then it
    is whole.
    """

    def __init__(self, data: bytes = DATA, *cuts: int) -> None:
        self.data, self.cuts, self.starts = data, list(cuts), list[int]()

    def __str__(self) -> str:
        return "box"

    def head_manifest(self, reference: Reference) -> Descriptor | None:
        raise NotImplementedError

    def get_manifest(self, reference: Reference) -> Manifest:
        raise NotImplementedError

    def open_blob(self, repository: Repository, digest: str, *, start: int = 0) -> Answer:
        self.starts.append(start)
        return Answer(self.data[start:], self.cuts.pop(0) if self.cuts else None)


class Answer:
    """One answer, `cut` after so many bytes."""

    def __init__(self, data: bytes, cut: int | None) -> None:
        self._data, self._cut, self._position = data, cut, 0

    def readinto(self, buffer: memoryview) -> int:
        end = len(self._data) if self._cut is None else min(self._cut, len(self._data))
        piece = self._data[self._position : min(end, self._position + len(buffer))]
        if not piece and self._cut is not None and len(buffer):
            raise TransferInterrupted(RegistryError("cut"))
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def stream_of(
    source: Cut,
    clock: FakeClock,
    *,
    digest: str = "",
    size: int | None = None,
    stop: Event | None = None,
) -> BlobStream:
    blob = Descriptor(
        digest=digest or digest_of(source.data),
        size=len(source.data) if size is None else size,
    )
    return BlobStream(source, APP, blob, stop=stop or Event(), clock=clock.clock)


def test_a_blob_comes_whole_and_is_read_once() -> None:
    source = Cut()
    assert b"".join(map(bytes, stream_of(source, FakeClock()).pieces())) == DATA
    assert source.starts == [0]


def test_a_cut_blob_is_asked_for_from_there_on() -> None:
    source, time = Cut(DATA, 1000, 500_000, 0), FakeClock()
    assert b"".join(map(bytes, stream_of(source, time).pieces())) == DATA
    assert source.starts == [0, 1000, 501_000, 501_000]
    assert len(time.sleeps) == 3


def test_a_source_that_gives_nothing_more_is_given_up() -> None:
    source = Cut(DATA, 1000, *[0] * 99)
    with pytest.raises(RegistryError, match="cut"):
        list(stream_of(source, FakeClock()).pieces())
    assert len(source.starts) == 1 + ATTEMPTS - 1


def test_a_source_that_gives_a_little_each_time_is_not() -> None:
    source = Cut(DATA, *[len(DATA) // 40] * 39)
    assert b"".join(map(bytes, stream_of(source, FakeClock()).pieces())) == DATA


@pytest.mark.parametrize("at", [0, 1_500_000, -1])
def test_a_wrong_byte_is_found_before_the_last_bytes_are_handed_out(at: int) -> None:
    damaged = bytearray(DATA)
    damaged[at] ^= 1
    taken = 0
    stream = stream_of(Cut(bytes(damaged), 700_000), FakeClock(), digest=digest_of(DATA))
    raised = pytest.raises(DigestMismatch, match="came from the box as sha256:")
    with raised as caught:
        for piece in stream.pieces():
            taken += len(piece)
    assert taken < len(DATA)
    assert caught.value.where == "box"


@pytest.mark.parametrize(
    ("size", "how"),
    [(len(DATA) + 1, "1 bytes short"), (len(DATA) - 1, "longer than its manifest says")],
)
def test_a_blob_of_another_size_is_refused(size: int, how: str) -> None:
    with pytest.raises(DigestMismatch, match=how):
        list(stream_of(Cut(), FakeClock(), size=size).pieces())


def test_an_empty_blob_is_checked_too() -> None:
    assert list(stream_of(Cut(b""), FakeClock()).pieces()) == []
    with pytest.raises(DigestMismatch):
        list(stream_of(Cut(b""), FakeClock(), digest=digest_of(b"x")).pieces())


def test_what_has_been_hashed_may_be_read_again_for_an_upload_that_lost_it() -> None:
    source = Cut()
    stream = stream_of(source, FakeClock())
    next(stream.pieces())
    assert stream.hashed == 1024 * 1024
    assert b"".join(map(bytes, stream.pieces(1000))) == DATA[1000:]


def test_a_stop_ends_it() -> None:
    stop = Event()
    pieces = stream_of(Cut(), FakeClock(), stop=stop).pieces()
    next(pieces)
    stop.set()
    with pytest.raises(Cancelled):
        next(pieces)


def small(data: bytes, size: int, *cuts: int) -> bytes:
    blob = Descriptor(digest=digest_of(data), size=size)
    return read_small(Cut(data, *cuts), APP, blob, clock=FakeClock().clock)


def test_a_small_blob_that_is_wrong_once_is_read_once_more() -> None:
    class Once(Cut):
        """Wrong bytes the first time."""

        def open_blob(self, repository: Repository, digest: str, *, start: int = 0) -> Answer:
            wrong = b"{!" if not self.starts else self.data
            self.starts.append(start)
            return Answer(wrong, None)

    blob = Descriptor(digest=digest_of(b"{}"), size=2)
    assert read_small(Once(b"{}"), APP, blob, clock=FakeClock().clock) == b"{}"


def test_a_small_blob_is_read_as_a_whole_and_checked() -> None:
    assert small(b'{"os": "linux"}', 15, 4) == b'{"os": "linux"}'
    with pytest.raises(DigestMismatch, match="short"):
        small(b"{}", 3)
    with pytest.raises(RegistryError, match="5000000 bytes, too many"):
        small(b"{}", 5_000_000)
