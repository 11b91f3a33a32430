"""Pure.

Surgical edits of YAML files, bytes to bytes: only the wanted characters change, and the result is
parsed again to prove it.

Comments, order, quoting, line ends, byte order mark, flow style, further documents and a missing
last newline stay. An edit that cannot be made safely is a RenderError, and nothing is changed
(facts/gitops.md section 4). `source` reads the file, `splice` finds the characters that change,
`scalar` writes a text, and `proof` checks that the result has the wanted values and no other
change.
"""

from __future__ import annotations

from collections import abc
from itertools import pairwise
from posixpath import commonprefix

from towline.errors import RenderError
from towline.record import frozen, replace
from towline.yaml.aliases import (
    ALL,
    OWN,
    REFUSE_ALIASES,
    AliasPolicy,
    anchors_lost,
    dependent_aliases,
    is_key,
    merged_mappings,
    merged_value,
    path_of,
    resolve_alias,
)
from towline.yaml.embedded import embedded_text
from towline.yaml.marks import (
    AliasNode,
    MappingNode,
    Node,
    Path,
    ScalarNode,
    SequenceNode,
    alias_targets,
    is_merge_key,
)
from towline.yaml.proof import (
    EventPatch,
    entry_inserted,
    is_proven,
    node_replaced,
    pair_removed,
    text_rewritten,
)
from towline.yaml.scalar import holds_text
from towline.yaml.source import YamlSource
from towline.yaml.splice import (
    Splice,
    Value,
    deletion,
    filling,
    insertion,
    is_json_style,
    replacement,
)


@frozen
class ValueEdit:
    """A wanted value at `path` of document `document` (from 0): a text, entries, or None.

    None removes the key.

    A missing last key is inserted behind the key `after`, else behind the last one; an index equal
    to a list's length appends an entry. `rename` is a new name for an existing key whose value is a
    text. If the path leads into YAML or JSON inside of a text, `inside` has document and path of
    that text (and of the text in it, and so on), and `document` and `path` are those inside of the
    innermost text.
    """

    path: Path
    value: Value | None
    document: int = 0
    after: str = ""
    rename: str = ""
    inside: tuple[tuple[int, Path], ...] = ()


def edit(
    source: YamlSource, edits: abc.Sequence[ValueEdit], sharing: AliasPolicy = REFUSE_ALIASES
) -> bytes:
    """The bytes of `source` after `edits`; the same bytes if it has all the values already.

    All paths are those of `source` before the edits. Raises RenderError.
    """
    return _edited(source, edits, sharing)[1].encode()


def _edited(
    source: YamlSource, edits: abc.Sequence[ValueEdit], sharing: AliasPolicy
) -> tuple[list[Splice], str]:
    """The characters that change, in their order, and the resulting text, proven."""
    # Several edits may be one change, because of aliases.
    work = dict.fromkeys(
        step
        for wanted in edits
        if not wanted.inside
        for step in _changes_of_edit(source, wanted, sharing)
    )
    for document, path in dict.fromkeys(wanted.inside[0] for wanted in edits if wanted.inside):
        inner = [
            replace(wanted, inside=wanted.inside[1:])
            for wanted in edits
            if wanted.inside[:1] == ((document, path),)
        ]
        outer = ValueEdit(document=document, path=path, value="")
        work |= dict.fromkeys(_embedded_changes(source, outer, inner, sharing))
    splices = sorted((splice for splice, _ in work), key=lambda splice: (splice.start, splice.end))
    if any(first.end > second.start for first, second in pairwise(splices)):
        raise RenderError(
            f"two edits of {source.name} touch the same characters",
            where=source.name,
            hint="make them one after the other",
        )
    pieces, done = [], 0
    for splice in splices:
        pieces += [source.text[done : splice.start], splice.text]
        done = splice.end
    text = "".join([*pieces, source.text[done:]])
    if splices and not is_proven(source, [patch for _, patch in work], text):
        raise _unproven(source, edits)
    return splices, text


def _unproven(source: YamlSource, edits: abc.Sequence[ValueEdit]) -> RenderError:
    """The fault of edits whose result is not proven; it names the first three."""
    paths = []
    for wanted in edits[:3]:
        outer = [part for _, path in wanted.inside for part in path]
        paths.append(path_text((*outer, *wanted.path)))
    is_embedded = any(wanted.inside for wanted in edits)
    folded = "; a text with > is folded, with | it is not" if is_embedded else ""
    return RenderError(
        f"{source.name} cannot be edited safely at {', '.join(paths)}",
        where=source.name,
        hint=f"write that place in a plainer style{folded}",
    )


