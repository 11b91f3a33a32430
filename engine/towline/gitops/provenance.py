"""Pure.

The provenance of a deployment: where it comes from, in the trailers of its commit
(docs/contract.md, "Trailers").
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from towline.git.remote import public_url
from towline.printable import masked
from towline.record import frozen

_CONTROL = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_USER_INFO = re.compile(r"(?<=://)[^/\s]*@")
_LINE = re.compile(r"(Towline-[A-Za-z-]+): (.*)")
_LONGEST_VALUE = 1000
_ARGO = "Argocd-reference-commit"
_COMMIT = re.compile(r"[0-9a-f]{5,64}")
_ARGO_LONGEST_SHA = 40  # Argo CD ignores a longer one
_IMAGES = "images"
# Trailers of these names are Towline's own in a commit message.
RESERVED_TRAILERS = ("Towline-", _ARGO)
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


@frozen
class Provenance:
    """The provenance in a deployment's commit; a part that is unknown is empty and has no line.

    Author (RFC 5322), date, subject and body of the source commit are for Argo CD alone, and are
    not parsed.
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
        """The trailers, in the contract's order; each value is one line without user info."""
        lines = []
        for trailer, field in _TRAILERS.items():
            values: tuple[str, ...] = self.images if field == _IMAGES else (getattr(self, field),)
            values = tuple(map(public_url, values)) if field == "source" else values
            lines += [f"{trailer}: {value}" for value in map(one_line, values) if value]
        return (*lines, *self._for_argo())

    def _for_argo(self) -> Iterator[str]:
        """The trailers by which Argo CD shows the source commit.

        Source: its documentation, Source Hydrator, "Commit Tracing".
        """
        if not _COMMIT.fullmatch(self.source_commit):
            return
        url = one_line(public_url(self.source))
        sha = self.source_commit if len(self.source_commit) <= _ARGO_LONGEST_SHA else ""
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
            for name, value in zip(values, map(one_line, values.values()), strict=True)
            if value
        )


def parse_trailers(lines: Sequence[str]) -> Provenance:
    """The provenance in the trailers of a commit message; empty if Towline did not write them."""
    found: dict[str, list[str]] = {}
    for line in lines:
        match = _LINE.fullmatch(line.rstrip())
        if match and match[1] in _TRAILERS:
            found.setdefault(_TRAILERS[match[1]], []).append(match[2])
    images = tuple(found.pop(_IMAGES, ()))
    return Provenance(images=images, **{field: values[-1] for field, values in found.items()})


def _quoted(text: str) -> str:
    """`text` as JSON, cut until it fits into a line; empty for an empty text."""
    text = masked(text)
    while len(quoted := json.dumps(text, ensure_ascii=False)) > _LONGEST_VALUE:
        text = text[: len(text) // 2]
    return quoted if text else ""


def one_line(value: str) -> str:
    """`value` on one line, cut, without user info in URLs."""
    return _USER_INFO.sub("", _CONTROL.sub(" ", masked(value))).strip()[:_LONGEST_VALUE].strip()
