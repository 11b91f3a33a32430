"""Pure.

Tool `helm-values`, and `valuesPaths` of each tool: sets texts at dotted paths of YAML files in
place, for teams whose cluster renders the chart.

A values file's `image.repository`, a chart's `appVersion`, a HelmRelease's `spec.values.image.tag`
and an Argo CD Application's `valuesObject` are handled alike.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from towline.console import silent
from towline.errors import ConfigError, RenderError, placed
from towline.file_patterns import match_files, select_files
from towline.gitops.candidates import ANY_CHOICE, Candidate, Choice
from towline.gitops.helm.chart_values import (
    chart_name,
    chart_value_paths,
    default_values,
    prepends_global_registry,
    registry_template_paths,
    subchart_value_paths,
)
from towline.gitops.image_parts import ImagePart, ImageParts, TextWriter, parent_path, replace_text
from towline.gitops.notes import Note, Replaced
from towline.gitops.sibling_keys import (
    check_list_indexes,
    check_sibling_versions,
    part_texts,
    registry_warnings,
    sibling_digests,
)
from towline.gitops.unread_values import (
    check_argo_overrides,
    other_image_paths,
    parent_chart_warnings,
    same_image_paths,
)
from towline.gitops.value_targets import (
    MapKey,
    SiblingEdit,
    ValueTarget,
    candidate_of,
    check_missing_key,
    check_not_in_text,
    group_by_map,
    is_chart_key,
)
from towline.record import field, frozen
from towline.secret import MASK
from towline.suggest import list_some
from towline.yaml import marks
from towline.yaml.aliases import ALL, REFUSE_ALIASES, AliasPolicy, resolve_alias
from towline.yaml.edit import ValueEdit, edit, value_without_merge
from towline.yaml.marks import Node, Path, ScalarNode
from towline.yaml.paths import PathMatch, check_missing, find_matches, parse_dotted
from towline.yaml.scalar import scalar_text
from towline.yaml.source import YamlSource, read_source
from towline.yaml.splice import Value

_SECRET_KEYS = ("data", "stringData")


@frozen
class PathValues:
    """A Change that sets each path of `values` in each matching file, and digests beside it.

    The files match `pattern`; `values` has texts by path, and `note` gets each old text. A path
    in `writers` gets its value written into the text that stands there (`image_parts`), any other
    path gets it as the whole text. A part of an image gets the text that fits the keys beside it
    (`value_targets`), and `choice` selects among several places. A path of which more than the last
    key is missing is refused, unless `create` is set or the chart of the file has the path.
    """

    pattern: str
    values: Mapping[str, str | ImagePart]
    writers: Mapping[str, TextWriter] = field(default_factory=dict)
    note: Note = silent
    sharing: AliasPolicy = REFUSE_ALIASES
    choice: Choice = ANY_CHOICE
    create: bool = False

    def wants(self, listing: Sequence[str]) -> Sequence[str]:
        """Each matching file, and the values of its chart; raises ConfigError if none matches."""
        found = select_files(self.pattern, listing)
        return tuple(
            dict.fromkeys(
                (
                    *found,
                    *(
                        values_path
                        for path in found
                        for values_path in chart_value_paths(path, listing)
                    ),
                )
            )
        )

    def context(self, listing: Sequence[str], files: Mapping[str, bytes]) -> Collection[str]:
        """The values of subcharts, and templates that may put a registry before all images."""
        paths = match_files(self.pattern, sorted(files))
        keys = {str(parse_dotted(text)[0]) for text in self.values}
        subchart_files = {
            wanted for path in paths for wanted in subchart_value_paths(path, keys, files, listing)
        }
        return subchart_files | {
            wanted for path in paths for wanted in registry_template_paths(path, files, listing)
        }

    def apply(self, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Edit and insert the values.

        Raises ConfigError (a path leads to nothing that can be written) and RenderError.
        """
        sources = [
            read_source(path, files[path]) for path in match_files(self.pattern, sorted(files))
        ]
        for source in sources:
            if not any(document.root for document in source.documents):
                raise ConfigError(
                    f"{source.name} is empty",
                    where=source.name,
                    hint="write {} into it, or the keys that are to be set",
                )
        targets = [target for source in sources for target in self._targets(source)]
        bases = {source.name: default_values(source.name, files) for source in sources}
        charts = {source.name: chart_name(source.name, files) for source in sources}
        maps_of_others = self._maps_of_other_images(
            targets,
            lambda group: candidate_of(
                group, bases[group[0].file.name], charts[group[0].file.name]
            ),
        )
        chosen = [target for target in targets if target.map_key not in maps_of_others]
        check_list_indexes(target for target in chosen if not target.path_match.missing)
        check_argo_overrides(chosen)
        for warning in parent_chart_warnings(chosen, files):
            self.choice.warn(warning)
        changed: dict[str, bytes] = {}
        for source in sources:
            own_targets = [
                target
                for target in targets
                if target.file is source and target.map_key not in maps_of_others
            ]
            changed[source.name] = edit(
                source,
                [
                    *self._edits(
                        own_targets,
                        bases[source.name],
                        joined=prepends_global_registry(source.name, files),
                    )
                ],
                self.sharing,
            )
        return {path: data for path, data in changed.items() if data != files[path]}

    def _targets(self, source: YamlSource) -> Iterator[ValueTarget]:
        for text, wanted in self.values.items():
            yield from (
                ValueTarget(text=text, file=source, path_match=path_match, wanted=wanted)
                for path_match in self._find(source, text)
            )

    def _maps_of_other_images(
        self,
        targets: Sequence[ValueTarget],
        candidate_for: Callable[[Sequence[ValueTarget]], Candidate],
    ) -> set[MapKey]:
        """The maps to leave alone, since another image stands there than the one written.

        `candidate_for` makes a candidate of the targets of one map. Raises ConfigError if the right
        map cannot be identified.
        """
        groups_by_parent: dict[tuple[ImageParts, str], list[list[ValueTarget]]] = {}
        for image, group in group_by_map(targets):
            groups_by_parent.setdefault((image, parent_path(group[0].text)), []).append(group)
        maps_of_others: set[MapKey] = set()
        # Only other keys of their document can identify them.
        unidentified: list[tuple[ImageParts, ValueTarget]] = []
        selected_in: dict[tuple[object, ...], bool] = {}
        for (image, _), groups in groups_by_parent.items():
            candidates = [candidate_for(group) for group in groups]
            selected = self.choice.select(groups[0][0].text, candidates, image.whole)
            if (
                all(selected)
                and len(selected) > 1
                and not any(candidate.image for candidate in candidates)
            ):
                unidentified += [(image, group[0]) for group in groups]
                continue
            maps_of_others |= {
                group[0].map_key for group, keep in zip(groups, selected, strict=True) if not keep
            }
            for group, keep in zip(groups, selected, strict=True):
                document = (image, *group[0].map_key[:3])
                selected_in[document] = selected_in.get(document, False) or keep
        unknown: dict[tuple[str, str], list[ValueTarget]] = {}
        for image, target in unidentified:
            if (image, *target.map_key[:3]) not in selected_in:
                unknown.setdefault((target.text, image.whole), []).append(target)
        for (text, wanted), same_path in unknown.items():
            self.choice.warn_unidentified(
                text, [candidate_for([target]) for target in same_path], wanted
            )
        return maps_of_others | {
            target.map_key
            for image, target in unidentified
            if not selected_in.get((image, *target.map_key[:3]), True)
        }

    def _edits(
        self, targets: Sequence[ValueTarget], base: Mapping[str, Any], *, joined: bool | None
    ) -> Iterator[ValueEdit]:
        missing: dict[tuple[object, int, Path], tuple[PathMatch, dict[str, Value]]] = {}
        texts, further = self._image_texts(targets, base, joined=joined)
        for target in targets:
            path_match, text = target.path_match, target.text
            value = self._new_text(target, texts.get(id(target), str(target.wanted)))
            self.note(
                Replaced(
                    file=target.file.name,
                    name=text,
                    old=MASK if _is_in_secret(target) else _old_text(path_match),
                    new=value,
                )
            )
            if not path_match.missing:
                yield path_match.edit(value)
                continue
            check_not_in_text(target)
            keys = check_missing(path_match, text)
            if not self.create:
                check_missing_key(target, base)
                _check_not_elsewhere(target, base, targets)
            _put_nested(
                missing.setdefault(
                    (path_match.inside, path_match.document, path_match.path), (path_match, {})
                )[1],
                keys,
                value,
            )
        for sibling in further:
            path_match = sibling.target.path_match
            self.note(
                Replaced(
                    file=sibling.target.file.name,
                    name=sibling.target.sibling_path(sibling.key),
                    old=MASK if _is_in_secret(sibling.target) else sibling.old,
                    new=sibling.new,
                )
            )
            added = (
                missing.get((path_match.inside, path_match.document, path_match.path))
                if path_match.missing
                else None
            )
            if added:
                _put_nested(
                    added[1], (*map(str, path_match.missing[:-1]), sibling.key), sibling.new
                )
            else:
                yield sibling.edit
        for path_match, entries in missing.values():
            if path_match.path and not _keys(path_match):
                yield path_match.edit(entries)
            else:
                yield from self._inserted(path_match, entries)

    def _image_texts(
        self, targets: Sequence[ValueTarget], base: Mapping[str, Any], *, joined: bool | None
    ) -> tuple[dict[int, str], list[SiblingEdit]]:
        """The texts of image parts by the id of their target, and the edits of keys beside them."""
        texts: dict[int, str] = {}
        further: list[SiblingEdit] = []
        for _, group in group_by_map(targets):
            part_texts_by_path, registry_edits = part_texts(group, base, targets, joined=joined)
            for warning in registry_warnings(group, base, targets, joined=joined):
                self.choice.warn(warning)
            texts |= {id(target): part_texts_by_path[target.text] for target in group}
            check_sibling_versions(group, base)
            further += [*registry_edits, *sibling_digests(group, base)]
        return texts, further

    def _new_text(self, target: ValueTarget, value: str) -> str:
        """The new text of a target; raises RenderError, which does not show a Secret's text."""
        path_match, node = target.path_match, _node_behind_alias(target.path_match)
        if (
            path_match.missing
            or not isinstance(node, ScalarNode)
            or path_match.source.templated(node.start.index, node.end.index)
        ):
            return value
        with placed(path_match.source.where(path_match.node.start)):
            try:
                return self.writers.get(target.text, replace_text)(scalar_text(node), value)
            except RenderError as fault:
                if _is_in_secret(target):
                    raise RenderError(
                        "the Secret's text there holds more than the value that is written",
                        hint=fault.hint,
                    ) from None
                raise

    def _find(self, source: YamlSource, text: str, *, optional: bool = False) -> list[PathMatch]:
        return find_matches(
            source, parse_dotted(text), follow=self.sharing.policy == ALL, optional=optional
        )

    def _inserted(self, path_match: PathMatch, entries: Mapping[str, Value]) -> Iterator[ValueEdit]:
        """Edits that add keys, behind an existing key that is written too, else behind the last."""
        steps = [parse_dotted(text) for text in self.values]
        depth = len(path_match.path) + sum(len(path) for _, path in path_match.inside)
        written_keys = {step_path[-1] for step_path in steps if len(step_path) == depth + 1}
        existing = [key for key in _keys(path_match) if key in written_keys]
        for key, value in entries.items():
            yield path_match.edit(value, key, after=existing[-1] if existing else "")