def _embedded_changes(
    source: YamlSource, wanted: ValueEdit, edits: abc.Sequence[ValueEdit], sharing: AliasPolicy
) -> list[tuple[Splice, EventPatch]]:
    """Edits of the YAML or JSON in the text at a path, as changes of the file around it.

    Each change carries the whole wanted text.
    """
    root = _root(source, wanted)
    place = _locate(source, wanted, root, sharing.policy)
    text = embedded_text(source, place.node) if place.node is not None else None
    if text is None or not isinstance(place.node, ScalarNode):
        raise RenderError(
            f"{path_text(wanted.path)} is not a text that can be edited",
            where=source.where(place.changed.start),
            hint="write it as a block scalar, with | behind the key",
        )
    splices, new_text = _edited(text.read(), edits, sharing)
    if splices:
        _report_sharing(source, wanted, root, place, sharing)
    return [(text.outward(splice), text_rewritten(place.node, new_text)) for splice in splices]


def _changes_of_edit(
    source: YamlSource, wanted: ValueEdit, sharing: AliasPolicy
) -> list[tuple[Splice, EventPatch]]:
    """An edit as changed characters with changed events; none if the value is there already."""
    root = _root(source, wanted)
    place = _locate(source, wanted, root, sharing.policy)
    steps = _changes(source, wanted, place)
    if steps:
        _report_sharing(source, wanted, root, place, sharing)
    return steps


def _root(source: YamlSource, wanted: ValueEdit) -> Node:
    root = (
        source.documents[wanted.document].root if wanted.document < len(source.documents) else None
    )
    if root is None:
        raise RenderError(
            f"{source.name} has no document {wanted.document + 1} with content",
            where=source.name,
            hint="name a document with content, or add one to the file",
        )
    return root


def _report_sharing(
    source: YamlSource, wanted: ValueEdit, root: Node, place: _EditPlace, sharing: AliasPolicy
) -> None:
    """Report the aliases that a change affects; raises RenderError if it must not do so."""
    shared = (
        _shared_aliases(source, wanted, root, place, sharing) if source.documents.aliased else ()
    )
    if shared:
        where = source.where(place.changed.start)
        sharing.say(
            f"{where}: {path_text(path_of(root, place.changed))} is shared, and changes for"
            f" {_list_aliases(source, shared)}, too"
        )


def _changes(
    source: YamlSource, wanted: ValueEdit, place: _EditPlace
) -> list[tuple[Splice, EventPatch]]:
    parent, number, node, last = place.parent, place.number, place.node, wanted.path[-1]
    if wanted.value is None:
        return (
            [(deletion(source, parent, number), pair_removed(*parent.pairs[number]))]
            if node is not None and isinstance(parent, MappingNode)
            else []
        )
    if node is None:
        key = last if isinstance(last, str) else ""
        return [
            (
                insertion(source, parent, number, key, wanted.value),
                entry_inserted(parent, number, key, wanted.value),
            )
        ]
    if isinstance(wanted.value, str):
        new_names = (
            [(parent.pairs[number][0], wanted.rename)]
            if wanted.rename and isinstance(parent, MappingNode)
            else []
        )
        texts = [
            (changed_node, value, _replacement(source, parent, changed_node, value))
            for changed_node, value in (*new_names, (node, wanted.value))
        ]
        return [
            (splice, node_replaced(changed_node, value))
            for changed_node, value, splice in texts
            if splice is not None
        ]
    if not isinstance(parent, MappingNode):
        raise RenderError(
            f"{path_text(wanted.path)} has a value already",
            where=source.where(node.start),
            hint="append an entry behind it",
        )
    return [(filling(source, parent, number, wanted.value), node_replaced(node, wanted.value))]


def _replacement(source: YamlSource, parent: Node, node: Node, value: str) -> Splice | None:
    """The characters of a scalar that change; of several lines, only those that differ."""
    several = (
        isinstance(node, ScalarNode)
        and node.value.count("\n") == value.count("\n")
        and ("\n" in value or node.end.line > node.start.line)
    )
    text = embedded_text(source, node) if several else None
    if text is None or not isinstance(node, ScalarNode) or not text.text == node.value != value:
        return replacement(source, node, value, quoted=is_json_style(source, parent))
    first = len(commonprefix([node.value, value]))
    last = len(commonprefix([node.value[first:][::-1], value[first:][::-1]]))
    try:
        return text.outward(
            Splice(start=first, end=len(node.value) - last, text=value[first : len(value) - last])
        )
    except RenderError:  # the scalar's style cannot hold such lines
        return replacement(source, node, value, quoted=is_json_style(source, parent))


