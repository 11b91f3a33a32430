"""The table of failures: what may happen to a step at one of the servers that it asks.

A new one is one row in FAILURES.

Servers repeat what they were told as hosts do: whole, decoded, and in the forms that
docs/contract.md says are masked.
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
    """One row: `begin` arranges it at the tap of a prepared run; `killed`: it ends the engine at
    once, and the next run clears away.
    """

    name: str
    begin: Callable[[World, Run, Tap], None]
    killed: bool = False
    bug: bool = False

    def __str__(self) -> str:
        return self.name


# ---- what a server was told, and says again


def told(request: Request) -> str:
    """All that came with a request and may be secret, in each form."""
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
    """Media type and body by which this kind of server says something."""
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
    """Each request with a login, and those without one as ever."""

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
    """In what a client reads to find the token service, and to go on."""

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
    """In headers of which so much is quoted: what is cut of them ends within the secret."""

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
    """The repository's own program, which says what the server knows of the login."""
    secrets = [source.value for source in run.sources if source.name in run.step.uses]
    words = run.folder / "words"
    words.write_text("\n".join(form for secret in secrets for form in _forms(secret)))
    name = str(run.repository.relative_to(world.git.folder)).removesuffix(".git")
    world.git.hook("pre-receive", name, f"cat {words} >&2; exit 1")


def _redirects(world: World, _run: Run, tap: Tap) -> None:
    """To where a login would go if somebody followed without thinking."""
    location = f"{world.taps[STRANGER].url}/v2/"
    tap.instead = lambda _: Answer(status=307, headers={"Location": location}, body=b"")


def _token_service(world: World, run: Run, tap: Tap) -> None:
    """A registry may name any that it likes, unless a trusted layer bounds the hosts
    (docs/trust.md).
    """
    hosts = [host for name, host in world.hosts.items() if name != STRANGER]
    run.environ["PIPER_credentialHosts"] = ",".join(hosts)
    header = {"WWW-Authenticate": f'Bearer realm="{world.taps[STRANGER].url}/token",service="x"'}
    tap.instead = lambda _: Answer(status=401, headers=header, body=b"")


def _once(make: Callable[[Request], Answer]) -> Callable[[World, Run, Tap], None]:
    """The first request with a login."""

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
    """The engine, while the server has a request and no answer is there yet."""

    def begin(world: World, _run: Run, tap: Tap) -> None:
        def on_request(asked: Tap, record: Record) -> None:
            if asked is tap and record.number == nth:
                world.end_engine(number)

        world.on_request = on_request

    return begin


def _bug(_world: World, run: Run, _tap: Tap) -> None:
    """An exception of which nobody has thought, with the secrets in its words that the engine
    was given as they are.
    """
    given = set(run.environ.values())
    words = " ".join(
        source.value
        for source in run.sources
        if source.name in run.step.uses and source.value in given
    )
    run.environ[VARIABLE] = json.dumps({BUG: words})


def _other_password(world: World, run: Run, tap: Tap) -> None:
    """The server, a real one, knows another."""
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
PLACES_OF_FAILURE = tuple((step, tap) for step in STEPS for tap in step.asks)


# What `make test` has the time for: each of them at one server or another, and one of them at every
# second server of a step.
SOME = tuple(
    (FAILURES[number * 17 % len(FAILURES)], *place)
    for number, place in enumerate(PLACES_OF_FAILURE[::2])
)
OTHERS = tuple(
    (failure, *place)
    for failure in FAILURES
    for place in PLACES_OF_FAILURE
    if (failure, *place) not in SOME
)
