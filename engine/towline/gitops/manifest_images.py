"""Pure.

Images in manifests and values: which images a file names or runs, and whether the wanted one is
among them.

The image of a container counts, and so does any other text that is an image: alone, behind a flag,
a name or a scheme, in a list, in YAML inside a text, or spread over the keys of a map as charts and
kustomizations do. For pod specifications it is also known whether they may pull from a private
registry.
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
    """A pod specification: kind and name of its owner, and its images by container.

    `may_pull` is true if it names a pull secret or a service account.
    """

    owner: str
    images: tuple[tuple[str, str], ...]
    may_pull: bool


def pods_in_file(data: bytes) -> tuple[Pod, ...]:
    """The pod specifications of a YAML file in their order; none if it is not readable YAML.

    A chart's template is an example of such a file.
    """
    return pods_in_documents(load_documents(data) or ())


def pods_in_documents(documents: Iterable[Any]) -> tuple[Pod, ...]:
    """The pod specifications of loaded documents in their order."""
    seen = set[int]()
    return tuple(pod for document in documents for pod in _pods_below(document, "", seen))


def _pods_below(node: Any, owner: str, seen: set[int]) -> Iterator[Pod]:
    """The pods of `node` and below it; each node is visited once, since aliases repeat nodes."""
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
    containers = [
        container for key in _CONTAINER_LISTS for container in maps_at(specification, key)
    ]
    account = specification.get("serviceAccountName") or specification.get("serviceAccount")
    return Pod(
        owner=owner,
        images=tuple(
            (text_at(container, "name"), text_at(container, "image")) for container in containers
        ),
        may_pull=bool(specification.get("imagePullSecrets"))
        or account not in (None, "", "default"),
    )


_REGISTRY_KEYS = ("registry", "imageregistry")
_NAME_KEYS = ("repository", "name", "image", "newname", "imagerepository", "imagename", "repo")
_TAG_KEYS = ("tag", "newtag", "imagetag", "version")
WHOLE_DOCUMENT = "the file"  # the location of keys at the top of a file
_WORKLOADS = {
    ("v1", "Pod"),
    ("v1", "ReplicationController"),
    *(("apps/v1", kind) for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")),
    *(("batch/v1", kind) for kind in ("Job", "CronJob")),
}
_MOST_NESTED_TEXTS = 3  # levels of YAML inside texts
# Keys of metadata: neither a cluster nor a renderer runs images that they name.
_NOTE_KEYS = ("annotations", "labels")
_COMMON_NOTE_KEYS = ("commonAnnotations", "commonLabels", "matchLabels")
_SECRET_KINDS = ("Secret", "SecretList")
_TEMPLATED = re.compile(r"x{4,}|\{\{")


@frozen
class FoundImage:
    """An image that a file names: its `location` in the file, and its `text`.

    It `runs` if it is the image of a container. A text of a Secret (`secret`) may be the image, but
    is never shown: it may be a password that looks like one. An `assembled` image is put together
    from keys of a resource that may have any name.
    """

    location: str
    text: str
    runs: bool = False
    secret: bool = False
    assembled: bool = False

    @property
    def reference(self) -> Reference | None:
        """The image as a container runtime reads it; None if it is not an image."""
        return parse_familiar(self.text)

    def __str__(self) -> str:
        return f"{'a text of a Secret' if self.secret else self.text} ({self.location})"


def container_images(data: bytes) -> tuple[FoundImage, ...] | None:
    """The images of containers in a YAML file; None if the file cannot be read."""
    documents = _load(data)
    return None if documents is None else _pod_images(documents)


def images_in_file(
    data: bytes, like: Collection[str], *, joined: bool = True
) -> tuple[FoundImage, ...] | None:
    """Return the images of containers in a YAML file, then those elsewhere equal to one of `like`.

    With `joined`, a registry that the values hold for all images is put before the latter. None if
    the file cannot be read.
    """
    documents = _load(data)
    return None if documents is None else images_in_documents(documents, like, joined=joined)


def images_in_documents(
    documents: list[Any], like: Collection[str], *, joined: bool
) -> tuple[FoundImage, ...]:
    """As `images_in_file`, of documents that are loaded."""
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
    """Whether a document is a Kubernetes resource, not values of a chart."""
    return isinstance(document, dict) and "apiVersion" in document and "kind" in document


def _is_workload(document: Any) -> bool:
    """Whether a document is of a kind of which a cluster drops unknown keys."""
    version = document.get("apiVersion") if isinstance(document, dict) else None
    return isinstance(version, str) and (version, document.get("kind")) in _WORKLOADS


def _is_dropped(location: str) -> bool:
    """Whether a cluster drops the key at a workload's location: known images are all in lists."""
    return "[" not in location