@frozen
class _EditPlace:
    """Where an edit's path leads: collection, number of the pair or item, and its value.

    If the value is missing, `node` is None, and `number` is that of the pair or item before it.
    """

    parent: MappingNode | SequenceNode
    number: int
    node: Node | None
    changed: Node  # the node whose source changes


def _locate(source: YamlSource, wanted: ValueEdit, root: Node, policy: str) -> _EditPlace:
    """The place of an edit.

    Raises RenderError if there is none, or if it is behind an alias that must not be followed.
    """
    parent: Node | None = root
    for part in wanted.path[:-1]:
        parent = _follow_alias(source, wanted, root, _child(source, parent, part)[1], policy)
    number, found = _child(source, parent, wanted.path[-1])
    if isinstance(wanted.path[-1], str):
        # This refuses mappings that parsers read differently.
        value_without_merge(source, parent, wanted.path[-1], source.targets(root))
    assert isinstance(parent, MappingNode | SequenceNode)
    if isinstance(found, AliasNode) and wanted.value is not None:
        target = alias_targets(root)[found.start.index]
        if (
            isinstance(target, ScalarNode)
            and isinstance(wanted.value, str)
            and holds_text(target, wanted.value)
        ):
            found = target
        elif policy != OWN or not isinstance(target, ScalarNode):
            found = _follow_alias(source, wanted, root, found, policy)
    if found is None and isinstance(parent, MappingNode):
        keys = [key.value if isinstance(key, ScalarNode) else "" for key, _ in parent.pairs]
        number = (
            keys.index(wanted.after) if wanted.after and wanted.after in keys else len(keys) - 1
        )
        # kubectl ignores a key in front of a merge key that has the same key.
        number = max(
            [number, *(index for index, (key, _) in enumerate(parent.pairs) if is_merge_key(key))]
        )
    return _EditPlace(
        parent=parent,
        number=number,
        node=found,
        changed=parent if found is None or wanted.value is None else found,
    )


def _shared_aliases(
    source: YamlSource, wanted: ValueEdit, root: Node, place: _EditPlace, sharing: AliasPolicy
) -> abc.Sequence[tuple[Path, AliasNode]]:
    """The aliases that repeat the place of an edit.

    Raises RenderError if they must not change, or would have no anchor any more.
    """
    pair = (
        place.parent.pairs[place.number]
        if place.node is not None and isinstance(place.parent, MappingNode)
        else ()
    )
    if any(
        anchors_lost(root, node)
        for node in (pair if wanted.value is None else pair[: bool(wanted.rename)])
    ):
        raise RenderError(
            f"an alias elsewhere repeats the value at {path_text(wanted.path)}",
            where=source.where(place.changed.start),
            hint="write the value out in place of that alias",
        )
    found = dependent_aliases(root, place.changed)
    if found and is_key(root, place.changed):
        raise RenderError(
            f"{path_text(wanted.path)} is also used as a key, by an alias or its anchor",
            where=source.where(place.changed.start),
            hint="write the key out",
        )
    if found and (sharing.policy != ALL or wanted.rename):
        by = f"{'aliases' if found[1:] else 'an alias'} in {_list_aliases(source, found)}"
        raise RenderError(
            f"{path_text(wanted.path)} is repeated by {by}, which would change too",
            where=source.where(place.changed.start),
            hint=_hint(own=False),
        )
    return found


def _follow_alias(
    source: YamlSource, wanted: ValueEdit, root: Node, node: Node | None, policy: str
) -> Node | None:
    """The node, or the target of the alias; raises RenderError if aliases must not be followed."""
    if not isinstance(node, AliasNode):
        return node
    target = alias_targets(root)[node.start.index]
    if policy == ALL:
        return target
    others = [(path, alias) for path, alias in dependent_aliases(root, target) if alias is not node]
    raise RenderError(
        f"{path_text(wanted.path)} stands behind the alias *{node.name} of the value in line"
        f" {source.line(target.start)} ({path_text(path_of(root, target))})"
        + (f" and repeated in {_list_aliases(source, others)}" if others else ""),
        where=source.where(node.start),
        hint=_hint(own=isinstance(target, ScalarNode)),
    )


