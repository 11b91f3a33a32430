"""The common pipeline environment on disk: one file per value, in Piper's format (facts 2.1).

A text is the raw content of the file that its key names (`container/imageNameTag`); any other value
is compact JSON in `<key>.json`.

Steps leave values for later ones. Whoever can write into the workspace, a pull request too, can
leave a value. Facts are the values that this pipeline's own steps have written: they are kept where
nobody else can write (proven.py).
"""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from towline.errors import ConfigError, MachineError
from towline.files import Misfit, Outside, leads_out, read_inside, remove_inside, write_named
from towline.literals import from_json


class PipelineEnvironment(Mapping[str, object]):
    """The pipeline environment's values by key, and its facts, which may differ from them."""

    def __init__(self, values: Mapping[str, object], facts: Mapping[str, object]) -> None:
        self._values = dict(values)
        self.facts = dict(facts)

    def __getitem__(self, key: str) -> object:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def proven_values(values: Mapping[str, object]) -> Mapping[str, object]:
    """The values that this pipeline's own steps have written; none if they are not recorded."""
    return values.facts if isinstance(values, PipelineEnvironment) else {}


def is_proven(values: Mapping[str, object], key: str) -> bool:
    """Whether a step of this pipeline has written the value of `key`."""
    facts = proven_values(values)
    return key in values and key in facts and _text(values[key]) == _text(facts[key])


def is_changed(values: Mapping[str, object], key: str) -> bool:
    """Whether a step of this pipeline has written another value of `key` than the present one."""
    return key in values and key in proven_values(values) and not is_proven(values, key)


def value_origin(values: Mapping[str, object], key: str) -> str:
    """The origin of a value for people; it says if no step is known to have written the value."""
    origin = f"{key} in the pipeline environment"
    if is_proven(values, key):
        return origin
    if is_changed(values, key):
        return f"{origin}, whose value is not the one that a step of this build has written"
    return f"{origin}, which no step of this build is known to have written"


def _text(value: object) -> str:
    """A value as text, equal for equal values only: `1` is neither `true` nor `"1"`."""
    return json.dumps(value, sort_keys=True)


WriteFile = Callable[[Path, bytes], None]
ENVIRONMENT_FOLDER = ".pipeline/commonPipelineEnvironment"
_LARGEST = 1024 * 1024
_ALL = 64 * 1024 * 1024
_FILES = 10_000
_JSON = ".json"
_EMPTIED = b"toBeEmptied"


def read_environment(folder: Path, place: str = ENVIRONMENT_FOLDER) -> dict[str, object]:
    """Every value of the workspace `folder` by key; `place` is the environment's folder.

    Values over 1 MiB are not configuration: they stay on disk. Links are not followed. Raises
    ConfigError, MachineError.
    """
    root = _root(folder, place)
    found: dict[str, object] = {}
    left = _ALL
    for path in sorted(_files(root)):
        key = path.relative_to(root).as_posix()
        try:
            data = read_inside(folder, str(path), _LARGEST)
        except (Outside, Misfit):
            continue  # it is not a regular file inside the folder any more
        except OSError as fault:
            raise MachineError(
                f"cannot read {path.name}: {fault.strerror}",
                where=f"{ENVIRONMENT_FOLDER}/{key}",
                hint="fix its permissions",
            ) from fault
        left -= len(data)
        if left < 0:
            raise ConfigError(
                f"the pipeline environment holds more than {_ALL} bytes",
                where=ENVIRONMENT_FOLDER,
                hint="remove what does not belong there",
            )
        # Piper's steps write this text for an empty value
        text = "" if data == _EMPTIED else data.decode("utf-8", errors="replace")
        # sorted after the text of the same key, so it wins over a stale one, as in Piper
        if key.endswith(_JSON):
            found[key.removesuffix(_JSON)] = (
                _decode(text, f"{ENVIRONMENT_FOLDER}/{key}") if text else ""
            )
        else:
            found[key] = text
    return found


