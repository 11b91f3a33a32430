"""The table of failures: what a server does wrong to a step that sends it requests.

A new failure is one row in FAILURES.

Servers repeat the secrets that they were sent as real hosts do: whole, decoded, and in the forms
that docs/contract.md says are masked.
"""

from __future__ import annotations

import base64
import html
import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

from tests.fakes.serve import Answer, CutAnswer, Fault, Record, Request
from tests.leaks.given import GITHUB, STAGING, STRANGER, TARGET, VAULT
from tests.leaks.planted import BUG, VARIABLE
from tests.leaks.run import Run
from tests.leaks.steps import STEPS
from tests.leaks.tap import Instead, Tap
from tests.leaks.world import World


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One row of the table.

    `begin` arranges the failure at the tap of a prepared run. `killed`: the failure kills the
    engine at once, and the next run removes what is left.
    """

    name: str
    begin: Callable[[World, Run, Tap], None]
    killed: bool = False
    bug: bool = False

    def __str__(self) -> str:
        return self.name


# ---- servers that repeat what they received


def told(request: Request) -> str:
    """All parts of a request that may be secret, in each form."""
    headers = [request.headers.get(name, "") for name in ("authorization", "x-vault-token")]
    found = [text.encode("latin-1").decode("utf-8", "replace") for text in headers]
    scheme, _, value = found[0].partition(" ")
    if scheme.lower() == "basic":
        user, _, password = base64.b64decode(value).decode().partition(":")
        found += [f"{user}:{password}", password]
    found += [value, request.body.decode("utf-8", "replace")[:4000]]
    return "; ".join(form for text in dict.fromkeys(filter(None, found)) for form in _forms(text))


def _forms(text: str) -> Iterator[str]:
    data = text.encode()
    yield from (
        text,
        quote(text, safe=""),
        json.dumps(text),
        html.escape(text),
        data.hex(),
        text.upper(),
    )
    yield from (base64.b64encode(before + data).decode() for before in (b"", b"x", b"xy"))


def _said(tap: Tap, text: str) -> tuple[str, bytes]:
    """The media type and the body in which this kind of server sends a text."""
    kinds = {
        VAULT: {"errors": [text], "warnings": [text]},
        GITHUB: {"message": text, "documentation_url": f"https://docs.example.com/?{text}"},
        STAGING: {"errors": [{"code": "DENIED", "message": text, "detail": {"was": text}}]},
    }
    kinds[TARGET] = kinds[STAGING]
    if tap.name in kinds:
        return "application/json", json.dumps(kinds[tap.name]).encode()
    return "text/plain; charset=utf-8", text.encode()


def _has_login(request: Request) -> bool:
    login = {"authorization", "x-vault-token"} & request.headers.keys()
    return bool(login) or request.path.endswith("/login")


def _answers(status: int, *, repeats: bool, **headers: str) -> Callable[[World, Run, Tap], None]:
    """Answer each request that has a login with `status`; the others as usual."""

    def begin(_world: World, _run: Run, tap: Tap) -> None:
        def instead(request: Request) -> Answer | None:
            if not _has_login(request):
                return None
            kind, body = _said(tap, told(request) if repeats else "no")
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return Answer(status=status, headers={"Content-Type": kind, **named}, body=body)

        tap.instead = instead

    return begin


def _in_headers(world: World, _run: Run, tap: Tap) -> None:
    """Repeat the request in the headers that lead a client to a token service or a redirect."""

    def instead(request: Request) -> Answer | None:
        if not _has_login(request):
            return None
        text = quote(told(request)[:1500])
        challenge = f'Bearer realm="http://{tap.host}/token/{text}",error_description="{text}"'
        headers = {
            "WWW-Authenticate": challenge,
            "Location": f"http://{tap.host}/moved/{text}?{text}",
        }
        return Answer(status=401, headers={**headers, "Retry-After": text}, body=b"")

    tap.instead = instead


def _in_headers_of_success(**room: int) -> Callable[[World, Run, Tap], None]:
    """Repeat the login in headers, so that a quote of `room` bytes ends within the secret."""

    def begin(_world: World, _run: Run, tap: Tap) -> None:
        def instead(request: Request) -> Answer | None:
            if not _has_login(request):
                return None
            login = request.headers.get("authorization", "") or request.headers.get(
                "x-vault-token", ""
            )
            text = quote(login)
            headers = {
                name.replace("_", "-"): "x" * (most - len(text) // 2) + text
                for name, most in room.items()
            }
            return Answer(status=200, headers=headers, body=b'{"schemaVersion": 2}')

        tap.instead = instead

    return begin


def _refuses_push(world: World, run: Run, _tap: Tap) -> None:
    """Let a hook of the repository refuse the push and print the login that the server knows."""
    secrets = [source.value for source in run.sources if source.name in run.step.uses]
    words = run.folder / "words"
    words.write_text("\n".join(form for secret in secrets for form in _forms(secret)))
    name = str(run.repository.relative_to(world.git.folder)).removesuffix(".git")
    world.git.hook("pre-receive", name, f"cat {words} >&2; exit 1")


def _redirects(world: World, _run: Run, tap: Tap) -> None:
    """Redirect to a server that gets the login if a client follows without a check."""
    location = f"{world.taps[STRANGER].url}/v2/"
    tap.instead = lambda _: Answer(status=307, headers={"Location": location}, body=b"")


def _token_service(world: World, run: Run, tap: Tap) -> None:
    """Name a token service on a stranger's host.

    A registry may name any host unless a trusted layer bounds the hosts (docs/trust.md).
    """
    hosts = [host for name, host in world.hosts.items() if name != STRANGER]
    run.environ["PIPER_credentialHosts"] = ",".join(hosts)
    header = {"WWW-Authenticate": f'Bearer realm="{world.taps[STRANGER].url}/token",service="x"'}
    tap.instead = lambda _: Answer(status=401, headers=header, body=b"")


def _once(make: Callable[[Request], Answer]) -> Callable[[World, Run, Tap], None]:
    """Answer the first request that has a login with `make`."""

    def begin(_world: World, _run: Run, tap: Tap) -> None:
        tap.instead = _first(make)

    return begin


def _first(make: Callable[[Request], Answer]) -> Instead:
    left = iter([True])

    def instead(request: Request) -> Answer | None:
        return make(request) if _has_login(request) and next(left, False) else None

    return instead


def _down(world: World, run: Run, tap: Tap) -> None:
    def make(request: Request) -> Answer:
        kind, body = _said(tap, told(request))
        return Answer(status=503, headers={"Content-Type": kind, "Retry-After": "0"}, body=body)

    _once(make)(world, run, tap)


def _cut(_world: World, _run: Run, tap: Tap) -> None:
    left = iter([True])

    def fault(record: Record) -> Fault | None:
        return CutAnswer(after=None) if record.authorization and next(left, False) else None

    tap.fault = fault


def _ends(number: signal.Signals, nth: int) -> Callable[[World, Run, Tap], None]:
    """Send the engine a signal while the server has its request and has not answered yet."""

    def begin(world: World, _run: Run, tap: Tap) -> None:
        def on_request(asked: Tap, record: Record) -> None:
            if asked is tap and record.number == nth:
                world.end_engine(number)

        world.on_request = on_request

    return begin


def _bug(_world: World, run: Run, _tap: Tap) -> None:
    """Raise an unexpected exception whose text has the secrets of the engine's variables."""
    given = set(run.environ.values())
    words = " ".join(
        source.value
        for source in run.sources
        if source.name in run.step.uses and source.value in given
    )
    run.environ[VARIABLE] = json.dumps({BUG: words})


