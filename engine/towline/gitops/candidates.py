"""Pure.

Places that may get an image, and the choice between them: the place of another image is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from itertools import compress

from towline.console import silent
from towline.errors import ConfigError
from towline.gitops.image_parts import image_words
from towline.gitops.manifest_images import last_part
from towline.image import has_registry, parse_familiar
from towline.record import frozen
from towline.suggest import list_some, nearest


@frozen
class Candidate:
    """A place that may get an image: its file, its resource, and the image that stands there now.

    The resource is `kind/namespace/name`, or `kind/name` if it has no namespace. The image is empty
    if it is not known. `chart` is the name of the chart that the file belongs to; it is empty for
    no chart.
    """

    file: str
    resource: str
    image: str
    chart: str = ""

    def __str__(self) -> str:
        owner = f"{self.resource} in " if self.resource else ""
        return f"{owner}{self.file} ({self.image or 'no image'})"


def _none_deployed() -> Collection[str]:
    return ()


@frozen
class Choice:
    """Chooses among candidates by the configured `resource`, else by the images there.

    `resource` is `kind/namespace/name`, or `kind/name` in any namespace. `deployed_before` returns
    the images of the last deployment, and is called only if nothing else decides. `say` gets the
    places that are left alone, `warn` those that are written although no image name identifies
    them.
    """

    resource: str = ""
    deployed_before: Callable[[], Collection[str]] = _none_deployed
    say: Callable[[str], None] = silent
    warn: Callable[[str], None] = silent

    def select(self, name: str, candidates: Sequence[Candidate], wanted: str) -> list[bool]:
        """For each candidate whether it is to be written.

        Raises ConfigError if no candidate belongs to the configured resource, or if different
        images stand at the candidates and none of them is the wanted one.
        """
        of_resource = [self.names_resource(candidate.resource) for candidate in candidates]
        if self.resource and candidates and not any(of_resource):
            resources = {candidate.resource for candidate in candidates if candidate.resource}
            raise ConfigError(
                f"{name} is not in {self.resource}",
                where=candidates[0].file,
                hint=f"resource: {nearest(self.resource, resources)}",
            )
        eligible = list(compress(candidates, of_resource))
        own_image = self._is_ours(eligible, wanted)
        if eligible and not any(own_image):
            raise ConfigError(
                f"{name} stands in {len(eligible)} places with different images, and none of them"
                f" belongs to {wanted}: {list_some([str(candidate) for candidate in eligible])}",
                where=eligible[0].file,
                hint=_hint(eligible),
            )
        is_ours = iter(own_image)
        selected = [eligible_here and next(is_ours) for eligible_here in of_resource]
        others = [
            str(candidate) for candidate, keep in zip(eligible, own_image, strict=True) if not keep
        ]
        if others:
            self.say(f"  {name} is left alone where another image stands: {list_some(others)}")
        return selected

    def warn_unidentified(self, name: str, candidates: Sequence[Candidate], wanted: str) -> None:
        """Warn if candidates without an image name, all written, may be of several services.

        They may be if several stand in one file, if they belong to several resources or charts, or
        if some of their files, but not all, are named like the image.
        """
        owners = {candidate.resource for candidate in candidates} - {""}
        charts = {candidate.chart for candidate in candidates} - {""}
        named_alike = {
            bool(_name_words(candidate.file) & _name_words(last_part_of(wanted)))
            for candidate in candidates
        }
        several = len(owners) > 1 or len(charts) > 1 or len(named_alike) > 1
        if several or len({candidate.file for candidate in candidates}) < len(candidates):
            locations = [
                f"{candidate.resource} in {candidate.file}"
                if candidate.resource
                else candidate.file
                for candidate in candidates
            ]
            advice = f"; {_hint(candidates)}" if owners else ""
            advice = advice or ("; filePath can name the right files" if several else "")
            self.warn(
                f"{name} stands in {len(candidates)} places without the image's name, "
                f"and all of them are written: {list_some(list(dict.fromkeys(locations)))}{advice}"
            )

    def _is_ours(self, candidates: Sequence[Candidate], wanted: str) -> list[bool]:
        """For each candidate whether it is ours: by repository, last name part, or history."""
        repositories = [repository_of(candidate.image) for candidate in candidates]
        wanted_name = last_part_of(wanted)
        alike = [last_part_of(candidate.image) == wanted_name for candidate in candidates]
        if len(set(repositories) - {""}) < 2 and not any(alike):
            return [True] * len(candidates)
        named_alike = {
            repository for repository, is_alike in zip(repositories, alike, strict=True) if is_alike
        }
        named_alike.discard("")
        ours = _matching_repositories(named_alike, repository_of(wanted))
        if named_alike - ours or not any(alike):
            deployed = {repository_of(image) for image in self.deployed_before()} - {""}
            ours |= deployed & (named_alike if ours else set(repositories))
        chosen = [
            repository in ours or (is_alike and not repository)
            for is_alike, repository in zip(alike, repositories, strict=True)
        ]
        # A candidate without an image is ours if all candidates with one are.
        all_known = all(
            is_ours
            for candidate, is_ours in zip(candidates, chosen, strict=True)
            if candidate.image
        )
        return [
            is_ours or (all_known and not candidate.image)
            for candidate, is_ours in zip(candidates, chosen, strict=True)
        ]

    def names_resource(self, resource: str) -> bool:
        """Whether `resource` may be the configured one; each may if none is configured."""
        wanted, given = self.resource.lower(), resource.lower()
        kind, _, rest = given.partition("/")
        return not wanted or wanted in (given, f"{kind}/{rest.rpartition('/')[2]}")


ANY_CHOICE = Choice()


def _hint(candidates: Sequence[Candidate]) -> str:
    """How the user can choose one of the candidates."""
    owners = [candidate.resource for candidate in candidates]
    if len(set(owners)) == len(owners) and all(owners):
        with_namespace = any(owner.count("/") > 1 for owner in owners)
        return f"resource: kind/{'namespace/' if with_namespace else ''}name chooses one of them"
    if len({candidate.file for candidate in candidates}) == len(candidates):
        return "a filePath that fits one file chooses one of them"
    return "put each into a file of its own: then filePath chooses one of them"


def repository_of(text: str) -> str:
    """The repository of an image, `host/name` as a container runtime reads it.

    It is empty for a placeholder, which has neither a registry nor a tag.
    """
    found = [
        reference
        for word in image_words(text)
        if not _is_placeholder(word) and (reference := parse_familiar(word))
    ]
    return f"{found[0].registry.host}/{found[0].image.name}" if found else ""


def _matching_repositories(alike: Collection[str], ours: str) -> set[str]:
    """The repositories of `alike`, which share their last part, that may be the wanted `ours`.

    This is `ours` itself; else those with its whole path in other registries; else the only one.
    """
    if ours in alike:
        return {ours}
    named = {
        repository for repository in alike if repository.partition("/")[2] == ours.partition("/")[2]
    }
    return named or (set(alike) if len(alike) == 1 else set())


def _is_placeholder(text: str) -> bool:
    return not has_registry(text) and ":" not in text and "@" not in text


def _name_words(text: str) -> set[str]:
    """The words of a path or a name, in lower case."""
    return set(re.split(r"[^a-z0-9]+", text.lower()))


def last_part_of(text: str) -> str:
    """The last part of an image's name, also of a placeholder's."""
    found = [reference for word in image_words(text) if (reference := parse_familiar(word))]
    return last_part(found[0].image.name) if found else ""
