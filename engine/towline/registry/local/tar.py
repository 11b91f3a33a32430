"""Tar archives read in place: the headers once, then members by offset.

Nothing is unpacked, links lead to members only (POSIX.1-2017 pax; GNU tar).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from towline.errors import ConfigError
from towline.record import field, frozen, mutable
from towline.registry.gzip import gunzip
from towline.registry.local.spool import FileSlice, Spool

HEADERS, BYTES_OF_NAMES = (
    65536,
    16 * 1024 * 1024,
)  # how many headers, and bytes of names, an archive may have
NOT_AN_IMAGE = "the local image is neither a file nor a folder that is an image"
_PAYLOAD = 64 * 1024
_LINKS = 16
_BLOCK = 512
_FILES, _HARD, _SYMBOLIC, _FOLDER = frozenset(b"0\x007"), ord("1"), ord("2"), ord("5")
_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL = ord("L"), ord("K"), ord("x"), ord("g")
_NUMBER = re.compile(rb" *([0-7]*)[ \0]*")
_REFUSED = {
    ord("3"): "a device",
    ord("4"): "a device",
    ord("6"): "a pipe",
    ord("S"): "a sparse file",
}
_COMPRESSED = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


@frozen
class Member:
    """A file's place in the archive, or the name that a link leads to."""

    offset: int = 0
    size: int = 0
    link: str = ""


class Tar:
    """An indexed archive; shared by threads.

    Names are relative, with `/` and without `.` and `..`.
    """

    def __init__(self, descriptor: int, size: int, *, where: str) -> None:
        """Read all headers; raises ConfigError for what is no such archive, is cut off, or may not be in one."""
        self.where = where
        self._descriptor = descriptor
        self._members: dict[str, Member] = {}
        for name, member in _Headers(descriptor, size, where):
            if name in self._members:
                raise ConfigError(
                    f"the archive holds {_shown(name)} twice",
                    where=where,
                    hint="make the archive anew",
                )
            self._members[name] = member

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def find(self, name: str) -> Member | None:
        """The file of that name, links followed inside the archive; raises ConfigError for links that lead nowhere near."""
        wanted = name
        for _ in range(_LINKS):
            member = self._members.get(name)
            if member is None or not member.link:
                return member
            name = member.link
        raise ConfigError(f"the links from {_shown(wanted)} come to no end", where=self.where)

    def open(self, name: str) -> FileSlice | None:
        """A file's content, None where there is none of that name."""
        member = self.find(name)
        return None if member is None else FileSlice(self._descriptor, member.offset, member.size)

    def read(self, name: str, limit: int) -> bytes | None:
        """A whole file of at most `limit` bytes, None where there is none of that name; raises ConfigError for a larger one."""
        member = self.find(name)
        if member is not None and member.size > limit:
            raise ConfigError(f"{_shown(name)} is larger than {limit} bytes", where=self.where)
        return (
            None
            if member is None
            else FileSlice(self._descriptor, member.offset, member.size).read()
        )


@contextmanager
def open_tar(descriptor: int, path: str) -> Iterator[Tar]:
    """The archive in an open file; one compressed with gzip is unpacked once into a spool.

    `path` is what messages call it.

    Raises ConfigError, for what is no regular file too, and MachineError.
    """
    with ExitStack() as stack:
        size = _size(descriptor, path)
        magic = FileSlice(descriptor, 0, size).part(6)
        for mark, name in _COMPRESSED.items():
            if magic.startswith(mark):
                raise ConfigError(
                    f"the archive is compressed with {name}",
                    where=path,
                    hint="plain tar and gzip are read: compress it with gzip or not at all",
                )
        if magic.startswith(b"\x1f\x8b"):
            spool = stack.enter_context(Spool())
            gunzip(FileSlice(descriptor, 0, size), spool.append, where=path)
            descriptor, size = spool.fileno(), spool.size
        yield Tar(descriptor, size, where=path)


def _size(descriptor: int, path: str) -> int:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(NOT_AN_IMAGE, where=path)
    return found.st_size


@mutable
class _Ahead:
    """What special headers said of the member after them."""

    name: bytes | None = None
    link: bytes | None = None
    size: int | None = None
    pax: dict[bytes, bytes] = field(default_factory=dict)


