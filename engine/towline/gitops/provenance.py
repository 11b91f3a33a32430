"""Pure.

The provenance of a deployment: where it comes from, in the trailers of its commit
(docs/contract.md, "Trailers").

The trailers of a commit message are found as git does (git-interpret-trailers), and appended to
those that the message has. They tell whether the deployment in place comes from a later build of
the same pipeline, behind which an older one must not go back; and, from the commits of the branch,
which images were deployed before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from towline.git.repository_url import host_and_path, public_url
from towline.printable import masked
from towline.record import frozen

_BLANK = re.compile(r"\n(?:[ \t]*\n)+")
_TRAILER = re.compile(r"[A-Za-z0-9-]+[ \t]*:")
_GIT_OWN = ("Signed-off-by: ", "(cherry picked from commit ")
_LARGEST_SKEW = timedelta(minutes=10)  # between two clocks
_CONTROL = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_USER_INFO = re.compile(r"(?<=://)[^/\s]*@")
_LINE = re.compile(r"(Towline-[A-Za-z-]+): (.*)")
_LONGEST_VALUE = 1000
_ARGO = "Argocd-reference-commit"
_COMMIT = re.compile(r"[0-9a-f]{5,64}")
_ARGO_LONGEST_SHA = 40  # Argo CD ignores a longer one
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


def append(text: str, lines: Sequence[str], *, reserved: Sequence[str]) -> str:
    """The message `text` with the trailers `lines` in its last paragraph.

    That is the paragraph of its own trailers, so that git finds all of them, else a new one. Own
    trailers whose names begin with one of `reserved` are removed: they would be taken for `lines`.
    """
    body, own = _split(text.replace("\r\n", "\n").strip())
    remaining = _without(own, reserved)
    paragraphs = [[*remaining, *lines]] if _is_block(remaining) else [remaining, lines]
    return "\n\n".join(part for part in (body, *map("\n".join, paragraphs)) if part) + "\n"


def last_paragraph(message: str) -> list[str]:
    """The lines of a message's last paragraph, which may be its trailers."""
    return _BLANK.split(message.replace("\r\n", "\n").strip())[-1].splitlines()


def _split(text: str) -> tuple[str, list[str]]:
    """The text before the trailers of a message, and the lines of these trailers.

    The first paragraph is the title, never trailers.
    """
    breaks = list(_BLANK.finditer(text))
    if not breaks or not _is_block(lines := text[breaks[-1].end() :].split("\n")):
        return text, []
    return text[: breaks[-1].start()], lines


def _is_block(lines: Sequence[str]) -> bool:
    """Whether git takes a paragraph for trailers.

    It does if all lines are trailers; or if one is a trailer that git itself writes, and there are
    at most three other lines for each trailer. A line that begins with a blank continues the one
    before it; a line that begins with # is a comment, which is not counted.
    """
    trailers = others = indented = 0
    own = False
    for line in reversed(lines):
        if line[:1] in (" ", "\t"):
            indented += 1
            continue
        if line.startswith("#"):
            others, indented = others + indented, 0
            continue
        own = own or line.startswith(_GIT_OWN)
        if line.startswith(_GIT_OWN) or _TRAILER.match(line):
            trailers += 1
        else:
            others += 1 + indented
        indented = 0
    others += indented
    return trailers > 0 and (others == 0 or (own and trailers * 3 >= others))


def _without(lines: Sequence[str], reserved: Sequence[str]) -> list[str]:
    """`lines` without the trailers of these names and their continued lines."""
    remaining, removing = [], False
    for line in lines:
        if line[:1] not in (" ", "\t"):
            removing = line.lower().startswith(tuple(name.lower() for name in reserved))
        if not removing:
            remaining.append(line)
    return remaining


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
            lines += [f"{trailer}: {value}" for value in map(_clean, values) if value]
        return (*lines, *self._for_argo())

    def _for_argo(self) -> Iterator[str]:
        """The trailers by which Argo CD shows the source commit.

        Source: its documentation, Source Hydrator, "Commit Tracing".
        """
        if not _COMMIT.fullmatch(self.source_commit):
            return
        url = _clean(public_url(self.source))
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
            for name, value in zip(values, map(_clean, values.values()), strict=True)
            if value
        )


