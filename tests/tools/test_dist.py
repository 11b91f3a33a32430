"""`make dist`: twice the same bytes, and packages, archive, library and lists that fit together."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

from tests.launcher import PYTHON
from tests.release import ROOT, library, make_release, release, zipapp
from tests.tools.test_release import special_files
from tools.pyz import normal, runtime_distributions, zipped
from tools.sbom import locked

VERSION = (ROOT / "resources/towline/VERSION").read_text(encoding="utf-8").strip()


def run_python(*words: object) -> subprocess.CompletedProcess[str]:
    """A Python without the packages of the tests and of the machine."""
    return subprocess.run(
        [PYTHON, "-I", "-S", *map(str, words)],
        cwd=ROOT / "examples/azure-demo-k8s-go",
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# ---- the whole


def test_two_builds_make_the_same_bytes(tmp_path: Path) -> None:
    again = make_release(
        tmp_path / "again", PYTHONHASHSEED="7", TZ="Asia/Tokyo", LC_ALL="C", SOURCE_DATE_EPOCH="1"
    )
    assert files(again) == files(release())


def test_the_checksums_are_those_of_all_files() -> None:
    text = (release() / "SHA256SUMS").read_text(encoding="utf-8")
    sums = {name: digest for digest, name in (line.split("  ") for line in text.splitlines())}
    made = {path.name for path in release().iterdir() if path.is_file()} - {"SHA256SUMS"}
    assert made == {
        f"towline-{VERSION}-py3-none-any.whl",
        f"towline-{VERSION}.tar.gz",
        f"towline-{VERSION}.pyz",
        f"towline-{VERSION}.cdx.json",
        f"towline-{VERSION}-requirements.txt",
        f"towline-library-{VERSION}.tar.gz",
    }
    assert sums == {
        name: hashlib.sha256((release() / name).read_bytes()).hexdigest() for name in made
    }


# ---- the archive


def test_the_archive_needs_no_package_and_no_compiled_extension() -> None:
    assert zipapp().stat().st_size < 15_000_000
    names = zipfile.ZipFile(zipapp()).namelist()
    assert [name for name in names if name.endswith((".so", ".pyd"))] == []
    for words, expected in (
        (["--version"], f"towline {VERSION}\n"),
        (["plan"], "Release"),
        (["explain", "imagePushToRegistry"], "targetRegistryUrl"),
        (["lint"], ""),
    ):
        ended = run_python(zipapp(), *words)
        assert ended.returncode == 0, ended.stderr
        assert expected in ended.stdout


def test_every_module_of_the_archive_loads_but_those_of_extras() -> None:
    code = """
import importlib, sys, zipfile
sys.path.insert(0, sys.argv[1])
for name in sorted(zipfile.ZipFile(sys.argv[1]).namelist()):
    if name.startswith("towline/") and name.endswith(".py") and "__main__" not in name:
        module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        try:
            importlib.import_module(module)
        except ImportError as fault:
            print(module, fault.name)
