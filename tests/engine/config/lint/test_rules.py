from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towline.config.documents import ConfigDocument
from towline.config.lint.findings import RULES, Finding
from towline.config.lint.known import KnownConfiguration
from towline.config.lint.rules import LintReport, lint
from towline.config.lint.shape import shape_document
from towline.config.metadata import PIPELINE, all_schemas, other_steps, vault_schema
from towline.config.schema import SCOPES, parse_schema
from towline.pipeline.confirmation import CONFIRM_KEYS
from towline.pipeline.definition import definition
from towline.record import replace
from towline.yaml.marks import load_located

ROOT = Path(__file__).resolve().parents[4]
SEED = (ROOT / "tests/engine/config/seed.yml").read_text()
DEPLOY = "gitOpsUpdateDeployment"
KNOWN = KnownConfiguration(
    steps=all_schemas(),
    shared=(vault_schema(), PIPELINE),
    elsewhere=(shape_document("team.yml", load_located("stages: {Realease: {}}"))[0],),
    stages={
        stage.name: frozenset(step.name for step in stage.steps) for stage in definition().stages
    },
    others=frozenset(other_steps()),
    confirms="Confirm",
    confirm_keys=frozenset(CONFIRM_KEYS),
)


def report(text: str, *defaults: str) -> LintReport:
    documents: list[ConfigDocument] = []
    faults: list[Finding] = []
    for number, each in enumerate((text, *defaults)):
        document, found = shape_document(
            f"{number}.yml" if number else "config.yml", load_located(each)
        )
        documents.append(document)
        faults += found
    linted = lint(documents[0], documents[1:], KNOWN)
    return LintReport(findings=(*faults, *linted.findings), secrets=linted.secrets)


def found(text: str) -> list[tuple[str, str]]:
    """The rule and the message of each finding."""
    return [(each.rule, f"{each.message} ({each.fix})") for each in report(text).findings]


def only(text: str) -> Finding:
    (finding,) = report(text).findings
    return finding


def rules(text: str, *defaults: str) -> list[str]:
    return [each.rule for each in report(text, *defaults).findings]


def test_of_very_many_unknown_keys_all_are_told_and_the_first_with_the_nearest_known_one() -> None:
    fixes = [
        each.fix
        for each in report(
            f"steps: {{{DEPLOY}: {{{', '.join(f'filePat{n}: x' for n in range(150))}}}}}"
        ).findings
    ]
    assert (
        fixes
        == ["did you mean 'filePath'?"] * 100
        + [f"`towline explain {DEPLOY}` lists its parameters"] * 50
    )
    targets = ", ".join(f"{{filePat{n}: x}}" for n in range(150))
    fixes = [each.fix for each in report(f"steps: {{{DEPLOY}: {{targets: [{targets}]}}}}").findings]
    assert fixes == ["did you mean 'filePath'?"] * 100 + [RULES["wrong-target"].fix] * 50


# ---- what is no fault

