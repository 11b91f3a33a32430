"""SSH keys as ssh-keygen writes them, and after a form has changed their line ends."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.fakes.ssh_server import make_key
from towline.errors import CredentialError
from towline.git.remote import parse_ssh_key

needs_keygen = pytest.mark.skipif(
    not shutil.which("ssh-keygen"), reason="no ssh-keygen here: install openssh-client"
)
PEM = "-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----\n"


@needs_keygen
@pytest.mark.parametrize(("kind", "form"), [("ed25519", ""), ("rsa", "PEM"), ("ecdsa", "PKCS8")])
def test_a_key_in_any_format_is_kept_as_it_is(tmp_path: Path, kind: str, form: str) -> None:
    text = make_key(tmp_path / "key", kind=kind, form=form)
    assert parse_ssh_key(text).private == text


@needs_keygen
@pytest.mark.parametrize(("kind", "form"), [("ed25519", ""), ("rsa", "PEM"), ("ecdsa", "PKCS8")])
def test_a_key_behind_a_passphrase_is_refused_in_any_format(
    tmp_path: Path, kind: str, form: str
) -> None:
    with pytest.raises(CredentialError) as caught:
        parse_ssh_key(
            make_key(tmp_path / "key", passphrase="very secret", kind=kind, form=form),
            origin="PIPER_gitSshPrivateKey",
        )
    assert "protected by a passphrase" in caught.value.message
    assert caught.value.where == "PIPER_gitSshPrivateKey"


@pytest.mark.parametrize(
    "shape",
    [
        str.strip,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "".join(f"  {line}\n" for line in text.splitlines()),
    ],
)
def test_line_ends_and_blanks_that_a_form_has_changed_are_mended(shape: object) -> None:
    text = PEM.format(kind="OPENSSH ", body="AAAA\nBBBB")
    assert callable(shape)
    assert parse_ssh_key(shape(text)).private == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssh-ed25519 AAAA me@here",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        "/etc/passwd",
        "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----",
    ],
)
def test_what_is_no_private_key_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(CredentialError) as caught:
        parse_ssh_key(text)
    assert "is not a private key" in caught.value.message
    assert not text or text not in str(caught.value)


def test_the_key_is_not_shown() -> None:
    key = parse_ssh_key(
        PEM.format(kind="RSA ", body="secretsecret"), known_hosts="a ssh-rsa AAAA", origin="x"
    )
    assert (key.known_hosts, key.origin) == ("a ssh-rsa AAAA", "x")
    assert "secretsecret" not in repr(key)
