"""The images that a deployment writes: one as in Piper, or several by container or key."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from towline.config.merge import CHANGED, UNPROVEN
from towline.config.settings import Settings
from towline.credential_hosts import HostAddress
from towline.errors import ConfigError, DigestMismatch, placed
from towline.image import (
    Reference,
    has_registry,
    parse_digest,
    parse_image,
    parse_reference,
    parse_registry,
)
from towline.pipeline.environment import proven_values
from towline.record import frozen, replace
from towline.suggest import nearest


@frozen
class DeployedImage:
    """A deployed image: its reference, the pushed digest if known, and whether to write that."""

    reference: Reference
    digest: str
    pinned: bool = False

    @property
    def repository(self) -> str:
        """`host/name` without tag and digest."""
        return f"{self.reference.registry.host}/{self.reference.image.name}"

    @property
    def tag(self) -> str:
        """The tag; empty if the image is known by its digest alone."""
        return self.reference.image.tag

    @property
    def written(self) -> str:
        """The text for a container's `image`."""
        return self.full if self.pinned else str(self.reference)

    @property
    def full(self) -> str:
        """The image with tag and digest, as far as they are known, for trailers and outputs."""
        return str(replace(self.reference, image=replace(self.reference.image, digest=self.digest)))


@frozen
class KnownImages:
    """The images in settings and pipeline environment."""

    settings: Settings
    environment: Mapping[str, object]

    def single(self) -> DeployedImage:
        """The image of containerImageNameTag; raises ConfigError."""
        text = self.settings.text("containerImageNameTag")
        if not text:
            raise ConfigError(
                "no image is known that could be deployed",
                where=self.settings.origin("containerImageNameTag"),
                hint=(
                    "imagePushToRegistry leaves it in the pipeline environment; else set"
                    " containerImageNameTag"
                ),
            )
        return self._deployed(text, "", "containerImageNameTag")

    def by_container(self, usual: str) -> dict[str, DeployedImage]:
        """The image for each container or key in `containers`, else the single one for `usual`.

        Raises ConfigError.
        """
        wanted = self.settings.mapping("containers")
        if not wanted:
            self._check_lists()
            return {usual: self.single()}
        return {container: self.named(name, "containers") for container, name in wanted.items()}

    def named(self, name: str, parameter: str) -> DeployedImage:
        """The image called `name` in `parameter`; raises ConfigError with near names."""
        found = self._images_by_name()
        if name not in found:
            set_hint = (
                "imagePushToRegistry leaves the images in the pipeline environment; else set"
                " containerImageNameTags"
            )
            raise ConfigError(
                f"no image is called {name!r}",
                where=self.settings.origin(parameter),
                hint=nearest(name, found) if found else set_hint,
            )
        return found[name]

    def ignored_path(self) -> str:
        """The path of a containerRegistryUrl that is set but used for no image, else empty.

        Raises ConfigError.
        """
        settings = self.settings
        url, origin = settings.text("containerRegistryUrl"), settings.origin("containerRegistryUrl")
        texts = (settings.text("containerImageNameTag"), *settings.texts("containerImageNameTags"))
        complete = all(has_registry(text) for text in texts if text)
        if not url or complete or settings.left("containerRegistryUrl"):
            return ""
        with placed(origin):
            if _is_same_registry(url, self.environment.get("container/targetRegistryUrl")):
                return ""
            return parse_registry(url)[1]

    def _check_lists(self) -> None:
        for name in ("imageNames", "imageDigests"):
            if self.settings.given(name):
                raise ConfigError(
                    f"{name} is set, and containers is not",
                    where=self.settings.origin(name),
                    hint="name in containers the image of each container or key",
                )

    def _images_by_name(self) -> dict[str, DeployedImage]:
        """Each listed image by its name, by the last part if unique, and by imageNames."""
        settings = self.settings
        texts = settings.texts("containerImageNameTags")
        for name in ("imageNames", "imageDigests"):
            if settings.given(name) and len(settings.texts(name)) != len(texts):
                raise ConfigError(
                    f"{name} has {len(settings.texts(name))} entries for {len(texts)} images",
                    where=settings.origin(name),
                    hint="give one for each of containerImageNameTags, in the same order",
                )
        digests = settings.texts("imageDigests") or ("",) * len(texts)
        images = [
            self._deployed(text, digest, "containerImageNameTags")
            for text, digest in zip(texts, digests, strict=True)
        ]
        last_parts = [image.reference.image.name.rpartition("/")[2] for image in images]
        by_last_part = zip(last_parts, images, strict=True)
        found = {last: image for last, image in by_last_part if last_parts.count(last) == 1}
        found |= {image.reference.image.name: image for image in images}
        for text, image in zip(texts, images, strict=True):
            if not has_registry(text):
                found[parse_image(text).name] = image
        return found | dict(zip(settings.texts("imageNames"), images, strict=False))

    def _deployed(self, text: str, digest: str, parameter: str) -> DeployedImage:
        settings, environment = self.settings, self.environment
        url = settings.text("containerRegistryUrl")
        with placed(settings.origin(parameter)):
            reference = _reference(
                text,
                url,
                pushed=_is_same_registry(url, environment.get("container/targetRegistryUrl")),
            )
        pushed = _proven_digest(reference, environment)
        if (
            pushed
            and reference.image.digest not in ("", pushed)
            and settings.layer(parameter) in (CHANGED, UNPROVEN)
        ):
            raise DigestMismatch(
                f"{reference} is not the image that a step of this build has pushed there, which is"
                f" {pushed}",
                where=settings.origin(parameter),
                hint="find out what changed the pipeline environment, and build again",
            )
        known_digest = reference.image.digest or (
            parse_digest(digest) if digest else pushed or _pushed_digest(text, environment)
        )
        if not reference.image.tag and not reference.image.digest:
            raise ConfigError(
                f"{text!r} has neither a tag nor a digest",
                where=settings.origin(parameter),
                hint="expected name:tag",
            )
        pinned = settings.flag("pinDigest")
        if pinned and not known_digest:
            raise ConfigError(
                f"pinDigest is set, and no digest of {text!r} is known",
                where=settings.origin("pinDigest"),
                hint=(
                    "imagePushToRegistry leaves it in the pipeline environment; else set"
                    " imageDigests, or write it behind the tag"
                ),
            )
        return DeployedImage(reference=reference, digest=known_digest, pinned=pinned)