CLEAN = {
    "nothing": "",
    "targets with what may differ": (
        f"steps: {{{DEPLOY}: {{targets: [{{filePath: a, branchName: , helmChartPath: c}}]}}}}"
    ),
    "the sample": SEED,
    "empty sections": "general:\nsteps:\nstages: {Build: , Release: {}}\ncustomDefaults:",
    "another library's step, whatever stands in it": (
        "steps: {mavenBuild: {goals: [a], flatten: maybe, tool: 3}, piperPublishWarnings:"
        " {parserPattern: x}}"
    ),
    "certificates for other steps": (
        "general: {customTlsCertificateLinks: ['https://ca']}\nsteps: {imagePushToRegistry: }"
    ),
    "certificates of steps that other libraries run": (
        "steps: {kanikoExecute: {customTlsCertificateLinks: [a]}, mavenBuild:"
        " {customTlsCertificateLinks: [a]}}\nstages: {Build: {customTlsCertificateLinks: [a]}}"
    ),
    "free keys": (
        "general: {buildTool: maven, cfOrg: x, gitSshKeyCredentialsId: y}\nstages: {Integration:"
        " {npmExecuteScripts: true, runScripts: [it]}}"
    ),
    "Piper's spellings": (
        "steps: {gitopsUpdateDeployment: {tool: kubectl}, deployToKubernetes: {namespace: x},"
        " kanikoBuild: {dockerfile: D}}"
    ),
    "a stage of its own": (
        "stages: {Canary: {gitOpsUpdateDeployment: true, filePath: a.yaml}, Acceptance 2:"
        " {filePath: b.yaml}, Release-EU: {}}"
    ),
    "a stage of its own, nearly a known one that is there, too, with a flag": (
        "stages: {Releases: {gitOpsUpdateDeployment: true}, Release: }"
    ),
    "a stage that the platform team names": "stages: {Realease: {filePath: x}}",
    "Build's former name": (
        "stages: {Central Build: {imagePushToRegistry: true, targetRegistryUrl:"
        " 'https://r.example'}}"
    ),
    "keys that every step may have": (
        f"steps: {{{DEPLOY}: {{dockerImage: a, dockerOptions: [b], verbose: true, stashContent: [],"
        " helm: {dockerImage: x}, vaultPath: x, gitHttpsCredentialVaultSecretName: z,"
        " gcsBucketId: a, pipelineId: b}, kanikoExecute: {failOnError: true}}"
    ),
    "keys for the whole pipeline": (
        "general: {productiveBranch: main, projectExtensionsDirectory: x, verbose: false,"
        " aVaultSecretName: x}\nstages: {Init: {productiveBranch: m}}"
    ),
    "flags": (
        "general: {imagePushToRegistry: false}\nsteps: {imagePushToRegistry: {imagePushToRegistry:"
        " true}}\nstages: {Build: {runInAllBranches: true}}"
    ),
    "flags of steps that other libraries run": (
        "stages: {Canary: {mavenBuild: true}, Release: {kubernetesDeploy: true}, Build:"
        " {kanikoExecute: true}}"
    ),
    "a switch that is off anyway": "stages: {Performance: {imagePushToRegistry: false}}",
    "what one step reads and another does not": (
        "general: {dockerRegistryUrl: 'https://r.example', artifactVersion: 1.5}"
    ),
    "aliases": (
        f"steps: {{{DEPLOY}: {{helmChartPath: x, containerImage: 'a:1'}}, imagePushToRegistry:"
        " {artifactVersion: 1, sourceImageTag: 2}}"
    ),
    "an alias that one parameter takes, and another one not": (
        "steps: {imagePushToRegistry: {artifactVersion: 1, targetImageTag: 2}}"
    ),
    "one step's deprecated alias that is another one's name": (
        "steps: {gitOpsUpdateDeployment: {}, kubernetesDeploy: {}}\nstages: {Acceptance:"
        " {image: a}}"
    ),
    "another scope than in general": (
        "stages: {Release: {githubServerUrl: 'https://git.example/x.git'}}"
    ),
    "values that Towline takes": (
        "steps: {imagePushToRegistry: {tagLatest: 'TRUE', targetImageTag: 1.11, sourceImages: [1,"
        " null], targetImages: {a: null}}}"
    ),
    "a key of the stage that belongs to no step there": (
        "stages: {Build: {tool: [maven], image: {name: x}, filePath: [y]}}"
    ),
    "keys of a stage that belong to no step in use": (
        "general: {filePath: a}\nstages: {Release: {tool: maven, image: [x],"
        " targetArchitecture: y}}"
    ),
    "nulls": (
        f"steps: {{{DEPLOY}: {{tool: , chartPath: , helmChartPath: x, pushDeadline: ~}}}}\nstages:"
        " {Build: {imagePushToRegistry: }}"
    ),
    "empty lists and texts": (
        f"steps: {{{DEPLOY}: {{authenticationMode: legacy, customTlsCertificateLinks: [],"
        " githubAppApiUrl: ''}}"
    ),
    "other people's sections": (
        "x-common: &c {tool: helm}\n.hidden: 1\n_more: 2\nhooks: {sentry: {dsn: x}}\nstages:"
        " {Release: {<<: *c, filePath: y}}"
    ),
    "ids and names of secrets": (
        "general: {githubTokenCredentialsId: x, vaultAppRoleSecretTokenCredentialsId: y, tokenFile:"
        " z, aSecretName: a, tokenUrl: b}\nsteps: {kubernetesDeploy: {containerRegistrySecret:"
        " regsecret, kubeConfig: ./kube.conf}}"
    ),
    "placeholders": (
        f"steps: {{{DEPLOY}: {{password: $(vaulted), username: robot}}, theirs: {{apiToken:"
        " '${TOKEN}', password: '', secret: <yours>}}"
    ),
}