def _other_password(world: World, run: Run, tap: Tap) -> None:
    """Let the server, which is a real one, expect another password."""
    world.forget_passwords()


FAILURES = (
    Failure(name="knows another password", begin=_other_password),
    Failure(name="refuses", begin=_answers(401, repeats=False, WWW_Authenticate='Basic realm="x"')),
    Failure(name="refuses and repeats", begin=_answers(403, repeats=True)),
    Failure(name="breaks and repeats", begin=_answers(400, repeats=True)),
    Failure(name="says it worked and repeats", begin=_answers(200, repeats=True)),
    Failure(name="is down once and repeats", begin=_down),
    Failure(name="repeats in headers", begin=_in_headers),
    Failure(name="is cut", begin=_cut),
    Failure(name="redirects to a stranger", begin=_redirects),
    Failure(name="wants the login at a stranger's", begin=_token_service),
    Failure(name="repeats in how it is packed", begin=_in_headers_of_success(Content_Encoding=40)),
    Failure(
        name="repeats in what it is",
        begin=_in_headers_of_success(Content_Type=100, Docker_Content_Digest=80, Link=60, ETag=60),
    ),
    Failure(name="refuses the push and repeats", begin=_refuses_push),
    Failure(name="ends at the first request", begin=_ends(signal.SIGTERM, 0)),
    Failure(name="ends at the second request", begin=_ends(signal.SIGTERM, 1)),
    Failure(name="ends at the fifth request", begin=_ends(signal.SIGTERM, 4)),
    Failure(name="is killed at the first request", begin=_ends(signal.SIGKILL, 0), killed=True),
    Failure(name="is killed at the third request", begin=_ends(signal.SIGKILL, 2), killed=True),
    Failure(name="is a bug", begin=_bug, bug=True),
)
FAILURE_POINTS = tuple((step, tap) for step in STEPS for tap in step.asks)


# `make test` has the time for some: each failure at one server, and one failure at every
# second server of a step.
SOME = tuple(
    (FAILURES[number * 17 % len(FAILURES)], *point)
    for number, point in enumerate(FAILURE_POINTS[::2])
)
OTHERS = tuple(
    (failure, *point)
    for failure in FAILURES
    for point in FAILURE_POINTS
    if (failure, *point) not in SOME
)
