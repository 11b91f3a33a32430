"""Pure. Surgical edits of YAML files, bytes to bytes: only the wanted characters change, and the result is parsed again to prove it.

Comments, order, quoting, line ends, byte order mark, flow style, further documents and a missing last newline stay. What cannot be done safely is a
RenderError, and nothing is changed (facts/gitops.md section 4). `source` reads the file, `splice` says which characters change, `scalar` how a text is written,
`proof` whether the result says what was wanted and nothing else.
"""

from __future__ import annotations

from collections import abc
from dataclasses import dataclass
from itertools import pairwise

from towline.errors import RenderError
from towline.gitops.proof import Patch, inserted, proven, removed, replaced
from towline.gitops.source import Source, read
from towline.gitops.splice import Splice, Value, deletion, filling, insertion, replacement
from towline.yaml_marks import BREAK, Alias, Mapping, Node, Path, Scalar, Sequence, aliases, descendants


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One wanted value: the text, or the entries, at `path` of document `document` (from 0); None removes the key.

    A missing last key is inserted behind the key `after`, else behind the last one; an index equal to a list's length appends an entry.
    `rename` is the key's new name, for one that is there and holds a text.
    """

    path: Path
    value: Value | None
    document: int = 0
    after: str = ""
    rename: str = ""


def replace_scalars(name: str, data: bytes, edits: abc.Sequence[Edit]) -> bytes:
    """Read the content of the file `name`, edit it and prove the result; raises RenderError."""
    return edit(read(name, data), edits)


def edit(source: Source, edits: abc.Sequence[Edit]) -> bytes:
    """Make `edits`, whose paths all speak of `source` as it is; the very same bytes where all holds already; raises RenderError."""
    work = [step for one in edits for step in _steps(source, one)]
    splices = sorted((splice for splice, _ in work), key=lambda splice: (splice.start, splice.end))
    if any(first.end > second.start for first, second in pairwise(splices)):
        raise RenderError(f"two edits of {source.name} touch the same characters", where=source.name, hint="make them one after the other")
    pieces, done = [], 0
    for splice in splices:
        pieces += [source.text[done : splice.start], splice.text]
        done = splice.end
    text = "".join([*pieces, source.text[done:]])
    if splices and not proven(source, [patch for _, patch in work], text):
        paths = ", ".join(spell(one.path) for one in edits[:3])
        raise RenderError(f"{source.name} cannot be edited safely at {paths}", where=source.name, hint="write that place in a plainer style")
    return text.encode()


def _steps(source: Source, one: Edit) -> list[tuple[Splice, Patch]]:
    """Turn an edit into changed characters and what they are to say; nothing where it holds already."""
    parent, number, node = _find(source, one)
    last = one.path[-1]
    if one.value is None:
        return [(deletion(source, parent, number), removed(*parent.pairs[number]))] if node is not None and isinstance(parent, Mapping) else []
    if node is None:
        key = last if isinstance(last, str) else ""
        return [(insertion(source, parent, number, key, one.value), inserted(parent, number, key, one.value))]
    if isinstance(one.value, str):
        named = [(parent.pairs[number][0], one.rename)] if one.rename and isinstance(parent, Mapping) else []
        texts = [(each, value, replacement(source, each, value)) for each, value in (*named, (node, one.value))]
        return [(splice, replaced(each, value)) for each, value, splice in texts if splice is not None]
    if not isinstance(parent, Mapping):
        raise RenderError(f"{spell(one.path)} holds something already", where=source.where(node.start), hint="append behind it")
    return [(filling(source, parent, number, one.value), replaced(node, one.value))]


def _find(source: Source, one: Edit) -> tuple[Mapping | Sequence, int, Node | None]:
    """Where an edit's path leads: mapping or list, number of pair or item, its value; or the number to insert behind, and None."""
    root = source.documents[one.document].root if one.document < len(source.documents) else None
    if root is None:
        raise RenderError(f"{source.name} has no document {one.document + 1} with content", where=source.name, hint="check the file")
    node: Node | None = root
    crossed: list[Node] = [root]
    for part in one.path[:-1]:
        node = _child(source, node, part)[1]
        crossed += [node] if node is not None else []
    parent = node
    number, found = _child(source, parent, one.path[-1])
    assert isinstance(parent, Mapping | Sequence)
    touched = [*crossed, *([found] if found is not None else [])]
    if one.value is None and found is not None:
        touched += descendants(found)
    elif isinstance(found, Alias):
        raise _aliased(source, found, one.path)
    _check_shared(source, one, root, touched)
    if found is None and isinstance(parent, Mapping):
        keys = [key.value if isinstance(key, Scalar) else "" for key, _ in parent.pairs]
        number = keys.index(one.after) if one.after in keys else len(keys) - 1
    return parent, number, found