@pytest.mark.parametrize("text", CLEAN.values(), ids=CLEAN)
def test_what_a_project_may_write_gives_no_finding(text: str) -> None:
    assert found(text) == []


# Keys and steps that Piper and those who use it have, and Towline has not.
THEIRS = re.findall(
    r"\w+",
    """
    buildTool nativeBuild gitSshKeyCredentialsId gitCredentialsId githubTokenCredentialsId
    githubApiUrl githubServerUrl githubOrg owner repository cfOrg cfSpace cfAppName cloudFoundry
    dockerConfigJsonCredentialsId dockerCredentialsId dockerImageName dockerRegistry
    kubeConfigFileCredentialsId kubeTokenCredentialsId nexus versioningType
    artifactType artifactSetVersion projectKey testRepository newmanCollection testServerUrl
    deployDescriptor appTemplate extensionRepository runOnlyScripts stageLocking
    legacyConfigSettings customVotingBranch useTechnicalStageNames sourceImage
    containerSaveImage globalExtensionsDirectory stageConfigResource vaultSecretFile instance
    fileName cfTargets neoTargets target additionalArgs appVersion azureCredentialsId
    targetArchitectures
""",
)
STEPS = re.findall(
    r"\w+",
    """
    artifactPrepareVersion artifactSetVersion buildExecute cloudFoundryCreateService
    cloudFoundryDeploy containerExecuteStructureTests containerSaveImage detectExecuteScan
    githubPublishRelease gradleExecuteBuild golangBuild helmExecute mavenBuild mtaBuild
    neoDeploy newmanExecute npmExecuteScripts sonarExecuteScan whitesourceExecuteScan xsDeploy
    dockerExecute checkmarxExecuteScan transportRequestUploadCTS multicloudDeploy
    healthExecuteCheck imageBuild imagePush gitopsDeploy
""",
)


@pytest.mark.parametrize(
    "section", ["general", "stages: {Build", "stages: {Release", "stages: {Canary"]
)
def test_names_of_other_programs_are_not_misspelt_names(section: str) -> None:
    keys = ", ".join(f"{name}: x" for name in THEIRS)
    theirs = found(
        f"{section}: {{{keys}}}{'}' * section.count('{')}\nsteps: {{imagePushToRegistry: {{}},"
        f" {DEPLOY}: {{}}}}"
    )
    assert [each for each in theirs if each[0] != "idle-key"] == []
    flags = ", ".join(f"{name}: true" for name in STEPS)
    others = found(
        f"{section}: {{{flags}}}{'}' * section.count('{')}\nsteps:"
        f" {{{', '.join(f'{name}: ' for name in STEPS)}}}"
    )
    assert {rule for rule, _ in others} <= {"flag-without-step"}
    assert others == [] or "Canary" not in section


# ---- what is one

