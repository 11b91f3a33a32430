from __future__ import annotations

import pytest

from towline.config.documents import ConfigDocument
from towline.config.lint.lost_rules import KnownNames, lost_rules
from towline.config.lint.shape import shape_document
from towline.yaml.marks import load_located

RULES = frozenset(
    {"credentialHosts", "allowPlainHttp", "credentials", "enforcement", "allowedCredentialIds"}
)
NAMES = KnownNames(
    rules=RULES,
    bounds=frozenset({"vaultServerUrl"}),
    keys=RULES | {"tool", "credentialHostel", "vaultServerUrl"},
    steps=frozenset({"push", "deploy"}),
    stages=frozenset({"Build", "Release"}),
)


def team(text: str) -> ConfigDocument:
    return shape_document("team.yml", load_located(text), trusted=True)[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "general: {credentialHost: [a]}",
            (
                "nothing reads credentialHost, and the rule of the platform team in it is"
                " ignored (did you mean 'credentialHosts'?)"
            ),
        ),
        ("general: {credentialhosts: [a]}", "did you mean 'credentialHosts'?"),
        ("general: {credential_hosts: [a]}", "did you mean 'credentialHosts'?"),
        ("general: {credentialsHosts: [a]}", "did you mean 'credentialHosts'?"),
        ("steps: {push: {credentialHots: [a]}}", "did you mean 'credentialHosts'?"),
        ("stages: {Release: {allowPlainHTTPs: true}}", "did you mean 'allowPlainHttp'?"),
        ("stages: {Canary: {alowPlainHttp: true}}", "did you mean 'allowPlainHttp'?"),
        ("credentialHosts: [a]", "credentialHosts stands outside of every section"),
        ("credentialHost: [a]", "write credentialHosts in general"),
        ("genral: {credentialHosts: [a]}", "did you mean 'general'?"),
        ("step: {push: {credentialHosts: [a]}}", "did you mean 'steps'?"),
        ("steps: {pushh: {credentialHosts: [a]}}", "there is no step pushh"),
        ("stages: {Releese: {credentialHost: [a]}}", "there is no stage Releese"),
        (
            "stages: {Biuld: {credentialHosts: [a]}}",
            "there is no stage Biuld",
        ),  # four letters of five
        ("hooks: {credentialHosts: [a]}", "no step reads credentialHosts in the section hooks"),
        ("general: {gitOps: {credentialHosts: [a]}}", "is ignored (move it to general)"),
        (
            "stages: {Release: {push: {a: {allowPlainHttp: false}}}}",
            "nothing reads allowPlainHttp in stages.Release.push",
        ),
        ("general: {credentialHosts: [a, ~]}", "credentialHosts has an entry without a value"),
        (
            "steps: {push: {credentialHosts: [null]}}",
            "credentialHosts has an entry without a value",
        ),
        ("general: {credential: {bot: [a]}}", "did you mean 'credentials'?"),
        ("general: {allowedCredentialId: [a]}", "did you mean 'allowedCredentialIds'?"),
        ("hooks: {credentials: {bot: [a]}}", "no step reads credentials in the section hooks"),
        ("enforcement: warn", "enforcement stands outside of every section"),
        (
            "general: {vaultServerURL: 'https://v.example'}",
            (
                "nothing reads vaultServerURL, and the rule of the platform team in it is"
                " ignored (did you mean"
            ),
        ),
        (
            "stages: {Release: {vaultServrUrl: 'https://v.example'}}",
            "did you mean 'vaultServerUrl'?",
        ),
        (
            "team: {a: {allowPlainHttp: false}}",
            "move it to general, or begin the section's name with x-",
        ),
    ],
)
def test_a_rule_that_nothing_reads_is_found(text: str, words: str) -> None:
    found = list(lost_rules(team(text), NAMES))
    assert {(each.rule, each.level, each.file) for each in found} == {
        ("lost-rule", "error", "team.yml")
    }
    assert any(words in f"{each.message} ({each.fix})" for each in found)


@pytest.mark.parametrize(
    "text",
    [
        "general: {credentialHosts: [a], tool: x, toool: y, credentialHostel: z}",
        (
            "general: {credentialHosts: , allowPlainHttp: false, gitOps: {tool: x, credentialHost:"
            " y}, tool: {credentialHosts: image}, x-own: {credentialHosts: [a]}}"
        ),
        (
            "general: {vaultServerUrl: 'https://v.example', vaultUrl: b}\nhooks: {vaultServerUrl:"
            " a}\nsteps: {theirs: {vaultServerURL: a}}"
        ),
        "general: {credentialsId: a, vaultCredentialKeys: [b], credentialsIds: [c]}",
        (
            "hooks: {credentials: {user: a}, enforcement: strict}\ncredentials: x\nenforcement: {a:"
            " b}\nteam: {credentials: [a], jenkins: {credentials: }}"
        ),
        (
            "steps: {push: {credentialHosts: [a]}, theirs: {credentialHosts: [a], credentialHost:"
            " b}, pushh: {tool: x}}"
        ),
        (
            "stages: {Canary: {credentialHosts: [a]}, Central Build: {credentialHosts: [a]},"
            " Releese: {tool: x}, Build: }"
        ),
        "genral: {tool: x}\nx-own: {credentialHosts: [a]}\nhooks: {}\ncustomDefaults: [a]",
        (
            "hooks: {credentialHost: [a], ours: {tool: x}}\nteam: [credentialHosts]\n.x:"
            " {credentialHosts: [a]}"
        ),
        "stages: {Release 2: {credentialHosts: [a]}}",
        "",
    ],
)
def test_rules_that_apply_and_other_keys_are_left_alone(text: str) -> None:
    assert list(lost_rules(team(text), NAMES)) == []
