"""Helm gets the checked files of a packed chart, even if other readers find other files in it."""

from __future__ import annotations

import gzip
import io
import json
import tarfile

import pytest

from tests.engine.gitops.charts import as_bytes, chart
from towline.errors import RenderError
from towline.gitops.helm import packed_chart
from towline.gitops.helm.chart import HelmChart
from towline.gitops.helm.image_values import ImageValues
from towline.gitops.helm.packed_chart import archive_members, is_packed_chart, repack_charts

SUB = b"apiVersion: v2\nname: sub\nversion: 1.0.0\n"
BEHIND = ("sub/values.schema.json", json.dumps({"$ref": "http://127.0.0.1:9/x"}).encode())
ZERO = b"\0%010o "  # a length for Helm; other readers end at the zero byte


def entry(name: str, content: bytes, size: bytes = b"") -> bytes:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    head = bytearray(member.tobuf(tarfile.USTAR_FORMAT))
    if size:
        head[124:136], head[148:156] = size % len(content), b" " * 8
        head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head) + content + bytes(-len(content) % 512)


def packed(*entries: bytes) -> bytes:
    return gzip.compress(b"".join(entries) + bytes(1024))


def held(data: bytes) -> dict[str, bytes]:
    return {member.name: content for member, content in archive_members("x", data)}


@pytest.mark.parametrize("content", [b"x" * 5, bytes(512)], ids=["text", "zeros"])
def test_what_another_reader_finds_behind_the_end_is_refused(content: bytes) -> None:
    data = packed(entry("sub/Chart.yaml", SUB), entry("sub/x", content, ZERO), entry(*BEHIND))
    with pytest.raises(RenderError, match="no file begins at byte") as caught:
        repack_charts({"charts/sub.tgz": data}, "app/")
    assert (caught.value.where, "helm package" in caught.value.hint) == ("app/charts/sub.tgz", True)


def test_helm_gets_what_was_read_and_nothing_else() -> None:
    inner = packed(entry("in/Chart.yaml", SUB), entry("in/empty", b""))
    files = {"sub/Chart.yaml": SUB, "sub/charts/in.tgz": inner, "./sub/ä\udcff": b"1"}
    usual = packed(*(entry(name, content) for name, content in files.items()))
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.pax_headers = len(content), {"comment": "x" * 99}
            archive.addfile(member, io.BytesIO(content))
    plain = {"Chart.yaml": b"a", "templates/charts.tgz": b"no chart"}
    one = repack_charts({**plain, "charts/sub.tgz": usual}, "app/")
    assert (
        one
        == repack_charts({**plain, "charts/sub.tgz": stream.getvalue()}, "app/")
        == repack_charts(one, "app/")
    )
    assert {name: one[name] for name in plain} == plain
    assert list(held(one["charts/sub.tgz"])) == list(files)
    assert held(held(one["charts/sub.tgz"])["sub/charts/in.tgz"]) == held(inner)


def test_links_and_folders_are_left_out() -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.LNKTYPE):
            member = tarfile.TarInfo(f"sub/{kind!r}")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    assert held(repack_charts({"charts/a.tgz": stream.getvalue()}, "")["charts/a.tgz"]) == {}


def test_a_chart_renders_with_what_is_packed_in_it() -> None:
    template = b"kind: Sub\nx: {{ .Values.x }}\n"
    sub = packed(
        entry("sub/Chart.yaml", SUB),
        entry("sub/values.yaml", b"x: 7\n"),
        entry("sub/templates/a.yaml", template),
    )
    one = HelmChart(
        chart_path="chart/app",
        file_path="m.yaml",
        release="demo",
        images={"image": ImageValues(repository="host/app", tag="1.0")},
    )
    files = {**as_bytes(chart()), "chart/app/charts/sub-1.0.0.tgz": sub, "m.yaml": b""}
    assert b"kind: Sub\nx: 7\n" in one.apply(files)["m.yaml"]


def test_all_of_them_together_are_as_large_as_one_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    # The limit is for all files together, and for each archive with its headers.
    monkeypatch.setattr(packed_chart, "MOST_UNPACKED", 30_000)
    files = {f"charts/{number}.tgz": packed(entry("a/x", bytes(14_000))) for number in range(3)}
    assert len(repack_charts(dict(list(files.items())[:2]), "app/")) == 2
    with pytest.raises(RenderError, match="packed charts hold more than") as caught:
        repack_charts(files, "app/")
    assert caught.value.where == "app/charts/2.tgz"


def test_they_are_packed_into_one_another_ten_times() -> None:
    nested = packed(entry("a/Chart.yaml", SUB))
    for _ in range(9):
        nested = packed(entry("a/charts/a.tgz", nested))
    assert repack_charts({"charts/a.tgz": nested}, "")
    with pytest.raises(RenderError, match="10 times"):
        repack_charts({"charts/a.tgz": packed(entry("a/charts/a.tgz", nested))}, "")


def test_packed_is_what_helm_takes_for_it() -> None:
    yes = ["charts/a.tgz", "a\\charts\\b.tgz", "a/charts/./b.tgz"]
    no = ["charts/x/a.tgz", "charts/a.tar.gz", "files/a.tgz"]
    assert list(filter(is_packed_chart, [*yes, *no])) == yes
