from __future__ import annotations

import contextlib
import gzip
import zlib
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.errors import RegistryError
from towline.registry.coding import decode_body

TEXT = b'{"schemaVersion": 2}' * 20


def packed(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def raw(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def plain(body: bytes, *codings: str, limit: int = 10_000) -> bytes:
    headers = Message()
    for coding in codings:
        headers["Content-Encoding"] = coding
    return decode_body(body, headers, limit=limit, where="http://registry")


@pytest.mark.parametrize(
    ("body", "codings"),
    [
        (TEXT, ()),
        (TEXT, ("identity",)),
        (packed(TEXT), ("gzip",)),
        (packed(TEXT), ("GZIP ",)),
        (packed(TEXT), ("x-gzip",)),
        (zlib.compress(TEXT), ("deflate",)),
        (raw(TEXT), ("deflate",)),
        (packed(packed(TEXT)), ("gzip, gzip",)),
        (packed(zlib.compress(TEXT)), ("deflate", "gzip")),
        (packed(TEXT[:30]) + packed(TEXT[30:]), ("gzip",)),
        (b"", ("gzip",)),
    ],
)
def test_the_content_is_what_was_packed(body: bytes, codings: tuple[str, ...]) -> None:
    assert plain(body, *codings) == (TEXT if body else b"")


def test_a_header_that_is_wrong_about_a_plain_body_does_not_matter() -> None:
    assert plain(TEXT, "gzip") == TEXT


@pytest.mark.parametrize(
    ("body", "coding", "words"),
    [
        (TEXT, "br", "Content-Encoding 'br', though none was asked for"),
        (TEXT, "deflate", "cannot be unpacked"),
        (packed(TEXT)[:-9], "gzip", "end is missing"),
        (packed(TEXT)[:-8] + bytes(8), "gzip", "cannot be unpacked"),
        (packed(b" " * 10_001), "gzip", "longer than 10000 bytes"),
        (packed(b" " * 6000) * 2, "gzip", "longer than 10000 bytes"),
    ],
)
def test_what_cannot_be_unpacked_says_so(body: bytes, coding: str, words: str) -> None:
    with pytest.raises(RegistryError, match=words) as caught:
        plain(body, coding)
    assert caught.value.where == "http://registry"


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate", "gzip, gzip", "zstd"]))
def test_no_body_breaks_the_reader_in_any_other_way(body: bytes, coding: str) -> None:
    with contextlib.suppress(RegistryError):
        assert len(plain(body, coding)) <= 10_000


def test_an_answer_in_a_thousand_parts_is_unpacked_and_one_in_more_is_refused() -> None:
    """Each part copies the rest: 4 MiB of empty parts took half a minute."""
    assert plain(packed(b"x") * 1000, "gzip") == b"x" * 1000
    with pytest.raises(RegistryError, match="too many parts"):
        plain(packed(b"") * 1001, "gzip")
