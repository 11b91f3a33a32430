from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.trust import BRANCH, PRODUCTIVE, REQUEST
from towline.credential_hosts import (
    AddressTampered,
    BuildTrust,
    Credential,
    CredentialGate,
    CredentialRules,
    HostAddress,
    HostSource,
    allowed_hosts,
    check_host_allowed,
    permit,
    permit_id,
    yaml_scalar,
)
from towline.errors import CredentialError

BOT = Credential(label="the password of user 'bot' (PIPER_password)", names=("git-bot", "password"))
GIT = HostAddress(scheme="https", host="git.example")
PROJECT = HostSource(origin=".pipeline/config.yml:7", call="--serverUrl")
OURS = frozenset([("https", "git.example")])


def rules(standing: BuildTrust = BRANCH, **more: Any) -> CredentialRules:
    return CredentialRules(standing=lambda: standing, **more)


def refusal(
    known: CredentialRules,
    credential: Credential = BOT,
    place: HostAddress = GIT,
    named: HostSource = PROJECT,
) -> CredentialError:
    with pytest.raises(CredentialError) as caught:
        permit(known, credential, place, named)
    return caught.value


@pytest.mark.parametrize(
    ("known", "named", "by"),
    [
        (
            rules(hosts=("git.example",), where="team.yml:3"),
            PROJECT,
            "credentialHosts (team.yml:3)",
        ),
        (
            rules(each={"git-bot": ("git.example",)}),
            PROJECT,
            "credentials of a trusted layer has it for git-bot",
        ),
        (
            rules(each={"password": ("*.example", "git.example")}),
            PROJECT,
            "credentials of a trusted layer has it for password",
        ),
        (
            rules(hosts=("other.example",), each={"password": ("git.example",)}),
            PROJECT,
            "credentials of a trusted layer has it for password",
        ),
        (rules(), HostSource(origin="--serverUrl", trusted=OURS), "a trusted layer (--serverUrl)"),
        (
            rules(),
            HostSource(origin="container/registryUrl", record=OURS),
            "its own record (container/registryUrl)",
        ),
    ],
)
@pytest.mark.parametrize("standing", [BRANCH, REQUEST])
def test_a_trusted_word_lets_a_credential_go_whatever_is_built(
    known: CredentialRules, named: HostSource, by: str, standing: BuildTrust
) -> None:
    found = permit(
        CredentialRules(**{**vars(known), "standing": lambda: standing}), BOT, GIT, named
    )
    assert (found.by, found.line, found.warning) == (by, "", "")


def test_a_record_of_the_credential_itself_lets_it_go() -> None:
    assert (
        permit(
            rules(),
            Credential(label="x", names=("y",), record=("git.example",)),
            GIT,
            PROJECT,
        ).by
        == "its own record"
    )


def test_the_project_s_word_counts_on_the_productive_branch_and_an_auditor_finds_it() -> None:
    found = permit(rules(PRODUCTIVE), BOT, GIT, PROJECT)
    assert (
        found.line == "the password of user 'bot' (PIPER_password) goes to git.example: named by"
        " .pipeline/config.yml:7, for the productive branch main"
    )


@pytest.mark.parametrize(
    ("known", "credential", "named", "why"),
    [
        (rules(PRODUCTIVE, strict=True), BOT, PROJECT, "strictCredentials is set"),
        (
            rules(PRODUCTIVE, each={"password": ("other.example",)}),
            BOT,
            PROJECT,
            "trusted layers have other hosts for it",
        ),
        (
            rules(PRODUCTIVE),
            Credential(label="x", names=("y",), record=("other.example",)),
            PROJECT,
            "its own record has other hosts",
        ),
        (
            rules(PRODUCTIVE),
            BOT,
            HostSource(origin="c", alone=True),
            "a trusted layer names another server",
        ),
        (rules(BRANCH), BOT, PROJECT, BRANCH.build),
        (rules(REQUEST), BOT, PROJECT, REQUEST.build),
    ],
)
def test_it_does_not_count_where_trusted_layers_say_otherwise_nor_elsewhere(
    known: CredentialRules, credential: Credential, named: HostSource, why: str
) -> None:
    assert (
        refusal(known, credential, named=named).message
        == f"{credential.label} is not sent to git.example, since this host is named only by"
        f" {named.origin}, and a pull request can change that: {why}"
    )


