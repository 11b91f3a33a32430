from __future__ import annotations

import contextlib
import gzip
import io
import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.archives import Member, member, tar, tar_of
from towline.errors import ConfigError
from towline.registry.local import tar as tarball
from towline.registry.local.open_local import open_path
from towline.registry.local.spool import Spool
from towline.registry.local.tar import Tar, open_tar

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def contents(data: bytes, *names: str) -> list[bytes | None]:
    with Spool() as spool:
        spool.append(data)
        archive = Tar(spool.fileno(), spool.size, where="app.tar")
        return [archive.read(name, 1 << 30) for name in names]


def refused(data: bytes, *names: str) -> str:
    with pytest.raises(ConfigError) as caught:
        contents(data, *names)
    assert caught.value.where == "app.tar"
    return caught.value.message


def relabelled(data: bytes, start: int, field: bytes, at: int = 0) -> bytes:
    """The archive with other bytes in the header at `at`, and the right checksum."""
    block = bytearray(data[at : at + 512])
    block[start : start + len(field)] = field
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return data[:at] + bytes(block) + data[at + 512 :]


@pytest.mark.parametrize("form", FORMATS)
def test_files_are_read_by_name_in_every_format(form: int) -> None:
    deep = "d" * 90 + "/" + "e" * 60 + "/layer.tar"
    files = [
        member("manifest.json", b"[]"),
        member("d/", kind=tarfile.DIRTYPE),
        member(deep, b"x" * 1000),
        member("ümlaut", b""),
        member("./dot//two", b"2"),
    ]
    assert contents(tar(files, form), "manifest.json", deep, "ümlaut", "dot/two", "d", "none") == [
        b"[]",
        b"x" * 1000,
        b"",
        b"2",
        None,
        None,
    ]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_and_links_that_are_too_long_for_a_header_are_read(form: int) -> None:
    name, link = "n" * 300, "l" * 300
    data = tar(
        [
            member(name, b"data"),
            member(link, kind=tarfile.SYMTYPE, link=name),
            member("hard", kind=tarfile.LNKTYPE, link=link),
        ],
        form,
    )
    assert contents(data, name, link, "hard") == [b"data"] * 3


def test_sizes_past_what_octal_digits_can_say_are_read() -> None:
    with Spool() as spool:
        info = tarfile.TarInfo("layer.tar")
        info.size = 9 * 1024**3
        for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            data = info.tobuf(form)
            os.ftruncate(spool.fileno(), 0)
            os.pwrite(spool.fileno(), data, 0)
            os.ftruncate(spool.fileno(), len(data) + info.size)
            found = Tar(spool.fileno(), len(data) + info.size, where="app.tar").find("layer.tar")
            assert found is not None
            assert (found.offset, found.size) == (len(data), info.size)


def test_what_gnu_keeps_where_others_have_the_folder_is_no_folder() -> None:
    times = b"14700000000\0"
    assert contents(relabelled(tar([member("a", b"1")], tarfile.GNU_FORMAT), 345, times), "a") == [
        b"1"
    ]
    assert contents(
        relabelled(tar([member("a", b"1")], tarfile.USTAR_FORMAT), 345, b"d/e"), "a", "d/e/a"
    ) == [None, b"1"]


def test_links_lead_to_members_from_where_they_stand() -> None:
    data = tar(
        [
            member("a/layer.tar", b"layer"),
            member("b/layer.tar", kind=tarfile.SYMTYPE, link="../a/layer.tar"),
            member("c/layer.tar", kind=tarfile.SYMTYPE, link="./../b/layer.tar"),
            member("d", kind=tarfile.LNKTYPE, link="a/layer.tar"),
            member("e/f", kind=tarfile.LNKTYPE, link="b/layer.tar"),
        ]
    )
    assert contents(data, "b/layer.tar", "c/layer.tar", "d", "e/f") == [b"layer"] * 4


