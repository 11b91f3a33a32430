"""The edits that a Change makes on the tip of a branch.

Its files are read, symbolic links followed, and the results compared with what was there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from towline.errors import ConfigError, RenderError, placed
from towline.git.partial_clone import OutOfScope
from towline.git.repository import BranchTip, GitRepository
from towline.git.tree import TreeEntry, check_path, is_path, is_pointer, link_target
from towline.gitops.change import Change, context_of, dependencies_of
from towline.record import frozen, replace

_MOST_LINKS = 8  # that lead from one to the next


@frozen
class FileEdit:
    """One file before the change (None: it does not exist) and after it."""

    path: str
    old: bytes | None
    new: bytes


def named_paths(repository: GitRepository, tip: BranchTip) -> list[str]:
    """The sorted paths of all entries in scope whose name is text."""
    return sorted(entry.path for entry in repository.listing(tip.commit) if entry.has_text_name)


def edits_or_widen(
    repository: GitRepository, tip: BranchTip, change: Change, within: Iterable[str]
) -> tuple[BranchTip, tuple[FileEdit, ...]]:
    """The tip and the edits of `change`; on the whole repository if a part of it is not enough.

    The tip of the whole repository may be newer than `tip`. Raises as `edits_of` does.
    """
    try:
        return tip, edits_of(repository, tip, change, within)
    except (ConfigError, RenderError) as fault:
        if not repository.is_partial and not isinstance(fault, OutOfScope):
            raise
    tip = repository.fetch_whole()
    return tip, edits_of(repository, tip, change, within)


def edits_of(
    repository: GitRepository, tip: BranchTip, change: Change, within: Iterable[str] = ()
) -> tuple[FileEdit, ...]:
    """The files that `change` changes on this tip.

    `within` are the paths of the configuration: one of them that is not a file explains why the
    change finds nothing. Raises ConfigError (a path is not an editable file), and what the change
    raises.
    """
    entries = {entry.path: entry for entry in repository.listing(tip.commit)}
    files = _files_for(repository, tip, change, entries=entries, within=within)
    with placed(repository.remote.url):
        changed = change.apply(files)
    repository.check_scope(map(check_path, changed))
    unread = [path for path in changed if check_path(path) not in files]
    old = files | _read(repository, entries, unread)
    edits = tuple(
        FileEdit(path=path, old=old.get(path), new=new)
        for path, new in sorted(changed.items())
        if old.get(path) != new
        and not _links_to_same_edit(repository, entries.get(path), changed, new)
    )
    _check_files(repository, (entries[edit.path] for edit in edits if edit.path in entries))
    return edits


def _files_for(
    repository: GitRepository,
    tip: BranchTip,
    change: Change,
    *,
    entries: Mapping[str, TreeEntry],
    within: Iterable[str],
) -> dict[str, bytes]:
    """The content of the files that `change` wants, of their dependencies and of its context."""
    listing = named_paths(repository, tip)
    with placed(repository.remote.url):
        try:
            wanted = change.wants(listing)
        except ConfigError:
            _check_obstacles(entries, within)
            raise
    repository.check_scope(wanted)
    files = _read(repository, entries, wanted)
    asked: set[str] = set()
    while more := sorted(dependencies_of(change, listing, files) - asked):
        asked |= set(more)
        repository.check_scope(more)
        blobs = [path for path in more if path in entries and entries[path].kind == "blob"]
        files |= _read(repository, entries, blobs)
    return files | _context_files(repository, tip, change, files)


def _context_files(
    repository: GitRepository, tip: BranchTip, change: Change, files: Mapping[str, bytes]
) -> dict[str, bytes]:
    """The context of the change besides `files`, without files that cannot be read.

    Raises OutOfScope.
    """
    found: dict[str, bytes] = {}
    asked: set[str] = set()
    while more := _context_paths(repository, tip, change, {**files, **found}) - asked:
        asked |= more
        repository.extend_scope(more)
        readable = [
            entry
            for entry in repository.listing(tip.commit)
            if entry.path in more and entry.has_text_name and not entry.obstacle
        ]
        try:
            read = repository.read(readable)
        except OutOfScope:
            raise
        except ConfigError:  # too large to be looked at
            break
        found |= {path: data for path, data in read.items() if not is_pointer(data)}
    return found


def _context_paths(
    repository: GitRepository, tip: BranchTip, change: Change, files: Mapping[str, bytes]
) -> set[str]:
    """The paths of the change's context that lie inside the repository."""
    context = context_of(change, named_paths(repository, tip), files)
    return {path for path in context if is_path(path.removesuffix("/"))}