def _pod_images(documents: list[Any]) -> tuple[FoundImage, ...]:
    images = (
        (f"{pod.owner or 'a pod'}, {name}", image)
        for pod in pods_in_documents(documents)
        for name, image in pod.images
    )
    return tuple(
        FoundImage(location=location, text=image, runs=True) for location, image in images if image
    )


def is_same_image(found: FoundImage, wanted: Reference) -> bool:
    """Whether a found image is the wanted one: registry and name, then digest, else tag.

    The digests count if both have one. `wanted` has everything that is known of the image.
    """
    reference = found.reference
    ours = parse_familiar(str(wanted))
    if reference is None or ours is None or not _same_name(reference, ours):
        return False
    if reference.image.digest:
        return reference.image.digest == ours.image.digest
    return bool(ours.image.tag) and reference.image.tag == ours.image.tag


def is_other_image(found: FoundImage, wanted: Reference) -> bool:
    """Whether a found image has the wanted registry and version, but another name.

    The last parts of the names differ, and the tag or digest is the wanted one's.
    """
    reference, ours = found.reference, parse_familiar(str(wanted))
    return bool(
        reference
        and ours
        and not found.assembled
        and reference.registry.host == ours.registry.host
        and last_part(reference.image.name) != last_part(ours.image.name)
        and (reference.image.digest or reference.image.tag) in (ours.image.digest, ours.image.tag)
    )


def is_end_of_image(wanted: Reference, found: FoundImage) -> bool:
    """Whether the wanted image ends with a found text that names no registry."""
    image = wanted.image
    marks = (f":{image.tag}" if image.tag else "", f"@{image.digest}" if image.digest else "")
    ends = [f"/{image.name}{mark}" for mark in (*marks, "".join(marks)) if mark]
    return not has_registry(found.text) and any(text.endswith(f"/{found.text}") for text in ends)


def stale_containers(found: Iterable[FoundImage], wanted: Reference) -> list[FoundImage]:
    """Containers that run another version of the wanted image, or its name in another registry."""
    ours = parse_familiar(str(wanted))
    return [
        image
        for image in found
        if image.runs
        and ours
        and (reference := image.reference)
        and not is_same_image(image, wanted)
        and (
            _same_name(reference, ours)
            or reference.image.name in (ours.image.name, f"{ours.registry.host}/{ours.image.name}")
        )
    ]


def in_other_registry(found: Iterable[FoundImage], wanted: Reference) -> list[FoundImage]:
    """Images with the wanted name and version that are of another registry, or of none at all."""
    image = wanted.image
    ends = [f"/{image.name}{mark}{part}" for mark, part in ((":", image.tag), ("@", image.digest))]
    return [
        other
        for other in found
        if any(end in f"/{other.text}" for end in ends if end[-1] not in ":@")
        and not is_same_image(other, wanted)
    ]


def is_used(found: Collection[FoundImage], wanted: Reference) -> bool:
    """Whether rendered manifests have the wanted image.

    They have it if a container runs it, or if any text names it while no container runs another
    version of it.
    """
    named = [image for image in found if is_same_image(image, wanted)]
    return bool(named) and (
        any(image.runs for image in named) or not stale_containers(found, wanted)
    )


def nearest_images(found: Sequence[FoundImage], wanted: Reference) -> list[str]:
    """The images of a file as texts for people, the likely ones first.

    These are the containers, and the images that share the last part of the name. A Secret's text
    is left out.
    """
    last = last_part(wanted.image.name)
    found = [image for image in found if not image.secret]
    likely = [image for image in found if image.text and last in image.text]
    rest = [image for image in found if image.runs and image not in likely]
    first: dict[str, FoundImage] = {}
    for image in (*sorted(likely, key=lambda image: not image.runs), *rest):
        first.setdefault(image.text, image)
    return [str(image) for image in first.values()]


def last_part(name: str) -> str:
    """The last part of an image's name."""
    return name.rpartition("/")[2]


def compose_image(registry: str, name: str, tag: str, digest: str) -> str:
    """The image that a chart makes of registry, name, tag and digest in keys of their own.

    A name that has its registry already gets no second one.
    """
    repository = name if not registry or name.startswith(f"{registry}/") else f"{registry}/{name}"
    tagged = (
        f"{repository}:{tag}"
        if tag and ":" not in repository.rpartition("/")[2] and "@" not in repository
        else repository
    )
    return (
        f"{tagged}@{digest if ':' in digest else f'sha256:{digest}'}"
        if digest and "@" not in tagged
        else tagged
    )


def _same_name(reference: Reference, other: Reference) -> bool:
    return (reference.registry.host, reference.image.name) == (
        other.registry.host,
        other.image.name,
    )


