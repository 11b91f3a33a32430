"""Pure.

Which images a file names, and whether the wanted ones are among them: what was written or rendered
is read back, and compared whole.

A place that is read is the image of a container, and any other text that is an image: alone, behind
a flag, a name or a scheme, in a list, in YAML inside of a text, or spread over the keys of a map as
charts and kustomizations have it.

The pod specifications in a file that a cluster reads: which images they run, and whether they can
pull them from a private registry.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from towline.gitops.image_parts import (
    digest_key_stem,
    flag_values,
    image_words,
    images_in_map,
    is_digest,
    registries_above,
    registry_before,
)
from towline.image import Reference, has_registry, parse_familiar
from towline.record import frozen, replace
from towline.yaml.plain_data import load_documents, load_template, map_at, maps_at, text_at

_CONTAINER_LISTS = ("initContainers", "containers", "ephemeralContainers")


@frozen
class Pod:
    """One pod specification: kind and name of what it belongs to, its images by container, and whether it names a pull secret or a service account."""

    owner: str
    images: tuple[tuple[str, str], ...]
    may_pull: bool


def pods_in_file(data: bytes) -> tuple[Pod, ...]:
    """Every pod specification of a YAML file, in its order; none where it cannot be read, a chart's template for example."""
    return pods_in_documents(load_documents(data) or ())


def pods_in_documents(documents: Iterable[Any]) -> tuple[Pod, ...]:
    """Every pod specification of documents that were read, in their order."""
    seen = set[int]()
    return tuple(pod for document in documents for pod in _pods_below(document, "", seen))


def _pods_below(node: Any, owner: str, seen: set[int]) -> Iterator[Pod]:
    """Pods of `node` and below, each place once: aliases repeat places."""
    if not isinstance(node, dict | list) or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, dict):
        if kind := text_at(node, "kind"):
            owner = f"{kind} {text_at(node, 'metadata', 'name')}".strip()
        specification = map_at(node, "spec")
        if isinstance(specification.get("containers"), list):
            yield _pod(specification, owner)
    for child in node.values() if isinstance(node, dict) else node:
        yield from _pods_below(child, owner, seen)


def _pod(specification: Mapping[str, Any], owner: str) -> Pod:
    containers = [one for key in _CONTAINER_LISTS for one in maps_at(specification, key)]
    account = specification.get("serviceAccountName") or specification.get("serviceAccount")
    return Pod(
        owner=owner,
        images=tuple((text_at(one, "name"), text_at(one, "image")) for one in containers),
        may_pull=bool(specification.get("imagePullSecrets"))
        or account not in (None, "", "default"),
    )


