from __future__ import annotations

import gzip
import json

import pytest

from tests.engine.registry.clients import SECRET, TARGET_LOGIN, registry_of
from tests.fakes.registry import FakeRegistry, Status, on
from towline.errors import CredentialError, RegistryError, TowlineError, TransportError
from towline.http.client import Transport
from towline.http.messages import HttpRequest, Response
from towline.image import Repository
from towline.registry.errors import (
    Endpoint,
    login_refused,
    no_repository,
    read_error,
    unexpected_response,
    unreachable,
)


@pytest.fixture
def endpoint(target: FakeRegistry) -> Endpoint:
    return Endpoint(registry=registry_of(target), role="target", login=TARGET_LOGIN)


def answer(
    server: FakeRegistry, transport: Transport, status: int, body: bytes, **headers: str
) -> Response:
    server.fault = on(
        "GET",
        "",
        Status(
            code=status,
            body=body,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        ),
    )
    return transport.request(HttpRequest(method="GET", url=server.url + "/v2/"))


def errors(*entries: object) -> bytes:
    return json.dumps({"errors": entries}).encode()


def test_the_registrys_own_words_are_taken_over(target: FakeRegistry, transport: Transport) -> None:
    body = errors(
        {"code": "DENIED", "message": "quota"},
        {"code": "TAG_INVALID", "message": "immutable", "detail": {"tag": "1"}},
    )
    diagnosis = read_error(answer(target, transport, 400, body))
    assert diagnosis.codes == ("DENIED", "TAG_INVALID")
    assert diagnosis.text == "DENIED: quota; TAG_INVALID: immutable"


@pytest.mark.parametrize(
    ("detail", "told"),
    [
        ("write /data: no space left on device", " (write /data: no space left on device)"),
        ({"Op": "mkdir", "Err": 28}, ' ({"Op": "mkdir", "Err": 28})'),
        ("", ""),
        (None, ""),
        ({}, ""),
    ],
)
def test_beside_an_unknown_error_its_detail_is_taken_over(
    target: FakeRegistry, transport: Transport, detail: object, told: str
) -> None:
    body = errors({"code": "UNKNOWN", "message": "unknown error", "detail": detail})
    assert read_error(answer(target, transport, 400, body)).text == f"UNKNOWN: unknown error{told}"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"errors": 5}',
        b'{"errors": [5, null]}',
        b"[" * 50_000,
        b'{"errors": [' + b" " * 70_000 + b"]}",
    ],
)
def test_a_body_that_says_nothing_gives_no_words(
    target: FakeRegistry, transport: Transport, body: bytes
) -> None:
    assert read_error(answer(target, transport, 400, body)).text == ""


@pytest.mark.parametrize(
    ("body", "kind", "told"),
    [
        (errors({"status": 403, "message": "rejected"}), "application/json", "rejected"),
        (
            b'{"details": "incorrect username or password"}',
            "application/json",
            "incorrect username or password",
        ),
        (b'{"message": "Forbidden"}', "application/json", "Forbidden"),
        (b"[1]", "application/json", ""),
        (
            b"Client sent an HTTP request to an HTTPS server.\n",
            "text/plain; charset=utf-8",
            "Client sent an HTTP request to an HTTPS server.",
        ),
        (
            b"<html><head><title>\n403 Forbidden</title></head></html>",
            "text/html",
            "a web page, '403 Forbidden'",
        ),
        (b"<html></html>", "text/html", ""),
    ],
)
def test_words_in_other_forms_are_taken_over_too(
    target: FakeRegistry, transport: Transport, body: bytes, kind: str, told: str
) -> None:
    assert read_error(answer(target, transport, 400, body, Content_Type=kind)).text == told


def test_words_that_come_packed_are_read(target: FakeRegistry, transport: Transport) -> None:
    body = gzip.compress(errors({"code": "X", "message": "why"}))
    assert (
        read_error(answer(target, transport, 400, body, Content_Encoding="gzip")).text == "X: why"
    )
    assert read_error(answer(target, transport, 400, body, Content_Encoding="br")).text == ""


def test_a_quota_is_no_fault_of_the_login(
    target: FakeRegistry, transport: Transport, endpoint: Endpoint
) -> None:
    said = "adding 10 MiB would exceed the upper limit of 5 MiB"
    body = errors({"code": "DENIED", "message": said})
    fault = unexpected_response(endpoint, answer(target, transport, 403, body), "to store it")
    assert type(fault) is RegistryError
    assert fault.message.endswith(
        f"answers 403 when asked to store it: a limit of the registry is reached: DENIED: {said}"
    )
    assert "it is not the login" in fault.hint


def test_a_web_page_that_forbids_is_perhaps_a_proxy_s(
    target: FakeRegistry, transport: Transport, endpoint: Endpoint
) -> None:
    fault = unexpected_response(
        endpoint,
        answer(target, transport, 403, b"<title>403 Forbidden</title>", Content_Type="text/html"),
        "for x",
    )
    assert type(fault) is CredentialError
    assert fault.message.endswith("for x: a web page, '403 Forbidden'")
    assert "a proxy or a firewall" in fault.hint


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_another_host_says_is_not_about_the_login(
    target: FakeRegistry,
    source: FakeRegistry,
    transport: Transport,
    endpoint: Endpoint,
    status: int,
) -> None:
    fault = unexpected_response(
        endpoint,
        answer(source, transport, status, b"<Error><Code>AccessDenied</Code></Error>"),
        "for app, blob x",
    )
    assert type(fault) is RegistryError
    assert f"stores it at {source.url}, which answers {status}" in fault.message


