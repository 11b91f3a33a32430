"""Pure.

Values that a chart renders differently each time (passwords, certificates, times): they stay as the
repository has them.

Two renderings of the same input show which values these are. The repository's value stays if it
has all parts that both renderings share (`fixed_parts`). If it has not, but its random part is
known from another place (a password, and the address that contains it), the text is made of both,
and both renderings must agree on it. Otherwise the new rendering is written, with a warning.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property

import yaml

from towline.gitops.helm.fixed_parts import (
    decode_base64,
    has_fixed_contents,
    has_fixed_text,
    is_reordered,
)
from towline.gitops.helm.manifests import (
    Path,
    RenderedDocument,
    as_data,
    differences,
    is_equal,
    node_at,
    pair_documents,
    split_documents,
    with_values,
)
from towline.record import frozen, mutable

_CHECKSUM = re.compile(r"[0-9a-fA-F]{32,128}")
_NAME_PATH: Path = ("metadata", "name")
# One, and more if an order may be equal by chance: two keys often come in the same order.
_MOST_FURTHER_RENDERINGS = 4
# Characters of a random value that is recognised if it occurs in another place again.
_SHORTEST_RANDOM = 6


@frozen
class StableRendering:
    """The text to write, and the documents with values that were `kept` or `renewed`.

    A document is named by kind, name and template.
    """

    text: str
    kept: tuple[str, ...] = ()
    renewed: tuple[str, ...] = ()


def keep_random_values(old: str, first: str, render_again: Callable[[], str]) -> StableRendering:
    """The rendering `first` with random values as `old` has them.

    `render_again` renders once more, which happens only if more than images differ. A document that
    means the same as before keeps its text, and so does the whole stream.
    """
    before, documents = split_documents(old), split_documents(first)
    if not before:
        return StableRendering(text=first)
    partners = pair_documents(before, documents)
    if len(before) == len(documents) and all(
        document is partner and is_equal(document, new)
        for document, partner, new in zip(before, partners, documents, strict=True)
    ):
        return StableRendering(text=old)
    if len(before) == len(documents) and all(
        partner and _only_images(partner, document)
        for document, partner in zip(documents, partners, strict=True)
    ):
        return StableRendering(
            text=_join_documents(
                [
                    _document_text(document, partner)
                    for document, partner in zip(documents, partners, strict=True)
                ]
            )
        )
    renderings: list[list[RenderedDocument]] = []
    while True:
        renderings.append(split_documents(render_again()))
        if unstable := _unstable_templates(documents, renderings[-1]):
            return StableRendering(
                text=_join_documents(
                    [
                        _document_text(document, partner)
                        for document, partner in zip(documents, partners, strict=True)
                    ]
                ),
                renewed=unstable,
            )
        updates = list(_document_updates(before, documents, renderings))
        if len(renderings) == _MOST_FURTHER_RENDERINGS or not any(
            update.only_reordered for update in updates
        ):
            return _stable_rendering(updates)


def _unstable_templates(
    documents: Sequence[RenderedDocument], second: Sequence[RenderedDocument]
) -> tuple[str, ...]:
    """The templates that render different documents each time, if there are any."""
    if len(documents) == len(second) and all(
        _is_same_kind(*pair) for pair in zip(documents, second, strict=True)
    ):
        return ()
    return tuple(
        sorted(
            {document.source for document in documents if document not in second}
            | {document.source for document in second if document not in documents}
        )
    )


def _is_same_kind(document: RenderedDocument, other: RenderedDocument) -> bool:
    """Whether two documents are of one kind and template."""
    if document.source != other.source:
        return False
    return document.text == other.text or document.identity.kind == other.identity.kind


def _document_text(document: RenderedDocument, partner: RenderedDocument | None) -> str:
    chosen = (
        partner
        if partner and partner.source == document.source and is_equal(partner, document)
        else document
    )
    return chosen.head + chosen.text


def _join_documents(texts: Sequence[str]) -> str:
    """Documents as one stream."""
    separated = (
        text if not number or text.startswith("---") else f"---\n{text}"
        for number, text in enumerate(texts)
    )
    return "".join(text if text.endswith("\n") else f"{text}\n" for text in separated)


def _only_images(old: RenderedDocument, new: RenderedDocument) -> bool:
    """Whether two documents differ only in images and in texts that name their tags."""
    if is_equal(old, new):
        return True
    if old.root is None or new.root is None:
        return False
    texts, replacements = list[tuple[str, str]](), list[tuple[str, str]]()
    for path in differences(old.root, new.root):
        before, after = node_at(old.root, path), node_at(new.root, path)
        if not isinstance(before, yaml.ScalarNode) or not isinstance(after, yaml.ScalarNode):
            return False
        texts.append((before.value, after.value))
        replacements += _image_replacements(*texts[-1]) if path[-1:] == ("image",) else ()
    return all(
        any(before.replace(*replacement) == after for replacement in replacements)
        for before, after in texts
    )


def _image_replacements(old: str, new: str) -> Iterator[tuple[str, str]]:
    """An image and its parts, before and after: the whole, the tag, the digest."""
    yield old, new
    for pattern in (r":([\w.-]+)(?:@|$)", r"@(\S+)$"):
        before, after = re.search(pattern, old), re.search(pattern, new)
        if before and after:
            yield before[1], after[1]


@mutable
class _RandomPart:
    """A path with a random value: its nodes in both renderings and in the repository.

    `old` is None if the repository has none. `wanted` is the value to write, None for the first
    rendering's.
    """

    path: Path
    first: yaml.Node
    second: yaml.Node
    old: yaml.Node | None
    wanted: str | yaml.Node | None = None

    @cached_property
    def texts(self) -> tuple[str, str] | None:
        """The texts of both renderings, if they are texts."""
        if isinstance(self.first, yaml.ScalarNode) and isinstance(self.second, yaml.ScalarNode):
            return self.first.value, self.second.value
        return None

    @property
    def is_annotation(self) -> bool:
        """Whether it is an annotation, whose value occurs nowhere else."""
        return "annotations" in self.path

    @property
    def is_checksum(self) -> bool:
        """Whether it is a checksum, which tells that something else has changed."""
        return (
            self.is_annotation
            and self.texts is not None
            and all(map(_CHECKSUM.fullmatch, self.texts))
        )

    @property
    def is_reordered(self) -> bool:
        """Whether the renderings differ in their order only."""
        return is_reordered(self.first, self.second)

    def may_stay(self) -> bool:
        """Whether the repository's value may stay: it has all that both renderings share."""
        if self.old is None or type(self.old) is not type(self.first):
            return False
        if self.texts is not None:
            return has_fixed_text(*decode_base64(*self.texts, self.old.value))
        return has_fixed_contents(self.first, self.second, self.old)


