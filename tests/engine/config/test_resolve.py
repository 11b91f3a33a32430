from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from towline.config.documents import ConfigDocuments, parse_document
from towline.config.layers import Inputs
from towline.config.metadata import load_schema
from towline.config.resolve import find_faults, resolve, secrets_in_files
from towline.config.schema import StepSchema, parse_schema
from towline.config.settings import Settings
from towline.errors import ConfigError, CredentialError, UsageError
from towline.pipeline.environment import PipelineEnvironment
from towline.record import replace

SEED = Path(__file__).with_name("seed.yml").read_text(encoding="utf-8")
BUILT = {
    "artifactVersion": "1.2.3+7",
    "container/registryUrl": "https://staging.example:8443",
    "container/imageNames": ["demo"],
    "container/imageNameTag": "demo:1.2.3-7",
    "container/imageNameTags": ["demo:1.2.3-7"],
    "container/imageDigests": ["sha256:" + "0" * 64],
    "container/repositoryUsername": "ghost",
    "container/repositoryPassword": "hidden-password",
}
PUSHED = {
    **BUILT,
    "container/targetRegistryUrl": "https://target.example/path",
    "container/targetImageNameTag": "demo:pushed",
}


def inputs(project: str = SEED, *defaults: str, stage: str = "Build", **others: Any) -> Inputs:
    documents = ConfigDocuments(
        defaults=tuple(parse_document(text, "team.yml", trusted=True) for text in defaults),
        project=parse_document(project, ".pipeline/config.yml", trusted=False),
    )
    empty: dict[str, Any] = {
        "pipeline_environment": {},
        "environ": {},
        "parameters": {},
        "flags": {},
    }
    return Inputs(stage=stage, documents=documents, **{**empty, **others})


def settings(step: str, given: Inputs) -> Settings:
    return resolve(load_schema(step), given)


def fault(step: str, given: Inputs) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        settings(step, given)
    return caught.value


def described(**parameter: Any) -> StepSchema:
    scope = ["PARAMETERS", "STAGES", "STEPS", "GENERAL"]
    return parse_schema(
        {
            "name": "s",
            "description": "S.",
            "parameters": [{"name": "p", "description": "P.", "scope": scope, **parameter}],
        },
        "f",
    )


# ---- the sample configuration


def test_the_samples_build_stage_pushes_the_built_image() -> None:
    login = {"PIPER_targetRegistryUser": "me", "PIPER_targetRegistryPassword": "from-vault"}
    known = PipelineEnvironment(BUILT, BUILT)
    found = settings("imagePushToRegistry", inputs(pipeline_environment=known, environ=login))
    assert found.text("targetRegistryUrl") == "https://piper-test.common.repositories.cloud.sap"
    assert found.origin("targetRegistryUrl") == ".pipeline/config.yml:18"
    assert found.text("sourceRegistryUrl") == "https://staging.example:8443"
    assert found.origin("sourceRegistryUrl") == "container/registryUrl in the pipeline environment"
    assert found.texts("sourceImages") == ("demo",)
    assert found.texts("sourceImageDigests") == tuple(BUILT["container/imageDigests"])
    assert found.text("sourceImageTag") == found.text("targetImageTag") == "1.2.3+7"
    assert (found.text("sourceRegistryUser"), found.text("sourceRegistryPassword")) == (
        "ghost",
        "hidden-password",
    )
    assert (found.text("targetRegistryPassword"), found.origin("targetRegistryPassword")) == (
        "from-vault",
        "PIPER_targetRegistryPassword",
    )
    assert found.secrets() == {"hidden-password", "from-vault"}


