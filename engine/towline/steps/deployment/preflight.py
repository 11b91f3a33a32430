"""Checks of one target before its commit is made: of the files as its Change has left them.

The images have an effect and exist in their registries, the cluster will be able to pull them, and
the files stay valid.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from towline.console import Console
from towline.errors import ConfigError
from towline.gitops.change import Change, context_of, dependencies_of
from towline.gitops.manifest_images import pods_in_file
from towline.gitops.notes import Notes, Replaced
from towline.record import frozen
from towline.steps.deployment.effect import Effect
from towline.suggest import list_some
from towline.yaml.plain_data import load_documents, text_at

_NEITHER = "neither imagePullSecrets nor a service account"


@frozen
class Applied:
    """One application of a target's Change: its files before, those it has `changed`, its notes.

    `listing` has the paths of the repository.
    """

    files: Mapping[str, bytes]
    changed: Mapping[str, bytes]
    listing: Sequence[str] = ()
    replaced: tuple[Replaced, ...] = ()

    @property
    def contents(self) -> dict[str, bytes]:
        """The files after the change."""
        return {**self.files, **self.changed}

    @property
    def new(self) -> dict[str, bytes]:
        """The files whose content has changed."""
        return {path: data for path, data in self.changed.items() if self.files.get(path) != data}

    def holds(self, digest: str) -> bool:
        """Whether a file contains the digest; no file contains an empty digest."""
        return bool(digest) and any(digest.encode() in data for data in self.contents.values())


@frozen
class Checks:
    """The checks of one target: each warns, raises ConfigError, or raises its function's error.

    `hosts` are the registries of its images. `find_images` looks the images up, `validate` a
    manifest.
    """

    hosts: frozenset[str]
    warn: Callable[[str], None]
    effect: Effect | None = None
    require_secret: bool = False
    find_images: Callable[[], None] | None = None
    validate: Callable[[str, bytes], None] | None = None

    def run(self, applied: Applied) -> None:
        """Check one application; an image is looked up only if a file changes."""
        contents, new = applied.contents, applied.new
        if self.effect:
            self.effect.check(contents, applied.listing, self.warn)
            self.effect.check_readers(contents, applied.listing, self.warn)
        if self.find_images and new:
            self.find_images()
        if self.require_secret:
            _check_pull_secrets(self.lacking_pods(applied))
        for path, data in new.items():
            if breaks_mac(data):
                self.warn(
                    f"{path} is a file of SOPS, whose MAC covers plain values too: sops refuses the"
                    " edited file (keep the image in a file of its own, or encrypt with"
                    " mac_only_encrypted: true)"
                )
            if self.validate:
                self.validate(path, data)

    def lacking_pods(self, applied: Applied) -> list[LackingPod]:
        """The new pods that run an image of `hosts`, without a pull secret or service account."""
        found: list[LackingPod] = []
        for path, data in applied.new.items():
            for pod in pods_in_file(data) if b"containers" in data else ():
                hosts = self._hosts_of(image for _, image in pod.images)
                if hosts and not pod.may_pull:
                    found.append(LackingPod(path=path, owner=pod.owner, hosts=tuple(hosts)))
        return found

    def _hosts_of(self, images: Iterable[str]) -> list[str]:
        """The hosts in `self.hosts` that hold one of these images, sorted."""
        texts = tuple(images)
        return [
            host
            for host in sorted(self.hosts)
            if any(text.startswith(f"{host}/") for text in texts)
        ]


@frozen
class LackingPod:
    """A pod that names neither a pull secret nor a service account, with its image's `hosts`."""

    path: str
    owner: str
    hosts: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.owner or 'a pod'} in {self.path}"

    @property
    def hint(self) -> str:
        """What to do about it."""
        return (
            f"the cluster needs the secret of {', '.join(self.hosts)}: create it there, "
            "and name it in the pod's imagePullSecrets or its service account's"
        )


class TargetChange:
    """A Change: that of one target, which is checked each time that it is applied.

    It is applied again if the branch has moved; `applied` is the last application.
    """

    def __init__(self, change: Change, checks: Checks, notes: Notes, console: Console) -> None:
        self._change, self._checks, self._notes, self._console = change, checks, notes, console
        self._listing: Sequence[str] = ()
        self.applied = Applied(files={}, changed={})
        self._passed = False  # the last application has passed the checks

    def wants(self, listing: Sequence[str]) -> Sequence[str]:
        """The paths that the Change wants."""
        self._listing = listing
        return self._change.wants(listing)

    def dependencies(self, listing: Sequence[str], files: Mapping[str, bytes]) -> Collection[str]:
        """The dependencies of the Change."""
        return dependencies_of(self._change, listing, files)

    def context(self, listing: Sequence[str], files: Mapping[str, bytes]) -> Collection[str]:
        """The context of the Change, and of the check of its effect."""
        self._listing = listing
        effect = self._checks.effect
        of_effect = effect.context(listing, files) if effect else set()
        return of_effect | context_of(self._change, listing, files)

    def apply(self, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """The files that the Change changes, once they are checked; raises the errors of both."""
        notes, console = self._notes, self._console
        notes.clear()
        self._passed = False
        try:
            changed = self._change.apply(files)
        finally:
            notes.show(say=console.say, warn=console.warn)
        self.applied = Applied(
            files=files, changed=changed, listing=self._listing, replaced=tuple(notes.replaced)
        )
        self._checks.run(self.applied)
        self._passed = True
        return changed

    def lacking_pods(self) -> list[LackingPod]:
        """The pods that probably cannot pull their image; none if a check has failed, or would."""
        checks = self._checks
        if checks.require_secret or not self._passed:
            return []
        return checks.lacking_pods(self.applied)


def breaks_mac(data: bytes) -> bool:
    """Whether the file has a MAC of SOPS that covers plain values: after an edit it is wrong."""
    if b"sops" not in data or b"mac" not in data:
        return False
    for document in load_documents(data) or ():
        if text_at(document, "sops", "mac"):
            return text_at(document, "sops", "mac_only_encrypted").lower() != "true"
    return False


def _check_pull_secrets(lacking: Sequence[LackingPod]) -> None:
    """Pass if there is no such pod; raises ConfigError."""
    if lacking:
        pod = lacking[0]
        raise ConfigError(f"{pod} names {_NEITHER}", where=pod.path, hint=pod.hint)


def lacking_lines(pods_lacking: Iterable[LackingPod]) -> list[str]:
    """A line for each thing to do about pods that probably cannot pull their image."""
    by_hint: dict[str, list[str]] = {}
    for pod in pods_lacking:
        by_hint.setdefault(pod.hint, []).append(str(pod))
    lines = []
    for hint, names in by_hint.items():
        unique = list(dict.fromkeys(names))
        lines.append(f"{list_some(unique)} {'name' if unique[1:] else 'names'} {_NEITHER}: {hint}")
    return lines