@mutable
class _DocumentUpdate:
    """A document with its random parts, and the repository's document that it replaces."""

    document: RenderedDocument
    partner: RenderedDocument | None
    parts: Sequence[_RandomPart]

    @cached_property
    def has_random_name(self) -> bool:
        """Whether the name of the document is random."""
        return any(part.path == _NAME_PATH for part in self.parts)

    @cached_property
    def changed(self) -> bool:
        """Whether something else in the document has changed."""
        if self.partner is None:
            return True
        if is_equal(self.partner, self.document):
            return False
        if self.partner.root is None or self.document.root is None:
            return True
        if self.has_random_name and not all(part.may_stay() for part in self.parts):
            return True
        return next(self._changed_paths(self.partner.root, self.document.root), None) is not None

    def _changed_paths(self, old: yaml.Node, new: yaml.Node) -> Iterator[Path]:
        """The paths that have changed outside the random parts."""
        paths = {part.path for part in self.parts}
        for path in differences(old, new):
            if not any(path[:length] in paths for length in range(len(path) + 1)):
                yield path

    @property
    def only_reordered(self) -> bool:
        """Whether a part has another order than in the repository, and is not known as random."""
        if self.partner is None or not self.changed:
            return False
        old, new = self.partner.root, self.document.root
        if old is None or new is None:
            return False
        return any(
            is_reordered(node_at(old, path), node_at(new, path))
            for path in self._changed_paths(old, new)
        )

    @cached_property
    def result(self) -> RenderedDocument:
        """The document with the wanted values at its random parts."""
        if self.has_random_name and not self.changed and self.partner:
            return self.partner
        return with_values(
            self.document,
            {
                part.path: self._text_and_value(part.wanted)
                for part in self.parts
                if part.wanted is not None
            },
        )

    def has_wanted(self, part: _RandomPart) -> bool:
        """Whether the new document has the wanted value of a part."""
        return part.wanted is not None and as_data(node_at(self.result.root, part.path)) == as_data(
            part.wanted
        )

    def _text_and_value(self, wanted: str | yaml.Node) -> tuple[str, object]:
        if isinstance(wanted, str) or self.partner is None:
            return "", wanted
        return self.partner.text[wanted.start_mark.index : wanted.end_mark.index], wanted


def _document_updates(
    before: Sequence[RenderedDocument],
    documents: Sequence[RenderedDocument],
    renderings: Sequence[Sequence[RenderedDocument]],
) -> Iterator[_DocumentUpdate]:
    """Each document with its partner and its random parts.

    The partner of a document with a random name is the next one of its kind and template.
    """
    partners = pair_documents(before, documents)
    taken = {id(partner) for partner in partners}
    unpaired = [document for document in before if id(document) not in taken]
    for number, (document, known) in enumerate(zip(documents, partners, strict=True)):
        found = _random_nodes(document, [other[number] for other in renderings])
        partner = known
        if _NAME_PATH in found:
            same_kind = (
                other
                for other in unpaired
                if (other.source, other.identity.kind) == (document.source, document.identity.kind)
            )
            partner = known or next(same_kind, None)
            unpaired = [other for other in unpaired if other is not partner]
        root = partner.root if partner and found else None
        yield _DocumentUpdate(
            document=document,
            partner=partner,
            parts=[
                _RandomPart(path=path, first=first, second=second, old=node_at(root, path))
                for path, (first, second) in found.items()
            ],
        )