@pytest.mark.parametrize("step", ["gitOpsUpdateDeployment", "gitopsUpdateDeployment"])
@pytest.mark.parametrize(
    ("stage", "file", "line"),
    [
        ("Performance", "manifest-performance-stage.yaml", 8),
        ("Acceptance", "manifest-acceptance-stage.yaml", 11),
        ("Release", "manifest-release-stage.yaml", 14),
    ],
)
@pytest.mark.parametrize("spelling", ["gitOpsUpdateDeployment:", "gitopsUpdateDeployment:"])
def test_the_samples_deployment_stages_override_the_file_only(
    step: str, stage: str, file: str, line: int, spelling: str
) -> None:
    found = settings(
        step,
        inputs(
            SEED.replace("gitOpsUpdateDeployment:", spelling),
            stage=stage,
            pipeline_environment=PUSHED,
        ),
    )
    assert (found.text("filePath"), found.origin("filePath")) == (
        file,
        f".pipeline/config.yml:{line}",
    )
    assert (found.text("tool"), found.origin("tool")) == ("helm", ".pipeline/config.yml:25")
    assert found.text("serverUrl") == "https://github.tools.sap/project-piper/azure-demo-k8s-go.git"
    assert found.text("chartPath") == "helm/azure-demo-k8s-go"
    assert found.text("deploymentName") == "azure-demo-k8s-go"
    assert found.flag("forcePush") is True
    assert (found.text("containerRegistryUrl"), found.text("containerImageNameTag")) == (
        "https://target.example/path",
        "demo:pushed",
    )
    assert (found.given("branchName"), found.number("pushDeadline")) == (False, 600)


def test_without_a_push_the_builds_own_registry_is_deployed() -> None:
    found = settings("gitOpsUpdateDeployment", inputs(stage="Release", pipeline_environment=BUILT))
    assert (found.text("containerRegistryUrl"), found.text("containerImageNameTag")) == (
        "https://staging.example:8443",
        "demo:1.2.3-7",
    )


@pytest.mark.parametrize(
    ("section", "url"),
    [
        ("general: {containerRegistryUrl: https://own}", "https://target.example/path"),
        ("general: {dockerRegistryUrl: https://own}", "https://target.example/path"),
        (
            (
                "steps: {gitOpsUpdateDeployment: {containerRegistryUrl: https://own, serverUrl:"
                " https://git}}"
            ),
            "https://own",
        ),
        ("stages: {Release: {filePath: f, containerRegistryUrl: https://own}}", "https://own"),
    ],
)
def test_the_registry_that_was_pushed_to_wins_over_general_only(section: str, url: str) -> None:
    team = (
        "general: {serverUrl: https://git}\nsteps: {gitOpsUpdateDeployment: {filePath: f,"
        " containerName: c}}"
    )
    given = inputs(section, team, stage="Release", pipeline_environment=PUSHED)
    assert settings("gitOpsUpdateDeployment", given).text("containerRegistryUrl") == url


# ---- types


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("boolean", "true", True),
        ("integer", "30", 30),
        ("list", "a,b", ("a", "b")),
        ("map", "a=b", {"a": "b"}),
    ],
)
def test_variables_and_flags_set_every_type(kind: str, text: str, expected: object) -> None:
    schema = described(type=kind)
    accessor = {
        "boolean": Settings.flag,
        "integer": Settings.number,
        "list": Settings.texts,
        "map": Settings.mapping,
    }[kind]
    assert accessor(resolve(schema, inputs("", environ={"PIPER_p": text})), "p") == expected
    assert accessor(resolve(schema, inputs("", flags={"p": text})), "p") == expected


def test_an_unset_parameter_is_its_types_empty_value_and_stands_nowhere() -> None:
    found = settings("imagePushToRegistry", inputs())
    assert (
        found.text("targetImageTag"),
        found.texts("sourceImages"),
        dict(found.mapping("targetImages")),
    ) == ("", (), {})
    assert (
        found.origin("targetImageTag"),
        found.given("targetImageTag"),
        found.trusted("targetImageTag"),
    ) == ("", False, True)
    assert (found.flag("tagLatest"), found.given("tagLatest")) == (False, True)
    bare = resolve(described(type="boolean"), inputs(""))
    assert (bare.flag("p"), bare.origin("p"), bare.given("p")) == (False, "", False)


def test_the_place_of_a_default_says_how_to_set_the_parameter() -> None:
    place = (
        "the default of p, since nothing sets it (set p in steps.s or the stage's section of"
        " .pipeline/config.yml, or as PIPER_p)"
    )
    assert (
        resolve(
            described(type="string", default="kubectl", scope=["STAGES", "STEPS"]), inputs("")
        ).origin("p")
        == place
    )


def test_asking_for_what_the_step_does_not_have_is_a_bug() -> None:
    with pytest.raises(KeyError):
        settings("imagePushToRegistry", inputs()).given("colour")


