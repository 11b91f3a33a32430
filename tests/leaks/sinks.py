"""The sinks: what is searched after a run, and the secrets that each sink may have.

A new sink is one row in SINKS, and a leak on purpose (planted.py).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.leaks.forms import Hunter
from tests.leaks.processes import kind_of
from tests.leaks.run import IN_MEMORY, File, Run, below, contents, private_folders
from tests.leaks.sources import Source

_SYSTEM = ("/dev/null", "/proc/")

May = Callable[[Source], bool]


def nothing(_source: Source) -> bool:
    """No secret: the rule for most pieces."""
    return False


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Bytes to search, with a label, and the secrets that may be in them."""

    label: str
    data: bytes
    may: May = nothing


@dataclass(frozen=True, kw_only=True)
class Leak:
    """A secret in a sink that may not have it."""

    sink: str
    label: str
    secret: str
    way: str

    def __str__(self) -> str:
        return f"{self.sink}: {self.label}: {self.secret} ({self.way})"


# ---- secrets that a sink may have


def printed_by(run: Run) -> May:
    """The secrets that the step prints because that is its purpose."""
    return lambda source: source.name in run.step.prints


def had_by(kind: str) -> May:
    """The secrets that a child process of this kind needs."""
    return lambda source: kind in source.children


def heard_by(host: str) -> May:
    """The secrets that are sent to this host."""
    return lambda source: host in source.hosts


def kept_in(file: File) -> May:
    """The key that has a private file of its own, if nobody else can read it.

    The file's mode is 0600, its folder's 0700, and both are in memory.
    """
    kept = file.path.is_relative_to(IN_MEMORY) or not os.access(IN_MEMORY, os.W_OK)
    private = file.folder_mode == 0o700 and file.mode == 0o600 and kept
    return lambda source: private and bool(source.files & set(file.path.parts))


# ---- the sinks


def _out(run: Run) -> Iterator[Piece]:
    yield Piece(label="text", data=run.out, may=printed_by(run))


def _err(run: Run) -> Iterator[Piece]:
    yield Piece(label="text", data=run.err)


def _result(run: Run) -> Iterator[Piece]:
    path = run.requested / "result.json"
    yield Piece(label="result.json", data=path.read_bytes() if path.is_file() else b"")


def _requested(run: Run) -> Iterator[Piece]:
    return (one for one in _written(run, run.requested.parent) if "result.json" not in one.label)


def _written(run: Run, root: Path) -> Iterator[Piece]:
    """Files below `root` that are new or changed since the start of the run."""
    for path, data in contents(run).items():
        if path.is_relative_to(root) and run.before.get(path) != data:
            yield Piece(label=str(path.relative_to(run.folder)), data=bytes(path) + b"\n" + data)


def _others(run: Run) -> Iterator[Piece]:
    """Files that the engine wrote elsewhere on the machine, and private folders that are left."""
    left = {path for folder in private_folders() - run.others for path in below(folder)}
    for path in sorted({Path(event["path"]) for event in run.told("open")} | left):
        own = path.is_relative_to(run.folder) or str(path).startswith(_SYSTEM)
        with suppress(OSError):  # removed by another process meanwhile, or a folder
            if not own and not path.is_fifo():
                yield Piece(label=str(path), data=path.read_bytes())


def _while_running(run: Run) -> Iterator[Piece]:
    for file in run.files.values():
        label = f"{file.path} (mode {file.mode:o} in {file.folder_mode:o})"
        yield Piece(label=label, data=file.data, may=kept_in(file))


def _objects(run: Run) -> Iterator[Piece]:
    """Every object of the repository, unpacked, and its references."""
    for words in (["cat-file", "--batch-all-objects", "--batch"], ["for-each-ref"]):
        command = ["git", f"--git-dir={run.repository}", *words]
        done = subprocess.run(command, capture_output=True, check=True)
        yield Piece(label=words[0], data=done.stdout)


def _pushed(run: Run) -> Iterator[Piece]:
    for name, held in run.registry.storage.items():
        manifests = {digest: data for digest, (_, data) in held.manifests.items()}
        for digest, data in {**held.blobs, **manifests}.items():
            yield Piece(label=f"{name} {digest}", data=data)
        yield Piece(label=name, data=_bytes([name, *held.tags]))


def _arguments(run: Run) -> Iterator[Piece]:
    for event in run.told("subprocess.Popen"):
        yield Piece(label=event["words"][0], data=_bytes(event["words"]))
    for process in run.seen:
        yield Piece(label=process.kind, data=process.words)


def _environments(run: Run) -> Iterator[Piece]:
    for event in run.told("subprocess.Popen"):
        kind = kind_of(event["words"])
        data = _bytes([f"{name}={value}" for name, value in event["environ"].items()])
        yield Piece(label=f"{kind} ({event['words'][0]})", data=data, may=had_by(kind))


def _table(run: Run) -> Iterator[Piece]:
    for process in run.seen:
        yield Piece(label=process.kind, data=process.environ, may=had_by(process.kind))


def _traffic(run: Run) -> Iterator[Piece]:
    for host, data in run.heard.items():
        yield Piece(label=host, data=data, may=heard_by(host))


def _names(run: Run) -> Iterator[Piece]:
    """The names that the engine sends to name servers, which can read them."""
    names = [event["name"] for event in run.told("socket.getaddrinfo")]
    yield Piece(label="names", data=_bytes(names))


def _bytes(texts: list[Any]) -> bytes:
    return "\0".join(texts).encode("utf-8", "surrogateescape")


SINKS: Mapping[str, Callable[[Run], Iterator[Piece]]] = {
    "standard output": _out,
    "standard error": _err,
    "result": _result,
    "request's folder": _requested,
    "workspace": lambda run: _written(run, run.workspace),
    "home": lambda run: _written(run, run.home),
    "temporary folder": lambda run: _written(run, run.temporary),
    "elsewhere on the machine": _others,
    "files while it runs": _while_running,
    "git objects": _objects,
    "pushed images": _pushed,
    "arguments of children": _arguments,
    "environments of children": _environments,
    "process table": _table,
    "traffic": _traffic,
    "names that are asked for": _names,
}


def search(run: Run, hunter: Hunter) -> list[Leak]:
    """Every secret of the run that is in a sink that may not have it."""
    sources = {source.name: source for source in (*run.sources, *run.made)}
    made = Hunter({source.name: source.secret for source in run.made})
    return [
        Leak(sink=sink, label=piece.label, secret=hit.secret, way=hit.way)
        for sink, pieces in SINKS.items()
        for piece in pieces(run)
        for hit in (*hunter.find(piece.data), *made.find(piece.data))
        if hit.secret not in sources or not piece.may(sources[hit.secret])
    ]


def heard(run: Run, hunter: Hunter) -> set[tuple[str, str]]:
    """Which server received which secret: a hunt in which no secret is used proves nothing."""
    return {(hit.secret, host) for host, data in run.heard.items() for hit in hunter.find(data)}