DEPLOYS = "steps: {gitOpsUpdateDeployment: {%s}}"
TABLE = [
    ("- general", "not-a-map", "the configuration is a list, expected a map"),
    ("general: text", "not-a-map", "general is a text, expected a map"),
    ("steps: [a]", "not-a-map", "steps is a list, expected a map"),
    ("stages: {Build: true}", "not-a-map", "stages.Build is a text, expected a map"),
    ("steps: {theirs: [a]}", "not-a-map", "steps.theirs is a list, expected a map"),
    ("step: {}", "unknown-section", "nothing reads the section step (did you mean 'steps'?)"),
    ("Stages: {}", "unknown-section", "(did you mean 'stages'?)"),
    ("customdefaults: []", "unknown-section", "(did you mean 'customDefaults'?)"),
    ("imagePushToRegistry: {}", "unknown-section", "(indent it below steps, or below a stage)"),
    ("Release: {}", "unknown-section", "(indent it below stages)"),
    ("productiveBranch: main", "unknown-section", "(indent it below general)"),
    ("filePath: a", "unknown-section", "(indent it below a step or a stage)"),
    ("team: {}", "unread-section", "nothing reads the section team (remove it"),
    (
        "steps: {imagePushToRegistri: {}}",
        "unknown-step",
        "there is no step imagePushToRegistri (did you mean 'imagePushToRegistry'?)",
    ),
    (
        "steps: {gitOpsUpdateDeploymnet: {}}",
        "unknown-step",
        "(did you mean 'gitOpsUpdateDeployment'?)",
    ),
    (
        "stages: {Releese: {filePath: a}}",
        "unknown-stage",
        "the pipeline has no stage Releese (did you mean 'Release'?)",
    ),
    (
        "stages: {Buid: {imagePushToRegistry: true}}",
        "unknown-stage",
        "the pipeline has no stage Buid (did you mean 'Build'?)",
    ),
    ("stages: {acceptance: {filePath: a}}", "unknown-stage", "(did you mean 'Acceptance'?)"),
    (
        "steps: {imagePushToRegistry: {sourceImageTag: 1.10}}",
        "number-as-text",
        (
            "sourceImageTag is 1.10, a number that YAML reads as 1.1: Towline takes 1.10, Piper 1.1"
            " (put it in quotes)"
        ),
    ),
    (
        "steps: {imagePushToRegistry: {artifactVersion: 010}}",
        "number-as-text",
        "sourceImageTag (written as artifactVersion) is 010, a number that YAML reads as 8",
    ),
    (
        "steps: {imagePushToRegistry: {sourceImages: [a, 72225e2]}}",
        "number-as-text",
        "sourceImages is 72225e2, a number that YAML reads as 7222500",
    ),
    (
        "steps: {imagePushToRegistry: {targetImages: {a: 1_000}}}",
        "number-as-text",
        "targetImages is 1_000, a number that YAML reads as 1000",
    ),
    (
        DEPLOYS % "targets: [{filePath: a, branchName: 0x1F}]",
        "number-as-text",
        "branchName is 0x1F, a number that YAML reads as 31",
    ),
    (
        "steps: {imagePushToRegistry: {sourceImageTag: 2024-01-01}}",
        "number-as-text",
        (
            "sourceImageTag is 2024-01-01, a date that YAML reads as 2024-01-01T00:00:00Z: Towline"
            " takes 2024-01-01, Piper 2024-01-01T00:00:00Z"
        ),
    ),
    (
        "steps: {kubernetesDeploy: {namespace: 1.10}}",
        "number-as-text",
        "namespace is 1.10, a number that YAML reads as 1.1, and so does kubernetesDeploy",
    ),
    (
        DEPLOYS % "tol: helm",
        "unknown-key",
        "gitOpsUpdateDeployment has no parameter tol (did you mean 'tool'?)",
    ),
    (
        DEPLOYS % "quux: 1",
        "unknown-key",
        "(`towline explain gitOpsUpdateDeployment` lists its parameters)",
    ),
    (
        "steps: {kanikoExecute: {dokerfilePath: x}}",
        "unknown-key",
        "(did you mean 'dockerfilePath'?)",
    ),
    (
        "stages: {Release: {filePaht: a}}",
        "unknown-key",
        "no step that Towline knows reads filePaht (did you mean 'filePath'?)",
    ),
    (
        "stages: {Build: {imagePushToRegistrie: true}}",
        "unknown-key",
        "(did you mean 'imagePushToRegistry'?)",
    ),
    ("general: {produktiveBranch: main}", "unknown-key", "(did you mean 'productiveBranch'?)"),
    (
        "stages: {Build: {runInAllBranchs: true}}",
        "unknown-key",
        "(did you mean 'runInAllBranches'?)",
    ),
    (
        DEPLOYS % "targets: [{filePath: a}, {brnchName: b}]",
        "wrong-target",
        "brnchName cannot be set in an entry of targets (did you mean 'branchName'?)",
    ),
    (
        DEPLOYS % "targets: [{gitHttpsCredentialsId: b}]",
        "wrong-target",
        "gitHttpsCredentialsId cannot be set in an entry of targets",
    ),
    (
        DEPLOYS % "targets: [{helmChartPath: [b]}]",
        "wrong-type",
        "chartPath is a list, expected text",
    ),
    (DEPLOYS % "targets: [{tool: helmm}]", "wrong-value", "tool is"),
    (
        DEPLOYS % "pushDeadline: soon",
        "wrong-type",
        'pushDeadline is "soon", expected a whole number (write digits only)',
    ),
    (DEPLOYS % "helmValues: values.yaml", "wrong-type", "expected a list of texts"),
    ("general: {skipVault: maybe}", "wrong-type", 'skipVault is "maybe", expected true or false'),
    (
        "general: {productiveTags: ['v*']}",
        "platform-only",
        (
            "it counts in the platform team's defaults (TOWLINE_DEFAULTS on the agent, or defaults"
            " of the call))"
        ),
    ),
    (
        "general: {productiveBranch: [main]}",
        "wrong-type",
        "productiveBranch is a list, expected text",
    ),
    (
        "steps: {gitOpsUpdateDeployment: {}}\nstages: {Release: {filePath: [a]}}",
        "wrong-type",
        "filePath is a list, expected text",
    ),
    (
        "stages: {Central Build: {imagePushToRegistry: true, sourceImages: app}}",
        "wrong-type",
        "sourceImages is",
    ),
    (
        "stages: {Canary: {gitopsUpdateDeployment: true, filePath: [a]}}",
        "wrong-type",
        "filePath is a list",
    ),
    (
        "steps: {deployToKubernetes: {keepFailedDeployments: 3}}",
        "wrong-type",
        "expected true or false",
    ),
    (
        DEPLOYS % "tool: helmm",
        "wrong-value",
        "tool is \"helmm\" (did you mean 'helm'? possible: kubectl, helm, kustomize, helm-values)",
    ),
    (
        DEPLOYS % "pushDeadline: 0",
        "wrong-value",
        "pushDeadline is 0, expected at least 1 (correct it, or leave it out for 600)",
    ),
    (
        DEPLOYS % "helmChartPath: [x]",
        "wrong-type",
        "chartPath (written as helmChartPath) is a list, expected text",
    ),
    (DEPLOYS % "failOnError: true", "unknown-key", "has no parameter failOnError"),
    (
        "general: {allowPlainHttp: true}",
        "platform-only",
        "what a pull request can change (remove it there; it counts in the platform team's",
    ),
    (
        "steps: {imagePushToRegistry: {customTlsCertificateLinks: [a]}}",
        "platform-only",
        "customTlsCertificateLinks may not be set",
    ),
    (
        "stages: {Release: {credentialHosts: [a]}}",
        "platform-only",
        "credentialHosts may not be set",
    ),
    (
        "stages: {Build: {imagePushToRegistry: 'yes'}}",
        "wrong-flag",
        "the flag imagePushToRegistry is a text, expected true or false (write true or false",
    ),
    (
        "stages: {Build: {kanikoExecute: {a: b}}}",
        "wrong-flag",
        "is a map, expected true or false (write the step's parameters in steps, or directly",
    ),
    ("general: {gitopsUpdateDeployment: 1}", "wrong-flag", "is a number"),
    (
        "stages: {Build: {runInAllBranches: 'false'}}",
        "wrong-flag",
        "is the text 'false', read as false: Piper ignores it",
    ),
    (
        "stages: {Acceptance: {kubernetesDeploy: 'False'}}",
        "wrong-flag",
        "is the text 'False', read as false: Piper's stages read it as true",
    ),
    (
        "stages: {Security: {checkmarxOneExecuteScan: true}}",
        "flag-without-step",
        "(stages that have it: none, but one of the project's own would run it)",
    ),
    (
        "stages: {Build: {karmaExecuteTests: true}}",
        "flag-without-step",
        "(stages that have it: Pull-Request Voting, Additional Unit Tests)",
    ),
    (
        "general: {abapEnvironmentBuild: true}",
        "flag-without-step",
        "no stage of the pipeline has a step abapEnvironmentBuild",
    ),
    (
        "steps: {codeqlExecuteScan: {codeqlExecuteScan: true}}",
        "flag-without-step",
        "no stage of the pipeline has a step codeqlExecuteScan",
    ),
    (
        "general: {stageConfigResource: a.yml}",
        "idle-key",
        "nothing reads stageConfigResource in general (let the platform team define",
    ),
    (
        "stages: {Build: {stepConditions: {a: b}}}",
        "idle-key",
        "nothing reads stepConditions in stages.Build (write the step's flag)",
    ),
    (
        "stages: {Confirm: {verbos: true}}",
        "idle-key",
        "stage Confirm asks a person and has no steps, so nothing reads verbos there",
    ),
    (
        "stages: {Release: {manualConfirmation: false}}",
        "idle-key",
        "nothing reads manualConfirmation in stage Release (write it in stages.Confirm, or in",
    ),
    ("stages: {Confirm: {kanikoExecute: true}}", "flag-without-step", "stage Confirm has no step"),
    (
        "stages: {Build: {kanikoExecut: true}}",
        "unknown-key",
        "reads kanikoExecut (did you mean 'kanikoExecute'?)",
    ),
    (
        "stages: {Performance: {imagePushToRegistry: true}}",
        "flag-without-step",
        "stage Performance has no step imagePushToRegistry, and the flag",
    ),
    (
        "stages: {Build: {kubernetesDeploy: true}}",
        "flag-without-step",
        "(stages that have it: Acceptance, Release)",
    ),
    (
        "stages: {Build: {gitopsUpdateDeployment: true}}",
        "flag-without-step",
        "(stages that have it: Acceptance, Performance, Release)",
    ),
    (
        "steps: {gitOpsUpdateDeployment: {}}\ngeneral: {filePath: a}",
        "wrong-scope",
        "does not read filePath in general (it is read in",
    ),
    (
        "general: {imagePushToRegistry: true}\nstages: {Build: {targetArchitecture: linux/arm64}}",
        "wrong-scope",
        (
            "does not read targetArchitecture in stages.Build"
            " (it is read in steps.imagePushToRegistry)"
        ),
    ),
    (
        "steps: {cnbBuild: {dockerConfigJSON: a}}",
        "wrong-scope",
        "does not read dockerConfigJSON in steps.cnbBuild (it is read in the call alone)",
    ),
    (
        DEPLOYS % "chartPath: a, helmChartPath: b",
        "shadowed",
        "helmChartPath is not read beside chartPath (remove helmChartPath or chartPath)",
    ),
    (
        "steps: {imagePushToRegistry: {artifactVersion: 1, sourceImageTag: 2, targetImageTag: 3}}",
        "shadowed",
        "artifactVersion is not read beside",
    ),
    (
        "steps: {gitOpsUpdateDeployment: {tool: helm}, gitopsUpdateDeployment: {tool: helm}}",
        "shadowed",
        "beside the one in steps.gitOpsUpdateDeployment",
    ),
    (
        "stages: {Central Build: {tool: [x]}, Build: {a: b}}",
        "shadowed",
        "stages.Central Build is not read beside stages.Build",
    ),
    (
        DEPLOYS % "image: 'app:1'",
        "deprecated-alias",
        "image is deprecated (write containerImageNameTag)",
    ),
    (
        "steps: {gitopsUpdateDeployment: }\nstages: {Performance: {image: 'app:1'}}",
        "deprecated-alias",
        "image is deprecated",
    ),
    (
        DEPLOYS % "password: open sesame",
        "secret-in-clear",
        "steps.gitOpsUpdateDeployment.password holds a secret, ****, expected none",
    ),
    (
        "steps: {theirs: {apiToken: open sesame}}",
        "possible-secret",
        "steps.theirs.apiToken has the name of a secret and holds a text, ****",
    ),
]