"""
    ended = run_python("-c", code, zipapp())
    assert ended.stderr == ""
    assert dict(line.split() for line in ended.stdout.splitlines()) == {
        "towline.gitops.render.helm_library": "helm_python",
        "towline.gitops.validate": "kubernetes_validate",
        "towline.hosting.jwt_library": "cryptography",
        "towline.pipeline.cipher_library": "cryptography",
    }


def test_the_archive_starts_from_another_folder_by_a_relative_path(tmp_path: Path) -> None:
    (tmp_path / "short.pyz").write_bytes(zipapp().read_bytes())
    ended = subprocess.run(
        [PYTHON, "short.pyz", "--help"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ended.stdout.startswith("usage: towline ")


CODE = """
import sys
sys.path.insert(0, sys.argv[1])
import towline.cli
print(towline.cli.entry.__code__.co_filename)
"""


def test_the_python_that_made_the_archive_reads_its_bytecode() -> None:
    assert run_python("-c", CODE, zipapp()).stdout == "towline.pyz/towline/cli.py\n"


def test_another_python_ignores_the_bytecode_and_reads_the_source(tmp_path: Path) -> None:
    other = tmp_path / "other.pyz"
    with zipfile.ZipFile(zipapp()) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    magic = b"\x00\x00\r\n"
    other.write_bytes(
        zipped(
            {
                name: magic + data[4:] if name.endswith(".pyc") else data
                for name, data in contents.items()
            },
            epoch=0,
        )
    )
    assert run_python("-c", CODE, other).stdout == f"{other}/towline/cli.py\n"
    assert run_python(other, "plan").stdout == run_python(zipapp(), "plan").stdout


def other_pythons() -> dict[str, str]:
    """The other Pythons on this machine: version (3.12) to path."""
    known = [*Path.home().glob(".pyenv/versions/*/bin/python3")]
    known += [
        Path(f"python3.{minor}") for minor in range(6, 20) if shutil.which(f"python3.{minor}")
    ]
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    found = {}
    for path in known:
        ended = subprocess.run([path, "-c", code], capture_output=True, text=True, check=False)
        if ended.returncode == 0:
            found[ended.stdout.strip()] = str(path)
    found.pop(f"{sys.version_info.major}.{sys.version_info.minor}", None)
    return found


def test_every_python_on_this_machine_runs_the_archive_or_says_that_it_is_too_old() -> None:
    pythons = other_pythons()
    if not pythons:
        pytest.skip("there is no other Python")
    folder = ROOT / "examples/azure-demo-k8s-go"
    for version, path in pythons.items():
        ended = subprocess.run(
            [path, "-I", "-S", zipapp(), "plan"],
            cwd=folder,
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        if int(version.partition(".")[2]) < 11:
            too_old = f"towline: Python {version} is too old; run it by 3.11 or newer\n"
            assert (ended.returncode, ended.stderr) == (9, too_old)
        else:
            assert (ended.returncode, ended.stdout) == (0, run_python(zipapp(), "plan").stdout)


def test_an_old_python_says_that_it_is_too_old(tmp_path: Path) -> None:
    main = (ROOT / "tools/pyz_main.py").read_text(encoding="utf-8")
    old = tmp_path / "old.py"
    old.write_text(f"import sys\nsys.version_info = (3, 9, 18)\n{main}")
    ended = run_python(old)
    assert (ended.returncode, ended.stderr) == (
        9,
        "towline: Python 3.9 is too old; run it by 3.11 or newer\n",
    )


def test_a_bug_is_told_with_the_lines_of_the_source() -> None:
    code = """
import sys, traceback
sys.path.insert(0, sys.argv[1])
from towline import files
try:
    files.misfit(None, None)
except Exception:
    print(traceback.format_exc())