class _ImageSearch:
    """Finds the images of one document; a node that aliases repeat is visited once."""

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
        self._above: tuple[str, ...] = ()  # registries of the maps around a node
        self._secret = secret
        self._seen: dict[int, Any] = {}  # keeps nodes, since a freed node's id is used again

    def below(self, node: Any, path: str, common: str, depth: int) -> Iterator[FoundImage]:
        """The images at `path` and below it.

        `common` is the registry that values have for all images.
        """
        if isinstance(node, str):
            yield from self._text(node, path, depth)
            return
        if not isinstance(node, dict | list) or id(node) in self._seen:
            return
        if not self._secret and isinstance(node, dict) and node.get("kind") in _SECRET_KINDS:
            yield from self._in_secret().below(node, path, common, depth)
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
            *self._assembled_images(parts, path),
            *self._images_below_registries(parts, path),
        ]
        yield from (replace(image, secret=self._secret) for image in found)
        registries_before = self._above
        self._above = (*registries_before, *registries_above(node))
        for key, value in node.items():
            if not _is_note(path, key):
                search = self._in_secret() if key == "secretGenerator" else self
                yield from search.below(value, f"{path}.{key}".removeprefix("."), common, depth)
        self._above = registries_before

    def _in_secret(self) -> _ImageSearch:
        """The same search for the content of a Secret."""
        return self._inner(resource=self._resource, secret=True)

    def _inner(self, *, resource: bool, secret: bool) -> _ImageSearch:
        return _ImageSearch(self._like, resource=resource, secret=secret, joined=self._joined)

    def _assembled_images(self, node: Mapping[Any, Any], path: str) -> Iterator[FoundImage]:
        """Images whose parts stand in a map of a resource under keys of any name.

        A kustomization's entry names its parts itself, so it is left out.
        """
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

    def _images_below_registries(self, node: Mapping[Any, Any], path: str) -> Iterator[FoundImage]:
        """Images made of this map and each registry that a map around it has under any key."""
        texts = {key.lower(): text for key, text in node.items() if isinstance(key, str)}
        names = [text for key in _NAME_KEYS if isinstance(text := texts.get(key), str) and text]
        if any(has_registry(name) for name in names) or any(
            texts.get(key) for key in _REGISTRY_KEYS
        ):
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
                    search = self._inner(resource=_is_resource(document), secret=secret)
                    yield from search.below(document, path, "", depth + 1)
        for part in image_words(text):
            if (reference := parse_familiar(part)) and (
                reference.image.tag or reference.image.digest
            ):
                yield FoundImage(location=path, text=part, secret=secret)


def _is_note(path: str, key: object) -> bool:
    """Whether a key holds metadata, which neither a cluster nor a renderer runs."""
    of_metadata = path.rpartition(".")[2] == "metadata"
    return key in _COMMON_NOTE_KEYS or (of_metadata and key in _NOTE_KEYS)


def _global_registry(node: Mapping[Any, Any]) -> str:
    return text_at(node, "global", "imageRegistry")


def _without_other_names(node: Mapping[Any, Any], like: Collection[str]) -> Mapping[Any, Any]:
    """A map without a `name` that names something else than an image.

    It does if it is neither a path nor one of `like`. A resource and Chart.yaml are not an image at
    all.
    """
    if "apiVersion" in node:
        return {}
    name = node.get("name")
    names_other = isinstance(name, str) and "/" not in name and name not in like
    return {key: value for key, value in node.items() if key != "name"} if names_other else node


def _images_of_map(
    node: Mapping[Any, Any], path: str, common: str, *, resource: bool
) -> Iterator[FoundImage]:
    """The images whose parts are keys of one map.

    In a resource, a `version` beside a tag is not a part of the image.
    """
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
    name_keys = ("newname",) if texts.get("newname") else _NAME_KEYS
    for name in dict.fromkeys(texts[key] for key in name_keys if texts.get(key)):
        prefix = registry_before(name, registry, common)
        for tag, digest in product(tags or [""], digests or [""]):
            text = compose_image(prefix, name, tag, digest)
            reference = None if _TEMPLATED.search(text) else parse_familiar(text)
            if reference and (reference.image.tag or reference.image.digest):
                yield FoundImage(location=path or WHOLE_DOCUMENT, text=text)


def _helm_parameters(items: Sequence[Any]) -> dict[str, Any]:
    """Parameters that Argo CD gives to Helm, `{name: a.b, value: c}`, as nested values.

    An item whose value is not a text is left out. The result is empty for any other list.
    """
    values: dict[str, Any] = {}
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            return {}
        if not isinstance(item.get("value"), str):
            continue
        *above, last = item["name"].split(".")
        nested = values
        for part in above:
            nested = nested.setdefault(part, {})
            if not isinstance(nested, dict):
                return {}
        nested[last] = item["value"]
    return values