@pytest.mark.parametrize(("text", "rule", "words"), TABLE)
def test_a_slip_is_found_and_nothing_else(text: str, rule: str, words: str) -> None:
    finding = only(text)
    assert (finding.rule, finding.level) == (
        rule,
        finding.level if rule in ("wrong-type", "wrong-flag") else RULES[rule].level,
    )
    assert words in f"{finding.message} ({finding.fix})"


def test_a_second_document_is_an_error_where_a_rule_may_stand_and_a_warning_in_the_project() -> (
    None
):
    text = "---\ngeneral: {}\n---\ngeneral: {credentialHosts: [a.example]}\n"
    for trusted, level in ((True, "error"), (False, "warning")):
        found = shape_document("c.yml", load_located(text), trusted=trusted)[1]
        assert [(each.rule, each.level, each.where) for each in found] == [
            ("second-document", level, "c.yml:3:1")
        ]


def test_every_rule_of_single_files_stands_in_the_table() -> None:
    assert RULES.keys() - {rule for _, rule, _ in TABLE} == {
        "unreadable-file",
        "custom-defaults",
        "build-loop",
        "lost-rule",
        "second-document",
    }


def test_all_findings_come_at_once_in_the_order_of_their_places() -> None:
    text = (
        "steps:\n  gitOpsUpdateDeployment:\n    tool: helmm\n    passwrod: x\n    pushDeadline:"
        " soon\nstep: {}\nstages: {Releese: {}}\ngeneral: []\n"
    )
    places = [(each.line, each.column, each.rule) for each in report(text).findings]
    assert sorted(places) == [
        (3, 5, "wrong-value"),
        (4, 5, "unknown-key"),
        (5, 5, "wrong-type"),
        (6, 1, "unknown-section"),
        (7, 10, "unknown-stage"),
        (8, 1, "not-a-map"),
    ]
    assert places[1:] == sorted(places[1:])


