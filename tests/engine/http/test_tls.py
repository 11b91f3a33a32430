from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest

from tests.fakes.authority import Authority, Issued, openssl
from tests.fakes.registry import FakeRegistry
from towline.errors import ConfigError
from towline.http.tls import ClientCertificate, Tls, speaks_tls


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    return Authority(tmp_path_factory.mktemp("ca")).issue("client")


def client(certificate: Path, key: Path) -> Tls:
    return Tls(
        clients={
            "registry.example.com": ClientCertificate(
                certificate=certificate, key=key, where="PIPER_clientCertificates"
            )
        }
    )


def test_hosts_without_settings_share_a_context_that_verifies() -> None:
    tls = Tls(insecure=["other.example.com:5000"])
    assert tls.context("a.example.com") is tls.context("b.example.com:5000")
    assert (tls.context("a").verify_mode, tls.context("a").check_hostname) == (
        ssl.CERT_REQUIRED,
        True,
    )


def test_what_makes_a_certificate_valid_does_not_depend_on_the_agents_python() -> None:
    """RFC 5280 asks of an authority what many do not have, a key usage for example; Python
    checks that from 3.13 on, git and curl never.
    """
    assert not Tls().context("registry.example.com").verify_flags & ssl.VERIFY_X509_STRICT


def test_verification_is_off_for_the_host_and_port_that_are_spelled_out_and_no_other() -> None:
    tls = Tls(insecure=["Other.example.com:5000", "plain.example.com"])
    assert tls.context("other.example.com:5000").verify_mode == ssl.CERT_NONE
    assert tls.context("plain.example.com:443").verify_mode == ssl.CERT_NONE
    for host in (
        "other.example.com",
        "other.example.com:5001",
        "a.plain.example.com",
        "plain.example.com:8443",
    ):
        assert tls.context(host).verify_mode == ssl.CERT_REQUIRED


def test_a_client_certificate_is_for_its_host_alone(issued: Issued) -> None:
    tls = client(issued.certificate, issued.key)
    assert tls.context("registry.example.com") is not tls.context("auth.example.com")
    assert tls.context("registry.example.com").post_handshake_auth


def test_certificate_and_key_may_be_one_file(issued: Issued, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(issued.key.read_bytes() + issued.certificate.read_bytes())
    client(both, both).context("registry.example.com")


@pytest.mark.parametrize("fault", ["gone", "no key", "other key", "text", "encrypted"])
def test_a_client_certificate_that_cannot_be_used_is_an_error_that_names_it(
    issued: Issued, tmp_path: Path, fault: str
) -> None:
    text, locked = tmp_path / "text.pem", tmp_path / "locked.key"
    text.write_text("nothing")
    if fault == "encrypted":
        openssl("pkcs8", "-topk8", "-in", issued.key, "-out", locked, "-passout", "pass:hunter2")
    key = {
        "gone": tmp_path / "gone.key",
        "no key": issued.certificate,
        "text": text,
        "encrypted": locked,
    }.get(fault)
    with pytest.raises(ConfigError) as caught:
        client(issued.certificate, key or Authority(tmp_path).issue("other").key).context(
            "registry.example.com"
        )
    assert str(issued.certificate) in caught.value.message
    assert caught.value.where == "PIPER_clientCertificates"


@pytest.mark.parametrize("ask", [False, True])
def test_a_port_that_speaks_tls_is_known_whatever_its_certificate(
    tmp_path: Path, *, ask: bool
) -> None:
    authority = Authority(tmp_path)
    server = FakeRegistry()
    server.tls = authority.issue("nobody").server(clients=authority.certificate if ask else None)
    with server:
        assert speaks_tls(("127.0.0.1", server.port), name="127.0.0.1", seconds=60)
    assert not speaks_tls(("127.0.0.1", server.port), name="127.0.0.1", seconds=60)


def test_a_port_that_speaks_http_or_nothing_is_none(tmp_path: Path) -> None:
    with FakeRegistry() as server:
        assert not speaks_tls(("127.0.0.1", server.port), name="127.0.0.1", seconds=60)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not speaks_tls(("127.0.0.1", silent.getsockname()[1]), name="127.0.0.1", seconds=0.2)
