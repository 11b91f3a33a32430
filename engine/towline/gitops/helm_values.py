"""Pure.

Tool `helm-values`, and any place that a path names: texts at dotted paths of YAML files, edited in
place, for teams whose cluster renders the chart.

A values file's `image.repository`, a chart's `appVersion`, a HelmRelease's `spec.values.image.tag`
and an Argo CD Application's `valuesObject` are alike here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from towline.console import silent
from towline.errors import ConfigError, RenderError, placed
from towline.gitops.change import Note, Replaced, match, select
from towline.gitops.choice import ANY, Candidate, Choice
from towline.gitops.helm.chart_around import (
    base_of,
    below_looks,
    chart_files,
    chart_name,
    common_looks,
    puts_common,
)
from towline.gitops.image_parts import ImagePart, ImageParts, Put, instead, map_of
from towline.gitops.value_images import (
    Beside,
    Site,
    Spot,
    by_site,
    candidate,
    check_map,
    check_read,
    in_chart,
)
from towline.gitops.value_neighbours import (
    check_items,
    check_joined,
    digests_beside,
    doubts,
    placed_texts,
)
from towline.gitops.value_readers import check_read_by_argo, held_elsewhere, lonely, overriding
from towline.record import field, frozen
from towline.secret import MASK
from towline.suggest import some
from towline.yaml import marks
from towline.yaml.aliases import ALL, REFUSE_ALIASES, AliasPolicy, resolve_alias
from towline.yaml.edit import ValueEdit, edit, value_without_merge
from towline.yaml.marks import Node, Path, ScalarNode
from towline.yaml.paths import PathMatch, check_missing, find_matches, parse_dotted
from towline.yaml.scalar import Value, scalar_text
from towline.yaml.source import YamlSource, read_source

_SECRET_KEYS = ("data", "stringData")


@frozen
class PathValues:
    """Sets each path of `values` (path -> text) in every file that fits `pattern`, and the digests beside them; a Change.

    It notes what stood there. `puts` are the paths whose value becomes part of the text that stands
    there (`image_text`); else it is the whole text. Of a part of an image the text is the one that
    fits what stands beside it (`value_images`), and `choice` says which of several places are
    meant. A path of which more than the last key is missing is refused, but with `create`, and
    where the chart beside the file has it.
    """

    pattern: str
    values: Mapping[str, str | ImagePart]
    puts: Mapping[str, Put] = field(default_factory=dict)
    note: Note = silent
    sharing: AliasPolicy = REFUSE_ALIASES
    choice: Choice = ANY
    create: bool = False

    def wants(self, listing: Sequence[str]) -> Sequence[str]:
        """Every file that fits the pattern, and the values of the charts that they lie in; raises ConfigError where none fits."""
        found = select(self.pattern, listing)
        return tuple(
            dict.fromkeys((*found, *(one for path in found for one in chart_files(path, listing))))
        )

    def context(self, listing: Sequence[str], files: Mapping[str, bytes]) -> Collection[str]:
        """The values of charts that the charts depend on, and the templates, where these may put a registry before all images."""
        ours = match(self.pattern, sorted(files))
        keys = {str(parse_dotted(text)[0]) for text in self.values}
        below = {one for path in ours for one in below_looks(path, keys, files, listing)}
        return below | {one for path in ours for one in common_looks(path, files, listing)}

    def apply(self, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Edit and insert; raises ConfigError (a path leads nowhere sensible) and RenderError."""
        sources = [read_source(path, files[path]) for path in match(self.pattern, sorted(files))]
        for source in sources:
            if not any(document.root for document in source.documents):
                raise ConfigError(
                    f"{source.name} is empty",
                    where=source.name,
                    hint="write {} into it, or the keys that are to be set",
                )
        spots = [spot for source in sources for spot in self._spots(source)]
        bases = {source.name: base_of(source.name, files) for source in sources}
        charts = {source.name: chart_name(source.name, files) for source in sources}
        left = self._left(
            spots,
            lambda group: candidate(group, bases[group[0].file.name], charts[group[0].file.name]),
        )
        chosen = [spot for spot in spots if spot.site not in left]
        check_items(spot for spot in chosen if not spot.place.missing)
        check_read_by_argo(chosen)
        for doubt in overriding(chosen, files):
            self.choice.warn(doubt)
        changed: dict[str, bytes] = {}
        for source in sources:
            ours = [spot for spot in spots if spot.file is source and spot.site not in left]
            changed[source.name] = edit(
                source,
                [*self._edits(ours, bases[source.name], joined=puts_common(source.name, files))],
                self.sharing,
            )
        return {path: data for path, data in changed.items() if data != files[path]}

    def _spots(self, source: YamlSource) -> Iterator[Spot]:
        for text, wanted in self.values.items():
            yield from (
                Spot(text=text, file=source, place=place, wanted=wanted)
                for place in self._find(source, text)
            )

    def _left(
        self, spots: Sequence[Spot], told: Callable[[Sequence[Spot]], Candidate]
    ) -> set[Site]:
        """The maps in which another image stands, as is `told`, than the one that is written there; raises ConfigError where that cannot be told."""
        places: dict[tuple[ImageParts, str], list[list[Spot]]] = {}
        for image, group in by_site(spots):
            places.setdefault((image, map_of(group[0].text)), []).append(group)
        left: set[Site] = set()
        # of which only what stands elsewhere in their document can tell
        open_ones: list[tuple[ImageParts, Spot]] = []
        kept_in: dict[tuple[object, ...], bool] = {}
        for (image, _), groups in places.items():
            candidates = [told(group) for group in groups]
            kept = self.choice.among(groups[0][0].text, candidates, image.whole)
            if all(kept) and len(kept) > 1 and not any(one.image for one in candidates):
                open_ones += [(image, group[0]) for group in groups]
                continue
            left |= {group[0].site for group, keep in zip(groups, kept, strict=True) if not keep}
            for group, keep in zip(groups, kept, strict=True):
                document = (image, *group[0].site[:3])
                kept_in[document] = kept_in.get(document, False) or keep
        unknown: dict[tuple[str, str], list[Spot]] = {}
        for image, spot in open_ones:
            if (image, *spot.site[:3]) not in kept_in:
                unknown.setdefault((spot.text, image.whole), []).append(spot)
        for (text, wanted), those in unknown.items():
            self.choice.untold(text, [told([spot]) for spot in those], wanted)
        return left | {
            spot.site for image, spot in open_ones if not kept_in.get((image, *spot.site[:3]), True)
        }

    def _edits(
        self, spots: Sequence[Spot], base: Mapping[str, Any], *, joined: bool | None
    ) -> Iterator[ValueEdit]:
        missing: dict[tuple[object, int, Path], tuple[PathMatch, dict[str, Value]]] = {}
        texts: dict[int, str] = {}
        further: list[Beside] = []
        for _, group in by_site(spots):
            fitting, more = placed_texts(group, base, spots, joined=joined)
            for doubt in doubts(group, base, spots, joined=joined):
                self.choice.warn(doubt)
            texts |= {id(spot): fitting[spot.text] for spot in group}
            check_joined(group, base)
            further += [*more, *digests_beside(group, base)]
        for spot in spots:
            place, text = spot.place, spot.text
            value = self._put(spot, texts.get(id(spot), str(spot.wanted)))
            self.note(
                Replaced(
                    file=spot.file.name,
                    name=text,
                    old=MASK if _hidden(spot) else _old(place),
                    new=value,
                )
            )
            if not place.missing:
                yield place.edit(value)
                continue
            check_map(spot)
            keys = check_missing(place, text)
            if not self.create:
                check_read(spot, base)
                _check_only(spot, base, spots)
            _put(
                missing.setdefault((place.inside, place.document, place.path), (place, {}))[1],
                keys,
                value,
            )
        for one in further:
            place = one.spot.place
            self.note(
                Replaced(
                    file=one.spot.file.name,
                    name=one.spot.beside_path(one.key),
                    old=MASK if _hidden(one.spot) else one.old,
                    new=one.new,
                )
            )
            new = missing.get((place.inside, place.document, place.path)) if place.missing else None
            if new:
                _put(new[1], (*map(str, place.missing[:-1]), one.key), one.new)
            else:
                yield one.edit
        for place, entries in missing.values():
            if place.path and not _keys(place):
                yield place.edit(entries)
            else:
                yield from self._inserted(place, entries)

    def _put(self, spot: Spot, value: str) -> str:
        """What is to stand at a place; raises RenderError, which does not show what a Secret holds."""
        place, node = spot.place, _meant(spot.place)
        if (
            place.missing
            or not isinstance(node, ScalarNode)
            or place.source.templated(node.start.index, node.end.index)
        ):
            return value
        with placed(place.source.where(place.node.start)):
            try:
                return self.puts.get(spot.text, instead)(scalar_text(node), value)
            except RenderError as fault:
                if _hidden(spot):
                    raise RenderError(
                        "what the Secret holds there is more than what is written", hint=fault.hint
                    ) from None
                raise

    def _find(self, source: YamlSource, text: str, *, optional: bool = False) -> list[PathMatch]:
        return find_matches(
            source, parse_dotted(text), follow=self.sharing.policy == ALL, optional=optional
        )

    def _inserted(self, place: PathMatch, entries: Mapping[str, Value]) -> Iterator[ValueEdit]:
        """New keys, behind the one of ours that stands there already, else behind the last."""
        steps = [parse_dotted(text) for text in self.values]
        depth = len(place.path) + sum(len(path) for _, path in place.inside)
        ours = {one[-1] for one in steps if len(one) == depth + 1}
        there = [key for key in _keys(place) if key in ours]
        for key, value in entries.items():
            yield place.edit(value, key, after=there[-1] if there else "")


