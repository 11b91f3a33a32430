from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import random
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.errors import ConfigError
from towline.registry import gzip as compress
from towline.registry.gzip import LIBRARY, PIECE, PackedBlob, Packer, gunzip, pieces, sha256_of

LIBRARIES = [zlib] if LIBRARY is zlib else [zlib, LIBRARY]
libraries = pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.__name__)


class Bytes:
    """Content that hands out at most `step` bytes at a time."""

    def __init__(self, data: bytes, step: int = 1 << 30) -> None:
        self._stream = io.BytesIO(data)
        self._step = step

    def readinto(self, buffer: memoryview) -> int:
        return self._stream.readinto(buffer[: self._step])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.close()


def packed(
    data: bytes,
    library: Any = LIBRARY,
    *,
    step: int = 1 << 30,
    threads: int = 0,
    algorithm: str = "sha256",
) -> tuple[PackedBlob, bytes]:
    packer, out = Packer(library), bytearray()
    packer._threads = threads or packer._threads
    try:
        return packer.pack(Bytes(data, step), out.extend, algorithm=algorithm), bytes(out)
    finally:
        packer.close()


def unpacked(data: bytes, library: Any = LIBRARY) -> bytes:
    out = bytearray()
    gunzip(Bytes(data), out.extend, where="app.tar", library=library)
    return bytes(out)


def sample(size: int) -> bytes:
    """Bytes that compress to about half."""
    return bytes(random.Random(size).choices(b"abcdefghijklmnop", k=size))


@libraries
@pytest.mark.parametrize("size", [0, 1, 1000, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7])
def test_what_is_packed_any_gzip_unpacks_and_its_digests_are_right(size: int, library: Any) -> None:
    data = sample(size)
    result, out = packed(data, library)
    assert gzip.decompress(out) == data
    assert result.plain == "sha256:" + hashlib.sha256(data).hexdigest()
    assert (result.digest, result.size) == ("sha256:" + hashlib.sha256(out).hexdigest(), len(out))


@libraries
def test_packing_makes_it_smaller_and_one_member_of_it(library: Any) -> None:
    data = sample(2 * PIECE)
    _, out = packed(data, library)
    assert len(out) < 0.7 * len(data)
    inflater = zlib.decompressobj(31)
    assert inflater.decompress(out) == data
    assert (inflater.eof, inflater.unused_data) == (True, b"")


@libraries
def test_neither_threads_nor_reads_nor_time_change_the_bytes(library: Any) -> None:
    data = sample(5 * PIECE + 3)
    first = packed(data, library)
    assert packed(data, library, threads=1) == first
    assert packed(data, library, step=77_777) == first


def test_the_plain_digest_is_by_the_algorithm_that_is_asked_for() -> None:
    assert (
        packed(b"abc", algorithm="sha512")[0].plain
        == "sha512:" + hashlib.sha512(b"abc").hexdigest()
    )


def test_content_comes_in_whole_pieces_and_is_hashed(tmp_path: Path) -> None:
    assert [len(piece) for piece in pieces(Bytes(b"x" * 25, 3), 10)] == [10, 10, 5]
    assert sha256_of(Bytes(b"abc", 1)) == "sha256:" + hashlib.sha256(b"abc").hexdigest()


@libraries
@given(
    st.lists(
        st.binary(max_size=200) | st.integers(0, 300_000).map(lambda size: b"\0" * size),
        min_size=1,
        max_size=4,
    )
)
def test_all_members_are_unpacked(library: Any, parts: list[bytes]) -> None:
    assert unpacked(
        b"".join(gzip.compress(part) for part in parts) + b"\0" * 100, library
    ) == b"".join(parts)


@libraries
@pytest.mark.parametrize("size", [PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 300])
def test_content_that_just_fills_what_is_asked_for_ends_well(size: int, library: Any) -> None:
    for data in (b"\0" * size, sample(size)):
        assert unpacked(gzip.compress(data, 1), library) == data


@libraries
@given(st.binary(max_size=300), st.integers(0, 400), st.integers(1, 255))
def test_what_is_cut_off_or_damaged_is_an_error_or_what_gzip_says(
    library: Any, data: bytes, place: int, change: int
) -> None:
    whole = gzip.compress(data)
    with pytest.raises(ConfigError):
        unpacked(whole[: min(place, len(whole) - 1)] or b"\x1f", library)
    broken = bytearray(whole)
    broken[place % len(whole)] ^= change
    with contextlib.suppress(ConfigError):
        # time, name and system in the header mean nothing
        assert unpacked(bytes(broken), library) == data


@libraries
def test_a_bomb_is_refused_before_it_has_grown(
    library: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compress, "FREE", 4 * PIECE)
    taken = []
    bomb = gzip.compress(b"\0" * (64 * PIECE))
    with pytest.raises(ConfigError, match="grows to more than 200 times"):
        gunzip(Bytes(bomb), lambda out: taken.append(len(out)), where="app.tar", library=library)
    assert sum(taken) <= 14 * PIECE
    assert max(taken) <= PIECE


@libraries
def test_what_grows_much_but_stays_small_is_no_bomb(library: Any) -> None:
    assert unpacked(gzip.compress(b"\0" * (8 * PIECE)), library) == b"\0" * (8 * PIECE)