def compose(text: str, provenance: Provenance) -> str:
    """The whole commit message: `text` for people, then the trailers."""
    return append(text, provenance.trailers(), reserved=_RESERVED)


def parse(message: str) -> Provenance:
    """The provenance in the trailers of a commit message; empty if Towline did not write it."""
    found: dict[str, list[str]] = {}
    for line in last_paragraph(message):
        match = _LINE.fullmatch(line.rstrip())
        if match and match[1] in _TRAILERS:
            found.setdefault(_TRAILERS[match[1]], []).append(match[2])
    images = tuple(found.pop(_IMAGES, ()))
    return Provenance(images=images, **{field: values[-1] for field, values in found.items()})


def is_deployment(history: Sequence[tuple[str, str]]) -> bool:
    """Whether the newest commit is a deployment, and only deployments follow the one it deployed.

    `history` has id and message of each commit, newest first. If the source repository is the
    GitOps repository too, to build such a commit would deploy it again, and so on. A commit of
    somebody else in between has yet to be built.
    """
    built: set[str] = set()
    for number, (commit, message) in enumerate(history):
        provenance = parse(message)
        if not provenance.deployment:
            return number > 0 and (commit in built or built == {""})
        built.add(provenance.source_commit)
    return bool(history)  # a shallow checkout: older commits are unknown


def default_message(image: str, version: str, *, stage: str = "") -> str:
    """The default text, as in Piper: `host/name` of the image, tag or digest, and the stage."""
    return (
        f"Updated {_clean(image)} to version"
        f" {_clean(version)}{f' in {_clean(stage)}' if stage else ''}"
    )