def test_a_step_that_another_library_runs_gives_warnings_only() -> None:
    assert only("steps: {kanikoExecute: {readImageDigest: perhaps}}").level == "warning"
    assert only("steps: {imagePushToRegistry: {tagLatest: perhaps}}").level == "error"


def test_a_default_document_in_the_workspace_is_looked_at_by_its_own_rules() -> None:
    linted = report(
        "customDefaults: [a.yml]",
        "customDefaults: [b.yml]\nsteps: {imagePushToRegistry: {tagLatest: perhaps}}\n"
        "stages: {Build: {imagePushToRegistry: true, targetArchitecture: linux/arm64}}",
    )
    # Piper and Towline read a stage of a default document as if it were a step's section (facts
    # 1.2)
    assert [(each.file, each.rule) for each in linted.findings] == [
        ("1.yml", "wrong-scope"),
        ("1.yml", "wrong-type"),
    ]


def test_a_key_that_a_merge_brings_in_is_found_where_it_stands_and_once_for_each_message() -> None:
    text = (
        "x-both: &both\n  filePath: [a]\nsteps: {gitOpsUpdateDeployment: {}}\nstages:\n  Release:"
        " {<<: *both}\n  Acceptance: {<<: *both}\n"
    )
    linted = report(text).findings
    assert [(each.line, each.column, each.rule) for each in linted] == [(2, 3, "wrong-type")]