def test_a_value_of_the_wrong_type_is_named_with_line_value_and_expected_type() -> None:
    caught = fault(
        "imagePushToRegistry",
        inputs("steps:\n  imagePushToRegistry:\n    targetRegistryUrl: u\n    tagLatest: yes\n"),
    )
    assert caught.message == 'tagLatest is "yes", expected true or false'
    assert caught.where == ".pipeline/config.yml:4"
    assert caught.hint == "write true or false"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("[a, [b]]", "a list with more than texts in it"),
        ("{a: b}", "a map"),
        ("text", '"text"'),
        ("https://me:pass@host/x", '"https://host/x"'),
    ],
)
def test_a_value_is_shown_without_its_secret_parts(value: str, shown: str) -> None:
    caught = fault(
        "imagePushToRegistry",
        inputs(f"steps: {{imagePushToRegistry: {{targetRegistryUrl: u, sourceImages: {value}}}}}"),
    )
    assert caught.message == f"sourceImages is {shown}, expected a list of texts"


def test_a_wrong_value_in_the_pipeline_environment_names_its_key() -> None:
    given = inputs(pipeline_environment={"container/imageNames": "demo"})
    assert fault("imagePushToRegistry", given).where.startswith(
        "container/imageNames in the pipeline environment"
    )


# ---- rules


def test_all_faults_are_reported_at_once_and_a_secret_is_not_shown() -> None:
    project = """\
general:
  allowPlainHttp: true
steps:
  gitOpsUpdateDeployment:
    tool: helmm
    password: [tell, noone]
    forcePush: often
"""
    caught = fault("gitOpsUpdateDeployment", inputs(project))
    assert [line.split(" (")[0] for line in caught.message.splitlines()[1:]] == [
        "  .pipeline/config.yml:2: allowPlainHttp may not be set by what a pull request can change",
        "  serverUrl is not set",
        "  .pipeline/config.yml:6: password is a secret value that does not fit, expected text",
        '  .pipeline/config.yml:5: tool is "helmm"',
        "  filePath is not set",
        '  .pipeline/config.yml:7: forcePush is "often", expected true or false',
    ]
    assert "did you mean 'helm'?" in caught.message
    assert "noone" not in caught.message


@pytest.mark.parametrize(
    ("text", "where"),
    [("", ""), ("steps: {imagePushToRegistry: {targetRegistryUrl: ''}}", ".pipeline/config.yml:1")],
)
def test_an_empty_text_is_missing(text: str, where: str) -> None:
    caught = fault("imagePushToRegistry", inputs(text))
    assert (caught.message, caught.where) == ("targetRegistryUrl is not set", where)
    assert (
        caught.hint
        == "set targetRegistryUrl in steps.imagePushToRegistry or the stage's section of"
        " .pipeline/config.yml, or as PIPER_targetRegistryUrl"
    )


