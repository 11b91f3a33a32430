"""Pure.

Surgical edits of YAML files, bytes to bytes: only the wanted characters change, and the result is
parsed again to prove it.

Comments, order, quoting, line ends, byte order mark, flow style, further documents and a missing
last newline stay. What cannot be done safely is a RenderError, and nothing is changed
(facts/gitops.md section 4). `source` reads the file, `splice` says which characters change,
`scalar` how a text is written, `proof` whether the result says what was wanted and nothing else.
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
from towline.yaml.scalar import (
    Splice,
    Value,
    deletion,
    filling,
    holds_text,
    insertion,
    is_json_style,
    replacement,
)
from towline.yaml.source import YamlSource


@frozen
class ValueEdit:
    """One wanted value: the text, or the entries, at `path` of document `document` (from 0); None removes the key.

    A missing last key is inserted behind the key `after`, else behind the last one; an index equal
    to a list's length appends an entry. `rename` is the key's new name, for one that is there and
    holds a text. `inside` are document and path of the text, and of the text in that one, whose
    YAML or JSON it is that document and path speak of.
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
    """Make `edits`, whose paths all speak of `source` as it is; the very same bytes where all holds already; raises RenderError."""
    return _edited(source, edits, sharing)[1].encode()


def _edited(
    source: YamlSource, edits: abc.Sequence[ValueEdit], sharing: AliasPolicy
) -> tuple[list[Splice], str]:
    """The characters that change, in their order, and the text that this makes, proven."""
    # aliases may ask for one place several times
    work = dict.fromkeys(
        step for one in edits if not one.inside for step in _steps(source, one, sharing)
    )
    for document, path in dict.fromkeys(one.inside[0] for one in edits if one.inside):
        inner = [
            replace(one, inside=one.inside[1:])
            for one in edits
            if one.inside[:1] == ((document, path),)
        ]
        work |= dict.fromkeys(
            _inside(source, ValueEdit(document=document, path=path, value=""), inner, sharing)
        )
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
        paths = ", ".join(
            path_text((*(part for _, path in one.inside for part in path), *one.path))
            for one in edits[:3]
        )
        folded = (
            "; a text with > is folded, with | it is not"
            if any(one.inside for one in edits)
            else ""
        )
        raise RenderError(
            f"{source.name} cannot be edited safely at {paths}",
            where=source.name,
            hint=f"write that place in a plainer style{folded}",
        )
    return splices, text


def _inside(
    source: YamlSource, one: ValueEdit, edits: abc.Sequence[ValueEdit], sharing: AliasPolicy
) -> list[tuple[Splice, EventPatch]]:
    """Edits of the YAML or JSON that the text at the place of `one` is, as changes of the file around; all of them say what the text says then."""
    root = _root(source, one)
    place = _find(source, one, root, sharing.policy)
    text = embedded_text(source, place.node) if place.node is not None else None
    if text is None or not isinstance(place.node, ScalarNode):
        raise RenderError(
            f"{path_text(one.path)} holds no text that could be edited",
            where=source.where(place.changed.start),
            hint="write it as a block scalar, with | behind the key",
        )
    splices, wanted = _edited(text.read(), edits, sharing)
    if splices:
        _tell(source, one, root, place, sharing)
    return [(text.outward(splice), text_rewritten(place.node, wanted)) for splice in splices]


def _steps(
    source: YamlSource, one: ValueEdit, sharing: AliasPolicy
) -> list[tuple[Splice, EventPatch]]:
    """Turn an edit into changed characters and what they are to say; nothing where it holds already."""
    root = _root(source, one)
    place = _find(source, one, root, sharing.policy)
    steps = _changes(source, one, place)
    if steps:
        _tell(source, one, root, place, sharing)
    return steps


def _root(source: YamlSource, one: ValueEdit) -> Node:
    root = source.documents[one.document].root if one.document < len(source.documents) else None
    if root is None:
        raise RenderError(
            f"{source.name} has no document {one.document + 1} with content",
            where=source.name,
            hint="check the file",
        )
    return root