def test_a_deep_alias_is_held_against_the_parameter_s_type() -> None:
    step = parse_schema(
        {
            "name": "theirs",
            "description": "T.",
            "parameters": [
                {
                    "name": "space",
                    "type": "boolean",
                    "description": "S.",
                    "scope": ["STEPS"],
                    "aliases": [{"name": "cloud/space", "deprecated": True}],
                }
            ],
        },
        "f",
    )
    known = KnownConfiguration(steps=(step,), shared=(), stages={})

    def linted(text: str) -> list[str]:
        return [
            each.rule
            for each in lint(shape_document("f", load_located(text))[0], [], known).findings
        ]

    assert linted("steps: {theirs: {cloud: {other: 1}}}") == []
    assert linted("steps: {theirs: {cloud: {space: true}}}") == ["deprecated-alias"]
    assert linted("steps: {theirs: {cloud: {space: [x]}}}") == ["wrong-type", "deprecated-alias"]


# ---- secrets


def test_no_finding_shows_a_secret_and_the_report_names_what_to_mask() -> None:
    secret = "correct-horse-battery"
    linted = report(
        f"steps: {{{DEPLOY}: {{password: [{secret}], serverUrl:"
        f" 'https://robot:{secret}@git.example/x'}}}}"
    )
    assert sorted(each.rule for each in linted.findings) == [
        "secret-in-clear",
        "secret-in-clear",
        "wrong-type",
    ]
    assert secret not in "".join(map(str, linted.findings))
    assert linted.secrets == {secret}


