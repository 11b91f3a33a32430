"""Validates manifests by the schemas of Kubernetes, offline, for built-in kinds only.

The schemas are those of the library kubernetes-validate (extra `validate`). It walks through a
document's data with each alias replaced by its value, so the size of that data is limited first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import kubernetes_validate
import yaml

from towline.errors import ConfigError, RenderError
from towline.printable import words
from towline.yaml.documents import is_nested_deeper
from towline.yaml.marks import MAX_NODES


def expanded_size(root: yaml.Node) -> float:
    """The number of nodes of a composed document, each as often as aliases repeat it.

    It is infinite if a node contains itself.
    """
    sizes: dict[int, float] = {}
    open_nodes = set[int]()
    waiting: list[tuple[yaml.Node, bool]] = [(root, False)]
    while waiting:
        node, done = waiting.pop()
        children = _children(node)
        if done:
            open_nodes.discard(id(node))
            sizes[id(node)] = 1 + sum(sizes[id(child)] for child in children)
        elif id(node) in open_nodes:
            return math.inf
        elif id(node) not in sizes:
            open_nodes.add(id(node))
            waiting += [(node, True), *((child, False) for child in children)]
    return sizes[id(root)]


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


MAX_LEVELS = 500  # Python has a limit of 1,000 calls, and each level takes more than one
MAX_VALUES = MAX_NODES  # of a document, with those that its aliases repeat
_TEMPLATES = "leave validateManifests out for files with templates in them"
_KIND = re.compile(r"[A-Za-z0-9]+")
# The library would take the wrong schema for a group of another domain.
_API = re.compile(r"(?:[a-z0-9]+/|[a-z0-9.-]+\.k8s\.io/)?v[a-z0-9]+")


class Validator:
    """Validates files for one version of Kubernetes, empty for the newest known one.

    `say` gets a line about what was validated and what was skipped.
    """

    def __init__(self, version: str, *, say: Callable[[str], None]) -> None:
        self._version = version.removeprefix("v") or kubernetes_validate.latest_version()
        self._say = say
        if not re.fullmatch(r"[0-9]+\.[0-9]+(\.[0-9]+)?", self._version):
            raise ConfigError(
                f"{version!r} is not a version of Kubernetes",
                where="kubeVersion",
                hint="expected 1.33, for example",
            )

    def check(self, path: str, data: bytes) -> None:
        """Pass if each document of a built-in kind is valid; documents of other kinds are counted.

        Raises RenderError with file, document and path.
        """
        valid = skipped = 0
        for number, document in enumerate(_documents(path, data), start=1):
            fits = self._is_valid(document, f"{path}, document {number}", path)
            valid, skipped = valid + fits, skipped + (not fits)
        self._say(
            f"  {path}: {valid} valid for Kubernetes"
            f" {self._version}{f', {skipped} of unknown kind skipped' if skipped else ''}"
        )

    def _is_valid(self, document: Any, place: str, path: str) -> bool:
        """Whether there is a schema, and the document is valid by it; raises RenderError if not."""
        if (
            not isinstance(document, dict)
            or not _matches(_KIND, document.get("kind"))
            or not _matches(_API, document.get("apiVersion"))
        ):
            return False
        try:
            kubernetes_validate.validate(document, self._version, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            return False
        except kubernetes_validate.utils.VersionNotSupportedError as fault:
            raise ConfigError(
                fault.message,
                where="kubeVersion",
                hint="leave it out, or install a newer kubernetes-validate",
            ) from fault
        except kubernetes_validate.ValidationError as fault:
            inside = ".".join(map(str, fault.absolute_path)) or "its top"
            problem = (
                f"does not fit ({fault.validator})"
                if document["kind"] == "Secret"
                else words(str(fault.message), 300)
            )
            raise RenderError(
                f"{place}, {document['kind']}, {inside}: {problem}",
                where=path,
                hint=(
                    f"correct it for Kubernetes {self._version} (kubeVersion), or leave"
                    " validateManifests out"
                ),
            ) from fault
        return True


# libyaml, if it is installed
class _KubernetesLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Loads plain data as Kubernetes reads it: a date is a text."""


_KubernetesLoader.add_constructor("tag:yaml.org,2002:timestamp", lambda _loader, node: node.value)


def _documents(path: str, data: bytes) -> Iterator[Any]:
    text = data.decode("utf-8", "replace")
    if is_nested_deeper(text, MAX_LEVELS):
        raise RenderError(
            f"{path} is not YAML that could be validated, or it is nested deeper than {MAX_LEVELS}"
            " levels",
            where=path,
            hint=_TEMPLATES,
        )
    try:
        loader = _KubernetesLoader(text)
        try:
            while loader.check_node():
                if (document := _document(loader, path)) is not None:
                    yield document
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, OverflowError) as fault:
        raise RenderError(
            f"{path} is not YAML that could be validated: {str(fault).splitlines()[0]}",
            where=path,
            hint=_TEMPLATES,
        ) from fault


def _document(loader: Any, path: str) -> Any:
    """The next document; raises RenderError if its aliases make it too large."""
    node = loader.get_node()
    if expanded_size(node) > MAX_VALUES:
        raise RenderError(
            f"the aliases of {path} stand for more than {MAX_VALUES} values, which is too much to"
            " validate",
            where=f"{path}:{node.start_mark.line + 1}",
            hint="write out what they stand for, or leave validateManifests out",
        )
    return loader.construct_document(node)


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None