@pytest.mark.parametrize(
    ("kind", "value"),
    [("string", "a"), ("string", ""), ("integer", 1), ("list", ["a", "b"]), ("list", [])],
)
def test_a_value_among_the_possible_ones_fits(kind: str, value: object) -> None:
    found = resolve(
        described(type=kind, possibleValues=["a", "b", 1]), inputs("", parameters={"p": value})
    )
    assert found.origin("p") == "parameter of the call"


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [("string", "c", '"c"'), ("integer", 2, '"2"'), ("list", ["a", "c"], '"c"')],
)
def test_a_value_that_is_not_possible_is_named_with_those_that_are(
    kind: str, value: object, shown: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(
            described(type=kind, possibleValues=["a", "b", 1]), inputs("", parameters={"p": value})
        )
    assert caught.value.message == f"p is {shown}"
    assert "possible: a, b, 1" in caught.value.hint


@pytest.mark.parametrize("section", ["general", "steps: {imagePushToRegistry", "stages: {Build"])
@pytest.mark.parametrize(
    "value", ["allowPlainHttp: true", "allowPlainHttp: false", "credentialHosts: [evil.example]"]
)
def test_what_a_pull_request_can_change_does_not_choose_where_credentials_go(
    section: str, value: str
) -> None:
    project = f"{section}: {{{value}}}" + "}" * section.count("{")
    given = inputs(project, "steps: {imagePushToRegistry: {targetRegistryUrl: https://t}}")
    caught = fault("imagePushToRegistry", given)
    assert caught.where == ".pipeline/config.yml:1"
    stronger = replace(given, environ={f"PIPER_{value.partition(':')[0]}": "true"})
    assert fault("imagePushToRegistry", stronger).message == caught.message


@pytest.mark.parametrize(
    "others",
    [
        {"environ": {"PIPER_allowPlainHttp": "true"}},
        {"parameters": {"allowPlainHttp": True}},
        {"flags": {"allowPlainHttp": "true"}},
    ],
)
def test_the_agent_and_the_call_may_choose(others: dict[str, Any]) -> None:
    assert settings("imagePushToRegistry", inputs(SEED, **others)).flag("allowPlainHttp") is True


def test_the_platform_team_may_choose_in_its_default_documents() -> None:
    found = settings(
        "imagePushToRegistry", inputs(SEED, "general: {credentialHosts: [target.example]}")
    )
    assert (found.texts("credentialHosts"), found.origin("credentialHosts")) == (
        ("target.example",),
        "team.yml:1",
    )


@pytest.mark.parametrize("entry", ["https://target.example", "'*'", "target.example/team", "''"])
def test_an_entry_of_credential_hosts_that_names_no_host_is_an_error_before_anything_is_sent(
    entry: str,
) -> None:
    found = fault(
        "imagePushToRegistry",
        inputs(SEED, f"general: {{credentialHosts: [target.example, {entry}]}}"),
    )
    assert "which no host can be" in found.message
    assert found.where == "team.yml:1"


@pytest.mark.parametrize("step", ["imagePushToRegistry", "containerPushToRegistry"])
def test_a_certificate_in_general_that_other_steps_of_piper_read_is_left_to_them_and_said_so(
    step: str,
) -> None:
    own = "dockerRegistryUrl: 'https://t'" if step == "containerPushToRegistry" else ""
    project = (
        f"general: {{customTlsCertificateLinks: ['https://ca'], {own}}}\nsteps: {{{step}:"
        " {targetRegistryUrl: 'https://t'}}"
    )
    if own:
        project = project.replace("targetRegistryUrl: 'https://t'", "")
    found = settings(
        step, inputs(project, "general: {customTlsCertificateLinks: ['https://team']}")
    )
    assert found.texts("customTlsCertificateLinks") == ("https://team",)
    (note,) = found.notes
    assert note.startswith(
        f".pipeline/config.yml:1: customTlsCertificateLinks in general is for other steps: {step}"
        " takes it from no file"
    )
    assert "PIPER_customTlsCertificateLinks" in note


@pytest.mark.parametrize(
    "section", ["steps: {imagePushToRegistry", "general: {}\nsteps: {imagePushToRegistry"]
)
def test_a_certificate_in_the_step_s_own_section_is_its_own_and_may_not_stand_there(
    section: str,
) -> None:
    caught = fault(
        "imagePushToRegistry",
        inputs(
            f"{section}: {{targetRegistryUrl: 'https://t', customTlsCertificateLinks:"
            " ['https://ca']}}"
        ),
    )
    assert "may not be set" in caught.message


def test_settings_tell_what_a_pull_request_can_change() -> None:
    login = {"PIPER_targetRegistryUser": "robot", "PIPER_targetRegistryPassword": "x"}
    found = settings("imagePushToRegistry", inputs(environ=login, pipeline_environment=BUILT))
    assert [
        found.trusted(name)
        for name in ("targetRegistryUrl", "sourceRegistryUrl", "targetRegistryUser", "tagLatest")
    ] == [False, False, True, True]


@pytest.mark.parametrize(("value", "fits"), [("", True), ("Docker$Image@1", False)])
def test_what_is_not_built_yet_may_be_set_to_its_default_only(value: str, fits: bool) -> None:
    known = {
        "dockerRegistryUrl": "https://r.example",
        "sourceImage": "app:1",
        "sourceRegistryUrl": "https://s.example",
    }
    given = inputs(stage="Release", parameters={**known, "dockerBuildImage": value})
    if fits:
        assert not settings("containerPushToRegistry", given).given("dockerBuildImage")
    else:
        assert "gets only the image's name" in fault("containerPushToRegistry", given).hint


@pytest.mark.parametrize(
    "others", [{"parameters": {"targetRegistryURL": "u"}}, {"flags": {"targetRegistryURL": "u"}}]
)
def test_an_unknown_parameter_of_the_call_gets_the_nearest_known_name(
    others: dict[str, Any],
) -> None:
    with pytest.raises(UsageError) as caught:
        settings("imagePushToRegistry", inputs(**others))
    assert caught.value.hint == "did you mean 'targetRegistryUrl'?"


def test_free_keys_of_the_project_are_not_an_error() -> None:
    assert settings(
        "imagePushToRegistry", inputs(SEED + "\nhooks: {any: thing}\n", "general: {free: [1]}")
    ).given("targetRegistryUrl")


def test_the_call_may_use_an_alias() -> None:
    found = settings("imagePushToRegistry", inputs(parameters={"artifactVersion": "2.0"}))
    assert (found.text("sourceImageTag"), found.text("targetImageTag")) == ("2.0", "2.0")


def test_a_secret_counts_as_one_in_every_layer() -> None:
    project = (
        "steps: {imagePushToRegistry: {targetRegistryUrl: u, targetRegistryUser: me,"
        " targetRegistryPassword: in-clear}}"
    )
    found = settings(
        "imagePushToRegistry",
        inputs(
            project,
            environ={"PIPER_targetRegistryPassword": "stronger"},
            pipeline_environment=BUILT,
        ),
    )
    assert found.secrets() == {"stronger"}
    assert found.claimed() == {"in-clear", "hidden-password"}
    assert found.text("targetRegistryPassword") == "stronger"


# ---- warnings


AGED: dict[str, Any] = {
    "type": "string",
    "aliases": [{"name": "old/one", "deprecated": True}, {"name": "other"}],
}


@pytest.mark.parametrize(
    ("written", "warned"),
    [
        ("steps: {gitOpsUpdateDeployment: {password: open-sesame}}", True),
        ("stages: {Release: {password: 12345}}", True),
        ("steps: {gitOpsUpdateDeployment: {password: '${DEPLOY_TOKEN}'}}", False),
        ("steps: {gitOpsUpdateDeployment: {gitSshPrivateKey: keys/deploy}}", False),
        ("steps: {gitOpsUpdateDeployment: {password: ''}}", False),
    ],
)
def test_a_secret_in_a_file_of_the_project_is_warned_of(written: str, warned: bool) -> None:
    given = inputs(written, stage="Release")
    said = secrets_in_files(load_schema("gitOpsUpdateDeployment"), given)
    assert [line.split(" is a secret", 1)[0] for line in said] == [
        ".pipeline/config.yml:1: password"
    ] * warned
    assert not any("open-sesame" in line or "12345" in line for line in said)
    assert all("set PIPER_password, or name a Jenkins credential in" in line for line in said)


def test_a_run_reports_a_secret_in_a_file_and_not_one_elsewhere() -> None:
    login = {"targetRegistryUser": "me", "targetRegistryPassword": "open-sesame"}
    project = (
        "steps: {imagePushToRegistry: {targetRegistryUrl: https://r.example, targetRegistryUser:"
        " me, targetRegistryPassword: open-sesame}}"
    )
    bare = "steps: {imagePushToRegistry: {targetRegistryUrl: https://r.example}}"
    found = settings("imagePushToRegistry", inputs(project, pipeline_environment=BUILT))
    assert [line.partition(":1: ")[2].partition(" is")[0] for line in found.warnings] == [
        "targetRegistryPassword"
    ]
    assert (
        settings(
            "imagePushToRegistry", inputs(bare, pipeline_environment=BUILT, parameters=login)
        ).warnings
        == ()
    )


def test_a_variable_that_is_nearly_a_parameter_s_is_warned_of() -> None:
    others = {"PIPER_verbose": "true", "PIPER_sourceImage": "of containerPushToRegistry"}
    found = settings(
        "imagePushToRegistry",
        inputs(pipeline_environment=BUILT, environ={"PIPER_targetImageTags": "x", **others}),
    )
    assert found.warnings == (
        "nothing reads the variable PIPER_targetImageTags (did you mean PIPER_targetImageTag?)",
    )


def test_a_deprecated_alias_is_warned_about_once_for_each_place_and_still_counts() -> None:
    project = "general:\n  old:\n    one: a\nsteps:\n  s:\n    old:\n      one: b\n"
    found = resolve(described(**AGED), inputs(project, parameters={"old": {"one": "c"}}))
    assert found.text("p") == "c"
    assert found.warnings == (
        ".pipeline/config.yml:3: old/one is deprecated, write p",
        ".pipeline/config.yml:7: old/one is deprecated, write p",
        "parameter of the call: old/one is deprecated, write p",
    )


@pytest.mark.parametrize(
    "project", ["general: {p: a}", "general: {other: a}", "general: {p: a, old: {one: b}}", ""]
)
def test_what_is_not_deprecated_or_does_not_count_is_not_warned_about(project: str) -> None:
    assert resolve(described(**AGED), inputs(project)).warnings == ()


PLACE = ".pipeline/config.yml:1"
NEAR, FAR = (
    "so it is ignored (did you mean 'colour'?)",
    "so it is ignored (`towline explain s` lists its parameters)",
)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("{color: a}", [f"{PLACE}: s has no parameter 'color', {NEAR}"]),
        (
            "{Colour: a, zzz: b}",
            [
                f"{PLACE}: s has no parameter 'Colour', {NEAR}",
                f"{PLACE}: s has no parameter 'zzz', {FAR}",
            ],
        ),
        ("{colour: a, hue: b, old: {one: c}, red: {colour: d}}", []),
        (
            (
                "{s: true, verbose: true, dockerImage: i, vaultPath: p, inkVaultSecretName: n,"
                " stashContent: [a], dockerEnvVars: {}}"
            ),
            [],
        ),
        ("{colour: a, null: b}", [f"{PLACE}: s has no parameter 'null', {FAR}"]),
    ],
)
def test_a_key_of_the_steps_own_section_that_it_does_not_have_is_named_with_the_nearest(
    section: str, said: list[str]
) -> None:
    scope = ["STEPS"]
    schema = parse_schema(
        {
            "name": "s",
            "description": "S.",
            "containers": [{"image": "i"}],
            "stashes": ["source"],
            "parameters": [
                {
                    "name": "colour",
                    "type": "string",
                    "description": "C.",
                    "scope": scope,
                    "aliases": [{"name": "hue"}, {"name": "old/one"}],
                    "conditions": [{"parameter": "ink", "value": "red"}],
                },
                {
                    "name": "ink",
                    "type": "string",
                    "description": "I.",
                    "scope": scope,
                    "vault": {"secret": "inkVaultSecretName"},
                },
            ],
        },
        "f",
    )
    others = "\ngeneral: {color: of another step}\nstages: {Build: {color: of another step}}"
    assert resolve(
        schema, inputs(f"steps: {{s: {section}, other: {{color: a}}}}{others}")
    ).warnings == tuple(said)