def test_a_refusal_has_the_lines_to_add() -> None:
    assert (
        refusal(rules()).hint
        == "allow it by `general: {credentials: {git-bot: [git.example]}}` in the platform team's"
        ' default documents (TOWLINE_DEFAULTS), or on the agent PIPER_credentials=\'{"git-bot":'
        ' ["git.example"]}\'; or name it by --serverUrl'
    )
    # which the author of the change can change
    assert "name it by" not in refusal(rules(REQUEST)).hint
    assert (
        "[git.example:8443]"
        in refusal(rules(), place=HostAddress(scheme="https", host="git.example:8443")).hint
    )
    assert (
        "['[::1]:5000']"
        in refusal(rules(), place=HostAddress(scheme="http", host="[::1]:5000")).hint
    )
    assert (
        "{git.example: ["
        not in refusal(rules(), place=HostAddress(scheme="https", host="GIT.example:443")).hint
    )


def test_a_line_to_add_keeps_the_existing_entries() -> None:
    each = {"git-bot": ("a.example",), "password": ("b.example",)}
    hint = refusal(rules(each=each), named=HostSource(origin="c.yml:1")).hint
    assert "{credentials: {git-bot: [a.example, git.example]}}" in hint
    # over the documents, which keep the rest
    assert """PIPER_credentials='{"git-bot": ["a.example", "git.example"]}'""" in hint
    hint = refusal(
        rules(each=each, each_where="PIPER_credentials"), named=HostSource(origin="c.yml:1")
    ).hint
    hosts = '{"git-bot": ["a.example", "git.example"], "password": ["b.example"]}'
    assert f"PIPER_credentials='{hosts}'" in hint
    # nor where others are named for it
    assert "name it by" not in refusal(rules(REQUEST, each=each)).hint


@pytest.mark.parametrize(
    "text",
    [
        "git-bot",
        "git.example:8443",
        "127.0.0.1:5000",
        "[::1]:5000",
        "123",
        "1e5",
        "true",
        "No",
        "it's",
        "a b",
        "*.example",
        "kv/a",
        "é",
    ],
)
def test_a_line_to_add_is_read_as_it_is_meant(text: str) -> None:
    assert yaml.safe_load(f"{{{yaml_scalar(text)}: [{yaml_scalar(text)}]}}") == {text: [text]}


@pytest.mark.parametrize(
    "place",
    [
        HostAddress(scheme="https", host="evil.example"),
        HostAddress(scheme="https", host="git.example:8443"),
        HostAddress(scheme="http", host="git.example"),
        HostAddress(scheme="http", host="127.0.0.1:5000"),
    ],
)
@pytest.mark.parametrize(
    "named", [PROJECT, HostSource(origin="c", trusted=OURS), HostSource(origin="c", record=OURS)]
)
def test_a_word_for_one_place_is_none_for_another_this_machine_s_included(
    place: HostAddress, named: HostSource
) -> None:
    for known in (rules(), rules(each={"password": ("git.example:443",)})):
        assert refusal(known, place=place, named=named).exit_code == 4


@pytest.mark.parametrize("host", ["git.example", "GIT.example", "git.example:443", "git.example."])
def test_one_place_is_known_in_every_spelling(host: str) -> None:
    place = HostAddress(scheme="https", host=host)
    assert (
        permit(rules(), BOT, place, HostSource(origin="c", trusted=OURS)).by
        == "a trusted layer (c)"
    )
    assert permit(rules(hosts=("git.example",)), BOT, place, PROJECT).by.startswith(
        "credentialHosts"
    )


@pytest.mark.parametrize(
    "named", [PROJECT, HostSource(origin="c", trusted=OURS), HostSource(origin="c", record=OURS)]
)
def test_credential_hosts_bound_every_word_but_that_for_the_one_credential(
    named: HostSource,
) -> None:
    fault = refusal(rules(PRODUCTIVE, hosts=("other.example",), where="team.yml:3"), named=named)
    assert (fault.message, fault.where) == (
        "no credential may be sent to git.example",
        "team.yml:3",
    )
    assert "the platform team allows: other.example" in fault.hint
    alone = HostSource(origin="c", trusted=OURS, alone=True)  # Vault's server
    assert permit(rules(hosts=("other.example",)), BOT, GIT, alone).by == "a trusted layer (c)"


def test_a_new_refusal_is_a_warning_under_enforcement_warn_but_not_for_a_change_request() -> None:
    found = permit(rules(warn=True), BOT, GIT, PROJECT)
    assert (found.by, found.line) == ("enforcement: warn", "")
    assert found.warning.startswith(
        f"without `enforcement: warn` this will be refused: {BOT.label} is not sent to"
        " git.example, "
    )
    assert found.warning.count(PROJECT.origin) == 1
    assert "allow it by `general: {credentials: {git-bot: [git.example]}}`" in found.warning
    assert refusal(rules(REQUEST, warn=True)).exit_code == 4
    assert refusal(rules(warn=True, hosts=("other.example",))).exit_code == 4  # refused before, too


