"""The credentials of a remote: which processes get them, how, and where they are never written."""

from __future__ import annotations

import base64
import os
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from towline.errors import MachineError
from towline.git import program as access
from towline.git.remote import SshKey, parse_remote
from towline.record import replace
from towline.secret import Login

LOGIN = Login(username="ann", password="pass wörd", origin="PIPER_password")
HTTPS = parse_remote("https://git.example.com:8443/a.git", login=LOGIN)
SSH = parse_remote("git@git.example.com:team/a.git")
KEY = SshKey(private="-----BEGIN PRIVATE KEY-----\n", known_hosts="git.example.com ssh-rsa AAAA\n")
ENVIRON: Mapping[str, str] = {"PATH": os.environ["PATH"]}


@pytest.fixture
def ssh(tmp_path: Path) -> Mapping[str, str]:
    program = tmp_path / "bin/ssh"
    program.parent.mkdir()
    program.touch(mode=0o755)
    return {"PATH": str(program.parent), "SSH_AUTH_SOCK": "/agent"}


def test_a_login_goes_with_every_request_to_its_origin(tmp_path: Path) -> None:
    given = access.remote_variables(HTTPS, tmp_path, ENVIRON)
    assert given["GIT_CONFIG_KEY_0"] == "http.https://git.example.com:8443/.extraHeader"
    assert (
        given["GIT_CONFIG_VALUE_0"]
        == "Authorization: Basic " + base64.b64encode("ann:pass wörd".encode()).decode()
    )
    assert given["GIT_ALLOW_PROTOCOL"] == "https"
    assert list(tmp_path.iterdir()) == []


def test_a_bearer_token_goes_as_that_and_in_no_other_way(tmp_path: Path) -> None:
    remote = replace(HTTPS, bearer=True)
    given = access.remote_variables(remote, tmp_path, ENVIRON)
    assert given["GIT_CONFIG_VALUE_0"] == "Authorization: Bearer pass wörd"
    assert "TOWLINE_GIT_PASSWORD" not in given
    assert access.credential_settings(remote) == ""


def test_settings_hold_no_secret_and_name_one_origin() -> None:
    assert '[credential "https://git.example.com:8443"]' in access.credential_settings(HTTPS)
    assert "wörd" not in access.credential_settings(HTTPS)
    assert access.credential_settings(parse_remote("https://git.example.com/a.git")) == ""


def test_authorities_become_a_file_that_git_is_told_of(tmp_path: Path) -> None:
    given = access.remote_variables(replace(HTTPS, authorities=b"-----BEGIN"), tmp_path, ENVIRON)
    assert Path(given["GIT_SSL_CAINFO"]).read_bytes() == b"-----BEGIN"


def test_a_key_lies_in_a_file_of_its_owner_alone_and_no_other_key_counts(
    tmp_path: Path, ssh: Mapping[str, str]
) -> None:
    given = access.remote_variables(replace(SSH, key=KEY), tmp_path, ssh)
    words = shlex.split(given["GIT_SSH_COMMAND"])
    key = tmp_path / "key"
    assert key.read_text() == KEY.private
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert {
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
    } <= set(words)
    assert f'UserKnownHostsFile="{tmp_path}/known_hosts"' in words
    assert "SSH_AUTH_SOCK" not in given
    assert given["GIT_ALLOW_PROTOCOL"] == "ssh"


def test_without_a_key_the_agents_own_is_used_and_hosts_must_still_be_known(
    tmp_path: Path, ssh: Mapping[str, str]
) -> None:
    given = access.remote_variables(SSH, tmp_path, ssh)
    assert given["SSH_AUTH_SOCK"] == "/agent"
    assert "StrictHostKeyChecking=yes" in given["GIT_SSH_COMMAND"]
    assert "UserKnownHostsFile" not in given["GIT_SSH_COMMAND"]


def test_known_hosts_get_the_line_ends_of_their_file_and_hold_for_the_agents_key_too(
    tmp_path: Path, ssh: Mapping[str, str]
) -> None:
    given = access.remote_variables(
        replace(SSH, key=SshKey(known_hosts=" a ssh-rsa AAAA\r\nb ssh-rsa BBBB")), tmp_path, ssh
    )
    assert (tmp_path / "known_hosts").read_text() == "a ssh-rsa AAAA\nb ssh-rsa BBBB\n"
    assert given["SSH_AUTH_SOCK"] == "/agent"
    assert "-i" not in shlex.split(given["GIT_SSH_COMMAND"])


def test_a_password_is_not_for_ssh(tmp_path: Path, ssh: Mapping[str, str]) -> None:
    given = access.remote_variables(replace(SSH, login=LOGIN), tmp_path, ssh)
    assert "wörd" not in "".join(given.values())
    assert access.credential_settings(replace(SSH, login=LOGIN)) == ""


def test_a_machine_without_ssh_says_so(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="no ssh program"):
        access.remote_variables(SSH, tmp_path, {"PATH": str(tmp_path)})


def test_what_a_server_may_repeat_of_a_login_is_known() -> None:
    assert access.secret_texts(HTTPS) == (
        "pass wörd",
        base64.b64encode("ann:pass wörd".encode()).decode(),
    )
    assert access.secret_texts(SSH) == ()