def _tell(
    source: YamlSource, one: ValueEdit, root: Node, place: _Place, sharing: AliasPolicy
) -> None:
    """Say which other places a change reaches; raises RenderError where it may not."""
    shared = _shared(source, one, root, place, sharing) if source.documents.aliased else ()
    if shared:
        sharing.say(
            f"{source.where(place.changed.start)}: {path_text(path_of(root, place.changed))} is shared,"
            f" and changes for {_listed(source, shared)}, too"
        )


def _changes(source: YamlSource, one: ValueEdit, place: _Place) -> list[tuple[Splice, EventPatch]]:
    parent, number, node, last = place.parent, place.number, place.node, one.path[-1]
    if one.value is None:
        return (
            [(deletion(source, parent, number), pair_removed(*parent.pairs[number]))]
            if node is not None and isinstance(parent, MappingNode)
            else []
        )
    if node is None:
        key = last if isinstance(last, str) else ""
        return [
            (
                insertion(source, parent, number, key, one.value),
                entry_inserted(parent, number, key, one.value),
            )
        ]
    if isinstance(one.value, str):
        named = (
            [(parent.pairs[number][0], one.rename)]
            if one.rename and isinstance(parent, MappingNode)
            else []
        )
        texts = [
            (each, value, _replacement(source, parent, each, value))
            for each, value in (*named, (node, one.value))
        ]
        return [
            (splice, node_replaced(each, value))
            for each, value, splice in texts
            if splice is not None
        ]
    if not isinstance(parent, MappingNode):
        raise RenderError(
            f"{path_text(one.path)} holds something already",
            where=source.where(node.start),
            hint="append behind it",
        )
    return [(filling(source, parent, number, one.value), node_replaced(node, one.value))]


def _replacement(source: YamlSource, parent: Node, node: Node, value: str) -> Splice | None:
    """The characters of a scalar that change: of one with several lines, only those that differ."""
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
    except RenderError:  # the style holds no such lines
        return replacement(source, node, value, quoted=is_json_style(source, parent))


@frozen
class _Place:
    """Where an edit's path leads: mapping or list, number of pair or item, its value; or the number to insert behind, and None."""

    parent: MappingNode | SequenceNode
    number: int
    node: Node | None
    changed: Node  # whose text becomes another one


def _find(source: YamlSource, one: ValueEdit, root: Node, policy: str) -> _Place:
    """The place of an edit; raises RenderError where there is none, or where it is behind an alias that is not to be followed."""
    parent: Node | None = root
    for part in one.path[:-1]:
        parent = _behind(source, one, root, _child(source, parent, part)[1], policy)
    number, found = _child(source, parent, one.path[-1])
    if isinstance(one.path[-1], str):
        # two parsers must read it alike
        value_without_merge(source, parent, one.path[-1], source.targets(root))
    assert isinstance(parent, MappingNode | SequenceNode)
    if isinstance(found, AliasNode) and one.value is not None:
        target = alias_targets(root)[found.start.index]
        if (
            isinstance(target, ScalarNode)
            and isinstance(one.value, str)
            and holds_text(target, one.value)
        ):
            found = target
        elif policy != OWN or not isinstance(target, ScalarNode):
            found = _behind(source, one, root, found, policy)
    if found is None and isinstance(parent, MappingNode):
        keys = [key.value if isinstance(key, ScalarNode) else "" for key, _ in parent.pairs]
        number = keys.index(one.after) if one.after and one.after in keys else len(keys) - 1
        # in front of it, kubectl would not see it
        number = max(
            [number, *(place for place, (key, _) in enumerate(parent.pairs) if is_merge_key(key))]
        )
    return _Place(
        parent=parent,
        number=number,
        node=found,
        changed=parent if found is None or one.value is None else found,
    )


