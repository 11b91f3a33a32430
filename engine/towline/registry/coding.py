"""Pure.

The body of an answer without its Content-Encoding: none is asked for, and some servers and proxies
send one all the same (RFC 9110 8.4).
"""

from __future__ import annotations

import zlib
from email.message import Message

from towline.errors import RegistryError
from towline.printable import words

_GZIP = frozenset({"gzip", "x-gzip"})
_MAGIC = b"\x1f\x8b"
# each costs a copy of what comes after it; tools that pack in parallel make one for 64 KiB or more
_MEMBERS = 1000
# the head tells gzip and zlib; raw deflate, as some servers send it, has none
_EITHER, _RAW = zlib.MAX_WBITS | 32, -zlib.MAX_WBITS


def decode_body(body: bytes, headers: Message, *, limit: int, where: str) -> bytes:
    """The content of a body; raises RegistryError for a coding that is not known, a damaged body, and content of more than `limit` bytes."""
    codings = [
        part.strip().lower()
        for part in ",".join(headers.get_all("Content-Encoding") or []).split(",")
    ]
    for coding in reversed([part for part in codings if part not in ("", "identity")][-2:]):
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
        # S3 and others put gzip on what they send as it is
        if coding == "deflate" or body.startswith(_MAGIC):
            body = _unpacked(body, coding, limit, where)
    return body


def _unpacked(body: bytes, coding: str, limit: int, where: str) -> bytes:
    """Every member of a packed body."""
    found, bits = b"", _EITHER if body[:1] in (b"\x1f", b"\x78") else _RAW
    for _ in range(_MEMBERS):
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
