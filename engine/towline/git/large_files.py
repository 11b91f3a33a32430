"""Which of the wanted files of a repository are too large to be read, for the error message."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

from towline.errors import ConfigError, GitError, GitUnreachable, MachineError
from towline.git.limits import ServerSendsTooMuch
from towline.git.partial_clone import PartialClone
from towline.suggest import list_some

_HINT = (
    "name fewer files, or smaller ones; files that a chart does not use can be named in its"
    " .helmignore, or moved out of its folder"
)


def files_too_large(clone: PartialClone, oids: Mapping[str, str], *, url: str) -> ConfigError:
    """The fault of files (path -> object id) that are too large together; names the largest."""
    sizes = clone.sizes(set(oids.values()))
    by_size = sorted(oids, key=lambda path: -sizes.get(oids[path], 0))
    largest = list_some(
        [f"{path} ({sizes.get(oids[path], 0) / 2**20:.1f} MiB)" for path in by_size], most=3
    )
    total = sum(sizes.values()) / 2**20
    problem = (
        f"{len(oids)} files are wanted, and they are too large together ({total:.1f} MiB)"
        if len(oids) > 1
        else "a file is too large to be read"
    )
    return ConfigError(f"{problem}: {largest}", where=url, hint=_HINT)


def server_sends_too_much(
    clone: PartialClone,
    oids: Mapping[str, str],
    fault: ServerSendsTooMuch,
    *,
    with_history: bool,
) -> GitError:
    """The fault of files (path -> object id) that the server sends too much for.

    It names the file that is too large by itself, else all files that are too large together.
    Only the server knows the sizes, so each half of the files is fetched without the other half,
    and so on. If the search is cut short, any of the remaining files may be too large.
    """
    suspects, found = sorted(oids), ""
    with contextlib.suppress(GitUnreachable, MachineError):
        while not found:
            middle = len(suspects) // 2
            halves = [half for half in (suspects[:middle], suspects[middle:]) if half]
            too_large = next((half for half in halves if not _can_fetch(clone, oids, half)), None)
            suspects = too_large or suspects
            if too_large is None:
                found = _files_together(suspects, with_history=with_history)
            elif len(suspects) == 1:
                found = f"the file {suspects[0]}"
    found = found or f"one of {list_some(suspects, most=3)}, or all of them together"
    return GitError(f"{fault.message} for {found}", where=fault.where, hint=_HINT)


def _can_fetch(clone: PartialClone, oids: Mapping[str, str], paths: Sequence[str]) -> bool:
    return clone.can_fetch({oids[path] for path in paths})


def _files_together(paths: Sequence[str], *, with_history: bool) -> str:
    """Files of which none is too large by itself, for the message."""
    files = (
        f"the file {paths[0]}"
        if len(paths) == 1
        else f"{len(paths)} files together: {list_some(paths, most=3)}"
    )
    return f"{files}; the history was fetched with them" if with_history else files