def _check_obstacles(entries: Mapping[str, TreeEntry], paths: Iterable[str]) -> None:
    """Pass if each of `paths` is a file below folders, or does not exist; raises ConfigError.

    A Change is not shown folders and submodules, and cannot tell that one of them is in the way.
    """
    for parts in (path.split("/") for path in paths):
        for depth in range(1, len(parts) + 1):
            entry = entries.get("/".join(parts[:depth]))
            expected = "file" if depth == len(parts) else "folder"
            if entry and entry.obstacle and (entry.kind == "tree") == (expected == "file"):
                raise ConfigError(
                    f"{entry.path} is {entry.obstacle}, not a {expected}",
                    hint="give the path of a file, as git has it",
                )


def _read(
    repository: GitRepository, entries: Mapping[str, TreeEntry], paths: Iterable[str]
) -> dict[str, bytes]:
    """The content of those `paths` that exist, links followed.

    Raises ConfigError if one of them is not an editable file.
    """
    existing = [entries[path] for path in dict.fromkeys(paths) if path in entries]
    followed = _follow_links(repository, entries, existing)
    _check_files(repository, followed)
    files = repository.read(followed)
    for path, content in files.items():
        if is_pointer(content):
            raise ConfigError(
                f"{path} is kept in Git LFS: only a pointer to it is in the repository",
                where=repository.remote.url,
                hint="keep files that are deployed outside of LFS",
            )
    return files


def _follow_links(
    repository: GitRepository, entries: Mapping[str, TreeEntry], wanted: Iterable[TreeEntry]
) -> list[TreeEntry]:
    """`wanted`, with the file that a symbolic link leads to under the name of the link.

    Raises ConfigError and OutOfScope.
    """
    entries_by_name = {entry.path: entry for entry in wanted}
    for _ in range(_MOST_LINKS):
        links = {name: entry for name, entry in entries_by_name.items() if entry.is_link}
        targets = repository.read(links.values()) if links else {}
        for name, link in links.items():
            with placed(repository.remote.url):
                path = link_target(link.path, targets[link.path])
            repository.check_scope([path])
            is_file = path in entries and entries[path].kind != "tree"
            if path in entries and not is_file and _is_in_chart(name, entries_by_name):
                repository.check_scope([f"{path}/Chart.yaml"])
                del entries_by_name[name]
                entries_by_name |= _linked_folder(name, path, entries)
                continue
            if not is_file:
                raise ConfigError(
                    f"{name} is a symbolic link to {path}, which is not a file",
                    where=repository.remote.url,
                    hint="put the files themselves there",
                )
            entries_by_name[name] = entries[path]
    return [
        entry if entry.is_link else replace(entry, path=name)
        for name, entry in entries_by_name.items()
    ]


def _is_in_chart(name: str, found: Mapping[str, TreeEntry]) -> bool:
    """Whether the path `name` lies in a chart that is read: in a chart, folders may be links."""
    folders = name.split("/")
    charts = (
        f"{'/'.join(folders[:depth])}/Chart.yaml".lstrip("/") for depth in range(len(folders))
    )
    return any(chart in found for chart in charts)


def _linked_folder(
    name: str, folder: str, entries: Mapping[str, TreeEntry]
) -> dict[str, TreeEntry]:
    """The entries of `folder`, under the name of the link to it.

    Raises ConfigError if the link lies in that folder.
    """
    if f"{name}/".startswith(f"{folder}/"):
        raise ConfigError(
            f"{name} is a symbolic link to {folder}, in which it lies itself",
            hint="put the files themselves there",
        )
    return {
        f"{name}{path.removeprefix(folder)}": entry
        for path, entry in entries.items()
        if path.startswith(f"{folder}/") and entry.kind != "tree"
    }


def _links_to_same_edit(
    repository: GitRepository, entry: TreeEntry | None, changed: Mapping[str, bytes], new: bytes
) -> bool:
    """Whether the entry is a link to a file that gets the same content `new`: a glob finds both."""
    if entry is None or not entry.is_link:
        return False
    target = link_target(entry.path, repository.read([entry])[entry.path])
    return changed.get(target) == new


def _check_files(repository: GitRepository, entries: Iterable[TreeEntry]) -> None:
    """Pass if all `entries` are files; raises ConfigError."""
    for entry in entries:
        if entry.obstacle:
            raise ConfigError(
                f"{entry.path} is {entry.obstacle}, not a file",
                where=repository.remote.url,
                hint="give the path of a file, or put the file itself there",
            )