def test_tls_behind_http_is_named(
    target: FakeRegistry, transport: Transport, endpoint: Endpoint
) -> None:
    for kind, body in (
        ("text/plain", b"Client sent an HTTP request to an HTTPS server."),
        ("text/html", b"<title>400 The plain HTTP request was sent to HTTPS port</title>"),
    ):
        assert (
            "https://"
            in unexpected_response(
                endpoint, answer(target, transport, 400, body, Content_Type=kind), "for x"
            ).hint
        )


def test_words_are_capped_and_cannot_start_a_new_line(
    target: FakeRegistry, transport: Transport
) -> None:
    text = read_error(
        answer(
            target, transport, 400, errors({"code": "X", "message": "a\r\n\x1b[31mb" + "y" * 5000})
        )
    ).text
    assert text.startswith("X: a [31mb")
    assert len(text) == 600


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, CredentialError),
        (403, CredentialError),
        (400, RegistryError),
        (500, RegistryError),
        (302, RegistryError),
    ],
)
def test_a_status_becomes_its_error(
    target: FakeRegistry,
    transport: Transport,
    endpoint: Endpoint,
    status: int,
    kind: type[TowlineError],
) -> None:
    target.fault = on(
        "POST", "", Status(code=status, body=errors({"code": "DENIED", "message": "why"}))
    )
    fault = unexpected_response(
        endpoint, transport.request(HttpRequest(method="POST", url=target.url)), "to store it"
    )
    assert type(fault) is kind
    assert fault.where == target.url
    assert target.host in fault.message
    assert fault.message.endswith("to store it: DENIED: why")


def test_a_limit_of_requests_is_told_with_what_to_raise(
    target: FakeRegistry, transport: Transport, endpoint: Endpoint
) -> None:
    target.fault = on("POST", "", Status(code=413))
    fault = unexpected_response(
        endpoint, transport.request(HttpRequest(method="POST", url=target.url)), "to store it"
    )
    assert "client_max_body_size" in fault.hint


@pytest.mark.parametrize(
    ("status", "detail", "full"),
    [
        (
            500,
            {"DriverName": "filesystem", "Enclosed": {"Op": "write", "Path": "/data", "Err": 28}},
            True,
        ),
        (500, {"Err": 28, "Op": "mkdir"}, True),
        (507, "filesystem: write /data: no space left on device", True),
        (500, {"Op": "write", "Err": 280}, False),
        (500, "denied by quota", False),
        (400, "no space left on device", False),
    ],
)
def test_a_full_disk_is_said_in_words_before_the_registrys_own(
    target: FakeRegistry,
    transport: Transport,
    endpoint: Endpoint,
    status: int,
    detail: object,
    *,
    full: bool,
) -> None:
    target.fault = on(
        "POST",
        "",
        Status(
            code=status,
            body=errors({"code": "UNKNOWN", "message": "unknown error", "detail": detail}),
        ),
    )
    fault = unexpected_response(
        endpoint, transport.request(HttpRequest(method="POST", url=target.url)), "to store it"
    )
    told = detail if isinstance(detail, str) else json.dumps(detail)
    assert fault.message.endswith(
        f"to store it: {'its disk is full: ' if full else ''}UNKNOWN: unknown error ({told})"
    )
    assert ("space" in fault.hint) == full


def test_a_refusal_names_registry_user_and_where_the_user_came_from(
    target: FakeRegistry, endpoint: Endpoint
) -> None:
    fault = login_refused(endpoint, "(GET x)")
    assert (
        fault.message == f"the target registry {target.host} refuses user 'pusher' (from"
        " PIPER_targetRegistryPassword) (GET x)"
    )
    assert "PIPER_targetRegistryPassword" in fault.hint
    assert SECRET not in fault.message + fault.hint + fault.where + repr(endpoint)


def test_a_refusal_without_a_user_says_what_to_configure(target: FakeRegistry) -> None:
    fault = login_refused(
        Endpoint(registry=registry_of(target), role="source", login=None), "(GET x)"
    )
    assert "a request without a user" in fault.message
    assert "dockerConfigJSON" in fault.hint


def test_an_unreachable_source_hints_at_staging_and_a_target_does_not(
    target: FakeRegistry, endpoint: Endpoint
) -> None:
    source = Endpoint(registry=endpoint.registry, role="source", login=None)
    fault = TransportError("connection refused", where=target.url)
    assert "Build has to run again" in unreachable(source, fault).hint
    assert "Build" not in unreachable(endpoint, fault).hint
    assert (
        unreachable(endpoint, fault).message
        == f"the target registry {target.host} cannot be reached: connection refused"
    )


def test_a_fault_at_another_host_names_that_host(endpoint: Endpoint) -> None:
    fault = unreachable(
        endpoint, TransportError("no answer in time", where="https://cdn.example.net")
    )
    assert "(at https://cdn.example.net)" in fault.message
    assert fault.where == str(endpoint.registry)


def test_a_missing_repository_is_to_be_created(endpoint: Endpoint) -> None:
    fault = no_repository(endpoint, Repository(registry=endpoint.registry, name="team/app"))
    assert "'team/app' does not exist on the target registry" in fault.message
    assert fault.hint.startswith("create it there")
