"""Pure.

Where a deployment comes from, as trailers of its commit: the one definition of docs/contract.md,
"Trailers".

The trailers of a commit message, as git finds them (git-interpret-trailers), and more of them put
to those that are there.

Whether what is in place comes from a later build of the same pipeline: then a deployment must not
go back to an older one.

What was deployed here before, by the commits of the branch: asked for only if nothing else tells
whose a place is.
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


def append(text: str, lines: Sequence[str], *, reserved: Sequence[str]) -> str:
    """The message `text` with `lines` in its last paragraph: in the one of its own trailers, so that git finds all of them, else in a new one.

    Trailers of `text` whose names begin with one of `reserved` are left out: they would be taken
    for what `lines` say.
    """
    body, own = _split(text.replace("\r\n", "\n").strip())
    kept = _without(own, reserved)
    paragraphs = [[*kept, *lines]] if _is_block(kept) else [kept, lines]
    return "\n\n".join(part for part in (body, *map("\n".join, paragraphs)) if part) + "\n"


def last_paragraph(message: str) -> list[str]:
    """The lines of a message's last paragraph, in which its trailers are."""
    return _BLANK.split(message.replace("\r\n", "\n").strip())[-1].splitlines()


def _split(text: str) -> tuple[str, list[str]]:
    """What comes before the trailers of a message, and their lines; the first paragraph is its title, never trailers."""
    breaks = list(_BLANK.finditer(text))
    if not breaks or not _is_block(lines := text[breaks[-1].end() :].split("\n")):
        return text, []
    return text[: breaks[-1].start()], lines


def _is_block(lines: Sequence[str]) -> bool:
    """Whether git takes a paragraph for trailers: nothing but these, or one that git itself writes, and three other lines at most for each.

    A line that begins with a blank goes on with the one before it; one that begins with # is a
    comment, which counts for nothing.
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
    """`lines` without the trailers of these names, and what they go on with."""
    kept, leaving = [], False
    for line in lines:
        if line[:1] not in (" ", "\t"):
            leaving = line.lower().startswith(tuple(name.lower() for name in reserved))
        if not leaving:
            kept.append(line)
    return kept


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


@frozen
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
            values = tuple(map(public_url, values)) if field == "source" else values
            lines += [f"{trailer}: {value}" for value in map(_clean, values) if value]
        return (*lines, *self._for_argo())

    def _for_argo(self) -> Iterator[str]:
        """The lines by which Argo CD shows the source commit (its documentation: Source Hydrator, "Commit Tracing")."""
        if not _COMMIT.fullmatch(self.source_commit):
            return
        url = _clean(public_url(self.source))
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


_SKEW = timedelta(minutes=10)  # between two clocks


def needs_history(message: str, ours: Provenance) -> bool:
    """Whether it takes the commits before the last one, of this message, to tell what `find_newer` asks."""
    return _comparable(ours) and not _same(parse(message), parse(compose("", ours)))


@frozen
class NewerDeployment:
    """A later deployment that is in place: what it and ours both deploy, its commit, and what that says of itself."""

    deployment: str
    commit: str
    provenance: Provenance

    @property
    def text(self) -> str:
        """The deployment and what it comes from, for people."""
        theirs = self.provenance
        by = (
            f"build {theirs.build_number}"
            if theirs.build_number
            else f"source commit {theirs.source_commit[:12]}"
        )
        return f"{self.deployment} is in place: {by}, commit {self.commit[:12]}"


def is_plausible_time(time: str, now: datetime) -> bool:
    """Whether a commit's time (ISO 8601) can be: one in the future comes from a clock that is wrong, or was made up, and says nothing about the order."""
    known = _time(time)
    return known is not None and known <= now + _SKEW


def find_newer(
    history: Iterable[tuple[str, str]], ours: Provenance, files: Collection[bytes], *, now: datetime
) -> NewerDeployment | None:
    """The last deployment of ours in `history` (id and message, newest first), where it is a later one and `files` still hold it.

    Where somebody has taken it back since, by hand for example, it is no longer in place. `history`
    is read no further than needed.
    """
    ours = parse(compose("", ours))  # as it would be read again
    same = (
        (commit, theirs) for commit, message in history if _same(theirs := parse(message), ours)
    )
    commit, theirs = next(same, ("", ours)) if _comparable(ours) else ("", ours)
    if not commit or not _later(theirs, ours, now) or not _in_place(theirs, ours, files):
        return None
    return NewerDeployment(deployment=ours.deployment, commit=commit, provenance=theirs)


def same_deployment(message: str, ours: Provenance) -> Provenance | None:
    """What a commit's message says of a deployment of ours; None for any other commit."""
    theirs = parse(message)
    return theirs if _same(theirs, parse(compose("", ours))) else None


def _comparable(ours: Provenance) -> bool:
    return bool(_job(ours)[0] or (host_and_path(ours.source) and _time(ours.source_time)))


def _same(theirs: Provenance, ours: Provenance) -> bool:
    """Whether both deploy the same in the same stage."""
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
    """1 where their commit is the later one, -1 where ours is; 0 where both are of one time, or it cannot be told."""
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
    """What names the build's job, and the build's number; no name where that is unknown.

    The job's URL is that of the build without the number, where it ends in that; else the job has a
    name on the CI system at the build's URL.
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
    """Whether one of the images that only they have deployed stands in one of the files, by digest or tag; true where it cannot be told."""
    images = [image for image in theirs.images if image not in ours.images]
    return not images or any(_stands(image, data) for image in images for data in files)


def _stands(image: str, data: bytes) -> bool:
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
    """The history of the branch that is being changed, once it is known."""

    def __init__(self) -> None:
        self._history: Callable[[], Iterable[tuple[str, str]]] = _unknown
        self._ours = Provenance()

    def learn(self, history: Callable[[], Iterable[tuple[str, str]]], ours: Provenance) -> None:
        """Look from now on into `history` (id and message, newest first), for the deployment `ours`."""
        self._history, self._ours = history, ours

    def images(self) -> tuple[str, ...]:
        """The images of the last deployment of the same in the same stage; none where there was none, or it is not known."""
        return next(self._deployed(), ())

    def _deployed(self) -> Iterator[tuple[str, ...]]:
        return (
            theirs.images
            for _, message in self._history()
            if (theirs := same_deployment(message, self._ours))
        )
