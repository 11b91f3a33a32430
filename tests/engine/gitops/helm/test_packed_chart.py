from __future__ import annotations

import gzip
import io
import tarfile

import pytest

from tests.engine.gitops.charts import CHART_YAML
from towline.errors import RenderError
from towline.gitops.helm import packed_chart
from towline.gitops.helm.packed_chart import unpack_chart


def packed(*members: tuple[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz", compresslevel=1) as tar:
        for path, content in members:
            member = tarfile.TarInfo(path)
            member.size, member.type = (
                len(content),
                tarfile.REGTYPE if path.endswith("Chart.yaml") else kind,
            )
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


CHART = ("app/Chart.yaml", CHART_YAML.encode())


def test_its_files_are_those_below_its_one_folder() -> None:
    data = packed(
        CHART,
        ("./app/templates/a.yaml", b"a"),
        ("README.md", b""),
        ("app/../../x", b""),
        ("app/a/../b", b""),
        ("app/.git/x", b""),
    )
    assert unpack_chart("c.tgz", data) == {
        "Chart.yaml": CHART_YAML.encode(),
        "templates/a.yaml": b"a",
    }


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
)
def test_what_is_no_file_is_left_out(kind: bytes) -> None:
    assert list(unpack_chart("c.tgz", packed(CHART, ("app/x", b""), kind=kind))) == ["Chart.yaml"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no archive",
        gzip.compress(b"no tar" * 1000),
        packed(CHART)[:-40],
        packed(("app/values.yaml", b"")),
        gzip.compress(gzip.decompress(packed(CHART)) + gzip.decompress(packed(CHART))),
    ],
    ids=["empty", "text", "compressed text", "cut", "no chart", "more behind its end"],
)
def test_what_is_no_packed_chart_is_named(data: bytes) -> None:
    with pytest.raises(RenderError) as caught:
        unpack_chart("charts/c.tgz", data)
    assert caught.value.where == "charts/c.tgz"
    assert "helm package" in caught.value.hint


def test_what_is_too_large_unpacked_is_not_unpacked() -> None:
    with pytest.raises(RenderError, match="larger than 64 MiB unpacked"):
        unpack_chart("c.tgz", packed(CHART, ("app/zeros", bytes(65 * 1024 * 1024))))


def test_many_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_chart, "_MOST_FILES", 10)
    with pytest.raises(RenderError, match="more than 10 files"):
        unpack_chart("c.tgz", packed(CHART, *((f"app/{number}", b"") for number in range(11))))