# ---- any configuration

NAMES = sorted(
    {
        name
        for schema in KNOWN.steps
        for parameter in schema.parameters
        for name in (parameter.name, *(alias.name for alias in parameter.aliases))
    }
)
KEYS = st.one_of(
    st.sampled_from(
        [
            "general",
            "steps",
            "stages",
            "customDefaults",
            "hooks",
            "Build",
            "Central Build",
            "Release",
            *NAMES,
            *(name for schema in KNOWN.steps for name in schema.names),
        ]
    ),
    st.text(max_size=12),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.sampled_from(["true", "helm", "a:b@c"]),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)
STEP_NAMES = st.sampled_from([name for schema in KNOWN.steps for name in schema.names])
CONFIGURATIONS = st.one_of(
    VALUES,
    st.fixed_dictionaries(
        {},
        optional={
            "general": st.dictionaries(KEYS, VALUES, max_size=5),
            "steps": st.dictionaries(
                st.one_of(STEP_NAMES, KEYS), st.dictionaries(KEYS, VALUES, max_size=5), max_size=3
            ),
            "stages": st.dictionaries(
                st.one_of(st.sampled_from(list(KNOWN.stages)), KEYS),
                st.dictionaries(KEYS, VALUES, max_size=5),
                max_size=3,
            ),
        },
    ),
)


@given(CONFIGURATIONS)
@settings(max_examples=300, deadline=None)
def test_any_configuration_gives_findings_and_never_a_trace(value: Any) -> None:
    document, faults = shape_document("any.yml", load_json(value))
    assert isinstance(document, ConfigDocument)
    for each in (*faults, *lint(document, [document], KNOWN).findings):
        assert each.rule in RULES
        assert each.line >= 1
        assert each.column >= 1
        assert each.message
        assert each.fix


def load_json(value: Any) -> Any:
    """Load JSON as YAML, which works as long as no escape is one that YAML does not know."""
    text = json.dumps(value)
    try:
        return load_located(text)
    # a surrogate, for example: a finding of its own, before lint has a part in it
    except ValueError:
        return load_located("{}")


def parameters() -> Iterator[tuple[str, str]]:
    for schema in KNOWN.steps:
        for parameter in schema.parameters:
            if "STEPS" in parameter.scope and not parameter.trusted:
                yield schema.name, parameter.name


@pytest.mark.parametrize(("step", "name"), list(parameters()))
def test_every_parameter_may_stand_in_its_step_s_section(step: str, name: str) -> None:
    assert rules(f"steps: {{{step}: {{{name}: }}}}") == []


def test_the_sections_of_the_sample_are_looked_at_at_all() -> None:
    lines = SEED.splitlines()
    for number, line in enumerate(lines):
        match = re.match(r"\s+(\w+): ", line)
        if match:
            slip = [
                *lines[:number],
                line.replace(match[1], match[1][:-2] + match[1][-1] + match[1][-2], 1),
                *lines[number + 1 :],
            ]
            assert rules("\n".join(slip)) != [], line


def test_a_step_that_the_platform_team_configures_is_in_use() -> None:
    (document,) = (shape_document("c", load_located("stages: {Release: {tool: helmm}}"))[0],)
    team = shape_document("t", load_located("steps: {gitOpsUpdateDeployment: {tool: helm}}"))[0]
    assert [
        each.rule for each in lint(document, [], replace(KNOWN, elsewhere=(team,))).findings
    ] == ["wrong-value"]
    assert lint(document, [], KNOWN).findings == ()


def test_the_scopes_of_the_pipeline_s_own_settings_are_known_ones() -> None:
    assert all(set(parameter.scope) <= set(SCOPES) for parameter in PIPELINE.parameters)
