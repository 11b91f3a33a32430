"""Pure.

The Change that a tool makes to a repository: it names the files that it needs and returns their new
content, and never reads or writes them itself. Globs choose the files.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from typing import Protocol, runtime_checkable

from towline.errors import ConfigError, RenderError
from towline.git import tree
from towline.gitops.notes import Notes
from towline.record import frozen
from towline.suggest import nearest

_MOST_ALTERNATIVES, _MOST_CHARACTERS = 256, 256 * 1024
_BRACES = re.compile(r"\{([^{}]*)\}")
_PIECE = re.compile(r"\*+|\?|\[[!^]?.[^\]]*\]|.", re.DOTALL)


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
    left to do, or a later change has overwritten its value. To find out they are applied once more,
    and their `notes` dropped.
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
                        "two targets or containers mean the same place, or one that an alias shares"
                        " (yamlAliases: own writes it out)"
                    ),
                )


def _changed(
    change: Change, contents: Mapping[str, bytes], listing: Sequence[str]
) -> dict[str, bytes]:
    """The files that `change` gives other content; it is shown only those that it asks for."""
    shown = {path: contents[path] for path in change.wants(listing)}
    while True:
        asked = dependencies_of(change, listing, shown) | context_of(change, listing, shown)
        more = asked & contents.keys()
        if not more:
            break
        shown |= {path: contents[path] for path in more}
    made = change.apply(shown)
    return {path: data for path, data in made.items() if contents.get(path) != data}


def check_path(path: str, *, inside: str = "repository") -> str:
    """A path of the configuration as git writes it, without `./`.

    Raises ConfigError if it does not stay inside the repository.
    """
    return tree.check_path("/".join(part for part in path.split("/") if part != "."), inside=inside)


def match(pattern: str, listing: Sequence[str]) -> tuple[str, ...]:
    """The paths in `listing` that are `pattern` or match it; raises ConfigError.

    `**` spans folders; `*`, `?` and `[...]` stay in one; `{a,b}` are alternatives.
    """
    clean = check_path(pattern)
    if clean in listing:
        return (clean,)
    found: set[str] = set()
    for alternative in _alternatives(clean):
        literal = re.split(r"[*?\[]", alternative, maxsplit=1)[0]
        parts = [None if part == "**" else _part(part) for part in alternative.split("/")]
        found.update(
            path for path in listing if path.startswith(literal) and _fits(parts, path.split("/"))
        )
    return tuple(path for path in listing if path in found)


def select(pattern: str, listing: Sequence[str]) -> tuple[str, ...]:
    """As `match`, but raises ConfigError with near names if no path matches."""
    found = match(pattern, listing)
    if not found:
        raise ConfigError(
            f"no file of the repository fits {pattern!r}",
            hint=nearest(pattern, _candidates(pattern, listing)),
        )
    return found


def _candidates(pattern: str, listing: Sequence[str]) -> Sequence[str]:
    """At most 1,000 paths to compare: of the same file name, else of the same folder, else any."""
    folder, _, name = pattern.rpartition("/")
    beside = [path for path in listing if path.rpartition("/")[0] == folder]
    alike = [path for path in listing if path.rpartition("/")[2] == name]
    return (alike or beside or listing)[:1000]


def _alternatives(pattern: str) -> list[str]:
    """All alternatives of the braces, from the innermost outwards.

    Raises ConfigError before they become too many or too long.
    """
    done: list[str] = []
    waiting = [pattern]
    while waiting:
        text = waiting.pop()
        braces = _BRACES.search(text)
        choices = braces.group(1).split(",") if braces else [""]
        _check_amount(pattern, len(done) + len(waiting) + len(choices))
        if braces is None:
            done.append(text)
        else:
            before, after = text[: braces.start()], text[braces.end() :]
            waiting += [before + choice + after for choice in choices]
    return done


def _check_amount(pattern: str, alternatives: int) -> None:
    if alternatives > _MOST_ALTERNATIVES:
        raise ConfigError(
            f"{pattern!r} has more than {_MOST_ALTERNATIVES} alternatives",
            hint="use * or ** instead of some of them",
        )
    if alternatives * len(pattern) > _MOST_CHARACTERS:
        raise ConfigError(
            f"{pattern!r} is too long",
            hint=f"all its alternatives together may have {_MOST_CHARACTERS} characters",
        )


def _part(part: str) -> re.Pattern[str]:
    """The expression for one folder's or file's name.

    What follows a star is found at its first place and not tried again, so no pattern is slow.
    """
    groups: list[str] = [""]
    for piece in _PIECE.findall(part):
        if piece.startswith("*"):
            groups.append("")
        elif piece == "?":
            groups[-1] += "."
        elif len(piece) > 1:
            groups[-1] += _class(piece[1:-1])
        else:
            groups[-1] += re.escape(piece)
    middle = "".join(f"(?>.*?{group})" for group in groups[1:-1])
    text = groups[0] + (f"{middle}.*{groups[-1]}" if len(groups) > 1 else "")
    try:
        return re.compile(text, re.DOTALL)
    except re.error as fault:
        raise ConfigError(
            f"{part!r} is not a file pattern", hint="a range in [...] goes upwards"
        ) from fault


def _class(text: str) -> str:
    """The expression for the text between brackets: characters and ranges."""
    denied = len(text) > 1 and text[0] in "!^"
    ranges = re.findall(r"(.)-(.)|(.)", text[denied:], re.DOTALL)
    members = [
        f"{re.escape(low)}-{re.escape(high)}" if low else re.escape(single)
        for low, high, single in ranges
    ]
    return f"[{'^' if denied else ''}{''.join(members)}]"


def _fits(parts: Sequence[re.Pattern[str] | None], path: Sequence[str]) -> bool:
    reached = {0}
    for part in parts:
        if part is None:
            reached = set(range(min(reached), len(path) + 1))
        else:
            reached = {
                place + 1 for place in reached if place < len(path) and part.fullmatch(path[place])
            }
        if not reached:
            return False
    return len(path) in reached