def write_environment(
    folder: Path,
    values: Mapping[str, object],
    place: str = ENVIRONMENT_FOLDER,
    put: WriteFile | None = None,
) -> None:
    """Write `values` into the environment of the workspace `folder`; None removes a value.

    Each value is written completely or not at all. `put` writes a file, for a folder that nobody
    else can change. Raises ConfigError, MachineError.
    """
    root, put = _root(folder, place), put or partial(_put, folder)
    files = {key: _value_file(root, key) for key in values}
    for key, value in values.items():
        text, data = files[key], files[key].with_name(files[key].name + _JSON)
        if isinstance(value, str):
            put(text, value.encode(errors="replace"))
        elif value is not None:
            written = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            put(data, written.encode(errors="replace"))
        for stale in (
            (text, data) if value is None else ((data,) if isinstance(value, str) else (text,))
        ):
            _remove(folder, stale)


def check_writable(folder: Path) -> None:
    """Pass if values can be written into the workspace `folder`, as far as can be seen before.

    Raises ConfigError, MachineError.
    """
    root = _root(folder, ENVIRONMENT_FOLDER)
    folders = (path for path in (root, *root.parents) if path.is_relative_to(folder))
    nearest = next(filter(os.path.lexists, folders), folder)
    if not nearest.is_dir():
        raise MachineError(
            f"{nearest} is not a folder, so the pipeline environment cannot be written",
            where=ENVIRONMENT_FOLDER,
            hint="remove it: steps store values for later steps there",
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise MachineError(
            "the pipeline environment cannot be written",
            where=str(nearest),
            hint="let this user write there: steps store values for later steps there",
        )


def _root(folder: Path, place: str) -> Path:
    """Return the environment's folder; raises ConfigError if it lies outside of the workspace."""
    if leads_out(folder, place):
        raise _outside(place)
    return folder / place


def _outside(place: str) -> ConfigError:
    return ConfigError(
        "the pipeline environment leads out of the workspace",
        where=place,
        hint="remove the link: it is a folder of the workspace",
    )


def _files(root: Path) -> Iterator[Path]:
    """Regular files of a size that configuration may have.

    Hidden files are left out: another writer has not finished them yet.
    """
    count = 0
    for above, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(above, name)
            count += 1
            if count > _FILES:
                raise ConfigError(
                    f"the pipeline environment holds more than {_FILES} files",
                    where=ENVIRONMENT_FOLDER,
                    hint="remove what does not belong there",
                )
            if (
                not name.startswith(".")
                and path.is_file()
                and not path.is_symlink()
                and path.stat().st_size <= _LARGEST
            ):
                yield path


def _decode(text: str, where: str) -> object:
    try:
        return from_json(text, strict=False)
    except ValueError as fault:
        raise ConfigError(
            "a value of the pipeline environment is not JSON",
            where=where,
            hint="remove the file, or run its step again",
        ) from fault


def _value_file(root: Path, key: str) -> Path:
    """Return the file of a key.

    Raises ConfigError for a key that leads out of the folder or could not be read back.
    """
    parts = key.split("/")
    bad = any(not part or part.startswith(".") or "\\" in part or "\0" in part for part in parts)
    path = root.joinpath(*parts)
    if bad or key.endswith(_JSON) or leads_out(root, posixpath.dirname(key)):
        raise ConfigError(
            f"{key!r} cannot be a key of the pipeline environment",
            where=ENVIRONMENT_FOLDER,
            hint="use names like container/imageNameTag",
        )
    return path


def _put(folder: Path, path: Path, data: bytes) -> None:
    write_named(folder, str(path), data)


def _remove(folder: Path, path: Path) -> None:
    try:
        remove_inside(folder, str(path))
    except Outside as fault:
        raise _outside(path.name) from fault
    except OSError as fault:
        raise MachineError(
            f"cannot remove {path.name}: {fault.strerror}",
            where=str(path),
            hint="fix the folder's permissions",
        ) from fault