@pytest.mark.parametrize(
    "link",
    ["/etc/passwd", "../../etc/passwd", "../../a", "../" * 50 + "etc/passwd", "missing", "/a", ""],
)
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_link_that_leads_elsewhere_leads_nowhere(link: str, kind: bytes) -> None:
    assert contents(tar([member("a", b"inside"), member("d/l", kind=kind, link=link)]), "d/l") == [
        None
    ]


def test_links_in_a_circle_or_a_long_row_are_refused_when_they_are_followed() -> None:
    circle = [
        member("a", kind=tarfile.SYMTYPE, link="b"),
        member("b", kind=tarfile.SYMTYPE, link="a"),
    ]
    row = [
        member(f"l{number}", kind=tarfile.SYMTYPE, link=f"l{number + 1}") for number in range(40)
    ]
    assert "do not end" in refused(tar(circle), "a")
    assert "do not end" in refused(tar([*row, member("l40", b"x")]), "l0")
    assert contents(tar([*row, member("l40", b"x")]), "l30") == [b"x"]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (member("../x", b"1"), "leads out of it"),
        (member("/etc/x", b"1"), "leads out of it"),
        (member("a/../../x", b"1"), "leads out of it"),
        (member("tty", kind=tarfile.CHRTYPE), "a device"),
        (member("sda", kind=tarfile.BLKTYPE), "a device"),
        (member("p", kind=tarfile.FIFOTYPE), "a pipe"),
        (member("s", b"1", kind=tarfile.GNUTYPE_SPARSE), "a sparse file"),
        (member("v", kind=b"V"), "a member that is not a file"),
    ],
)
def test_members_that_no_image_has_are_refused(entry: Member, said: str) -> None:
    assert said in refused(tar([member("ok", b"1"), entry]))


@pytest.mark.parametrize(
    ("pax", "said"),
    [
        ({"GNU.sparse.major": "1"}, "sparse"),
        ({"size": "-5"}, "not a number"),
        ({"size": "1e9"}, "not a number"),
        ({"size": "9" * 30}, "not a number"),
        ({"path": "/etc/passwd"}, "leads out of it"),
        ({"size": "100000"}, "cut off within"),
        ({"comment": "c" * 70_000}, "header of more than"),
    ],
)
def test_extended_headers_are_held_to_the_same(pax: dict[str, str], said: str) -> None:
    info, data = member("x", b"12345")
    info.pax_headers = pax
    assert said in refused(tar([(info, data)]))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"7 a=b\n",
        b"0 a=b\n",
        b"x a=b\n",
        b"6 ab\n\n",
        b"99 a=b\n",
        b"-6 a=b\n",
        b"6 a=b\n6 a=",
        b"6 a=bc",
        b"\0" * 10,
    ],
)
def test_extended_headers_are_read_strictly(payload: bytes) -> None:
    data = tar([member("h", payload, kind=b"x"), member("x", b"1")], tarfile.USTAR_FORMAT)
    if payload:
        assert "extended header that is invalid" in refused(data)
    else:
        assert contents(data, "x") == [b"1"]


def test_one_name_for_all_members_is_refused_and_a_comment_for_all_is_not() -> None:
    stream = io.BytesIO()
    for headers, said in (({"comment": "x"}, ""), ({"path": "y"}, "for all its members")):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", pax_headers=headers) as archive:
            archive.addfile(tarfile.TarInfo("a"))
        if said:
            assert said in refused(stream.getvalue())
        else:
            assert contents(stream.getvalue(), "a") == [b""]


def test_a_name_twice_is_refused() -> None:
    assert "'a' twice" in refused(tar([member("a", b"1"), member("./a", b"2")]))
    assert "'a' twice" in refused(
        tar([member("a", b"1"), member("a", kind=tarfile.SYMTYPE, link="b")])
    )


def test_negative_and_broken_numbers_are_refused() -> None:
    data = tar_of({"a": b"1" * 600})
    for field in (b"\xff" * 12, b"-0000000005\0", b"0_1", b"9" * 11):
        assert "is damaged" in refused(relabelled(data, 124, field))
    assert "cut off within 'a'" in refused(relabelled(data, 124, b"\x80" + b"\xff" * 11))
    assert "is damaged" in refused(data[:10] + b"\x01" + data[11:])


