"""Pure.

Decodes the Content-Encoding of a body (RFC 9110 8.4): none is asked for, but some servers and
proxies send one.
"""

from __future__ import annotations

import zlib
from email.message import Message

from towline.errors import RegistryError
from towline.printable import words

_GZIP = frozenset({"gzip", "x-gzip"})
_MAGIC = b"\x1f\x8b"
# each member costs a copy of the rest; tools that pack in parallel make members of 64 KiB or more
_MOST_MEMBERS = 1000
# gzip and zlib are known by their header; raw deflate, which some servers send, has none
_EITHER, _RAW = zlib.MAX_WBITS | 32, -zlib.MAX_WBITS


def decode_body(body: bytes, headers: Message, *, limit: int, where: str) -> bytes:
    """The content of a body, decoded.

    Raises RegistryError for an unknown coding, a damaged body, and content of more than `limit`
    bytes.
    """
    texts = ",".join(headers.get_all("Content-Encoding") or []).split(",")
    codings = [text.strip().lower() for text in texts]
    codings = [coding for coding in codings if coding not in ("", "identity")]
    for coding in reversed(codings[-2:]):
        if coding not in _GZIP | {"deflate"}:
            raise RegistryError(
                f"the answer came with Content-Encoding {words(coding, 40)!r}, though none was"
                " asked for",
                where=where,
                hint=(
                    "have the registry, or the proxy before it, send its answers as they are"
                    " (Accept-Encoding: identity)"
                ),
            )
        # S3 and others name gzip for content that is not packed
        if coding == "deflate" or body.startswith(_MAGIC):
            body = _unpacked(body, coding, limit, where)
    return body


def _unpacked(body: bytes, coding: str, limit: int, where: str) -> bytes:
    """The content of all members of a packed body."""
    found, bits = b"", _EITHER if body[:1] in (b"\x1f", b"\x78") else _RAW
    for _ in range(_MOST_MEMBERS):
        if not body:
            break
        try:
            packed = zlib.decompressobj(bits)
            found += packed.decompress(body, limit + 1 - len(found))
        except zlib.error as fault:
            raise RegistryError(
                f"the answer came with Content-Encoding {coding!r}, and cannot be unpacked",
                where=where,
            ) from fault
        if len(found) > limit:
            raise RegistryError(
                f"the answer is longer than {limit} bytes once it is unpacked", where=where
            )
        if not packed.eof:
            raise RegistryError(
                f"the answer came with Content-Encoding {coding!r}, and its end is missing",
                where=where,
            )
        body = packed.unused_data
    if body:
        raise RegistryError(
            f"the answer came with Content-Encoding {coding!r} in too many parts", where=where
        )
    return found