def _check_not_elsewhere(
    target: ValueTarget, base: Mapping[str, Any], targets: Sequence[ValueTarget]
) -> None:
    """Pass if the image of a missing key is not in the file under other keys.

    Raises ConfigError.
    """
    if is_chart_key(target, base):
        return
    where, file = target.path_match.source.where(target.path_match.node.start), target.file.name
    if others := same_image_paths(target, targets):
        raise ConfigError(
            f"{target.text} is not in {file}, but the image stands at {list_some(others)}",
            where=where,
            hint=(
                "write it there (imagePath, valuesPaths); if the chart reads the missing key too,"
                " createPaths: true adds it"
            ),
        )
    if others := other_image_paths(target, targets):
        raise ConfigError(
            f"{target.text} is not in {file}, and no other part of an image stands beside it;"
            f" images stand at {list_some(others)}",
            where=where,
            hint=(
                "write it there (imagePath, valuesPaths); if the chart reads the missing key too,"
                " createPaths: true adds it"
            ),
        )


def _is_in_secret(target: ValueTarget) -> bool:
    """Whether a target may be in a Secret."""
    kinds = [
        value_without_merge(target.file, document.root, "kind", target.file.targets(document.root))
        for document in target.file.documents
        if document.root is not None
    ]
    is_secret_key = any(step in _SECRET_KEYS for step in parse_dotted(target.text))
    return is_secret_key and any(
        isinstance(kind, ScalarNode) and kind.value in ("Secret", "SecretList", "List")
        for kind in kinds
    )


def _old_text(path_match: PathMatch) -> str:
    """The text at a path, that of its alias included; empty if there is none."""
    node = _node_behind_alias(path_match)
    return (
        path_match.source.shown(node)
        if isinstance(node, ScalarNode) and not path_match.missing
        else ""
    )


def _node_behind_alias(path_match: PathMatch) -> Node | None:
    """The node at a path, or the node that the alias there stands for."""
    root = path_match.source.documents[path_match.document].root
    return resolve_alias(path_match.node, path_match.source.targets(root))


def _keys(path_match: PathMatch) -> list[str]:
    """The keys of the map at a path; none if there is no map."""
    return (
        [key.value for key, _ in path_match.node.pairs if isinstance(key, ScalarNode)]
        if isinstance(path_match.node, marks.MappingNode)
        else []
    )


def _put_nested(entries: dict[str, Value], keys: tuple[str, ...], value: str) -> None:
    """Write `value` into nested maps; raises ConfigError where a text stands in the way."""
    for key in keys[:-1]:
        nested = entries.setdefault(key, {})
        if not isinstance(nested, dict):
            raise ConfigError(
                f"{key!r} would be a text and a map at once", hint="correct the paths"
            )
        entries = nested
    entries[keys[-1]] = value
