"""Pure.

Where a deployment comes from, as trailers of its commit: the one definition of docs/contract.md,
"Trailers".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from towline.git.source import shown
from towline.gitops.trailers import append, last_paragraph
from towline.shown import masked

_CONTROL = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_USER_INFO = re.compile(r"(?<=://)[^/\s]*@")
_LINE = re.compile(r"(Towline-[A-Za-z-]+): (.*)")
_LONGEST = 1000
_ARGO = "Argocd-reference-commit"
_COMMIT = re.compile(r"[0-9a-f]{5,64}")
_LONGEST_SHA = 40  # that Argo CD takes
_IMAGES = "images"
_RESERVED = ("Towline-", _ARGO)
_TRAILERS = {
    "Towline-Deployment": "deployment",
    "Towline-Stage": "stage",
    "Towline-Image": _IMAGES,
    "Towline-Build": "build",
    "Towline-Build-Number": "build_number",
    "Towline-Job": "job",
    "Towline-Started-By": "started_by",
    "Towline-Source": "source",
    "Towline-Source-Commit": "source_commit",
    "Towline-Source-Time": "source_time",
    "Towline-Renderer": "renderer",
    "Towline-Request": "request",
}


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What a deployment's commit says of itself; parts that are unknown are empty and leave their line out.

    Author (RFC 5322), date, subject and body of the source commit are for Argo CD alone, and are
    not read back.
    """

    deployment: str = ""
    stage: str = ""
    images: tuple[str, ...] = ()
    build: str = ""
    build_number: str = ""
    job: str = ""
    started_by: str = ""
    source: str = ""
    source_commit: str = ""
    source_time: str = ""
    source_author: str = ""
    source_date: str = ""
    source_subject: str = ""
    source_body: str = ""
    renderer: str = ""
    request: str = ""

    def trailers(self) -> tuple[str, ...]:
        """The lines, in the contract's order; each value on one line and without user info."""
        lines = []
        for trailer, field in _TRAILERS.items():
            values: tuple[str, ...] = self.images if field == _IMAGES else (getattr(self, field),)
            values = tuple(map(shown, values)) if field == "source" else values
            lines += [f"{trailer}: {value}" for value in map(_clean, values) if value]
        return (*lines, *self._for_argo())

    def _for_argo(self) -> Iterator[str]:
        """The lines by which Argo CD shows the source commit (its documentation: Source Hydrator, "Commit Tracing")."""
        if not _COMMIT.fullmatch(self.source_commit):
            return
        url = _clean(shown(self.source))
        sha = self.source_commit if len(self.source_commit) <= _LONGEST_SHA else ""
        values = {
            "author": self.source_author,
            "sha": sha,
            "subject": self.source_subject,
            "body": _quoted(self.source_body),
            "date": self.source_date,
            "repourl": url if "://" in url else "",
        }
        yield from (
            f"{_ARGO}-{name}: {value}"
            for name, value in zip(values, map(_clean, values.values()), strict=True)
            if value
        )


def compose(text: str, provenance: Provenance) -> str:
    """A whole commit message: `text` for people, in whose last paragraph the trailers stand, beside its own ones where it has any."""
    return append(text, provenance.trailers(), reserved=_RESERVED)


def parse(message: str) -> Provenance:
    """The provenance in a commit message's last paragraph; empty where the commit is none of Towline's."""
    found: dict[str, list[str]] = {}
    for line in last_paragraph(message):
        match = _LINE.fullmatch(line.rstrip())
        if match and match[1] in _TRAILERS:
            found.setdefault(_TRAILERS[match[1]], []).append(match[2])
    images = tuple(found.pop(_IMAGES, ()))
    return Provenance(images=images, **{field: values[-1] for field, values in found.items()})


def is_deployment(history: Sequence[tuple[str, str]]) -> bool:
    """Whether the newest of these commits (id and message, newest first) is a deployment, and nothing but deployments came after what it deployed.

    Where the source repository is the GitOps repository too, building such a commit would deploy it
    again, and so on. A commit of somebody else that came in between has yet to be built.
    """
    built: set[str] = set()
    for number, (commit, message) in enumerate(history):
        provenance = parse(message)
        if not provenance.deployment:
            return number > 0 and (commit in built or built == {""})
        built.add(provenance.source_commit)
    return bool(history)  # a shallow checkout: further back nothing is known


def default_message(what: str, version: str, *, stage: str = "") -> str:
    """The text for people where the configuration has none: `host/name` of the image and its tag or digest (Piper's words), and the stage."""
    return (
        f"Updated {_clean(what)} to version"
        f" {_clean(version)}{f' in {_clean(stage)}' if stage else ''}"
    )


def _quoted(text: str) -> str:
    """`text` as JSON, cut until it fits into a line; empty for none."""
    text = masked(text)
    while len(quoted := json.dumps(text, ensure_ascii=False)) > _LONGEST:
        text = text[: len(text) // 2]
    return quoted if text else ""


def _clean(value: str) -> str:
    """`value` on one line, without user info in URLs, capped."""
    return _USER_INFO.sub("", _CONTROL.sub(" ", masked(value))).strip()[:_LONGEST].strip()