def _shared(
    source: YamlSource, one: ValueEdit, root: Node, place: _Place, sharing: AliasPolicy
) -> abc.Sequence[tuple[Path, AliasNode]]:
    """The aliases that repeat a place; raises RenderError where they may not change, or would stand for nothing any more."""
    pair = (
        place.parent.pairs[place.number]
        if place.node is not None and isinstance(place.parent, MappingNode)
        else ()
    )
    if any(
        anchors_lost(root, node)
        for node in (pair if one.value is None else pair[: bool(one.rename)])
    ):
        raise RenderError(
            f"an alias elsewhere repeats what stands at {path_text(one.path)}",
            where=source.where(place.changed.start),
            hint="write it out there",
        )
    found = dependent_aliases(root, place.changed)
    if found and is_key(root, place.changed):
        raise RenderError(
            f"{path_text(one.path)} is a key too, by an alias or its anchor",
            where=source.where(place.changed.start),
            hint="write the key out",
        )
    if found and (sharing.policy != ALL or one.rename):
        by = f"{'aliases' if found[1:] else 'an alias'} in {_listed(source, found)}"
        raise RenderError(
            f"{path_text(one.path)} is repeated by {by}, which would change too",
            where=source.where(place.changed.start),
            hint=_hint(own=False),
        )
    return found


def _behind(
    source: YamlSource, one: ValueEdit, root: Node, node: Node | None, policy: str
) -> Node | None:
    """A node, or what the alias stands for that it is; raises RenderError where aliases are not to be followed."""
    if not isinstance(node, AliasNode):
        return node
    target = alias_targets(root)[node.start.index]
    if policy == ALL:
        return target
    others = [(path, alias) for path, alias in dependent_aliases(root, target) if alias is not node]
    raise RenderError(
        f"{path_text(one.path)} stands behind the alias *{node.name} of what is in line"
        f" {source.line(target.start)} ({path_text(path_of(root, target))})"
        + (f" and repeated in {_listed(source, others)}" if others else ""),
        where=source.where(node.start),
        hint=_hint(own=isinstance(target, ScalarNode)),
    )


def _hint(*, own: bool) -> str:
    return (
        "write the value out where the alias stands; yamlAliases: all changes it for all of them"
        + (", own in this one place" if own else "")
    )


def _listed(source: YamlSource, found: abc.Sequence[tuple[Path, AliasNode]]) -> str:
    """Aliases for people: `line 4 (e) and line 6 (f.g)`."""
    *first, last = [f"line {source.line(alias.start)} ({path_text(path)})" for path, alias in found]
    return f"{', '.join(first)} and {last}" if first else last


def _child(source: YamlSource, node: Node | None, part: str | int) -> tuple[int, Node | None]:
    """The number and the value of a key or an index; -1 or the last number, and None, where that is missing."""
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
    """The number of each key of a mapping that is edited; raises RenderError where two are the same or one is an alias: parsers differ on them."""
    numbers: dict[str, int] = {}
    for number, (key, _) in enumerate(node.pairs):
        if isinstance(key, AliasNode):
            raise _alias_key(source, key)
        if isinstance(key, ScalarNode) and not source.templated(key.start.index, key.end.index):
            if key.value in numbers:
                raise _twice(source, key)
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
    """The value of a mapping's own key, to decide on; `targets` is what aliases stand for.

    Raises RenderError where parsers differ: where the key stands twice, is an alias, or stands in
    front of a merge key that has it too.
    """
    value: Node | None = None
    pairs = node.pairs if isinstance(node, MappingNode) else ()
    for number, (name, held) in enumerate(pairs):
        called = resolve_alias(name, targets)
        if not isinstance(called, ScalarNode) or called.value != key:
            continue
        if isinstance(name, AliasNode):
            raise _alias_key(source, name)
        if value is not None:
            raise _twice(source, called)
        value = held
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
    """What a mapping has at a key, itself or by a merge key, an alias followed; `targets` is what aliases stand for.

    Raises RenderError where parsers differ.
    """
    mappings = (
        [node, *merged_mappings(node.pairs, targets)] if isinstance(node, MappingNode) else []
    )
    values = (value_without_merge(source, one, key, targets) for one in mappings)
    return resolve_alias(next((value for value in values if value is not None), None), targets)


def _alias_key(source: YamlSource, key: AliasNode) -> RenderError:
    return RenderError(
        f"a key is the alias *{key.name}",
        where=source.where(key.start),
        hint="write the key out where the alias stands",
    )


def _twice(source: YamlSource, key: ScalarNode) -> RenderError:
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