def test_keys_that_do_not_count_are_named_in_default_documents_too_and_not_without_end() -> None:
    found = resolve(
        described(type="string"),
        inputs("", "steps: {s: {" + ", ".join(f"k{number}: 1" for number in range(30)) + "}}"),
    ).warnings
    assert len(found) == 11
    assert found[0].startswith("team.yml:1: s has no parameter 'k0'")
    assert found[-1] == "team.yml:1: 20 more keys of s are ignored"


@pytest.mark.parametrize("others", [{}, {"possibleValues": ["a"]}])
def test_a_key_that_does_not_count_is_named_beside_the_fault_that_it_may_have_caused(
    others: dict[str, Any],
) -> None:
    schema = parse_schema(
        {
            "name": "s",
            "description": "S.",
            "parameters": [
                {
                    "name": "target",
                    "type": "string",
                    "description": "T.",
                    "scope": ["STEPS"],
                    "mandatory": True,
                },
                {
                    "name": "tool",
                    "type": "string",
                    "description": "T.",
                    "scope": ["STEPS"],
                    **others,
                },
            ],
        },
        "f",
    )
    with pytest.raises(ConfigError) as caught:
        resolve(schema, inputs("steps: {s: {Target: x, tool: b}}"))
    assert "target is not set" in caught.value.message
    assert caught.value.hint.endswith(
        "; .pipeline/config.yml:1: s has no parameter 'Target', so it is ignored (did you mean"
        " 'target'?)"
    )


