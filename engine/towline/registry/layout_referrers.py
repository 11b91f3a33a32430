"""What refers to the manifests of a layout: the same answer that a registry's list of referrers gives (OCI distribution-spec 1.1, "Listing Referrers")."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from threading import Lock

from towline.errors import ConfigError, DigestMismatch, MachineError
from towline.registry.layout_entries import Entry
from towline.registry.manifest import Descriptor, Manifest

_MOST = 10_000  # manifests that are looked at


class LayoutReferrers:
    """Every manifest that index.json leads to, by the subject that it names or the list that names it; read at the first question, shared by threads."""

    def __init__(
        self, entries: Sequence[Entry], find: Callable[[str], Manifest | None], *, name: str
    ) -> None:
        """`find` reads a manifest by its digest, `name` is what messages call the layout."""
        self._entries = entries
        self._find = find
        self._name = name
        self._lock = Lock()
        self._referrers: dict[str, dict[str, Descriptor]] | None = None
        self._unread: dict[str, Descriptor] = {}

    def of(self, digest: str) -> tuple[Descriptor, ...]:
        """What refers to a manifest, and what cannot be read and may do so; raises ConfigError where there is no end of it."""
        with self._lock:
            if self._referrers is None:
                self._referrers = self._read()
            return tuple({**self._referrers.get(digest, {}), **self._unread}.values())

    def _read(self) -> dict[str, dict[str, Descriptor]]:
        found: dict[str, dict[str, Descriptor]] = {}
        waiting, seen = [entry.descriptor for entry in self._entries], set[str]()
        listing = {entry.descriptor.digest: entry.lists for entry in self._entries if entry.lists}
        unclear = {
            entry.descriptor.digest for entry in self._entries if entry.artifact or not entry.name
        }
        while waiting:
            descriptor = waiting.pop()
            if descriptor.digest in seen:
                continue
            if len(seen) == _MOST:
                raise ConfigError(
                    f"the {self._name} has more than {_MOST} manifests", where=self._name
                )
            seen.add(descriptor.digest)
            manifest = self._readable(descriptor.digest)
            if manifest is None:
                self._unread |= (
                    {descriptor.digest: descriptor} if descriptor.digest in unclear else {}
                )
                continue
            if manifest.subject:
                found.setdefault(manifest.subject, {})[descriptor.digest] = descriptor
            if descriptor.digest in listing:
                found.setdefault(listing[descriptor.digest], {}).update(
                    _by_digest(manifest.children)
                )
            waiting += manifest.children
        return found

    def _readable(self, digest: str) -> Manifest | None:
        """A manifest, None where it is not there or damaged: that is told where it is wanted."""
        try:
            return self._find(digest)
        except (ConfigError, DigestMismatch, MachineError):
            return None


def _by_digest(descriptors: Iterable[Descriptor]) -> dict[str, Descriptor]:
    return {one.digest: one for one in descriptors}
