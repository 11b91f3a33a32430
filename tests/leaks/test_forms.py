"""The search itself: each way of writing, each part, and nothing else."""

from __future__ import annotations

import gzip
import zlib

import pytest

from tests.leaks.forms import PAIRS, WAYS, Hunter

SECRET = 'w7Kq2Zr9Tm4X"<&é+/ %b5Nc8Vd1Fg6H'.encode()
OTHER = b"aG4tY8uJ2kL6pQ0sW3eR"
HUNTER = Hunter({"one": SECRET, "other": OTHER})


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shift", range(5))
def test_each_way_of_writing_is_found_wherever_it_begins(way: str, shift: int) -> None:
    written = WAYS[way].write(b"user:"[:shift] + SECRET)
    hits = HUNTER.find(b"the host said: " + written + b" and ended")
    assert "one" in {hit.secret for hit in hits}
    assert "other" not in {hit.secret for hit in hits}


@pytest.mark.parametrize(("inner", "outer"), PAIRS)
@pytest.mark.parametrize("shift", range(3))
def test_what_is_written_twice_is_found(inner: str, outer: str, shift: int) -> None:
    written = WAYS[outer].write(b'{"auth":'[:shift] + WAYS[inner].write(b"robot:" + OTHER))
    assert {hit.secret for hit in HUNTER.find(written)} == {"other"}


@pytest.mark.parametrize("part", [OTHER[:8], OTHER[5:13], OTHER[-8:]])
def test_eight_signs_of_a_secret_are_enough(part: bytes) -> None:
    assert {hit.secret for hit in HUNTER.find(b"the password begins with " + part + b"****")} == {
        "other"
    }


@pytest.mark.parametrize(
    "pack", [gzip.compress, zlib.compress, lambda data: zlib.compress(gzip.compress(data))]
)
def test_what_is_packed_is_looked_into(pack: object) -> None:
    assert callable(pack)
    assert HUNTER.find(pack(b"blob 20\0" + OTHER))


def test_lines_blanks_and_colours_within_a_secret_hide_nothing() -> None:
    broken = [
        OTHER[:7] + b"\n" + OTHER[7:],
        b"\x1b[31m".join([OTHER[:6], OTHER[6:]]),
        b"\0".join(bytes([one]) for one in OTHER),
    ]
    assert all(HUNTER.find(text) for text in broken)


def test_masks_digests_and_the_words_of_a_log_are_no_secrets() -> None:
    log = (
        b"sha256:"
        + b"0123456789abcdef" * 4
        + b" the login of 'robot' (****) goes to 127.0.0.1:5000 w7Kq2Zr "
    )
    assert HUNTER.find(log) == ()
