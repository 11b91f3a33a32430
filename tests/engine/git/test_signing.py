"""Signatures, verified by the programs with which people verify them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.fakes import nameless
from tests.fakes.git_server import GitServer
from tests.fakes.gnupg import GnuPG, agents, wait
from tests.fakes.ssh_server import make_key
from towline.errors import CredentialError, MachineError
from towline.git.objects import Author
from towline.git.remote import parse_remote
from towline.git.repository import GitRepository
from towline.git.signing import GPG, SSH, SigningKey, signing


@pytest.fixture
def gnupg() -> Iterator[GnuPG]:
    with GnuPG() as home:
        yield home


def committed(server: GitServer, environ: Mapping[str, str], key: SigningKey) -> Path:
    bare = server.create("demo", {"a": b"1"})
    with GitRepository(parse_remote(server.url("demo")), environ=environ) as repository:
        tip = repository.fetch("main")
        author = Author(name="Deployer", email="deployer@example.com", key=key)
        commit = repository.commit(tip, {"a": b"2"}, message="Signed", author=author)
        assert repository.push(commit, tip).done
    return bare


def test_a_commit_is_signed_by_an_ssh_key(
    server: GitServer, environ: Mapping[str, str], temporary: Path, tmp_path: Path
) -> None:
    key = make_key(tmp_path / "key")
    bare = committed(server, environ, SigningKey(private=key, format=SSH))
    signers = tmp_path / "signers"
    signers.write_text(f"deployer@example.com {(tmp_path / 'key.pub').read_text()}")
    verify = [
        "git",
        f"--git-dir={bare}",
        "-c",
        f"gpg.ssh.allowedSignersFile={signers}",
        "verify-commit",
        "-v",
        "main",
    ]
    done = subprocess.run(
        verify, env=server.environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, 'Good "git" signature for deployer@example.com' in done.stderr) == (
        0,
        True,
    ), done.stderr
    assert (
        server.git("log", "-1", "--format=%ae %ce", "main", repository=bare).split()
        == ["deployer@example.com"] * 2
    )
    assert list(temporary.iterdir()) == []


def test_a_commit_is_signed_by_a_gnupg_key(
    server: GitServer, environ: Mapping[str, str], temporary: Path, gnupg: GnuPG
) -> None:
    bare = committed(server, environ, SigningKey(private=gnupg.make_key(), format=GPG))
    done = subprocess.run(
        ["git", f"--git-dir={bare}", "verify-commit", "main"],
        env={**server.environment, **gnupg.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (
        done.returncode,
        'Good signature from "Deployer <deployer@example.com>"' in done.stderr,
    ) == (0, True), done.stderr
    assert list(temporary.iterdir()) == []


def test_no_agent_and_no_home_of_gnupg_stays(
    environ: Mapping[str, str], temporary: Path, gnupg: GnuPG
) -> None:
    with signing(SigningKey(private=gnupg.make_key(), format=GPG), environ) as by:
        home = Path(by.variables["GNUPGHOME"])
        assert len(agents(home)) == 1
    assert not home.exists()
    wait(lambda: not agents(home), "its agent has not ended")


def test_the_key_is_there_for_its_owner_alone_and_never_in_a_word(
    environ: Mapping[str, str], temporary: Path, tmp_path: Path
) -> None:
    key = make_key(tmp_path / "key")
    with signing(SigningKey(private=key, format=SSH), environ) as by:
        file = Path(by.options[0].removeprefix("-S"))
        assert file.stat().st_mode & 0o777 == 0o600
        assert key.splitlines()[1] not in " ".join(
            (*by.settings, *by.options, *by.variables.values())
        )
    assert not file.parent.exists()
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (GPG, "no key at all"),
        (SSH, "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"),
    ],
)
def test_a_key_that_does_not_sign_says_so(
    server: GitServer, environ: Mapping[str, str], kind: str, text: str
) -> None:
    with pytest.raises(CredentialError) as caught:
        committed(
            server, environ, SigningKey(private=text, format=kind, origin="PIPER_signingPrivateKey")
        )
    assert caught.value.where == "PIPER_signingPrivateKey"


@pytest.mark.parametrize("kind", [SSH, GPG])
def test_a_machine_that_cannot_sign_says_what_it_lacks(temporary: Path, kind: str) -> None:
    key = SigningKey(private="x", format=kind)
    with (
        pytest.raises(MachineError, match="which is needed to sign commits"),
        signing(key, {"PATH": str(temporary)}),
    ):
        pass


@pytest.mark.skipif(bool(nameless.missing()), reason=nameless.missing())
def test_a_user_whom_openssh_does_not_know_is_the_machines_fault(
    server: GitServer, environ: Mapping[str, str], tmp_path: Path
) -> None:
    key = SigningKey(private=make_key(tmp_path / "key"), format=SSH)
    found = nameless.stand_in("ssh-keygen", tmp_path / "bin")
    with pytest.raises(MachineError, match="No user exists for uid 64321") as caught:
        committed(server, {**environ, "PATH": f"{found}:{environ['PATH']}"}, key)
    assert "/etc/passwd" in caught.value.hint