# ---- logins


LOGIN = {
    "name": "s",
    "description": "S.",
    "parameters": [
        {
            "name": name,
            "type": "string",
            "description": "P.",
            "scope": ["STEPS"],
            "secret": name == "password",
        }
        for name in ("user", "password", "id", "url")
    ],
    "credentials": [
        {
            "name": "id",
            "kind": "usernamePassword",
            "parameters": {"username": "user", "password": "password"},
        }
    ],
    "rules": [{"oneOf": [["user", "password"]], "optional": True}],
}


def test_half_a_login_is_a_fault_of_credentials_and_beside_others_of_configuration() -> None:
    schema = parse_schema(LOGIN, "f")
    with pytest.raises(CredentialError) as caught:
        resolve(schema, inputs("", environ={"PIPER_password": "hidden-word"}))
    assert (caught.value.message, caught.value.where) == (
        "password is set and user is not",
        "PIPER_password",
    )
    with pytest.raises(ConfigError) as other:
        resolve(schema, inputs("steps: {s: {url: [1]}}", environ={"PIPER_password": "hidden-word"}))
    assert "have 2 faults" in other.value.message
    assert "hidden-word" not in caught.value.message + caught.value.hint + other.value.message


def test_faults_can_be_listed_without_ending_anything() -> None:
    schema = parse_schema(LOGIN, "f")
    assert [
        str(fault).partition(" (")[0]
        for fault in find_faults(schema, inputs("steps: {s: {url: [1], user: me}}"))
    ] == [
        ".pipeline/config.yml:1: url is a list, expected text",
        ".pipeline/config.yml:1: user is set and password is not",
    ]
    assert find_faults(schema, inputs("steps: {s: {user: me, id: jenkins}}")) == ()