@pytest.mark.parametrize(
    ("known", "trusted", "by"),
    [
        (rules(), ["git-bot"], "a trusted layer (c.yml:1)"),
        (rules(ids=("git-*",)), [], "allowedCredentialIds of a trusted layer"),
        (rules(each={"git-bot": ("git.example",)}), [], "credentials of a trusted layer"),
        (rules(PRODUCTIVE), [], "the project (c.yml:1), for the productive branch main"),
    ],
)
def test_a_jenkins_credential_is_bound_by_a_word_for_its_id(
    known: CredentialRules, trusted: list[str], by: str
) -> None:
    assert permit_id(known, "git-bot", "c.yml:1", trusted=trusted).by == by


@pytest.mark.parametrize(
    ("known", "why"),
    [
        (rules(BRANCH), BRANCH.build),
        (rules(REQUEST, warn=True), REQUEST.build),
        (rules(PRODUCTIVE, strict=True), "strictCredentials is set"),
        (rules(PRODUCTIVE, ids=("team-*", "git")), "allowedCredentialIds has team-*, git"),
    ],
)
def test_one_that_only_the_project_names_is_not_bound_elsewhere(
    known: CredentialRules, why: str
) -> None:
    with pytest.raises(CredentialError) as caught:
        permit_id(known, "git-bot", "c.yml:1", trusted=["other"])
    assert (
        caught.value.message
        == "the Jenkins credential 'git-bot' is not bound, since it is named only by c.yml:1, and"
        f" a pull request can change that: {why}"
    )
    listed = ["team-*", "git", "git-bot"] if known.ids else ["git-bot"]
    assert (
        f"`general: {{allowedCredentialIds: [{', '.join(map(yaml_scalar, listed))}]}}`"
        in caught.value.hint
    )
    # instead of the record that allowed the others
    assert f"PIPER_allowedCredentialIds='{','.join(listed)}'" in caught.value.hint
    assert (permit_id(rules(warn=True), "git-bot", "c.yml:1", trusted=[])).warning


def test_a_login_goes_on_to_no_other_host_than_trusted_layers_name() -> None:
    assert allowed_hosts(rules(), BOT) == ()
    assert allowed_hosts(rules(hosts=("a",), each={"password": ("b",), "other": ("c",)}), BOT) == (
        "a",
        "b",
    )
    check_host_allowed((), GIT)
    check_host_allowed(("git.example",), GIT)
    with pytest.raises(
        CredentialError, match=r"no credential may be sent to git\.example"
    ) as caught:
        check_host_allowed(("other.example",), GIT)
    assert "other.example" in caught.value.hint


def test_a_login_may_be_sent_to_the_place_that_it_was_admitted_to() -> None:
    asked = CredentialGate(rules(each={"password": ("other.example",)}), say=print, warn=print)
    hosts = asked.admit(BOT, GIT, HostSource(origin="PIPER_serverUrl", trusted=OURS))
    check_host_allowed(hosts, GIT)
    with pytest.raises(CredentialError):
        check_host_allowed(hosts, HostAddress(scheme="https", host="evil.example"))


def test_each_line_is_printed_once() -> None:
    told: list[str] = []
    for standing, more in ((PRODUCTIVE, {}), (BRANCH, {"warn": True})):
        asked = CredentialGate(rules(standing, **more), say=told.append, warn=told.append)
        for _ in range(3):
            assert asked.admit(BOT, GIT, PROJECT) == ()
        asked.admit(BOT, HostAddress(scheme="https", host="other.example"), PROJECT)
        asked.admit_id("git-bot", "c.yml:1", trusted=["git-bot"])
    assert len(told) == 4
    assert len(set(told)) == 4


@pytest.mark.parametrize("more", [{}, {"warn": True}])
def test_a_place_that_somebody_has_changed_in_this_build_gets_nothing_by_the_project_s_word(
    more: dict[str, Any],
) -> None:
    named = HostSource(origin="container/targetRegistryUrl", changed=True)
    fault = refusal(rules(PRODUCTIVE, **more), named=named)
    assert isinstance(fault, AddressTampered)
    assert (
        fault.message
        == "the password of user 'bot' (PIPER_password) is not sent to git.example: this host"
        " comes from container/targetRegistryUrl"
    )
    assert (
        "who has changed it since" in fault.hint
        and "credentials: {git-bot: [git.example]}" in fault.hint
    )
    assert permit(rules(each={"password": ("git.example",)}), BOT, GIT, named).by.startswith(
        "credentials of a trusted layer"
    )
