from __future__ import annotations

import threading

import pytest

from towline.registry.compress import Packed
from towline.registry.extent import Spool
from towline.registry.growing import Growing

PACKED = Packed(plain="sha256:p", digest="sha256:d", size=6)


def read(growing: Growing, position: int, size: int = 100) -> bytes:
    buffer = memoryview(bytearray(size))
    return bytes(buffer[: growing.readinto(buffer, position)])


def test_what_is_there_is_read_from_its_own_place_in_the_spool() -> None:
    with Spool(None) as spool:
        spool.append(b"others")
        growing = Growing(spool, config="c", plain="p")
        growing.append(b"abc")
        growing.append(b"def")
        assert (read(growing, 0), read(growing, 2, 2), growing.offset, growing.packed) == (b"abcdef", b"cd", 6, None)
        growing.end(PACKED)
        assert (read(growing, 6), growing.packed) == (b"", PACKED)
        spool.append(b"more of others")
        assert (read(growing, 0), read(growing, 6)) == (b"abcdef", b"")


@pytest.mark.parametrize("packed", [PACKED, None])
def test_who_reads_at_the_end_waits_for_more_or_for_the_end(packed: Packed | None) -> None:
    found: list[bytes] = []
    with Spool(None) as spool:
        growing = Growing(spool, config="c", plain="p")

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
    with Spool(None) as spool:
        growing = Growing(spool, config="c", plain="p")
        growing.append(b"abc")
        assert growing.wait(2) == 3
        growing.end(None)
        assert growing.wait(100) == 3