def _quoted(text: str) -> str:
    """`text` as JSON, cut until it fits into a line; empty for an empty text."""
    text = masked(text)
    while len(quoted := json.dumps(text, ensure_ascii=False)) > _LONGEST_VALUE:
        text = text[: len(text) // 2]
    return quoted if text else ""


def _clean(value: str) -> str:
    """`value` on one line, cut, without user info in URLs."""
    return _USER_INFO.sub("", _CONTROL.sub(" ", masked(value))).strip()[:_LONGEST_VALUE].strip()


def needs_history(message: str, ours: Provenance) -> bool:
    """Whether `find_newer` needs more commits than the last one, which has this `message`."""
    return _comparable(ours) and not _same(parse(message), parse(compose("", ours)))


@frozen
class NewerDeployment:
    """A later deployment that is in place: the deployment's name, its commit and provenance."""

    deployment: str
    commit: str
    provenance: Provenance

    @property
    def text(self) -> str:
        """The deployment and its build or source commit, for messages."""
        theirs = self.provenance
        by = (
            f"build {theirs.build_number}"
            if theirs.build_number
            else f"source commit {theirs.source_commit[:12]}"
        )
        return f"{self.deployment} is in place: {by}, commit {self.commit[:12]}"


def is_plausible_time(time: str, now: datetime) -> bool:
    """Whether a commit's time (ISO 8601) is plausible.

    A time in the future comes from a wrong clock, or was made up, and does not tell the order.
    """
    known = _time(time)
    return known is not None and known <= now + _LARGEST_SKEW


def find_newer(
    history: Iterable[tuple[str, str]], ours: Provenance, files: Collection[bytes], *, now: datetime
) -> NewerDeployment | None:
    """The last deployment of the same in `history`, if it is later than ours and still in place.

    `history` has id and message of each commit, newest first, and is read as far as needed. `files`
    are the contents now: if somebody has taken the deployment back, it is no longer in them.
    """
    ours = parse(compose("", ours))  # as it is parsed from a commit
    if not _comparable(ours):
        return None
    for commit, message in history:
        theirs = parse(message)
        if _same(theirs, ours):
            if not _later(theirs, ours, now) or not _in_place(theirs, ours, files):
                return None
            return NewerDeployment(deployment=ours.deployment, commit=commit, provenance=theirs)
    return None


def same_deployment(message: str, ours: Provenance) -> Provenance | None:
    """The provenance in a commit message, if it is of the same deployment as ours; else None."""
    theirs = parse(message)
    return theirs if _same(theirs, parse(compose("", ours))) else None


def _comparable(ours: Provenance) -> bool:
    return bool(_job(ours)[0] or (host_and_path(ours.source) and _time(ours.source_time)))


def _same(theirs: Provenance, ours: Provenance) -> bool:
    """Whether both are deployments of the same in the same stage."""
    return theirs.stage == ours.stage and bool(_names(theirs) & _names(ours))


def _names(provenance: Provenance) -> set[str]:
    return set(provenance.deployment.split(", ")) - {""}


def _later(theirs: Provenance, ours: Provenance, now: datetime) -> bool:
    """Whether theirs is the later build (docs/contract.md, "Trailers").

    Within one job by number, unless the counter has started again: a later commit of the same
    source was built under the lower number then. Between jobs, of two branches for example, by the
    commits of the same source. What is unknown makes nothing later.
    """
    (job, number), (other, later), commits = _job(ours), _job(theirs), _commits(theirs, ours, now)
    if job and job == other:
        return later > number and commits >= 0
    return commits > 0


def _commits(theirs: Provenance, ours: Provenance, now: datetime) -> int:
    """1 if their source commit is later, -1 if ours is; 0 if neither is, or it is unknown."""
    times = [
        _time(one.source_time) for one in (theirs, ours) if is_plausible_time(one.source_time, now)
    ]
    if (
        len(times) < 2
        or not host_and_path(ours.source)
        or host_and_path(theirs.source) != host_and_path(ours.source)
    ):
        return 0
    then, our = times
    assert then
    assert our
    return (then > our) - (then < our)


def _job(provenance: Provenance) -> tuple[str, int]:
    """A name of the build's job, empty if it is unknown, and the build's number.

    If the build's URL ends in the number, the name is the URL without it; else it is the job's name
    and the host of that URL.
    """
    number, url = provenance.build_number, provenance.build.rstrip("/")
    if not re.fullmatch(r"[0-9]{1,18}", number):
        return "", 0
    if url.endswith(f"/{number}"):
        return url.removesuffix(number), int(number)
    host = url.partition("://")[2].partition("/")[0]
    return (f"{provenance.job} {host}", int(number)) if provenance.job and host else ("", 0)


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _in_place(theirs: Provenance, ours: Provenance, files: Collection[bytes]) -> bool:
    """Whether a file contains, by digest or tag, an image that only they have deployed.

    It is true if they have deployed no such image.
    """
    images = [image for image in theirs.images if image not in ours.images]
    return not images or any(_contains(image, data) for image in images for data in files)


def _contains(image: str, data: bytes) -> bool:
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return any(
        re.search(rb"(?<![\w.-])" + re.escape(part.encode()) + rb"(?![\w.-])", data)
        for part in (digest, tag)
        if part
    )


def _unknown() -> Iterable[tuple[str, str]]:
    return ()


class BranchHistory:
    """The deployments before this one, by the branch's history, once that is fetched."""

    def __init__(self) -> None:
        self._history: Callable[[], Iterable[tuple[str, str]]] = _unknown
        self._ours = Provenance()

    def learn(self, history: Callable[[], Iterable[tuple[str, str]]], ours: Provenance) -> None:
        """Set `history` (id and message of each commit, newest first), and our deployment."""
        self._history, self._ours = history, ours

    def images(self) -> tuple[str, ...]:
        """The images of the last deployment of the same in the same stage; none if unknown."""
        return next(self._deployed(), ())

    def _deployed(self) -> Iterator[tuple[str, ...]]:
        return (
            theirs.images
            for _, message in self._history()
            if (theirs := same_deployment(message, self._ours))
        )
