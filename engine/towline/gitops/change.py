"""Pure.

The Change that a tool makes to a repository: it names the files that it needs and returns their new
content, and never reads or writes them itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from typing import Protocol, runtime_checkable

from towline.errors import RenderError
from towline.gitops.notes import Notes
from towline.record import frozen


class Change(Protocol):
    """One edit of a repository, applied again to fresh content whenever the branch has moved.

    Source: facts/gitops.md section 3.5.
    """

    def wants(self, listing: Sequence[str]) -> Sequence[str]:
        """The paths in `listing` whose content `apply` needs.

        `listing` has all files, links and submodules, sorted. Raises ConfigError with near names.
        """

    def apply(self, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """The new content of files, from the wanted `files` that exist.

        A file that stays as it is may be left out. Raises ConfigError and RenderError.
        """


@runtime_checkable
class HasDependencies(Protocol):
    """A Change whose files refer to others that it needs, such as the charts a chart depends on."""

    def dependencies(self, listing: Sequence[str], files: Mapping[str, bytes]) -> Collection[str]:
        """Paths that `files` refer to; a path that does not exist is left out.

        It is called again with the files that were found, until it returns nothing new. Raises
        ConfigError.
        """


@runtime_checkable
class HasContext(Protocol):
    """A Change that looks at more files to judge its result, and does without unreadable ones."""

    def context(self, listing: Sequence[str], files: Mapping[str, bytes]) -> Collection[str]:
        """Paths of files, and of folders with a slash at the end, besides `files`.

        It is called again with the files that were found, and the entries of these folders in the
        listing, until it returns nothing new.
        """


def dependencies_of(change: Change, listing: Sequence[str], files: Mapping[str, bytes]) -> set[str]:
    """The dependencies of a Change that are not in `files`; raises ConfigError."""
    if not isinstance(change, HasDependencies):
        return set()
    return set(change.dependencies(listing, files)) - files.keys()


def context_of(change: Change, listing: Sequence[str], files: Mapping[str, bytes]) -> set[str]:
    """The context of a Change that is not in `files`."""
    if not isinstance(change, HasContext):
        return set()
    return set(change.context(listing, files)) - files.keys()


@frozen
class Together:
    """Several Changes as one, each applied to the result of those before it; a Change.

    `edits` are the changes of single values in them: in the end, none of them may have anything
    left to do, or a later change has overwritten its value. To find out, the edits are applied once
    more, and their `notes` are dropped.
    """

    changes: tuple[Change, ...]
    edits: tuple[Change, ...] = ()
    notes: tuple[Notes, ...] = ()

    def wants(self, listing: Sequence[str]) -> Sequence[str]:
        """All paths that one of the changes wants."""
        wanted = {path for change in self.changes for path in change.wants(listing)}
        return [path for path in listing if path in wanted]

    def dependencies(self, listing: Sequence[str], files: Mapping[str, bytes]) -> Collection[str]:
        """The dependencies of all changes."""
        return {path for change in self.changes for path in dependencies_of(change, listing, files)}

    def context(self, listing: Sequence[str], files: Mapping[str, bytes]) -> Collection[str]:
        """The context of all changes."""
        return {path for change in self.changes for path in context_of(change, listing, files)}

    def apply(self, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """The files that the changes together change; raises RenderError if two write one value."""
        contents, listing = dict(files), sorted(files)
        written: set[str] = set()
        overlap = False
        for change in self.changes:
            changed = _changed(change, contents, listing)
            overlap = overlap or not written.isdisjoint(changed)
            written |= changed.keys()
            contents |= changed
        if overlap:
            with ExitStack() as stack:
                for notes in self.notes:
                    stack.enter_context(notes.dropped())
                self._check_edits(contents, listing)
        return {path: data for path, data in contents.items() if files.get(path) != data}

    def _check_edits(self, contents: Mapping[str, bytes], listing: Sequence[str]) -> None:
        """Pass if no edit has anything left to do; raises RenderError."""
        for edit in self.edits:
            if lost := sorted(_changed(edit, contents, listing)):
                raise RenderError(
                    f"two different values for one place in {lost[0]}",
                    where=lost[0],
                    hint=(
                        "two targets or containers write the same value, or a value that an alias"
                        " shares (yamlAliases: own writes it out)"
                    ),
                )


def _changed(
    change: Change, contents: Mapping[str, bytes], listing: Sequence[str]
) -> dict[str, bytes]:
    """The files whose content `change` alters; it reads only the files that it asks for."""
    files = {path: contents[path] for path in change.wants(listing)}
    while True:
        asked = dependencies_of(change, listing, files) | context_of(change, listing, files)
        more = asked & contents.keys()
        if not more:
            break
        files |= {path: contents[path] for path in more}
    new_files = change.apply(files)
    return {path: data for path, data in new_files.items() if contents.get(path) != data}
