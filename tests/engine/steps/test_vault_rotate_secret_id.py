"""The secret id of an AppRole is renewed on a real Vault, and stored in a fake Jenkins."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.calls import Ending, configure, request
from tests.fakes.jenkins_server import Held, JenkinsServer, User
from tests.fakes.proxy import ProxyServer
from tests.fakes.serve import CutAnswer, Record, Status, on
from tests.fakes.vault_server import VaultServer
from towline.errors import Interrupted
from towline.steps import vault_rotate_secret_id

STEP = "vaultRotateSecretId"
ROLE, SECRET = "PIPER_vaultAppRoleID", "PIPER_vaultAppRoleSecretID"
ROTATES = (
    'path "auth/approle/role/{0}/secret-id" {{ capabilities = ["update"] }}\n'
    'path "auth/approle/role/{0}/secret-id/lookup" {{ capabilities = ["update"] }}\n'
    'path "secret/data/team/*" {{ capabilities = ["read"] }}\n'
)
ENDS = 'path "auth/approle/role/{0}/secret-id-accessor/destroy" {{ capabilities = ["update"] }}\n'
SLOT = ("", "_", "the-secret")


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    with VaultServer(tmp_path_factory.mktemp("vault")) as running:
        yield running


class World:
    """An AppRole whose secret id is a credential of Jenkins, as the configuration of a project
    on its productive branch says.
    """

    def __init__(
        self, folder: Path, vault: VaultServer, jenkins: JenkinsServer, patch: pytest.MonkeyPatch
    ) -> None:
        self.folder, self.vault, self.jenkins, self.patch = folder, vault, jenkins, patch
        self.role_id = self.grant(ROTATES + ENDS)
        self.user = jenkins.users["jenkins-bot"] = User(
            password="p", token="11-api-token-of-rotator"
        )
        vault.put(
            "team/jenkins", jenkinsUrl=jenkins.url, userId="jenkins-bot", token=self.user.token
        )
        self.configure()

    def grant(self, rules: str, life: str = "20d") -> str:
        """Give the AppRole this policy, and secret ids with this time to live.

        Returns its role id; Jenkins gets a new secret id.
        """
        self.vault.api("POST", "sys/policies/acl/rotator", {"policy": rules.format("rotator")})
        self.role_id, secret = self.vault.app_role("rotator", secret_id_ttl=life)
        self.jenkins.held[SLOT] = Held(secret=secret)
        return self.role_id

    def later(self, days: float) -> None:
        """Let this number of days pass."""
        self.patch.setattr(
            vault_rotate_secret_id, "_now", lambda: datetime.now(UTC) + timedelta(days=days)
        )

    def configure(self, more: str = "", general: str = "vaultPath: secret/team") -> None:
        configure(
            self.folder,
            f"general:\n  vaultServerUrl: {self.vault.url}\n  vaultAppRoleTokenCredentialsId:"
            f" the-role\n  vaultAppRoleSecretTokenCredentialsId: the-secret\n  {general}\nsteps:"
            f" {{{STEP}: {{{more}}}}}\n",
        )

    @property
    def held(self) -> str:
        return self.jenkins.secret("the-secret")

    def logs_in(self, secret: str) -> bool:
        try:
            self.vault.api(
                "POST", "auth/approle/login", {"role_id": self.role_id, "secret_id": secret}
            )
        except RuntimeError:
            return False
        return True

    def accessors(self) -> int:
        """The number of secret ids that the AppRole has."""
        return len(self.vault.api("LIST", "auth/approle/role/rotator/secret-id")["data"]["keys"])

    def run(
        self,
        *words: str,
        build: dict[str, str] | None = None,
        environ: dict[str, str] | None = None,
        **parameters: Any,
    ) -> Ending:
        """A call as the bridge makes it, which binds credentials on request, at most twice."""
        values = {"the-role": self.role_id, "the-secret": self.held}
        given, bound = dict(environ or {}), list[dict[str, Any]]()
        while True:
            fields = {
                "build": {"branch": "main"} if build is None else build,
                "parameters": parameters,
                "bound": bound,
            }
            ending = Ending(
                ["run", STEP, *request(self.folder, **fields), *words], self.folder, given
            )
            assert not any(
                secret in ending.err + json.dumps(ending.result)
                for secret in (self.held, values["the-secret"], self.user.token)
            )
            if ending.result["status"] != "bind" or len(bound) > 2:
                return ending
            bound += ending.result["bindings"]
            given |= {
                one["variables"]["text"]: values[one["credentialsId"]]
                for one in ending.result["bindings"]
            }


@pytest.fixture
def world(tmp_path: Path, vault: VaultServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.chdir(tmp_path)
    with JenkinsServer() as jenkins:
        yield World(tmp_path, vault, jenkins, monkeypatch)


# ---- renewed, or not


def test_a_new_one_is_stored_and_both_are_good(world: World) -> None:
    old, tokens = world.held, world.vault.tokens()
    world.later(4)
    assert world.run().result["status"] == "unchanged"  # it lives 16 days more, and 15 are enough
    world.later(6)
    ending = world.run()
    assert (ending.code, ending.result["status"]) == (0, "success"), ending.err
    assert world.vault.tokens() == tokens
    assert world.held != old
    assert world.logs_in(world.held)
    assert world.logs_in(old)  # builds that run now have it
    assert ending.result["outputs"]["renewed"] is True
    assert (
        "was renewed and stored in the credential 'the-secret' of Jenkins at"
        in ending.result["summary"]
    )
    assert "the old secret id is left as it is, for builds that have it now" in ending.err


def test_a_second_run_does_nothing(world: World) -> None:
    world.later(6)
    world.run()
    world.later(0)
    held, ids = world.held, world.accessors()
    world.jenkins.forget()
    ending = world.run()
    assert (ending.result["status"], ending.result["outputs"]["renewed"]) == ("unchanged", False)
    assert (world.held, world.accessors(), world.jenkins.count("POST")) == (held, ids, 0)
    assert "warning" not in ending.err


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("a wrong token", "does not let '****' read the credential 'the-secret' (HTTP 401)"),
        ("another domain", "has no credential 'the-secret' in the domain 'other'"),
        ("no Jenkins", "Jenkins at 127.0.0.1:1 cannot be reached"),
        ("another host", "is not sent to jenkins.example"),
    ],
)
def test_where_jenkins_would_not_take_one_that_is_a_warning_until_it_is_due(
    world: World, what: str, said: str
) -> None:
    """An expired token is a warning while there is time to renew it, and fails no earlier build."""
    login = {"userId": "jenkins-bot", "token": world.user.token}
    if what == "a wrong token":
        world.jenkins.users.clear()
    elif what == "another domain":
        world.configure("jenkinsCredentialDomain: other")
    elif what == "no Jenkins":
        world.vault.put("team/jenkins", jenkinsUrl="http://127.0.0.1:1", **login)
    else:
        world.vault.put("team/jenkins", url=world.jenkins.url, **login)
        world.configure("vaultDisableOverwrite: true, jenkinsUrl: 'https://jenkins.example'")
    held, ids = world.held, world.accessors()
    early = world.run()
    assert (early.code, early.result["status"]) == (0, "unchanged"), early.err
    assert "warning: the secret id is not due yet, but could not be renewed: " in early.err
    assert said in early.err
    world.later(6)
    late = world.run()
    assert (late.code in (3, 4), said in late.message) == (True, True), late.message
    assert (world.held, world.accessors()) == (held, ids)


def test_where_secret_ids_never_live_that_long_they_are_renewed_at_half_of_it(world: World) -> None:
    """Otherwise each run would make a new one."""
    world.configure("daysBeforeExpiry: 25")
    world.later(9)
    first = world.run()
    assert first.result["status"] == "unchanged"
    assert (
        "note: secret ids of the AppRole rotator live 20 days, not longer than daysBeforeExpiry:"
        " they are renewed at half of that" in first.err
    )
    world.later(11)
    assert world.run().result["status"] == "success"


def test_one_that_never_ends_is_left_alone(world: World) -> None:
    world.grant(ROTATES, life="0")
    ending = world.run()
    assert (ending.result["status"], "does not expire" in ending.result["summary"]) == (
        "unchanged",
        True,
    )


def test_a_dry_run_looks_and_changes_nothing(world: World) -> None:
    world.later(6)
    held, ids = world.held, world.accessors()
    ending = world.run("--dry-run")
    assert (ending.code, "would be renewed" in ending.result["summary"]) == (0, True), ending.err
    assert (world.held, world.accessors()) == (held, ids)
    assert world.jenkins.count("POST") == 0


# ---- if Jenkins refuses the secret id


@pytest.mark.parametrize(
    "user", [User(password="p", token="11-api-token-of-rotator", update=False)]
)
def test_where_jenkins_refuses_it_the_new_one_is_ended_and_the_old_one_stays(
    world: World, user: User
) -> None:
    world.later(6)
    world.jenkins.users["jenkins-bot"] = user
    held, ids = world.held, world.accessors()
    ending = world.run()
    assert (ending.code, "does not let '****' change the credential" in ending.message) == (4, True)
    assert (world.held, world.accessors(), world.logs_in(held)) == (held, ids, True)


@pytest.mark.parametrize("what", ["no such credential", "no such user", "no Jenkins"])
def test_nothing_is_made_where_jenkins_would_not_take_it(world: World, what: str) -> None:
    """A secret id that was made could not be destroyed here."""
    world.grant(ROTATES)
    world.later(6)
    ids = world.accessors()
    if what == "no such credential":
        world.configure("jenkinsCredentialDomain: other")
    elif what == "no such user":
        world.jenkins.users.clear()
    else:
        world.vault.put(
            "team/jenkins",
            jenkinsUrl="http://127.0.0.1:1",
            userId="jenkins-bot",
            token=world.user.token,
        )
    ending = world.run()
    assert ending.code in (3, 4)
    assert world.accessors() == ids


@pytest.mark.parametrize("fault", [CutAnswer(after=None), Status(code=503)])
def test_where_nobody_knows_whether_jenkins_has_taken_it_both_stay_good(
    world: World, fault: CutAnswer | Status
) -> None:
    world.later(6)
    old, ids = world.held, world.accessors()
    world.jenkins.fault = on("POST", "config.xml", fault, times=99)
    ending = world.run()
    assert (ending.code, ending.result["error"]["category"]) == (4, "infrastructure")
    assert "it is unknown whether Jenkins" in ending.message
    assert "both secret ids, the old and the new, are valid" in ending.hint
    assert world.accessors() == ids + 1
    assert world.logs_in(old)
    assert world.logs_in(world.held)


def test_one_that_is_of_no_use_is_not_stored(world: World) -> None:
    """From now on the AppRole's secret ids log in once alone: a new one would be used up by the
    proof that it does.
    """
    world.later(6)
    held = world.held
    world.vault.api("POST", "auth/approle/role/rotator", {"secret_id_num_uses": 1})
    ending = world.run()
    world.vault.api("POST", "auth/approle/role/rotator", {"secret_id_num_uses": 0})
    assert (ending.code, "does not know the secret id any more" in ending.message) == (
        4,
        True,
    ), ending.message
    assert (world.held, world.jenkins.count("POST"), world.logs_in(held)) == (held, 0, True)


def test_a_new_one_that_cannot_be_ended_is_told(world: World) -> None:
    world.grant(ROTATES)
    world.later(6)
    world.jenkins.users["jenkins-bot"] = User(password="p", token=world.user.token, update=False)
    ending = world.run()
    assert ending.code == 4
    assert (
        "warning: the new secret id, which is stored nowhere, could not be destroyed and expires by"
        " itself"
        " (accessor " in ending.err
    )
    assert "secret-id-accessor/destroy" in ending.err


def interrupted(_number: int, _frame: object) -> None:
    raise Interrupted(signal.SIGTERM)


@pytest.mark.parametrize("at", ["before", "after"])
def test_a_signal_ends_the_new_one_unless_jenkins_may_have_it(world: World, at: str) -> None:
    world.later(6)
    ids = world.accessors()

    def interrupt(record: Record) -> None:
        if record.method == ("GET" if at == "before" else "POST") and world.accessors() > ids:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    world.patch.setattr(world.jenkins, "fault", interrupt)
    before = signal.signal(signal.SIGUSR1, interrupted)
    try:
        ending = world.run()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert ending.result["status"] == "aborted"
    assert world.accessors() == ids + (at == "after")


def test_it_ends_in_time(world: World) -> None:
    world.later(6)
    over = threading.Event()
    world.patch.setattr(vault_rotate_secret_id, "_SECONDS", 0.5)
    world.patch.setattr(world.jenkins, "fault", lambda _: over.wait(300) and None)
    try:
        ending = world.run()
    finally:
        over.set()
    assert (ending.code, "took longer than 0 seconds" in ending.message) == (
        9,
        True,
    ), ending.message


# ---- hosts that may get a credential


def test_vault_and_jenkins_are_asked_through_the_proxy_of_the_environment(world: World) -> None:
    world.later(6)
    hosts = {"vault.example.com:80": world.vault.host, "jenkins.example.com:80": world.jenkins.host}
    jenkins = "http://jenkins.example.com"
    login = {"userId": "jenkins-bot", "token": world.user.token}
    world.vault.put("team/jenkins", jenkinsUrl=jenkins, **login)
    with ProxyServer(hosts, login="me:proxy-pass-word") as proxy:
        environ = {
            "PIPER_vaultServerUrl": "http://vault.example.com",
            "PIPER_allowPlainHttp": "true",
            "HTTP_PROXY": f"http://me:proxy-pass-word@{proxy.host}",
        }
        ending = world.run(environ=environ)
    assert (ending.code, ending.result["status"]) == (0, "success"), ending.err
    assert {urlsplit(line.split(" ")[1]).netloc for line in proxy.lines} == {
        "vault.example.com",
        "jenkins.example.com",
    }
    assert "proxy-pass-word" not in ending.err + json.dumps(ending.result)


def test_a_change_request_renews_nothing(world: World) -> None:
    world.later(6)
    assert world.run(build={"branch": "main", "changeRequest": "7"}).result["status"] == "skipped"


def test_on_another_branch_the_project_names_neither_server_nor_credential(world: World) -> None:
    world.later(6)
    assert world.run(build={"branch": "x"}).code == 4
    rules = {
        "PIPER_allowedCredentialIds": "the-*",
        "PIPER_vaultServerUrl": world.vault.url,
        "PIPER_vaultPaths": "secret/team/*",
    }
    assert world.run(build={"branch": "x"}, environ=rules).result["status"] == "success"


def test_on_another_branch_no_server_of_the_project_gets_the_login_if_no_secret_is_asked_for(
    world: World,
) -> None:
    world.configure(f"jenkinsUrl: '{world.jenkins.url}'", general="unrelated: x")
    environ = {
        "PIPER_jenkinsUsername": "jenkins-bot",
        "PIPER_jenkinsToken": world.user.token,
        "PIPER_allowedCredentialIds": "the-*",
    }
    ending = world.run(build={"branch": "x"}, environ=environ)
    assert (ending.code, f"is not sent to {world.vault.host}" in ending.message) == (
        4,
        True,
    ), ending.message


def test_the_token_goes_where_the_secret_that_holds_it_says_and_nowhere_else(world: World) -> None:
    world.later(6)
    with JenkinsServer() as other:
        other.held[SLOT] = Held(secret="x")
        world.vault.put(
            "team/jenkins", url=world.jenkins.url, userId="jenkins-bot", token=world.user.token
        )
        world.configure(f"vaultDisableOverwrite: true, jenkinsUrl: '{other.url}'")
        ending = world.run()
        assert (ending.code, other.requests) == (4, ())
        assert f"is not sent to {other.host}" in ending.message


def test_another_credential_than_the_one_that_holds_the_secret_id_is_not_written_over(
    world: World,
) -> None:
    """On another branch: whoever may change the configuration there could have any credential of
    Jenkins lost.
    """
    world.later(6)
    world.jenkins.held["", "_", "of-another-team"] = Held(secret="theirs")
    rules = {
        "PIPER_vaultServerUrl": world.vault.url,
        "PIPER_vaultPaths": "secret/team/*",
        ROLE: world.role_id,
        SECRET: world.held,
    }
    world.configure("vaultAppRoleSecretTokenCredentialsId: of-another-team")
    ending = world.run(build={"branch": "x"}, environ=rules)
    assert (ending.code, "'of-another-team'" in ending.message) == (4, True)
    assert world.jenkins.secret("of-another-team") == "theirs"


@pytest.mark.parametrize("key", ["jenkinsUrl", "jenkinsCredentialDomain"])
def test_the_credential_of_the_same_id_in_another_folder_or_domain_is_not_written_over(
    world: World, tmp_path: Path, key: str
) -> None:
    """On one host, which the platform team has named, each team may have one: the secret id of
    another would be lost.
    """
    world.later(6)
    slot = ("/job/other", "_", "the-secret") if key == "jenkinsUrl" else ("", "other", "the-secret")
    world.jenkins.held[slot] = Held(secret="theirs")
    world.vault.put("team/none", nothing="x")
    team = tmp_path.parent / f"{tmp_path.name}.yml"
    team.write_text(
        f"general: {{vaultServerUrl: '{world.vault.url}', vaultPath: secret/team,"
        " vaultAppRoleTokenCredentialsId: the-role, vaultAppRoleSecretTokenCredentialsId:"
        f" the-secret}}\nsteps: {{{STEP}: {{jenkinsUrl: '{world.jenkins.url}'}}}}\n"
    )
    environ = {
        "TOWLINE_DEFAULTS": str(team),
        "PIPER_jenkinsUsername": "jenkins-bot",
        "PIPER_jenkinsToken": world.user.token,
    }
    value = f"{world.jenkins.url}/job/other" if key == "jenkinsUrl" else "other"
    configure(tmp_path, f"steps: {{{STEP}: {{{key}: '{value}', jenkinsVaultSecretName: none}}}}\n")
    held, ids = world.held, world.accessors()
    ending = world.run(build={"branch": "x"}, environ=environ)
    refused = (
        f"no secret id is written over the credential at {key} {value}, since this place is named"
        " only by .pipeline/config.yml:1, and a pull request can change that: branch x is built"
    )
    assert (ending.code, refused in ending.message) == (4, True), ending.message
    assert (world.jenkins.held[slot].secret, world.held, world.accessors()) == ("theirs", held, ids)
    explained = Ending(["explain", STEP, "--credentials", "--branch", "x"], tmp_path, environ)
    assert refused in explained.out
    ending = world.run(environ=environ)
    assert ending.result["status"] == "success", ending.err
    assert (
        f"the new secret id is for the credential at {key} {value}: named by"
        " .pipeline/config.yml:1, for the productive branch main" in ending.err
    )
    configure(tmp_path, "")
    assert world.run(build={"branch": "x"}, environ=environ).result["status"] == "success"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("secretStore: ado", "does not store a secret id in 'ado'"),
        ("secretStore: vault", 'secretStore is "vault"'),
        ("daysBeforeExpiry: -1", "at least 0"),
        ("daysBeforeExpiry: 36501", "at most 36500"),
        ("jenkinsCredentialDomain: '..'", "jenkinsCredentialDomain must be a name"),
        *(
            (
                f"vaultDisableOverwrite: true, jenkinsUrl: '{url}'",
                "this is not the URL of a Jenkins",
            )
            for url in (
                "ftp://x",
                "https://u:p@x/",
                "https://x/?q",
                "http://[x",
                "https://x:y",
                "https://a b",
                "x",
            )
        ),
    ],
)
def test_settings_that_are_none_are_told(world: World, more: str, said: str) -> None:
    world.configure(more)
    ending = world.run()
    assert (ending.code, said in ending.message) == (3, True), ending.message


def test_without_vault_s_secret_the_user_comes_from_variables(world: World) -> None:
    world.later(6)
    world.configure(f"jenkinsUrl: '{world.jenkins.url}'", general="unrelated: x")
    old = world.held
    ending = world.run(
        environ={"PIPER_jenkinsUsername": "jenkins-bot", "PIPER_jenkinsToken": world.user.token}
    )
    assert ending.result["status"] == "success", ending.err
    assert world.held != old


def test_plain_http_is_for_this_machine_alone(world: World) -> None:
    world.later(6)
    world.configure("vaultDisableOverwrite: true, jenkinsUrl: 'http://jenkins.example'")
    ending = world.run()
    assert (ending.code, "would go over plain http to jenkins.example" in ending.message) == (
        4,
        True,
    )


@pytest.mark.parametrize(
    ("time", "said"),
    [
        (timedelta(seconds=-5), "0 minutes"),
        (timedelta(seconds=70), "1 minute"),
        (timedelta(hours=1), "60 minutes"),
        (timedelta(hours=2), "2 hours"),
        (timedelta(hours=47), "47 hours"),
        (timedelta(days=2), "2 days"),
        (timedelta(days=20), "20 days"),
    ],
)
def test_a_time_is_told_in_the_unit_that_says_something(time: timedelta, said: str) -> None:
    assert vault_rotate_secret_id._days(time) == said