class _Headers:
    """The files and links of an archive by their names, in order."""

    def __init__(self, descriptor: int, size: int, where: str) -> None:
        self._descriptor = descriptor
        self._size = size
        self._where = where
        self._text = 0

    def __iter__(self) -> Iterator[tuple[str, Member]]:
        position, ahead = 0, _Ahead()
        for _ in range(HEADERS):
            block = self._take(position, min(_BLOCK, self._size - position))
            if not block.strip(b"\0"):
                if block and len(block) < _BLOCK:
                    raise self._wrong("is cut off")
                return
            kind, size = self._checked(block)
            size = (
                ahead.size
                if ahead.size is not None
                and kind not in (_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL)
                else size
            )
            offset = position + _BLOCK
            position = offset + (
                0 if kind in (_HARD, _SYMBOLIC, _FOLDER) else -(-size // _BLOCK) * _BLOCK
            )
            if kind in (_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL):
                self._note(ahead, kind, self._payload(offset, size))
                continue
            yield from self._member(block, kind, ahead, (offset, size))
            ahead = _Ahead()
        raise self._wrong(f"has more than {HEADERS} headers")

    def _checked(self, block: bytes) -> tuple[int, int]:
        """Kind and size that a header says, once its checksum is right."""
        if len(block) < _BLOCK:
            raise self._wrong("is cut off")
        if self._number(block[148:156]) != sum(block) - sum(block[148:156]) + 8 * 32:
            raise self._wrong("is no tar archive, or is damaged")
        return block[156], self._number(block[124:136])

    def _member(
        self, block: bytes, kind: int, ahead: _Ahead, place: tuple[int, int]
    ) -> Iterator[tuple[str, Member]]:
        """The member of a header; folders are none."""
        raw = ahead.name if ahead.name is not None else _plain_name(block)
        name = self._name(raw)
        if kind in _FILES and not raw.endswith(b"/"):
            if sum(place) > self._size:
                raise self._wrong(f"is cut off within {_shown(name)}")
            yield name, Member(offset=place[0], size=place[1])
        elif kind in (_HARD, _SYMBOLIC):
            target = ahead.link if ahead.link is not None else block[157:257].partition(b"\0")[0]
            yield (
                name,
                Member(
                    link=self._inside(
                        _text(target), name.rpartition("/")[0] if kind == _SYMBOLIC else ""
                    )
                ),
            )
        elif kind != _FOLDER and kind not in _FILES:
            raise self._wrong(
                f"holds {_REFUSED.get(kind, 'something that is no file')} ({_shown(name)})"
            )

    def _note(self, ahead: _Ahead, kind: int, payload: bytes) -> None:
        if kind == _LONG_NAME:
            ahead.name = payload.partition(b"\0")[0]
        elif kind == _LONG_LINK:
            ahead.link = payload.partition(b"\0")[0]
        else:
            self._note_pax(ahead, kind, self._records(payload))

    def _note_pax(self, ahead: _Ahead, kind: int, records: Mapping[bytes, bytes]) -> None:
        if any(key.startswith(b"GNU.sparse.") for key in records):
            raise self._wrong("holds a sparse file")
        if kind == _PAX_GLOBAL:
            if records.keys() & {b"path", b"linkpath", b"size"}:
                raise self._wrong("has one name or size for all its members")
            return
        ahead.name, ahead.link = (
            records.get(b"path", ahead.name),
            records.get(b"linkpath", ahead.link),
        )
        if b"size" in records:
            if not re.fullmatch(rb"[0-9]{1,18}", records[b"size"]):
                raise self._wrong("has a size that is no number")
            ahead.size = int(records[b"size"])

    def _records(self, payload: bytes) -> Mapping[bytes, bytes]:
        """`LENGTH KEY=VALUE` and a line feed, one after the other."""
        found, position = {}, 0
        while position < len(payload):
            digits = payload[position : position + 8].partition(b" ")[0]
            end = position + int(digits) if re.fullmatch(rb"[0-9]{1,7}", digits) else 0
            key, equals, value = payload[position + len(digits) + 1 : end - 1].partition(b"=")
            if not equals or end > len(payload) or payload[end - 1 : end] != b"\n":
                raise self._wrong("has an extended header that cannot be read")
            found[key], position = value, end
        return found

    def _payload(self, offset: int, size: int) -> bytes:
        if size > _PAYLOAD:
            raise self._wrong(f"has a header of more than {_PAYLOAD} bytes")
        payload = self._take(offset, size)
        if len(payload) < size:
            raise self._wrong("is cut off")
        return payload

    def _take(self, offset: int, size: int) -> bytes:
        return FileSlice(self._descriptor, offset, max(0, size)).read()

    def _number(self, text: bytes) -> int:
        """An octal number, or one of GNU's with the highest bit set."""
        if text[0] == 0x80:
            return int.from_bytes(text[1:], "big")
        match = _NUMBER.fullmatch(text)
        if match is None:
            raise self._wrong("is no tar archive, or is damaged")
        return int(match.group(1) or b"0", 8)

    def _name(self, raw: bytes) -> str:
        if raw.startswith(b"/") or b".." in raw.split(b"/"):
            raise self._wrong(
                f"holds a member with a name that leads out of it ({_shown(_text(raw))})"
            )
        return self._counted(
            "/".join(part for part in _text(raw).split("/") if part not in ("", "."))
        )

    def _inside(self, target: str, folder: str) -> str:
        """The name that a link means, seen from `folder`; one that leads out of the archive means a name that no member has."""
        parts: list[str] = []
        for part in (*folder.split("/"), *target.split("/")):
            if part == "..":
                if not parts:
                    return "../"
                parts.pop()
            elif part not in ("", "."):
                parts.append(part)
        return "../" if target.startswith("/") or not parts else self._counted("/".join(parts))

    def _counted(self, name: str) -> str:
        self._text += len(name)
        if self._text > BYTES_OF_NAMES:
            raise self._wrong(f"has more than {BYTES_OF_NAMES} bytes of names")
        return name

    def _wrong(self, what: str) -> ConfigError:
        return ConfigError(
            f"the archive {what}",
            where=self._where,
            hint="make the archive anew; docker save and skopeo make what is read here",
        )


def _plain_name(block: bytes) -> bytes:
    name, prefix = block[:100].partition(b"\0")[0], block[345:500].partition(b"\0")[0]
    return prefix + b"/" + name if prefix and block[257:263] == b"ustar\0" else name


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _shown(name: str) -> str:
    return repr(name[:200])
