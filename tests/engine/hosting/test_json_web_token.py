"""Each signer makes the same token; a key that one cannot use ends in the same error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import urlsafe_b64decode
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.authority import openssl
from tests.fakes.rsa_keys import rsa_key
from tests.missing import lack
from tests.signers import OPENSSL, SIGNERS, without_library
from towline import dispatch
from towline.errors import CredentialError, MachineError
from towline.hosting.json_web_token import signed

ORIGIN = "PIPER_githubAppPrivateKey"
CLAIMS = {"iat": 1700000000, "exp": 1700000600, "iss": "4711"}
Sign = Callable[[str], str]


def part(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def environ(folder: Path, *, path: str = "") -> dict[str, str]:
    return {"PATH": path or os.environ["PATH"], "TMPDIR": str(folder)}


@pytest.fixture(params=SIGNERS)
def sign(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sign:
    """Sign the claims with a key, by one signer."""
    path = ""
    if request.param == OPENSSL:
        without_library(monkeypatch)
    else:
        (tmp_path / "empty").mkdir()
        path = str(tmp_path / "empty")
    (tmp_path / "temporary").mkdir()

    def sign(key: str) -> str:
        told = environ(tmp_path / "temporary", path=path)
        try:
            return signed(CLAIMS, key, origin=ORIGIN, environ=told)
        finally:
            assert list((tmp_path / "temporary").iterdir()) == []

    return sign


def in_pkcs8(key: str) -> str:
    return openssl("pkcs8", "-topk8", "-nocrypt", stdin=key.encode()).decode()


@pytest.mark.parametrize("bits", [1024, 2048])
@pytest.mark.parametrize("form", [str, in_pkcs8])
def test_header_claims_and_signature_are_the_same_by_each_signer(
    sign: Sign, form: Callable[[str], str], bits: int, tmp_path: Path
) -> None:
    """RS256 is deterministic, so openssl's own signature of the text is the expected one."""
    made = rsa_key(bits=bits)
    (tmp_path / "key.pem").write_text(made.private)
    text, _, signature = sign(form(made.private)).rpartition(".")
    head, body = text.split(".")
    assert "=" not in text + signature
    assert json.loads(part(head)) == {"alg": "RS256", "typ": "JWT"}
    assert json.loads(part(body)) == CLAIMS
    assert part(signature) == openssl(
        "dgst", "-sha256", "-sign", tmp_path / "key.pem", stdin=text.encode()
    )


def swapped(key: str) -> str:
    lines = key.splitlines()
    return "\n".join([*lines[:1], lines[2], lines[1], *lines[3:]])


def with_sign(sign: str) -> str:
    """A key whose second line of base64 begins with another sign."""
    lines = rsa_key().private.splitlines()
    return "\n".join([*lines[:2], sign + lines[2][1:], *lines[3:]])


UNFIT: dict[str, Callable[[], str]] = {
    "empty": lambda: "",
    "no key": lambda: "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
    "lines swapped": lambda: swapped(rsa_key().private),
    "cut off": lambda: rsa_key().private[:800],
    "a sign of no alphabet": lambda: with_sign("ä"),
    "bytes of no encoding": lambda: with_sign("\udcff"),
    "behind a passphrase": lambda: openssl(
        "rsa", "-aes128", "-passout", "pass:secret", stdin=rsa_key().private.encode()
    ).decode(),
    "public": lambda: rsa_key().public,
    "Ed25519": lambda: openssl("genpkey", "-algorithm", "ed25519").decode(),
}


@pytest.mark.parametrize("name", UNFIT)
def test_a_key_that_cannot_sign_is_refused_and_does_not_show_itself(
    sign: Sign, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    key = UNFIT[name]()
    with pytest.raises(CredentialError, match="cannot sign") as caught:
        sign(key)
    fault = caught.value
    assert (fault.where, fault.exit_code) == (ORIGIN, 4)
    assert "as a .pem file" in fault.hint
    assert (fault.__cause__, fault.__context__) == (None, None), (
        "a library's error may quote the key"
    )
    assert capfd.readouterr() == ("", "")


def test_one_byte_more_than_a_key_may_have_is_refused(sign: Sign) -> None:
    longest = rsa_key().private.ljust(8 * 1024, "\n")
    assert sign(longest)
    with pytest.raises(CredentialError, match="cannot sign"):
        sign(f"{longest}\n")


@pytest.mark.parametrize("package", ["jwt", "cryptography"])
def test_openssl_signs_where_half_of_the_library_is_missing(
    package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lack(monkeypatch, package, "towline.hosting.jwt_library")
    with pytest.raises(ImportError):
        dispatch.part("jwt_library")
    token = signed(CLAIMS, rsa_key().private, origin=ORIGIN, environ=environ(tmp_path))
    assert token.count(".") == 2
    with pytest.raises(MachineError) as caught:
        signed(CLAIMS, rsa_key().private, origin=ORIGIN, environ=environ(tmp_path, path="/none"))
    assert caught.value.exit_code == 9
    assert "PyJWT" in caught.value.message
    assert "openssl" in caught.value.message
    assert "extra `github-app`" in caught.value.hint
    assert "`openssl`" in caught.value.hint


def test_the_library_is_loaded_to_sign_and_not_before(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(rsa_key().private)
    program = (
        "import sys; from pathlib import Path; import towline.steps.deployment.app_login;"
        "from towline.hosting.json_web_token import signed;"
        "print(*{'jwt', 'cryptography'} & set(sys.modules));"
        "signed({}, Path('key.pem').read_text(), origin='', environ={});"
        "print(*sorted({'jwt', 'cryptography'} & set(sys.modules)))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert said == "\ncryptography jwt\n"
