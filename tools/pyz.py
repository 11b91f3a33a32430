"""Makes towline.pyz, the engine with its dependencies in one archive that any new Python runs.

It has no compiled extension: PyYAML, MarkupSafe and charset-normalizer work without theirs. Beside
each module lies its bytecode for the Python that makes the archive, which starts twice as fast;
another Python ignores it and reads the source.
"""

# ruff: noqa: INP001, S603 - a program for developers beside setup.sh, not a package

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

MAIN = Path(__file__).with_name("pyz_main.py")
_SHEBANG = b"#!/usr/bin/env python3\n"
# Compiled code, types, and what installers note.
_LEFT_OUT = re.compile(
    r"\.\./|.*\.(so|pyd|dll|pyc|pyi|pyx|pxd|c|h)$|.*/py\.typed$"
    r"|[^/]*\.dist-info/(RECORD|WHEEL|INSTALLER|REQUESTED|direct_url\.json|top_level\.txt)$"
)
# What only Jenkins reads.
_FOR_LIBRARY = {"towline/resources/engine.sh", "towline/resources/bridge.json"}
# A process of its own, since marshal writes what other modules of the process have in common with
# the code in another way.
_COMPILE = """
import json, py_compile, sys
for path, name in json.load(sys.stdin):
    py_compile.compile(
        path, path + "c", name, doraise=True,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
"""


def runtime_distributions(requirements: list[str]) -> list[Distribution]:
    """The installed distributions that the requirements need, and those that these need.

    Extras and other platforms are left out. Raises PackageNotFoundError.
    """
    found: dict[str, Distribution] = {}
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        needed = waiting.pop()
        name = normal(needed.name)
        if name in found or (needed.marker and not needed.marker.evaluate({"extra": ""})):
            continue
        found[name] = distribution(needed.name)
        waiting += [Requirement(text) for text in found[name].requires or []]
    return [found[name] for name in sorted(found)]


def normal(name: str) -> str:
    """The name of a distribution as lock files write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def zipapp(wheel: bytes, distributions: list[Distribution], *, epoch: int) -> bytes:
    """The archive of the engine in `wheel` with its dependencies; `epoch` dates its files."""
    files = {"__main__.py": MAIN.read_bytes(), **dict(_wheel_files(wheel))}
    for found in distributions:
        files |= _installed_files(found)
    return _SHEBANG + zipped({**files, **_bytecode(files)}, epoch=epoch)


def _wheel_files(wheel: bytes) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        for name in archive.namelist():
            if not _LEFT_OUT.match(name) and name not in _FOR_LIBRARY:
                yield name, archive.read(name)


def _installed_files(found: Distribution) -> dict[str, bytes]:
    """The files of an installed distribution; raises ValueError if its record is missing."""
    if not found.files:
        raise ValueError(f"{found.name} has no list of its files; run make setup again")
    return {
        str(path): Path(str(found.locate_file(path))).read_bytes()
        for path in found.files
        if not _LEFT_OUT.match(str(path))
    }


def _bytecode(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The compiled code of the modules, by the name beside each where Python looks for it."""
    names = sorted(name for name in files if name.endswith(".py"))
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{number}.py") for number in range(len(names))]
        for path, name in zip(paths, names, strict=True):
            path.write_bytes(files[name])
        work = [(str(path), f"towline.pyz/{name}") for path, name in zip(paths, names, strict=True)]
        subprocess.run(
            [sys.executable, "-S", "-s", "-P", "-c", _COMPILE],
            input=json.dumps(work),
            text=True,
            check=True,
            env={"PYTHONHASHSEED": "0"},
        )
        return {
            f"{name}c": Path(f"{path}c").read_bytes()
            for path, name in zip(paths, names, strict=True)
        }


def zipped(files: Mapping[str, bytes], *, epoch: int) -> bytes:
    """A zip archive of the files, the same bytes for the same files and time."""
    buffer = io.BytesIO()
    moment = time.gmtime(max(epoch, 315532800))[:6]  # zip archives begin with 1980
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, moment)
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name])
    return buffer.getvalue()