def test_an_archive_is_cut_off_anywhere_but_between_members() -> None:
    data = tar_of({"a": b"1" * 600, "b": b"2" * 10})
    for length in (1, 511, 513, 1000, 1536 + 100, 1536 + 512 + 5):
        assert "cut off" in refused(data[:length]), length
    assert contents(data[:1536], "a", "b") == [b"1" * 600, None]
    assert contents(b"") == []


def test_headers_and_names_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tarball, "HEADERS", 5)
    assert "more than 5 headers" in refused(tar_of({str(number): b"" for number in range(5)}))
    assert contents(tar_of({str(number): b"" for number in range(4)}), "3") == [b""]
    monkeypatch.setattr(tarball, "BYTES_OF_NAMES", 100)
    assert "bytes of names" in refused(tar_of({"n" * 90: b"", "m" * 20: b""}))


def test_a_file_that_is_to_be_read_whole_has_a_limit() -> None:
    with Spool() as spool:
        spool.append(tar_of({"a": b"12345"}))
        archive = Tar(spool.fileno(), spool.size, where="app.tar")
        assert archive.read("a", 5) == b"12345"
        with pytest.raises(ConfigError, match="larger than 4 bytes"):
            archive.read("a", 4)


@given(st.binary(max_size=3000))
def test_no_bytes_at_all_break_it(data: bytes) -> None:
    with contextlib.suppress(ConfigError):
        contents(data, "a")


names = st.text("ab./\0-ü", min_size=1, max_size=9)
kinds = st.sampled_from(
    [
        tarfile.REGTYPE,
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.DIRTYPE,
        tarfile.FIFOTYPE,
        b"x",
        b"L",
        b"g",
        b"7",
    ]
)


@given(
    st.lists(st.tuples(names, st.binary(max_size=40), kinds, names), max_size=6),
    st.integers(0, 6000),
    st.integers(0, 255),
)
def test_hostile_members_end_in_content_from_the_archive_or_in_an_error(
    entries: list[tuple[str, bytes, bytes, str]], place: int, byte: int
) -> None:
    data = bytearray(
        tar(
            (member(name, body, kind=kind, link=link) for name, body, kind, link in entries),
            tarfile.GNU_FORMAT,
        )
    )
    for broken in (
        bytes(data),
        bytes(data[: place % len(data)]),
        relabelled(bytes(data), place % 500, bytes([byte])),
    ):
        try:
            found = contents(broken, *(name for name, *_ in entries))
        except ConfigError:
            continue
        assert all(part is None or part in broken for part in found)


@contextmanager
def tar_at(path: Path) -> Iterator[Tar]:
    descriptor = open_path(str(path))
    try:
        with open_tar(descriptor, str(path)) as archive:
            yield archive
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_is_opened_plain_or_gzipped_and_nothing_stays(
    packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tar_of({"a": b"1"})
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "spools"))
    (tmp_path / "app.tar").write_bytes(gzip.compress(data) if packed else data)
    (tmp_path / "spools").mkdir()
    before = set(Path("/proc/self/fd").iterdir())
    with tar_at(tmp_path / "app.tar") as archive:
        assert archive.read("a", 10) == b"1"
        assert "a" in archive
        assert list((tmp_path / "spools").iterdir()) == []
    assert set(Path("/proc/self/fd").iterdir()) == before


@pytest.mark.parametrize(
    ("head", "name"), [(b"BZh9", "bzip2"), (b"\xfd7zXZ\0", "xz"), (b"\x28\xb5\x2f\xfd", "zstd")]
)
def test_other_compressions_are_named(head: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / "app.tar").write_bytes(head + b"x" * 1000)
    with pytest.raises(ConfigError, match=f"compressed with {name}"), tar_at(tmp_path / "app.tar"):
        pass


def test_what_is_no_file_is_refused_and_no_pipe_is_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(ConfigError, match="neither a file nor a folder"), tar_at(path):
            pass