def _random_nodes(
    document: RenderedDocument, others: Sequence[RenderedDocument]
) -> dict[Path, tuple[yaml.Node, yaml.Node]]:
    """The paths at which a document differs from one of `others`.

    Each has the document's node, and the node of the first document that differs.
    """
    found: dict[Path, tuple[yaml.Node, yaml.Node]] = {}
    for other in others:
        if is_equal(document, other) or document.root is None or other.root is None:
            continue
        for path in differences(document.root, other.root):
            first, second = node_at(document.root, path), node_at(other.root, path)
            if first is not None and second is not None:
                found.setdefault(path, (first, second))
    return {
        path: nodes
        for path, nodes in found.items()
        if not any(path[:length] in found for length in range(len(path)))
    }


def _stable_rendering(updates: Sequence[_DocumentUpdate]) -> StableRendering:
    known, new_names = _random_names(updates)
    random_parts = [
        (update, part)
        for update in updates
        if not update.has_random_name
        for part in update.parts
        if not part.is_checksum
    ]
    parts = [part for _, part in random_parts]
    _keep_old_values(parts, known, new_names)
    for part in parts:
        if part.wanted is None and part.texts and not part.is_reordered:
            part.wanted = _substituted(part.texts, known)
    if not any(_is_changed(update) for update in updates):
        _keep_checksums(updates)
    kept = [
        update.result.shown
        for update in updates
        if any(map(update.has_wanted, update.parts))
        or (update.has_random_name and not update.changed)
    ]
    renewed = [
        update.document.shown
        for update, part in random_parts
        if update.partner and not part.is_reordered and not update.has_wanted(part)
    ]
    text = _join_documents([_document_text(update.result, update.partner) for update in updates])
    return StableRendering(text=text, kept=tuple(kept), renewed=tuple(dict.fromkeys(renewed)))


def _keep_old_values(
    parts: Sequence[_RandomPart], known: dict[tuple[str, str], str], new_names: set[str]
) -> None:
    """Let parts have the repository's value if it fits and has no new name in it.

    Their values are added to `known`.
    """
    for part in parts:
        has_new_name = part.texts and any(name in part.texts[0] for name in new_names)
        if not part.may_stay() or has_new_name:
            continue
        part.wanted = part.old
        if part.texts and isinstance(part.old, yaml.ScalarNode):
            known |= _value_by_texts(part.texts, part.old.value)


def _is_changed(update: _DocumentUpdate) -> bool:
    """Whether a document with random parts, annotations aside, differs from the repository's."""
    parts = [part for part in update.parts if not part.is_annotation]
    if not parts:
        return False
    renewed = not update.has_random_name and any(part.wanted is not part.old for part in parts)
    return update.changed or renewed


def _keep_checksums(updates: Sequence[_DocumentUpdate]) -> None:
    """Let checksums have the repository's value if it fits."""
    for update in updates:
        for part in update.parts:
            if part.is_checksum and part.may_stay():
                part.wanted = part.old


def _random_names(
    updates: Sequence[_DocumentUpdate],
) -> tuple[dict[tuple[str, str], str], set[str]]:
    """The new texts of random names, and the names that are new.

    A name is kept with a document that is unchanged, else it is new.
    """
    known, new_names = dict[tuple[str, str], str](), set[str]()
    for update in (update for update in updates if update.has_random_name):
        part = next(part for part in update.parts if part.path == _NAME_PATH)
        if part.texts and isinstance(part.old, yaml.ScalarNode) and not update.changed:
            known |= _value_by_texts(part.texts, part.old.value)
        elif part.texts:
            known |= _value_by_texts(part.texts, part.texts[0])
            new_names.add(part.texts[0])
    return known, new_names


def _value_by_texts(texts: tuple[str, str], old: str) -> dict[tuple[str, str], str]:
    """The repository's value, by the texts of both renderings in its place, plain and as base64."""
    forms = [(*texts, old), decode_base64(*texts, old)]
    return {
        (first, second): known
        for first, second, known in forms
        if len(first) >= _SHORTEST_RANDOM and len(second) >= _SHORTEST_RANDOM
    }


def _substituted(texts: tuple[str, str], known: Mapping[tuple[str, str], str]) -> str | None:
    """A text with known values in place of the renderings' values.

    None if both renderings do not become the same text.
    """
    first, second = decode_base64(*texts)
    result = _with_known_values(first, second, known)
    return (
        result
        if result is None or first == texts[0]
        else base64.b64encode(result.encode()).decode()
    )


def _with_known_values(first: str, second: str, known: Mapping[tuple[str, str], str]) -> str | None:
    for (first_value, second_value), old in sorted(
        known.items(), key=lambda item: -len(item[0][0])
    ):
        if first_value in first and second_value in second:
            first, second = first.replace(first_value, old), second.replace(second_value, old)
    return first if first == second else None
