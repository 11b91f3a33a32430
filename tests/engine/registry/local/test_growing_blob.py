from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from towline.registry.gzip import PackedBlob
from towline.registry.local.growing_blob import GrowingBlob
from towline.registry.local.spool import Spool
from towline.registry.parallel import Cancelled

PACKED = PackedBlob(plain="sha256:p", digest="sha256:d", size=6)


def read(growing: GrowingBlob, position: int, size: int = 100) -> bytes:
    buffer = memoryview(bytearray(size))
    return bytes(buffer[: growing.readinto(buffer, position, threading.Event())])


def test_what_is_there_is_read_from_its_own_place_in_the_spool() -> None:
    with Spool() as spool:
        spool.append(b"others")
        growing = GrowingBlob(spool, config="c", plain="p")
        growing.append(b"abc")
        growing.append(b"def")
        assert (read(growing, 0), read(growing, 2, 2), growing.offset, growing.packed) == (
            b"abcdef",
            b"cd",
            6,
            None,
        )
        growing.end(PACKED)
        assert (read(growing, 6), growing.packed) == (b"", PACKED)
        spool.append(b"more of others")
        assert (read(growing, 0), read(growing, 6)) == (b"abcdef", b"")


@pytest.mark.parametrize("packed", [PACKED, None])
def test_who_reads_at_the_end_waits_for_more_or_for_the_end(packed: PackedBlob | None) -> None:
    found: list[bytes] = []
    with Spool() as spool:
        growing = GrowingBlob(spool, config="c", plain="p")

        def follow() -> None:
            while piece := read(growing, sum(map(len, found))):
                found.append(piece)

        reader = threading.Thread(target=follow)
        reader.start()
        for letter in b"abcdef":
            growing.append(bytes([letter]))
        growing.end(packed)
        reader.join(30)
        assert not reader.is_alive()
    assert b"".join(found) == b"abcdef"


def test_so_many_bytes_are_waited_for_but_not_beyond_the_end() -> None:
    with Spool() as spool:
        growing = GrowingBlob(spool, config="c", plain="p")
        growing.append(b"abc")
        assert growing.wait(2, threading.Event()) == 3
        growing.end(None)
        assert growing.wait(100, threading.Event()) == 3


def test_nobody_waits_for_more_when_the_run_has_ended() -> None:
    ending = threading.Event()
    ending.set()
    with Spool() as spool:
        growing = GrowingBlob(spool, config="c", plain="p")
        growing.append(b"abc")
        assert growing.wait(3, ending) == 3
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(growing.wait, 4, ending)
            try:
                assert isinstance(waiting.exception(30), Cancelled)
            finally:
                growing.end(None)
