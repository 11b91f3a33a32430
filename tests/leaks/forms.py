"""Every way in which a secret may be written, and the search for any part of it.

The list is independent of the engine's masks: otherwise nobody would see which ways the masks lack.
A new way is one line in WAYS.
"""

from __future__ import annotations

import base64
import html
import json
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

_HEAD = 8  # bytes of a needle that are looked up at once


@dataclass(frozen=True, kw_only=True)
class Way:
    """How `piece` bytes of a secret are written; `group` bytes are written together."""

    write: Callable[[bytes], bytes]
    piece: int = 8
    group: int = 1


def _text(write: Callable[[str], str]) -> Callable[[bytes], bytes]:
    """A way that writes characters; raises UnicodeError if a part begins or ends within one."""
    return lambda data: write(data.decode()).encode()


def _each(form: str) -> Callable[[bytes], bytes]:
    """A way that writes each byte by itself."""
    return lambda data: "".join(form.format(byte) for byte in data).encode()


def _escaped(sign: str) -> str:
    """The character as C and git write it, which escape all that is not ASCII."""
    return sign if " " <= sign <= "~" else "".join(f"\\{byte:03o}" for byte in sign.encode())


WAYS: Mapping[str, Way] = {
    "as it is": Way(write=bytes),
    "in capitals": Way(write=bytes.upper),
    "in small letters": Way(write=bytes.lower),
    "backwards": Way(write=lambda data: data[::-1]),
    "in UTF-16": Way(write=_text(lambda text: "".join(f"{sign}\0" for sign in text))),
    "in Latin-1": Way(
        write=lambda data: data.decode("utf-8", "replace").encode("latin-1", "replace")
    ),
    "for URLs": Way(write=lambda data: quote(data, safe="").encode()),
    "for URLs, as a path": Way(write=lambda data: quote(data).encode()),
    "for forms": Way(write=lambda data: quote_plus(data).encode()),
    "for URLs, all of it": Way(write=_each("%{:02X}")),
    "for URLs, all of it in small letters": Way(write=_each("%{:02x}")),
    "for URLs twice": Way(write=lambda data: quote(quote(data, safe=""), safe="").encode()),
    "in JSON": Way(write=_text(lambda text: json.dumps(text)[1:-1])),
    "in JSON, not ASCII": Way(write=_text(lambda text: json.dumps(text, ensure_ascii=False)[1:-1])),
    "in JSON twice": Way(write=_text(lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1])),
    "in JSON, all of it": Way(
        write=_text(lambda text: "".join(f"\\u{ord(one):04x}" for one in text))
    ),
    "in Python": Way(write=lambda data: repr(data)[2:-1].encode()),
    "in Python, all of it": Way(write=_each("\\x{:02x}")),
    "in C": Way(write=_text(lambda text: "".join(map(_escaped, text)))),
    "in C, all of it": Way(write=_each("\\{:03o}")),
    "in HTML": Way(write=_text(html.escape)),
    "in HTML, all of it": Way(write=_text(lambda text: "".join(f"&#{ord(one)};" for one in text))),
    "in HTML, all of it in hexadecimal": Way(
        write=_text(lambda text: "".join(f"&#x{ord(one):x};" for one in text))
    ),
    "in mails": Way(write=_each("={:02X}")),
    "as numbers": Way(write=lambda data: ", ".join(map(str, data)).encode()),
    "as numbers without blanks": Way(write=lambda data: ",".join(map(str, data)).encode()),
    "in hexadecimal": Way(write=_each("{:02x}")),
    "in hexadecimal, in capitals": Way(write=_each("{:02X}")),
    "in hexadecimal with colons": Way(write=lambda data: data.hex(":").encode()),
    "in base64": Way(write=base64.b64encode, piece=9, group=3),
    "in base64 for URLs": Way(write=base64.urlsafe_b64encode, piece=9, group=3),
    "in base32": Way(write=base64.b32encode, piece=10, group=5),
    "in base85": Way(write=base64.b85encode, group=4),
    "in ASCII85": Way(write=base64.a85encode, group=4),
}
OUTER = (
    "in base64",
    "in base64 for URLs",
    "for URLs, all of it",
    "in hexadecimal",
    "in capitals",
    "in small letters",
)
# Two ways, the second around the first: for example a login in a configuration in a Secret.
PAIRS = tuple(
    (inner, outer)
    for inner in ("in base64", "in base64 for URLs", "in JSON", "for URLs", "in hexadecimal")
    for outer in OUTER
)


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A find: the name of the secret, the way in which it is written, and the bytes."""

    secret: str
    way: str
    found: bytes


class Hunter:
    """Knows secrets by name, and finds any part of one that is long enough to be unmistakable."""

    def __init__(self, secrets: Mapping[str, bytes]) -> None:
        self._needles: dict[bytes, list[tuple[bytes, str, str]]] = defaultdict(list)
        for name, data in secrets.items():
            for way, needle in _needles(data):
                self._needles[needle[:_HEAD]].append((needle, name, way))

    def find(self, data: bytes) -> tuple[Hit, ...]:
        """One hit for each secret in `data` and each way in which it is written."""
        hits: dict[tuple[str, str], Hit] = {}
        for view in views(data):
            for head in _heads(view) & self._needles.keys():
                for needle, name, way in self._needles[head]:
                    if needle in view:
                        hits.setdefault((name, way), Hit(secret=name, way=way, found=needle))
        return tuple(hits.values())


def views(data: bytes) -> Iterator[bytes]:
    """The data as it is, and as it is without what programs put into it: line ends, blanks,
    colours, nulls; and what is packed in it.
    """
    pending = [data]
    for depth in range(3):
        unpacked = [inner for one in pending for inner in _unpacked(one)] if depth else pending
        for one in unpacked:
            yield from dict.fromkeys((one, _plain(one), re.sub(rb"\s+", b"", _plain(one))))
        pending = unpacked


def _plain(data: bytes) -> bytes:
    return re.sub(rb"\x1b\[[0-9;]*[A-Za-z]|=\r?\n|\n  \| |\x00", b"", data)


def _unpacked(data: bytes) -> Iterator[bytes]:
    for window in (31, 15) if data[:2] == b"\x1f\x8b" or data[:1] == b"\x78" else ():
        with suppress(zlib.error):
            yield zlib.decompressobj(window).decompress(data, 16 * 1024 * 1024)


def _heads(data: bytes) -> set[bytes]:
    return {data[at : at + _HEAD] for at in range(len(data) - _HEAD + 1)}


def _needles(secret: bytes) -> Iterator[tuple[str, bytes]]:
    """Each part of a secret in each way, and in each pair of them."""
    for name, way in WAYS.items():
        yield from ((name, written) for written in _written(secret, way))
    for inner, outer in PAIRS:
        for piece in _written(secret, WAYS[inner]):
            way = WAYS[outer]
            for start in range(way.group):
                end = start + (len(piece) - start) // way.group * way.group
                yield f"{inner}, {outer}", way.write(piece[start:end])


def _written(secret: bytes, way: Way) -> Iterator[bytes]:
    """The written form of each part of `piece` bytes; a shorter secret is one part."""
    piece = min(way.piece, len(secret) // way.group * way.group)
    for at in range(len(secret) - piece + 1):
        with suppress(UnicodeError):
            written = way.write(secret[at : at + piece])
            if len(written) >= _HEAD:
                yield written