"""
    trace = run_python("-c", code, zipapp()).stdout
    assert re.search(r'File "towline.pyz/towline/files.py", line \d+, in misfit\n    \S', trace)


# ---- the library


def test_the_library_has_what_jenkins_reads_and_nothing_else() -> None:
    assert {path.name for path in library().iterdir()} == {
        "LICENSE",
        "README.md",
        "resources",
        "vars",
    }
    assert special_files(library()) == []
    for folder in ("vars", "resources"):
        names = {name for name in files(ROOT / folder) if "/." not in name}
        assert names <= set(files(library() / folder))


def test_the_library_names_the_engine_that_it_holds() -> None:
    shared = library() / "resources/towline"
    engine = (shared / "engine.pyz").read_bytes()
    assert engine == zipapp().read_bytes()
    document = json.loads((shared / "bridge.json").read_text(encoding="utf-8"))
    digest = hashlib.sha256(engine).hexdigest()
    assert document["engine"] == {"sha256": digest}
    assert document["launcher"] == (shared / "engine.sh").read_text(encoding="utf-8")
    assert f"library_sha256='{digest}'\n" in document["launcher"]


def test_the_archive_of_the_library_has_the_same_files() -> None:
    with tarfile.open(release() / f"towline-library-{VERSION}.tar.gz") as archive:
        members = archive.getmembers()
        assert all(member.isfile() and member.mode == 0o644 for member in members)
        contents = {
            member.name.partition("/")[2]: file.read()
            for member in members
            if (file := archive.extractfile(member))
        }
    assert contents == files(library())


def test_a_library_without_its_engine_names_the_url(tmp_path: Path) -> None:
    url = "https://files.example.com/towline.pyz"
    shared = make_release(tmp_path, "--engine-url", url) / "library/resources/towline"
    assert not (shared / "engine.pyz").exists()
    document = json.loads((shared / "bridge.json").read_text(encoding="utf-8"))
    assert document["engine"]["url"] == url
    assert f"library_url='{url}'\n" in document["launcher"]


# ---- packages, lock and bill of materials


def test_the_wheel_installs_from_released_files_and_the_packages_of_the_lock(
    tmp_path: Path,
) -> None:
    house, target = tmp_path / "house", tmp_path / "target"
    house.mkdir()
    lock = (release() / f"towline-{VERSION}-requirements.txt").read_text(encoding="utf-8")
    for name, version in re.findall(r"^([a-z0-9-]+)==([^ ]+)", lock, re.MULTILINE):
        found = distribution(name)
        contents = {
            str(path): Path(str(found.locate_file(path))).read_bytes()
            for path in found.files or ()
            if not str(path).startswith("../") and not str(path).endswith(".pyc")
        }
        wheel = house / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        wheel.write_bytes(zipped(contents, epoch=0))
    words = ["install", "--no-index", "--find-links", house, "--find-links", release()]
    words += ["--disable-pip-version-check", "--quiet", "--target", target, f"towline=={VERSION}"]
    ended = subprocess.run(
        [sys.executable, "-I", "-m", "pip", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from towline.cli import entry; entry()"
    assert run_python("-c", code, target, "--version").stdout == f"towline {VERSION}\n"


def test_the_lock_has_the_runtime_alone_with_hashes() -> None:
    lock = (release() / f"towline-{VERSION}-requirements.txt").read_text(encoding="utf-8")
    names = re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE)
    assert {"docker", "hvac", "jinja2", "pyyaml", "requests", "urllib3"} <= set(names)
    assert not {"hatchling", "helm-python-sdk", "pytest"} & set(names)
    for entry in re.split(r"^(?=[a-z])", lock, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in entry


def test_a_package_of_another_version_than_the_lock_is_an_error() -> None:
    found = [distribution("jinja2")]
    with pytest.raises(ValueError, match=r"requirements.lock has 1.0; run make setup"):
        locked("jinja2==1.0 \\\n    --hash=sha256:0\n", found)
    with pytest.raises(ValueError, match=r"requirements.lock has none"):
        locked("", found)


def test_the_bill_of_materials_lists_what_the_archive_holds() -> None:
    bill = json.loads((release() / f"towline-{VERSION}.cdx.json").read_text(encoding="utf-8"))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["version"] == VERSION
    listed = {(one["name"], one["version"]) for one in bill["components"]}
    inside = {
        normal(match[1]): match[2]
        for name in zipfile.ZipFile(zipapp()).namelist()
        if (match := re.fullmatch(r"([^/]+)-([^/-]+)\.dist-info/METADATA", name))
    }
    assert inside.pop("towline") == VERSION
    assert listed == set(inside.items())
    references = {one["bom-ref"] for one in (*bill["components"], bill["metadata"]["component"])}
    assert {one["ref"] for one in bill["dependencies"]} == references
    for one in bill["dependencies"]:
        assert set(one["dependsOn"]) <= references - {one["ref"]}
    for one in bill["components"]:
        assert re.search(r"MIT|Apache|BSD|MPL", json.dumps(one["licenses"])), one


def test_what_an_extra_or_another_platform_needs_is_not_of_the_runtime() -> None:
    needed = ["tqdm", "hatchling; extra == 'build'", "pywin32; sys_platform == 'win32'"]
    assert [normal(found.name) for found in runtime_distributions(needed)] == ["tqdm"]


def test_a_zip_archive_has_the_same_bytes_whatever_the_order_and_time_zone() -> None:
    first = zipped({"a": b"1", "b": b"2"}, epoch=0)
    assert first == zipped({"b": b"2", "a": b"1"}, epoch=0)
    assert zipfile.ZipFile(io.BytesIO(first)).namelist() == ["a", "b"]
