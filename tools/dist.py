"""`make dist`: the files of a release in dist/, the same bytes for the same commit.

    towline-VERSION-py3-none-any.whl, towline-VERSION.tar.gz   for pip
    towline-VERSION.pyz                 the engine with its dependencies in one archive
    towline-library-VERSION.tar.gz      the Jenkins library with its engine; as a folder in library/
    towline-VERSION-requirements.txt    what the wheel needs, with hashes
    towline-VERSION.cdx.json            the bill of materials
    SHA256SUMS

The bytes also depend on the Python that makes them, whose bytecode the archive has; use the one of
your agents. With --engine-url the library does not hold the engine, but names the URL to which you
upload the .pyz.
"""

# ruff: noqa: INP001, T201, S603 - a program for developers beside setup.sh, not a package

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from email.parser import BytesParser
from pathlib import Path
from zipfile import ZipFile

from tools.bridge import bridge, launcher
from tools.pyz import runtime_distributions, zipapp
from tools.sbom import bill, locked

ROOT = Path(__file__).resolve().parents[1]
_SHARED = "resources/towline"
_BUILD = (
    "import sys; from hatchling import build; build.build_wheel(sys.argv[1]);"
    " build.build_sdist(sys.argv[1])"
)
_README = """\
# Towline {version}, the Jenkins library

Made by `make dist` from commit {commit}. Put these files into a git repository of your own, tag
it, and name it as a shared library of your Jenkins. {engine}
"""
_INSIDE = (
    "The engine comes along in\n`resources/towline/engine.pyz`; an agent needs Python 3.11 or"
    " newer, git and a shell."
)
_OUTSIDE = (
    "Agents download the engine\nfrom {url}; they need Python 3.11 or newer, git and a shell."
)


def main() -> int:
    """Make the release; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="default: dist/")
    parser.add_argument("--engine-url", default="", help="URL of the .pyz, for the library")
    options = parser.parse_args()
    if git("status", "--porcelain"):
        print("*** the tree has changes that are not committed ***", file=sys.stderr)
    release(options.output, options.engine_url)
    return 0


def release(output: Path, url: str = "") -> None:
    """Make all files of the release in the folder `output`, and print their sizes."""
    commit, epoch = git("rev-parse", "HEAD"), int(git("log", "-1", "--format=%ct"))
    version = (ROOT / _SHARED / "VERSION").read_text(encoding="utf-8").strip()
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    [wheel] = _packages(output, epoch)
    needed = runtime_distributions(_requirements(wheel))
    engine = zipapp(wheel.read_bytes(), needed, epoch=epoch)
    lock = locked((ROOT / "requirements.lock").read_text(encoding="utf-8"), needed)
    materials = bill(needed, version=version, commit=commit, epoch=epoch)
    library = _library(engine, version, commit, url)
    for name, data in library.items():
        path = output / "library" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    files = {
        f"towline-{version}.pyz": engine,
        f"towline-{version}-requirements.txt": lock.encode(),
        f"towline-{version}.cdx.json": (json.dumps(materials, indent=1) + "\n").encode(),
        f"towline-library-{version}.tar.gz": _tar(library, f"towline-library-{version}", epoch),
    }
    for name, data in files.items():
        (output / name).write_bytes(data)
    (output / f"towline-{version}.pyz").chmod(0o755)
    made = sorted(path for path in output.iterdir() if path.is_file())
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in made}
    (output / "SHA256SUMS").write_text(
        "".join(f"{digest}  {name}\n" for name, digest in sums.items()), encoding="utf-8"
    )
    for path in made:
        print(f"{sums[path.name][:12]}  {path.stat().st_size / 1e6:6.2f} MB  {path.name}")


def git(*words: str) -> str:
    """The output of git in the checkout."""
    return subprocess.run(
        ["git", *words],  # noqa: S607
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def _packages(output: Path, epoch: int) -> list[Path]:
    """Make wheel and source archive; returns the wheel."""
    subprocess.run(
        [sys.executable, "-c", _BUILD, str(output)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)},
    )
    return list(output.glob("*.whl"))


def _requirements(wheel: Path) -> list[str]:
    """What the wheel needs, with the markers of its extras."""
    with ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return BytesParser().parsebytes(archive.read(name)).get_all("Requires-Dist") or []


def _library(engine: bytes, version: str, commit: str, url: str) -> dict[str, bytes]:
    """The files of the released library by their path: what git tracks, and the engine."""
    names = git("ls-files", "-z", "vars", "resources", "LICENSE").split("\0")
    files = {name: (ROOT / name).read_bytes() for name in names if name}
    known = {"sha256": hashlib.sha256(engine).hexdigest(), **({"url": url} if url else {})}
    text = files[f"{_SHARED}/engine.sh"].decode()
    files[f"{_SHARED}/engine.sh"] = launcher(text, known).encode()
    files[f"{_SHARED}/bridge.json"] = bridge(engine=known).encode()
    if not url:
        files[f"{_SHARED}/engine.pyz"] = engine
    origin = _OUTSIDE.format(url=url) if url else _INSIDE
    files["README.md"] = _README.format(version=version, commit=commit, engine=origin).encode()
    return files


def _tar(files: Mapping[str, bytes], folder: str, epoch: int) -> bytes:
    """A tar.gz of the files below `folder`, without a trace of the machine that makes it."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted(files):
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mtime, entry.mode = len(files[name]), epoch, 0o644
            archive.addfile(entry, io.BytesIO(files[name]))
    return gzip.compress(plain.getvalue(), 9, mtime=0)


if __name__ == "__main__":
    sys.exit(main())
