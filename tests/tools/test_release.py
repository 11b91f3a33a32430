"""The contents of a release.

Jenkins accepts the tree as a library, and the packages have the shared data.
"""

from __future__ import annotations

import stat
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT / "resources" / "towline"


def git(*words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout


def special_files(folder: Path) -> list[str]:
    """The files that make Jenkins refuse a checkout as a library.

    pipeline-groovy-lib 798.v5cc688825312 (SECURITY-3727) looks for them in the whole checkout.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            found.append(str(path.relative_to(folder)))
    return found


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of the files that git would commit now."""
    folder = tmp_path_factory.mktemp("tree")
    for name in git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        source, copy = ROOT / name, folder / name
        if name and source.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            if source.is_symlink():
                copy.symlink_to(source.readlink())
            else:
                copy.write_bytes(source.read_bytes())
    return folder


def test_no_symbolic_link_is_tracked() -> None:
    entries = [line.split(maxsplit=3) for line in git("ls-files", "--stage").splitlines()]
    assert entries
    assert [entry[3] for entry in entries if entry[0] not in ("100644", "100755")] == []


def test_jenkins_takes_a_checkout_as_a_library(tree: Path) -> None:
    assert (tree / "vars" / "towline.groovy").is_file()
    assert special_files(tree) == []


def test_the_walk_over_a_checkout_finds_a_link(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "resources").symlink_to("..")
    assert special_files(tmp_path) == ["engine/resources"]


@pytest.fixture(scope="module")
def packages(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source archive of the tree."""
    out = tmp_path_factory.mktemp("dist")
    code = (
        "import sys; from hatchling import build; build.build_wheel(sys.argv[1]);"
        " build.build_sdist(sys.argv[1])"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(out)], cwd=tree, check=True, capture_output=True
    )
    return out


def shared_names() -> Iterator[str]:
    return (str(path.relative_to(SHARED)) for path in SHARED.rglob("*") if path.is_file())


def test_a_wheel_brings_the_shared_data_and_works_where_it_is_unpacked(
    packages: Path, tmp_path: Path
) -> None:
    [wheel] = packages.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert [
            one.filename for one in archive.infolist() if stat.S_ISLNK(one.external_attr >> 16)
        ] == []
        archive.extractall(tmp_path)
    assert {f"towline/resources/{name}" for name in shared_names()} <= set(archive.namelist())
    check_engine(tmp_path, tmp_path / "towline" / "resources")


def test_the_engine_works_out_of_a_zipapp(packages: Path) -> None:
    [wheel] = packages.glob("*.whl")
    # Python can import from a wheel
    check_engine(wheel, wheel / "towline" / "resources")


def check_engine(place: Path, data: Path) -> None:
    """The engine at `place` reads its own data, and lists every step."""
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from towline import dispatch, files
print(files.resource_folder(), files.version(), *dispatch.resource_names("steps"))
"""
    ended = subprocess.run(
        [sys.executable, "-I", "-c", code, str(place)],
        cwd="/",
        check=True,
        capture_output=True,
        text=True,
    )
    steps = sorted(path.name for path in (SHARED / "steps").iterdir())
    assert ended.stdout.split() == [
        str(data),
        (SHARED / "VERSION").read_text(encoding="utf-8").strip(),
        *steps,
    ]


def test_a_source_archive_holds_the_shared_data_and_no_link(packages: Path) -> None:
    [sdist] = packages.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    assert [one.name for one in members if not one.isfile() and not one.isdir()] == []
    inside = {one.name.partition("/")[2] for one in members}
    assert {f"resources/towline/{name}" for name in shared_names()} <= inside
    assert "engine/towline/cli.py" in inside