def _hint(*, own: bool) -> str:
    return (
        "write the value out where the alias stands; yamlAliases: all changes it for all aliases"
        + (", own in this place alone" if own else "")
    )


def _list_aliases(source: YamlSource, found: abc.Sequence[tuple[Path, AliasNode]]) -> str:
    """Aliases for people: `line 4 (e) and line 6 (f.g)`."""
    *first, last = [f"line {source.line(alias.start)} ({path_text(path)})" for path, alias in found]
    return f"{', '.join(first)} and {last}" if first else last


def _child(source: YamlSource, node: Node | None, part: str | int) -> tuple[int, Node | None]:
    """The number and the value of a key or an index.

    If it is missing: -1 or the number of the last item, and None.
    """
    if isinstance(node, MappingNode) and isinstance(part, str):
        number = _keys(source, node).get(part)
        return (-1, None) if number is None else (number, node.pairs[number][1])
    if isinstance(node, SequenceNode) and isinstance(part, int) and 0 <= part <= len(node.items):
        return (part, node.items[part]) if part < len(node.items) else (part - 1, None)
    raise RenderError(
        f"{path_text((part,))} is not in {source.name}",
        where=source.where(node.start) if node else source.name,
        hint="check the path",
    )


def _keys(source: YamlSource, node: MappingNode) -> dict[str, int]:
    """The number of each key of a mapping that is edited.

    Raises RenderError for a duplicate key, and for a key that is an alias: parsers differ on them.
    """
    numbers: dict[str, int] = {}
    for number, (key, _) in enumerate(node.pairs):
        if isinstance(key, AliasNode):
            raise _alias_key(source, key)
        if isinstance(key, ScalarNode) and not source.templated(key.start.index, key.end.index):
            if key.value in numbers:
                raise _duplicate_key(source, key)
            numbers[key.value] = number
    return numbers


def resolved_value(
    source: YamlSource, node: Node | None, key: str, targets: abc.Mapping[int, Node]
) -> Node | None:
    """As `value_without_merge`, with the aliases of the mapping and of the value followed."""
    mapping = resolve_alias(node, targets)
    return resolve_alias(value_without_merge(source, mapping, key, targets), targets)


def value_without_merge(
    source: YamlSource, node: Node | None, key: str, targets: abc.Mapping[int, Node]
) -> Node | None:
    """The value of a key that a mapping has itself; `targets` as `alias_targets` gives it.

    Raises RenderError if parsers differ: the key is there twice, is an alias, or stands in front of
    a merge key that has it, too.
    """
    value: Node | None = None
    pairs = node.pairs if isinstance(node, MappingNode) else ()
    for number, (name, its_value) in enumerate(pairs):
        key_node = resolve_alias(name, targets)
        if not isinstance(key_node, ScalarNode) or key_node.value != key:
            continue
        if isinstance(name, AliasNode):
            raise _alias_key(source, name)
        if value is not None:
            raise _duplicate_key(source, key_node)
        value = its_value
        if merged_value(pairs[number + 1 :], key, targets) is not None:
            raise RenderError(
                f"a merge key behind {key!r} has that key too",
                where=source.where(name.start),
                hint="write the merge key first: for kubectl the later of the two wins",
            )
    return value


def value_with_merge(
    source: YamlSource, node: Node | None, key: str, targets: abc.Mapping[int, Node]
) -> Node | None:
    """The value of a key that a mapping has itself or by a merge key, with aliases resolved.

    Raises RenderError if parsers differ.
    """
    mappings = (
        [node, *merged_mappings(node.pairs, targets)] if isinstance(node, MappingNode) else []
    )
    values = (value_without_merge(source, wanted, key, targets) for wanted in mappings)
    return resolve_alias(next((value for value in values if value is not None), None), targets)


def _alias_key(source: YamlSource, key: AliasNode) -> RenderError:
    return RenderError(
        f"a key is the alias *{key.name}",
        where=source.where(key.start),
        hint="write the key out where the alias stands",
    )


def _duplicate_key(source: YamlSource, key: ScalarNode) -> RenderError:
    return RenderError(
        f"key {key.value!r} stands twice in one mapping",
        where=source.where(key.start),
        hint="remove one of them",
    )


def path_text(path: Path) -> str:
    """A path as people write it: `spec.containers[0].image`."""
    return "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in path
    ).removeprefix(".")