def _check_only(spot: Spot, base: Mapping[str, Any], spots: Sequence[Spot]) -> None:
    """Pass where a missing key is not one beside those that the image stands under; raises ConfigError."""
    if in_chart(spot, base):
        return
    where, file = spot.place.source.where(spot.place.node.start), spot.file.name
    if others := held_elsewhere(spot, spots):
        raise ConfigError(
            f"{spot.text} is not in {file}, but the image stands at {some(others)}",
            where=where,
            hint=(
                "write it there (imagePath, valuesPaths), or, if it is read here too, createPaths:"
                " true adds it"
            ),
        )
    if others := lonely(spot, spots):
        raise ConfigError(
            f"{spot.text} is not in {file}, and no other part of an image stands beside it; images"
            f" stand at {some(others)}",
            where=where,
            hint=(
                "write it there (imagePath, valuesPaths), or, if it is read here too, createPaths:"
                " true adds it"
            ),
        )


def _hidden(spot: Spot) -> bool:
    """Whether a place may hold what a Secret keeps."""
    kinds = [
        value_without_merge(spot.file, one.root, "kind", spot.file.targets(one.root))
        for one in spot.file.documents
        if one.root is not None
    ]
    held = any(step in _SECRET_KEYS for step in parse_dotted(spot.text))
    return held and any(
        isinstance(kind, ScalarNode) and kind.value in ("Secret", "SecretList", "List")
        for kind in kinds
    )


def _old(place: PathMatch) -> str:
    """The text that stands, or is meant, at a place; empty where there is none."""
    node = _meant(place)
    return place.source.shown(node) if isinstance(node, ScalarNode) and not place.missing else ""


def _meant(place: PathMatch) -> Node | None:
    """What stands at a place, or what the alias there stands for."""
    root = place.source.documents[place.document].root
    return resolve_alias(place.node, place.source.targets(root))


def _keys(place: PathMatch) -> list[str]:
    """The keys of the map at a place, none where it holds no map."""
    return (
        [key.value for key, _ in place.node.pairs if isinstance(key, ScalarNode)]
        if isinstance(place.node, marks.MappingNode)
        else []
    )


def _put(entries: dict[str, Value], keys: tuple[str, ...], value: str) -> None:
    """Write `value` into nested maps; raises ConfigError where a text stands in the way."""
    for key in keys[:-1]:
        below = entries.setdefault(key, {})
        if not isinstance(below, dict):
            raise ConfigError(
                f"{key!r} would be a text and a map at once", hint="correct the paths"
            )
        entries = below
    entries[keys[-1]] = value