def _is_same_registry(url: str, pushed: object) -> bool:
    """Whether both URLs mean the same registry and path, however they are written."""
    return (
        bool(url)
        and isinstance(pushed, str)
        and bool(pushed)
        and parse_registry(url) == parse_registry(pushed)
    )


def _reference(text: str, url: str, *, pushed: bool) -> Reference:
    """The reference in `text`, in the registry at `url` if it names none; raises ConfigError.

    The path of the URL counts only if Towline pushed to it: Piper's builders put the whole URL into
    the environment, and then push to its host alone.
    """
    if has_registry(text):
        return parse_reference(text)
    image = parse_image(text)
    if not url:
        raise ConfigError(
            f"no registry is known for {text!r}",
            hint=(
                "imagePushToRegistry leaves it in the pipeline environment; else set"
                " containerRegistryUrl"
            ),
        )
    registry, path = parse_registry(url)
    return Reference(
        registry=registry,
        image=replace(image, name=f"{path}/{image.name}" if path and pushed else image.name),
    )


def _proven_digest(reference: Reference, environment: Mapping[str, object]) -> str:
    """The digest that a step of this build has provably pushed under this reference, else empty.

    The workspace may write the reference in another way by now.
    """
    facts = proven_values(environment)
    url = facts.get("container/targetRegistryUrl")
    if not isinstance(url, str):
        return ""
    for name, digest in _named_digests(facts, "targetImage"):
        with suppress(ConfigError):  # a Jenkinsfile may have set any text
            if _pushed_as(_reference(str(name), url, pushed=True)) == _pushed_as(reference):
                return str(digest)
    return ""


def _pushed_as(reference: Reference) -> tuple[str, str, str]:
    registry, image = reference.registry, reference.image
    return HostAddress(scheme=registry.scheme, host=registry.host).entry, image.name, image.tag


def _pushed_digest(text: str, environment: Mapping[str, object]) -> str:
    """The digest that imagePushToRegistry, or else the builder, left for this name and tag.

    Empty if neither left a digest. The digest that a step has provably pushed overrides that of the
    workspace.
    """
    for source in (proven_values(environment), environment):
        kind = "targetImage" if source.get("container/targetRegistryUrl") else "image"
        for name, digest in _named_digests(source, kind):
            if name == text:
                return str(digest)
    return ""


def _named_digests(facts: Mapping[str, object], kind: str) -> list[tuple[object, object]]:
    """Name and digest of each image of a `kind` in the facts; none if the lists do not match."""
    names, digests = facts.get(f"container/{kind}NameTags"), facts.get(f"container/{kind}Digests")
    if not isinstance(names, list) or not isinstance(digests, list) or len(names) != len(digests):
        return []
    return list(zip(names, digests, strict=True))
