"""A Change that is watched: what it replaced, what its files say in the end, and whether the cluster will be able to pull what they name.

Files of SOPS, whose MAC covers the plain values beside the encrypted ones too: after an edit of
these it no longer fits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from towline.errors import ConfigError
from towline.gitops.change import Change, Note, Replaced, context_of, dependencies_of
from towline.gitops.manifest_images import pods_in_file
from towline.steps.deployment.effect import Effect
from towline.suggest import list_some
from towline.yaml.plain_data import load_documents, text_at


def breaks_mac(data: bytes) -> bool:
    """Whether an edit of a plain value makes a file's MAC a wrong one."""
    if b"sops" not in data or b"mac" not in data:
        return False
    for document in load_documents(data) or ():
        if text_at(document, "sops", "mac"):
            return text_at(document, "sops", "mac_only_encrypted").lower() != "true"
    return False


Warn = Callable[[str], None]
Lacking = dict[str, list[str]]
"""Pods that cannot pull their image, as it seems: what to do about it, and where they are."""
_NEITHER = "neither imagePullSecrets nor a service account"


class Watched:
    """A Change of which the last application is remembered: a moved branch has it made again.

    `look` is called before the first that changes something, `validate` with every file that it
    changes.
    """

    def __init__(
        self,
        look: Callable[[], None],
        *,
        require_secret: bool,
        warn: Warn,
        validate: Callable[[str, bytes], None] | None = None,
    ) -> None:
        self._look_once: Callable[[], None] | None = look
        self.replaced: list[Replaced] = []
        self._contents: Mapping[str, bytes] = {}
        self._hosts: frozenset[str] = frozenset()
        self._require_secret = require_secret
        self._warn = warn
        self._warned: set[str] = set()
        self.lacking: Lacking = {}
        self._validate = validate
        self._change: Change | None = None
        self._effect: Effect | None = None
        self._listing: Sequence[str] = ()

    @property
    def note(self) -> Note:
        """What the Change tells what it replaces."""
        return self.replaced.append

    def warn(self, text: str) -> None:
        """Say it once, however often the Change is made again."""
        if text not in self._warned:
            self._warned.add(text)
            self._warn(text)

    def watch(self, change: Change, hosts: frozenset[str], effect: Effect | None = None) -> None:
        """Stand for `change`, which was made with this one's `note`, writes images of the registries `hosts`, and is to have that `effect`."""
        self._change, self._hosts, self._effect = change, hosts, effect

    def holds(self, digest: str) -> bool:
        """Whether a digest stands in what the files are now; none does not."""
        return bool(digest) and any(digest.encode() in data for data in self._contents.values())

    def wants(self, listing: Sequence[str]) -> Sequence[str]:
        """What the Change wants."""
        assert self._change is not None
        self._listing = listing
        return self._change.wants(listing)

    def dependencies(self, listing: Sequence[str], files: Mapping[str, bytes]) -> Collection[str]:
        """What the Change would like to see besides."""
        assert self._change is not None
        return dependencies_of(self._change, listing, files)

    def context(self, listing: Sequence[str], files: Mapping[str, bytes]) -> Collection[str]:
        """What the Change would like to look at."""
        assert self._change is not None
        self._listing = listing
        ours = self._effect.context(listing, files) if self._effect else set()
        return ours | context_of(self._change, listing, files)

    def apply(self, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """What the Change makes of the files; raises what `look` does, and ConfigError where it has no effect or a pod cannot pull."""
        assert self._change is not None
        self.replaced.clear()
        changed = self._change.apply(files)
        self._contents = {**files, **changed}
        if self._effect:
            self._effect.check(self._contents, self._listing, self.warn)
            self._effect.check_readers(self._contents, self._listing, self.warn)
        if self._look_once and any(files.get(path) != data for path, data in changed.items()):
            self._look_once()
            self._look_once = None
        new = {path: data for path, data in changed.items() if files.get(path) != data}
        self.lacking = self._lacking(new)
        for path, data in new.items():
            if breaks_mac(data):
                self.warn(
                    f"{path} is a file of SOPS, whose MAC covers plain values too: sops refuses the"
                    " edited file (keep the image in a file of its own, or encrypt with"
                    " mac_only_encrypted: true)"
                )
            if self._validate:
                self._validate(path, data)
        return changed

    def _lacking(self, changed: Mapping[str, bytes]) -> Lacking:
        """Pods that run an image of one of the registries and name no pull secret and no service account; raises ConfigError where they must."""
        lacking: Lacking = {}
        for path, data in changed.items():
            for pod in pods_in_file(data) if b"containers" in data else ():
                hosts = sorted(
                    host
                    for host in self._hosts
                    if any(image.startswith(f"{host}/") for _, image in pod.images)
                )
                if pod.may_pull or not hosts:
                    continue
                place = f"{pod.owner or 'a pod'} in {path}"
                hint = (
                    f"the cluster needs the secret of {', '.join(hosts)}: create it there, "
                    "and name it in the pod's imagePullSecrets or its service account's"
                )
                if self._require_secret:
                    raise ConfigError(f"{place} names {_NEITHER}", where=path, hint=hint)
                lacking.setdefault(hint, []).append(place)
        return lacking


def lacking_lines(every: Iterable[Lacking]) -> list[str]:
    """The pods of several targets that cannot pull their images, for people: a line for each thing to do."""
    together: Lacking = {}
    for lacking in every:
        for hint, places in lacking.items():
            together.setdefault(hint, []).extend(places)
    places_of = {hint: list(dict.fromkeys(places)) for hint, places in together.items()}
    return [
        f"{list_some(places)} {'name' if places[1:] else 'names'} {_NEITHER}: {hint}"
        for hint, places in places_of.items()
    ]
