"""Tar archives read in place: all headers once, then members by offset.

Nothing is unpacked, and links lead to members only (POSIX.1-2017 pax; GNU tar).
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
_MOST_HEADER_BYTES = 64 * 1024  # of a special header
_MOST_LINKS = 16  # in a row
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
    """The offset and size of a file in the archive, or the name that a link leads to."""

    offset: int = 0
    size: int = 0
    link: str = ""


class Tar:
    """An indexed archive; shared by threads.

    Names are relative, with `/` and without `.` and `..`.
    """

    def __init__(self, descriptor: int, size: int, *, where: str) -> None:
        """Read all headers; raises ConfigError if the archive is invalid, cut off or refused."""
        self.where = where
        self._descriptor = descriptor
        self._members: dict[str, Member] = {}
        for name, member in _Headers(descriptor, size, where):
            if name in self._members:
                raise ConfigError(
                    f"the archive has {_shown(name)} twice",
                    where=where,
                    hint="make the archive anew",
                )
            self._members[name] = member

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def find(self, name: str) -> Member | None:
        """The file of that name, None if it does not exist; links are followed in the archive.

        Raises ConfigError for links without an end.
        """
        wanted = name
        for _ in range(_MOST_LINKS):
            member = self._members.get(name)
            if member is None or not member.link:
                return member
            name = member.link
        raise ConfigError(f"the links from {_shown(wanted)} do not end", where=self.where)

    def open(self, name: str) -> FileSlice | None:
        """A file's content, None if it does not exist."""
        member = self.find(name)
        return None if member is None else FileSlice(self._descriptor, member.offset, member.size)

    def read(self, name: str, limit: int) -> bytes | None:
        """A whole file, None if it does not exist; raises ConfigError if it is over the limit."""
        member = self.find(name)
        if member is None:
            return None
        if member.size > limit:
            raise ConfigError(f"{_shown(name)} is larger than {limit} bytes", where=self.where)
        return FileSlice(self._descriptor, member.offset, member.size).read()