_REGISTRY_KEYS = ("registry", "imageregistry")
_NAME_KEYS = ("repository", "name", "image", "newname", "imagerepository", "imagename", "repo")
_TAG_KEYS = ("tag", "newtag", "imagetag", "version")
WHOLE_DOCUMENT = "the file"  # the place of what stands in the keys at a file's top
_WORKLOADS = {
    ("v1", "Pod"),
    ("v1", "ReplicationController"),
    *(("apps/v1", kind) for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")),
    *(("batch/v1", kind) for kind in ("Job", "CronJob")),
}
_MOST_NESTED_TEXTS = 3  # texts in texts
# of metadata: neither a cluster nor a renderer runs what they say
_NOTE_KEYS = ("annotations", "labels")
_COMMON_NOTE_KEYS = ("commonAnnotations", "commonLabels", "matchLabels")
_SECRET_KINDS = ("Secret", "SecretList")
_TEMPLATED = re.compile(r"x{4,}|\{\{")


@frozen
class FoundImage:
    """One image that a file names: at which place, and what it says; `runs` where it is the image of a container.

    A text of a Secret (`secret`) may be the image, but is never shown: it may be a password that
    looks like one. A `assembled` one is put together from keys of a resource that have any names.
    """

    location: str
    text: str
    runs: bool = False
    secret: bool = False
    assembled: bool = False

    @property
    def reference(self) -> Reference | None:
        """The image as a runtime reads it."""
        return parse_familiar(self.text)

    def __str__(self) -> str:
        return f"{'a text of a Secret' if self.secret else self.text} ({self.location})"


def container_images(data: bytes) -> tuple[FoundImage, ...] | None:
    """The images of containers in a YAML file; None if it cannot be read."""
    documents = _load(data)
    return None if documents is None else _pod_images(documents)


def images_in_file(
    data: bytes, like: Collection[str], *, joined: bool = True
) -> tuple[FoundImage, ...] | None:
    """The images of containers in a YAML file, then all it names with one of the texts `like` in it.

    They begin with the registry that values have for all images, unless these are not `joined`.
    None if the file cannot be read.
    """
    documents = _load(data)
    return None if documents is None else images_in_documents(documents, like, joined=joined)


def images_in_documents(
    documents: list[Any], like: Collection[str], *, joined: bool
) -> tuple[FoundImage, ...]:
    """The same of documents that are read."""
    others = [
        found
        for document in documents
        for found in _ImageSearch(like, resource=_is_resource(document), joined=joined).below(
            document, "", "", 0
        )
        if not (_is_workload(document) and _is_dropped(found.location))
    ]
    return tuple(dict.fromkeys([*_pod_images(documents), *others]))


def _load(data: bytes) -> list[Any] | None:
    documents = load_documents(data)
    return load_template(data) if documents is None and b"{{" in data else documents


def _is_resource(document: Any) -> bool:
    """Whether a document is something that a cluster gets, and no values."""
    return isinstance(document, dict) and "apiVersion" in document and "kind" in document


def _is_workload(document: Any) -> bool:
    """Whether a document is of a kind of which a cluster drops the keys that it does not know."""
    version = document.get("apiVersion") if isinstance(document, dict) else None
    return isinstance(version, str) and (version, document.get("kind")) in _WORKLOADS


def _is_dropped(place: str) -> bool:
    """Whether a place of a workload is none where an image is read: all of these are in lists."""
    return "[" not in place


def _pod_images(documents: list[Any]) -> tuple[FoundImage, ...]:
    images = (
        (f"{pod.owner or 'a pod'}, {name}", image)
        for pod in pods_in_documents(documents)
        for name, image in pod.images
    )
    return tuple(
        FoundImage(location=place, text=image, runs=True) for place, image in images if image
    )


def is_same_image(found: FoundImage, wanted: Reference) -> bool:
    """Whether that is the wanted image, `wanted` with all that is known of it: the same registry and name, and the digest where both have one, else the tag."""
    there = found.reference
    ours = parse_familiar(str(wanted))
    if there is None or ours is None or not _same_name(there, ours):
        return False
    if there.image.digest:
        return there.image.digest == ours.image.digest
    return bool(ours.image.tag) and there.image.tag == ours.image.tag


def is_other_image(found: FoundImage, wanted: Reference) -> bool:
    """Whether that is another image of the wanted one's registry, by the last part of its name too, with the tag or digest of the wanted one."""
    there, ours = found.reference, parse_familiar(str(wanted))
    return bool(
        there
        and ours
        and not found.assembled
        and there.registry.host == ours.registry.host
        and last_part(there.image.name) != last_part(ours.image.name)
        and (there.image.digest or there.image.tag) in (ours.image.digest, ours.image.tag)
    )


def is_end_of_image(wanted: Reference, found: FoundImage) -> bool:
    """Whether the wanted image's name and version end in a text that names no registry."""
    image = wanted.image
    marks = (f":{image.tag}" if image.tag else "", f"@{image.digest}" if image.digest else "")
    known = [f"/{image.name}{mark}" for mark in (*marks, "".join(marks)) if mark]
    return not has_registry(found.text) and any(one.endswith(f"/{found.text}") for one in known)


def stale_containers(found: Iterable[FoundImage], wanted: Reference) -> list[FoundImage]:
    """Containers that run another version of the wanted image, or its name in another registry."""
    ours = parse_familiar(str(wanted))
    return [
        one
        for one in found
        if one.runs
        and ours
        and (there := one.reference)
        and not is_same_image(one, wanted)
        and (
            _same_name(there, ours)
            or there.image.name in (ours.image.name, f"{ours.registry.host}/{ours.image.name}")
        )
    ]


def in_other_registry(found: Iterable[FoundImage], wanted: Reference) -> list[FoundImage]:
    """Places with the wanted image's name and version, that are another image all the same: of another registry, or none at all."""
    image = wanted.image
    ends = [f"/{image.name}{mark}{part}" for mark, part in ((":", image.tag), ("@", image.digest))]
    return [
        one
        for one in found
        if any(end in f"/{one.text}" for end in ends if end[-1] not in ":@")
        and not is_same_image(one, wanted)
    ]


def is_used(found: Collection[FoundImage], wanted: Reference) -> bool:
    """Whether what was rendered has the wanted image: a container runs it, or, where none runs another of its name, some place names it."""
    named = [one for one in found if is_same_image(one, wanted)]
    return bool(named) and (any(one.runs for one in named) or not stale_containers(found, wanted))


def nearest_images(found: Sequence[FoundImage], wanted: Reference) -> list[str]:
    """What a file names, for people, the likely ones first: containers, and what has the last part of the name in common."""
    last = last_part(wanted.image.name)
    found = [one for one in found if not one.secret]
    likely = [one for one in found if one.text and last in one.text]
    rest = [one for one in found if one.runs and one not in likely]
    first: dict[str, FoundImage] = {}
    for one in (*sorted(likely, key=lambda one: not one.runs), *rest):
        first.setdefault(one.text, one)
    return [str(one) for one in first.values()]


def last_part(name: str) -> str:
    """What an image is called without the folders before it."""
    return name.rpartition("/")[2]


def compose_image(registry: str, name: str, tag: str, digest: str) -> str:
    """The image that a chart makes of what stands in keys of its own; a name that has its registry already gets no second one."""
    whole = name if not registry or name.startswith(f"{registry}/") else f"{registry}/{name}"
    tagged = (
        f"{whole}:{tag}"
        if tag and ":" not in whole.rpartition("/")[2] and "@" not in whole
        else whole
    )
    return (
        f"{tagged}@{digest if ':' in digest else f'sha256:{digest}'}"
        if digest and "@" not in tagged
        else tagged
    )


def _same_name(one: Reference, other: Reference) -> bool:
    return (one.registry.host, one.image.name) == (other.registry.host, other.image.name)


class _ImageSearch:
    """One document; what aliases repeat is read once."""

    def __init__(
        self,
        like: Collection[str],
        *,
        resource: bool,
        secret: bool = False,
        joined: bool = True,
    ) -> None:
        self._like = like
        self._resource = resource
        self._joined = joined
        self._above: tuple[str, ...] = ()  # registries of the maps that are walked through
        self._secret = secret
        self._seen: dict[int, Any] = {}  # held, since what is freed leaves its id to others

    def below(self, node: Any, path: str, common: str, depth: int) -> Iterator[FoundImage]:
        """Images at `path` and below; `common` is the registry that the values give all images of a chart."""
        if isinstance(node, str):
            yield from self._text(node, path, depth)
            return
        if not isinstance(node, dict | list) or id(node) in self._seen:
            return
        if not self._secret and isinstance(node, dict) and node.get("kind") in _SECRET_KINDS:
            yield from self._hidden().below(node, path, common, depth)
            return
        self._seen[id(node)] = node
        if isinstance(node, list):
            for number, item in enumerate(node):
                yield from self.below(item, f"{path}[{number}]", common, depth)
            if parameters := {**_helm_parameters(node), **flag_values(node)}:
                yield from self.below(parameters, path, common, depth)
            return
        common = (_global_registry(node) or common) if self._joined else ""
        parts = _without_other_names(node, self._like)
        found = [
            *_images_of_map(parts, path, common, resource=self._resource),
            *self._apart(parts, path),
            *self._below_others(parts, path),
        ]
        yield from (replace(one, secret=self._secret) for one in found)
        above = self._above
        self._above = (*above, *registries_above(node))
        for key, value in node.items():
            if not _is_note(path, key):
                walk = self._hidden() if key == "secretGenerator" else self
                yield from walk.below(value, f"{path}.{key}".removeprefix("."), common, depth)
        self._above = above

    def _hidden(self) -> _ImageSearch:
        """The same for what a Secret holds."""
        return self._inner(resource=self._resource, secret=True)

    def _inner(self, *, resource: bool, secret: bool) -> _ImageSearch:
        return _ImageSearch(self._like, resource=resource, secret=secret, joined=self._joined)

    def _apart(self, node: Mapping[Any, Any], path: str) -> Iterator[FoundImage]:
        """What stands apart in a map of a resource; an entry of a kustomization says itself what is its name."""
        texts = {
            key: value
            for key, value in node.items()
            if isinstance(key, str) and isinstance(value, str)
        }
        if (
            self._resource
            and "newName" not in texts
            and any(part in text for text in texts.values() for part in self._like)
        ):
            yield from (
                FoundImage(location=path, text=text, assembled=True)
                for text in images_in_map(texts)
            )

    def _below_others(self, node: Mapping[Any, Any], path: str) -> Iterator[FoundImage]:
        """The image behind each registry that stands above it in keys of charts' own choice."""
        own = {key.lower(): text for key, text in node.items() if isinstance(key, str)}
        names = [text for key in _NAME_KEYS if isinstance(text := own.get(key), str) and text]
        if any(has_registry(name) for name in names) or any(own.get(key) for key in _REGISTRY_KEYS):
            return
        for registry in self._above:
            yield from _images_of_map(node, path, registry, resource=self._resource)

    def _text(self, text: str, path: str, depth: int) -> Iterator[FoundImage]:
        if not any(part in text for part in self._like):
            return
        secret = self._secret or "Secret" in text or "secretGenerator" in text
        if "\n" in text and depth < _MOST_NESTED_TEXTS:
            for document in load_documents(text.encode(errors="replace")) or ():
                if isinstance(document, dict | list):
                    walk = self._inner(resource=_is_resource(document), secret=secret)
                    yield from walk.below(document, path, "", depth + 1)
        for part in image_words(text):
            if (reference := parse_familiar(part)) and (
                reference.image.tag or reference.image.digest
            ):
                yield FoundImage(location=path, text=part, secret=secret)


def _is_note(path: str, key: object) -> bool:
    """Whether a key holds what is only told of a resource."""
    of_metadata = path.rpartition(".")[2] == "metadata"
    return key in _COMMON_NOTE_KEYS or (of_metadata and key in _NOTE_KEYS)


def _global_registry(node: Mapping[Any, Any]) -> str:
    return text_at(node, "global", "imageRegistry")


def _without_other_names(node: Mapping[Any, Any], like: Collection[str]) -> Mapping[Any, Any]:
    """A map without what may call something else: a `name` that is no path nor like an image.

    A resource and Chart.yaml are no image at all.
    """
    if "apiVersion" in node:
        return {}
    name = node.get("name")
    called = isinstance(name, str) and "/" not in name and name not in like
    return {key: value for key, value in node.items() if key != "name"} if called else node


def _images_of_map(
    node: Mapping[Any, Any], path: str, common: str, *, resource: bool
) -> Iterator[FoundImage]:
    """The image whose parts are keys of one map; in a resource, a version beside a tag is none of them."""
    texts = {
        key.lower(): value
        for key, value in node.items()
        if isinstance(key, str) and isinstance(value, str)
    }
    registry = next((texts[key] for key in _REGISTRY_KEYS if texts.get(key)), "")
    tags = [texts[key] for key in _TAG_KEYS if texts.get(key)]
    if resource and any(texts.get(key) for key in _TAG_KEYS[:-1]):
        tags = [texts[key] for key in _TAG_KEYS[:-1] if texts.get(key)]
    digests = [
        text for key, text in texts.items() if digest_key_stem(key) == "" and is_digest(text)
    ]
    called = ("newname",) if texts.get("newname") else _NAME_KEYS
    for name in dict.fromkeys(texts[key] for key in called if texts.get(key)):
        above = registry_before(name, registry, common)
        for tag, digest in product(tags or [""], digests or [""]):
            text = compose_image(above, name, tag, digest)
            reference = None if _TEMPLATED.search(text) else parse_familiar(text)
            if reference and (reference.image.tag or reference.image.digest):
                yield FoundImage(location=path or WHOLE_DOCUMENT, text=text)


def _helm_parameters(items: Sequence[Any]) -> dict[str, Any]:
    """A list of `{name: a.b, value: c}`, as Argo CD gives parameters to Helm, as values.

    What has no text as value is left out. Empty for any other list.
    """
    values: dict[str, Any] = {}
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            return {}
        if not isinstance(item.get("value"), str):
            continue
        *above, last = item["name"].split(".")
        below = values
        for part in above:
            below = below.setdefault(part, {})
            if not isinstance(below, dict):
                return {}
        below[last] = item["value"]
    return values
