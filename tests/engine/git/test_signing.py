"""Signatures are verified by the programs of those who read them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.fakes.git_server import GitServer
from tests.fakes.ssh_server import make_key
from towline.errors import CredentialError, MachineError
from towline.git.remote import parse_remote
from towline.git.repository import Author, Repository
from towline.git.signing import GPG, SSH, SigningKey, signing


def gpg(home: Path, *words: str, stdin: str = "") -> str:
    """What gpg prints; the agent that it starts in its home is ended."""
    home.mkdir(mode=0o700, exist_ok=True)
    own = {"GNUPGHOME": str(home), "PATH": os.environ["PATH"]}
    try:
        return subprocess.run(["gpg", "--batch", "--no-tty", *words], input=stdin, env=own, text=True, capture_output=True, check=True).stdout
    finally:
        subprocess.run(["gpgconf", "--kill", "gpg-agent"], env=own, check=True)


def make_gpg_home(home: Path) -> Path:
    """A home of gpg with one key."""
    gpg(home, "--passphrase", "", "--pinentry-mode", "loopback", "--quick-generate-key", "Deployer <deployer@example.com>", "ed25519", "sign", "never")
    return home


@pytest.fixture
def gpg_home(tmp_path: Path) -> Path:
    return make_gpg_home(tmp_path / "people")


def committed(server: GitServer, environ: Mapping[str, str], key: SigningKey) -> Path:
    bare = server.create("demo", {"a": b"1"})
    with Repository(parse_remote(server.url("demo")), environ=environ) as repository:
        tip = repository.fetch("main")
        author = Author(name="Deployer", email="deployer@example.com", key=key)
        commit = repository.commit(tip, {"a": b"2"}, message="Signed", author=author)
        assert repository.push(commit, tip).done
    return bare


def test_a_commit_is_signed_by_an_ssh_key(server: GitServer, environ: Mapping[str, str], temporary: Path, tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    bare = committed(server, environ, SigningKey(private=key, format=SSH))
    signers = tmp_path / "signers"
    signers.write_text(f"deployer@example.com {(tmp_path / 'key.pub').read_text()}")
    verify = ["git", f"--git-dir={bare}", "-c", f"gpg.ssh.allowedSignersFile={signers}", "verify-commit", "-v", "main"]
    done = subprocess.run(verify, env=server.environment, capture_output=True, text=True, check=False)
    assert (done.returncode, 'Good "git" signature for deployer@example.com' in done.stderr) == (0, True), done.stderr
    assert server.git("log", "-1", "--format=%ae %ce", "main", repository=bare).split() == ["deployer@example.com"] * 2
    assert list(temporary.iterdir()) == []


def test_a_commit_is_signed_by_a_gnupg_key_and_no_agent_stays(
    server: GitServer, environ: Mapping[str, str], temporary: Path, gpg_home: Path,
) -> None:
    secret = gpg(gpg_home, "--export-secret-keys", "--armor", "--passphrase", "", "--pinentry-mode", "loopback")
    bare = committed(server, environ, SigningKey(private=secret, format=GPG))
    done = subprocess.run(["git", f"--git-dir={bare}", "verify-commit", "main"], env={**server.environment, "GNUPGHOME": str(gpg_home)}, capture_output=True,
                          text=True, check=False)
    assert (done.returncode, 'Good signature from "Deployer <deployer@example.com>"' in done.stderr) == (0, True), done.stderr
    assert list(temporary.iterdir()) == []
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert [words for words in running if "gpg-agent" in words and "towline-git-" in words] == []


def test_the_key_is_there_for_its_owner_alone_and_never_in_a_word(environ: Mapping[str, str], temporary: Path, tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    with signing(SigningKey(private=key, format=SSH), temporary, environ) as by:
        assert (temporary / "signing-key").stat().st_mode & 0o777 == 0o600
        assert key.splitlines()[1] not in " ".join((*by.settings, *by.options, *by.variables.values()))


@pytest.mark.parametrize(("kind", "text"), [(GPG, "no key at all"), (SSH, "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n")])
def test_a_key_that_does_not_sign_says_so(server: GitServer, environ: Mapping[str, str], kind: str, text: str) -> None:
    with pytest.raises(CredentialError) as caught:
        committed(server, environ, SigningKey(private=text, format=kind, origin="PIPER_signingPrivateKey"))
    assert caught.value.where == "PIPER_signingPrivateKey"


@pytest.mark.parametrize("kind", [SSH, GPG])
def test_a_machine_that_cannot_sign_says_what_it_lacks(temporary: Path, kind: str) -> None:
    key = SigningKey(private="x", format=kind)
    with pytest.raises(MachineError, match="which signs commits"), signing(key, temporary, {"PATH": str(temporary)}):
        pass