@contextmanager
def open_tar(descriptor: int, path: str) -> Iterator[Tar]:
    """The archive in an open file, which messages call `path`; gzip is unpacked into a spool.

    Raises ConfigError, also if it is not a regular file, and MachineError.
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
class _Extended:
    """The fields that special headers give the member after them."""

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
        position, extended = 0, _Extended()
        for _ in range(HEADERS):
            block = self._take(position, min(_BLOCK, self._size - position))
            if not block.strip(b"\0"):
                if block and len(block) < _BLOCK:
                    raise self._fault("is cut off")
                return
            kind, size = self._checked(block)
            size = (
                extended.size
                if extended.size is not None
                and kind not in (_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL)
                else size
            )
            offset = position + _BLOCK
            position = offset + (
                0 if kind in (_HARD, _SYMBOLIC, _FOLDER) else -(-size // _BLOCK) * _BLOCK
            )
            if kind in (_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL):
                self._note(extended, kind, self._payload(offset, size))
                continue
            yield from self._member(block, kind, extended, (offset, size))
            extended = _Extended()
        raise self._fault(f"has more than {HEADERS} headers")

    def _checked(self, block: bytes) -> tuple[int, int]:
        """Kind and size that a header says, once its checksum is right."""
        if len(block) < _BLOCK:
            raise self._fault("is cut off")
        if self._number(block[148:156]) != sum(block) - sum(block[148:156]) + 8 * 32:
            raise self._fault("is not a tar archive, or is damaged")
        return block[156], self._number(block[124:136])

    def _member(
        self, block: bytes, kind: int, extended: _Extended, place: tuple[int, int]
    ) -> Iterator[tuple[str, Member]]:
        """The member of a header; none for a folder."""
        raw = extended.name if extended.name is not None else _plain_name(block)
        name = self._name(raw)
        if kind in _FILES and not raw.endswith(b"/"):
            if sum(place) > self._size:
                raise self._fault(f"is cut off within {_shown(name)}")
            yield name, Member(offset=place[0], size=place[1])
        elif kind in (_HARD, _SYMBOLIC):
            target = (
                extended.link if extended.link is not None else block[157:257].partition(b"\0")[0]
            )
            yield (
                name,
                Member(
                    link=self._inside(
                        _text(target), name.rpartition("/")[0] if kind == _SYMBOLIC else ""
                    )
                ),
            )
        elif kind != _FOLDER and kind not in _FILES:
            raise self._fault(
                f"has {_REFUSED.get(kind, 'a member that is not a file')} ({_shown(name)})"
            )

    def _note(self, extended: _Extended, kind: int, payload: bytes) -> None:
        if kind == _LONG_NAME:
            extended.name = payload.partition(b"\0")[0]
        elif kind == _LONG_LINK:
            extended.link = payload.partition(b"\0")[0]
        else:
            self._note_pax(extended, kind, self._records(payload))

    def _note_pax(self, extended: _Extended, kind: int, records: Mapping[bytes, bytes]) -> None:
        if any(key.startswith(b"GNU.sparse.") for key in records):
            raise self._fault("has a sparse file")
        if kind == _PAX_GLOBAL:
            if records.keys() & {b"path", b"linkpath", b"size"}:
                raise self._fault("has one name or size for all its members")
            return
        extended.name, extended.link = (
            records.get(b"path", extended.name),
            records.get(b"linkpath", extended.link),
        )
        if b"size" in records:
            if not re.fullmatch(rb"[0-9]{1,18}", records[b"size"]):
                raise self._fault("has a size that is not a number")
            extended.size = int(records[b"size"])

    def _records(self, payload: bytes) -> Mapping[bytes, bytes]:
        """The records of an extended header: `LENGTH KEY=VALUE` and a line feed each."""
        found, position = {}, 0
        while position < len(payload):
            digits = payload[position : position + 8].partition(b" ")[0]
            end = position + int(digits) if re.fullmatch(rb"[0-9]{1,7}", digits) else 0
            key, equals, value = payload[position + len(digits) + 1 : end - 1].partition(b"=")
            if not equals or end > len(payload) or payload[end - 1 : end] != b"\n":
                raise self._fault("has an extended header that is invalid")
            found[key], position = value, end
        return found

    def _payload(self, offset: int, size: int) -> bytes:
        if size > _MOST_HEADER_BYTES:
            raise self._fault(f"has a header of more than {_MOST_HEADER_BYTES} bytes")
        payload = self._take(offset, size)
        if len(payload) < size:
            raise self._fault("is cut off")
        return payload

    def _take(self, offset: int, size: int) -> bytes:
        return FileSlice(self._descriptor, offset, max(0, size)).read()

    def _number(self, text: bytes) -> int:
        """An octal number, or a binary number of GNU tar, with the highest bit set."""
        if text[0] == 0x80:
            return int.from_bytes(text[1:], "big")
        match = _NUMBER.fullmatch(text)
        if match is None:
            raise self._fault("is not a tar archive, or is damaged")
        return int(match.group(1) or b"0", 8)

    def _name(self, raw: bytes) -> str:
        if raw.startswith(b"/") or b".." in raw.split(b"/"):
            raise self._fault(f"has a member whose name leads out of it ({_shown(_text(raw))})")
        return self._counted(
            "/".join(part for part in _text(raw).split("/") if part not in ("", "."))
        )

    def _inside(self, target: str, folder: str) -> str:
        """The name that a link in `folder` leads to; `../`, which no member has, if outside."""
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
            raise self._fault(f"has more than {BYTES_OF_NAMES} bytes of names")
        return name

    def _fault(self, problem: str) -> ConfigError:
        return ConfigError(
            f"the archive {problem}",
            where=self._where,
            hint="make the archive anew, with docker save or skopeo",
        )


def _plain_name(block: bytes) -> bytes:
    name, prefix = block[:100].partition(b"\0")[0], block[345:500].partition(b"\0")[0]
    return prefix + b"/" + name if prefix and block[257:263] == b"ustar\0" else name


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _shown(name: str) -> str:
    return repr(name[:200])