def _child(source: Source, node: Node | None, part: str | int) -> tuple[int, Node | None]:
    """The number and the value of a key or an index; -1 or the last number, and None, where that is missing."""
    if isinstance(node, Alias):
        raise _aliased(source, node, (part,))
    if isinstance(node, Mapping) and isinstance(part, str):
        number = _keys(source, node).get(part)
        return (-1, None) if number is None else (number, node.pairs[number][1])
    if isinstance(node, Sequence) and isinstance(part, int) and 0 <= part <= len(node.items):
        return (part, node.items[part]) if part < len(node.items) else (part - 1, None)
    raise RenderError(f"{spell((part,))} is not in {source.name}", where=source.where(node.start) if node else source.name, hint="check the path")


def _keys(source: Source, node: Mapping) -> dict[str, int]:
    """The number of each key of a mapping that is edited; raises RenderError where two are the same or one is an alias: parsers differ on them."""
    numbers: dict[str, int] = {}
    for number, (key, _) in enumerate(node.pairs):
        if isinstance(key, Alias):
            raise _alias_key(source, key)
        if isinstance(key, Scalar):
            if key.value in numbers:
                raise _twice(source, key)
            numbers[key.value] = number
    return numbers


def own_value(source: Source, node: Node | None, key: str, targets: abc.Mapping[int, Node]) -> Node | None:
    """The value of a mapping's own key, to decide on; raises RenderError where the key stands twice or is an alias. `targets` is what aliases stand for."""
    value: Node | None = None
    for name, held in node.pairs if isinstance(node, Mapping) else ():
        meant = targets[name.start.index] if isinstance(name, Alias) else name
        if not isinstance(meant, Scalar) or meant.value != key:
            continue
        if isinstance(name, Alias):
            raise _alias_key(source, name)
        if value is not None:
            raise _twice(source, meant)
        value = held
    return value


def _alias_key(source: Source, key: Alias) -> RenderError:
    return RenderError(f"a key is the alias *{key.name}", where=source.where(key.start), hint="write the key out where the alias stands")


def _twice(source: Source, key: Scalar) -> RenderError:
    return RenderError(f"key {key.value!r} stands twice in one mapping", where=source.where(key.start), hint="remove one of them")


def _aliased(source: Source, alias: Alias, path: Path) -> RenderError:
    return RenderError(
        f"{spell(path)} stands behind the alias *{alias.name}", where=source.where(alias.start), hint="write the value out where the alias stands")


def _check_shared(source: Source, one: Edit, root: Node, touched: abc.Sequence[Node]) -> None:
    """Refuse a change inside of what aliases repeat: they would change with it."""
    used = {id(target): index for index, target in aliases(root).items()} if "*" in source.masked else {}
    for node in touched:
        if id(node) in used:
            line = len(BREAK.findall(source.text, 0, used[id(node)])) + 1
            raise RenderError(
                f"{spell(one.path)} is repeated by an alias in line {line}, which would change too", where=source.where(node.start),
                hint="write the value out where the alias stands")


def spell(path: Path) -> str:
    """A path as people write it: `spec.containers[0].image`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