# ---- once for every map of a list


TARGETED: dict[str, dict[str, Any]] = {
    "file": {
        "type": "string",
        "mandatory": True,
        "unless": ["targets"],
        "aliases": [{"name": "path"}],
    },
    "tool": {"type": "string", "possibleValues": ["a", "b"]},
    "many": {"type": "list"},
    "targets": {"type": "objects"},
    "plain": {"type": "boolean", "trusted": True},
    "word": {"type": "string", "secret": True},
    "user": {"type": "string"},
    "id": {"type": "string"},
}
TARGETS = parse_schema(
    {
        "name": "s",
        "description": "S.",
        "parameters": [
            {"name": name, "description": "P.", "scope": ["PARAMETERS", "STEPS"], **more}
            for name, more in TARGETED.items()
        ],
        "credentials": [
            {
                "name": "id",
                "kind": "usernamePassword",
                "parameters": {"username": "user", "password": "word"},
            }
        ],
    },
    "f",
)


def each(text: str) -> tuple[Settings, ...]:
    return resolve(TARGETS, inputs(f"steps:\n  s:\n{text}")).each("targets")


def test_without_targets_the_settings_stand_for_themselves() -> None:
    (found,) = each("    file: x\n")
    assert (found.text("file"), found.origin("file")) == ("x", ".pipeline/config.yml:3")
    assert "file is not set" in str(find_faults(TARGETS, inputs("steps: {s: {tool: a}}"))[0])


def test_each_target_s_keys_override_the_settings_by_name_or_alias() -> None:
    west, east = each(
        "    tool: a\n    many: [m]\n    targets:\n    - {path: w, many: [n, 1], tool: null}\n    -"
        " {file: e, tool: b}\n"
    )
    assert [(one.text("file"), one.text("tool"), one.texts("many")) for one in (west, east)] == [
        ("w", "a", ("n", "1")),
        ("e", "b", ("m",)),
    ]
    assert east.origin("file") == ".pipeline/config.yml:5, targets[1]"
    assert not east.trusted("file")
    assert east.each("targets") == (east,)


@pytest.mark.parametrize(
    ("target", "says", "hint"),
    [
        ("{fil: x}", "'fil' cannot be set in an entry of targets", "did you mean 'file'?"),
        ("{file: x, plain: true}", "'plain' cannot be set", "known: "),
        ("{file: x, word: y}", "'word' cannot be set", "known: "),
        ("{file: x, id: y}", "'id' cannot be set", "known: "),
        ("{file: x, user: y}", "'user' cannot be set", "known: "),
        ("{tool: a}", "file is not set", "set file"),
        ("{file: x, tool: c}", 'tool is "c"', "possible: a, b"),
        ("{file: [x]}", "file is a list", "quotes"),
    ],
)
def test_a_target_with_a_fault_is_refused_with_its_place(target: str, says: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        each(f"    targets:\n    - {{file: fine}}\n    - {target}\n")
    assert says in caught.value.message
    assert hint in caught.value.hint
    assert "file is not set" in says or "targets[1]" in caught.value.where
