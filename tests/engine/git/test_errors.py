"""The faults in messages of git; each message was printed by a git or an ssh."""

from __future__ import annotations

import pytest

from towline.errors import ConfigError, CredentialError, MachineError, TowlineError
from towline.git.errors import is_filter_refusal, is_object_refusal, machine_fault, permanent_fault
from towline.git.remote import SshKey, parse_remote
from towline.record import replace
from towline.secret import Login

HTTPS = parse_remote(
    "https://git.example.com/a.git",
    login=Login(username="ann", password="word", origin="PIPER_password"),
)
SSH = parse_remote("ssh://git@git.example.com:2222/a.git")


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (
            "fatal: Authentication failed for 'https://git.example.com/a.git/'",
            CredentialError,
            "refused user 'ann'",
        ),
        (
            "error: RPC failed; HTTP 403 curl 22 The requested URL returned error: 403",
            CredentialError,
            "refused user 'ann'",
        ),
        (
            (
                "fatal: unable to access 'https://git.example.com/': Received HTTP code 407 from"
                " proxy after CONNECT"
            ),
            CredentialError,
            "proxy",
        ),
        (
            "fatal: repository 'https://git.example.com/a.git/' not found",
            ConfigError,
            "no git repository",
        ),
        ("fatal: unable to update url base from redirection:", ConfigError, "redirects"),
        (
            (
                "fatal: unable to access 'https://x/': server certificate verification failed."
                " CAfile: none CRLfile: none"
            ),
            ConfigError,
            "certificate",
        ),
        (
            (
                "fatal: unable to access 'https://x/': SSL certificate problem: unable to get local"
                " issuer certificate"
            ),
            ConfigError,
            "certificate",
        ),
        (
            (
                "fatal: unable to access 'https://x/': SSL: certificate subject name 'b' does not"
                " match target host name 'a'"
            ),
            ConfigError,
            "certificate",
        ),
        (
            (
                "fatal: write error: No space left on device\nfatal: fetch-pack: invalid index-pack"
                " output"
            ),
            MachineError,
            "No space left",
        ),
        ("error: index-pack died of signal 9", MachineError, "signal 9"),
        ("git died of signal 25", MachineError, "signal 25"),
        (
            "fatal: unable to create thread: Resource temporarily unavailable",
            MachineError,
            "thread",
        ),
    ],
)
def test_what_asking_again_cannot_mend(text: str, kind: type[TowlineError], message: str) -> None:
    fault = permanent_fault(text, HTTPS)
    assert type(fault) is kind
    assert message in fault.message
    assert fault.hint


@pytest.mark.parametrize(
    "text",
    [
        "fatal: unable to access 'https://x/': Could not resolve host: x",
        "error: RPC failed; HTTP 503 curl 22 The requested URL returned error: 503",
        (
            "remote: error: unable to write file: No space left on device\nfatal: the remote end"
            " hung up unexpectedly"
        ),
        "remote: HTTP 403, Authentication failed",
    ],
)
def test_what_may_pass_or_is_the_servers_own(text: str) -> None:
    assert permanent_fault(text, HTTPS) is None
    assert machine_fault(text) is None


def test_an_unknown_host_says_how_it_becomes_known() -> None:
    fault = permanent_fault(
        "No ED25519 host key is known for [git.example.com]:2222 and you have requested strict"
        " checking.\nHost key verification failed.",
        SSH,
    )
    assert type(fault) is ConfigError
    assert "ssh-keyscan -p 2222 git.example.com" in fault.hint
    assert "gitSshKnownHosts" in fault.hint


def test_a_refused_key_says_which_one_it_was() -> None:
    refused = "git@git.example.com: Permission denied (publickey,password)."
    configured = permanent_fault(
        refused, replace(SSH, key=SshKey(private="x", origin="PIPER_gitSshPrivateKey"))
    )
    assert type(configured) is CredentialError
    assert "PIPER_gitSshPrivateKey" in configured.hint
    agent = permanent_fault(refused, SSH)
    assert agent and "no key is configured" in agent.hint


def test_without_a_login_one_is_wanted() -> None:
    fault = permanent_fault(
        "fatal: could not read Username for 'https://git.example.com': terminal prompts disabled",
        replace(HTTPS, login=None),
    )
    assert fault and "requires a user and a password" in fault.message
    assert "PIPER_username" in fault.hint and "gitHttpsCredentialsId" in fault.hint


def test_what_a_server_does_not_know_of_partial_clones() -> None:
    assert is_filter_refusal("fatal: remote error: filter 'combine' not supported")
    assert is_filter_refusal("fatal: remote error: tree filter allows max depth 0, but got 3")
    assert is_object_refusal("error: Server does not allow request for unadvertised object 1234")
    assert not is_filter_refusal("fatal: the remote end hung up unexpectedly")
