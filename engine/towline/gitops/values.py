"""Pure. Tool `helm-values`, and any place that a path names: texts at dotted paths of YAML files, edited in place, for teams whose cluster renders the chart.

A values file's `image.repository`, a chart's `appVersion`, a HelmRelease's `spec.values.image.tag` and an Argo CD Application's `valuesObject` are alike here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from towline import yaml_marks
from towline.errors import ConfigError, placed
from towline.gitops.aliases import ALL, REFUSING, Sharing, meant, merged
from towline.gitops.change import Note, Replaced, select, unnoted
from towline.gitops.choice import ANY, Choice
from towline.gitops.document import Edit, edit
from towline.gitops.dotted import Place, check_missing, find, parse_dotted
from towline.gitops.flow import Value
from towline.gitops.image_text import Put, instead
from towline.gitops.scalar import said
from towline.gitops.source import Source, read
from towline.yaml_marks import Alias, Node, Path, Scalar


@dataclass(frozen=True, kw_only=True)
class PathValues:
    """Sets each path of `values` (path -> text) in every file that fits `pattern`, and empties those of `emptied` that hold something; a Change.

    It notes what stood there. `puts` are the paths whose value becomes part of the text that stands there (`image_text`); else it is the whole text.
    """

    pattern: str
    values: Mapping[str, str]
    puts: Mapping[str, Put] = field(default_factory=dict)
    emptied: tuple[str, ...] = ()
    note: Note = unnoted
    sharing: Sharing = REFUSING
    choice: Choice = ANY

    def wants(self, listing: Sequence[str]) -> Sequence[str]:
        """Every file that fits the pattern; raises ConfigError where none does."""
        return select(self.pattern, listing)

    def apply(self, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Edit and insert; raises ConfigError (a path leads nowhere sensible) and RenderError."""
        changed: dict[str, bytes] = {}
        for path, data in sorted(files.items()):
            source = read(path, data)
            changed[path] = edit(source, list(self._edits(source)), self.sharing)
        return {path: data for path, data in changed.items() if data != files[path]}

    def _edits(self, source: Source) -> Iterator[Edit]:
        missing: dict[tuple[object, int, Path], tuple[Place, dict[str, Value]]] = {}
        if not any(document.root for document in source.documents):
            raise ConfigError(f"{source.name} is empty", where=source.name, hint="write {} into it, or the keys that are to be set")
        for text in self.values:
            for place in self._find(source, text):
                value = self._put(place, text)
                self.note(Replaced(file=source.name, name=text, old=_old(place), new=value))
                if not place.missing:
                    yield place.edit(value)
                else:
                    keys = check_missing(place, text)
                    _put(missing.setdefault((place.inside, place.document, place.path), (place, {}))[1], keys, value)
        for place in (place for text in self.emptied for place in self._find(source, text)):
            if not place.missing and (isinstance(place.node, Alias) or (isinstance(place.node, Scalar) and place.node.value)):
                yield place.edit("")
            elif len(place.missing) == 1 and _merges(place):
                yield place.edit("", str(place.missing[0]))  # wins over the merge key's
        for place, entries in missing.values():
            if place.path and not _keys(place):
                yield place.edit(entries)
            else:
                yield from self._inserted(place, entries)

    def _put(self, place: Place, text: str) -> str:
        """What is to stand at a place of the path `text`; raises RenderError."""
        node = _meant(place)
        if place.missing or not isinstance(node, Scalar) or place.source.templated(node.start.index, node.end.index):
            return self.values[text]
        with placed(place.source.where(place.node.start)):
            return self.puts.get(text, instead)(said(node), self.values[text])

    def _find(self, source: Source, text: str) -> list[Place]:
        return find(source, parse_dotted(text), follow=self.sharing.policy == ALL)

    def _inserted(self, place: Place, entries: Mapping[str, Value]) -> Iterator[Edit]:
        """New keys, behind the one of ours that stands there already, else behind the last."""
        steps = [parse_dotted(text) for text in self.values]
        depth = len(place.path) + sum(len(path) for _, path in place.inside)
        ours = {one[-1] for one in steps if len(one) == depth + 1}
        there = [key for key in _keys(place) if key in ours]
        for key, value in entries.items():
            yield place.edit(value, key, after=there[-1] if there else "")


def _old(place: Place) -> str:
    """The text that stands, or is meant, at a place; empty where there is none."""
    node = _meant(place)
    return place.source.shown(node) if isinstance(node, Scalar) and not place.missing else ""


def _meant(place: Place) -> Node | None:
    """What stands at a place, or what the alias there stands for."""
    root = place.source.documents[place.document].root
    return meant(place.node, yaml_marks.aliases(root) if root is not None else {})


def _merges(place: Place) -> bool:
    """Whether a merge key brings in a text for what is missing at a place."""
    root, node = place.source.documents[place.document].root, place.node
    pairs = node.pairs if isinstance(node, yaml_marks.Mapping) else ()
    found = merged(pairs, str(place.missing[0]), yaml_marks.aliases(root)) if root is not None else None
    return isinstance(found, Scalar) and bool(found.value)


def _keys(place: Place) -> list[str]:
    """The keys of the map at a place, none where it holds no map."""
    return [key.value for key, _ in place.node.pairs if isinstance(key, Scalar)] if isinstance(place.node, yaml_marks.Mapping) else []


def _put(entries: dict[str, Value], keys: tuple[str, ...], value: str) -> None:
    """Write `value` into nested maps; raises ConfigError where a text stands in the way."""
    for key in keys[:-1]:
        below = entries.setdefault(key, {})
        if not isinstance(below, dict):
            raise ConfigError(f"{key!r} would be a text and a map at once", hint="correct the paths")
        entries = below
    entries[keys[-1]] = value
