from __future__ import annotations

import pytest

from towline.config.near_names import check_parameters, check_variables, misspelt
from towline.errors import ConfigError

RULES = ["credentialHosts", "allowPlainHttp", "credentials"]
KEYS = [*RULES, "tool", "credentialHostel"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PIPER_credentialHost", "PIPER_credentialHosts"),
        ("PIPER_CREDENTIALHOSTS", "PIPER_credentialHosts"),
        ("TOWLINE_DEFAULT", "TOWLINE_DEFAULTS"),
        ("TOWLINE_DEFAULTs", "TOWLINE_DEFAULTS"),
        ("PIPER_allowPlainHTTP", "PIPER_allowPlainHttp"),
    ],
)
def test_a_variable_that_is_nearly_one_of_a_rule_is_an_error(name: str, meant: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_variables({"PATH": "x", name: "a.example"}, RULES, KEYS)
    assert (caught.value.where, caught.value.hint) == (name, f"did you mean {meant}?")


@pytest.mark.parametrize(
    "name",
    [
        "PIPER_credentialHosts",
        "TOWLINE_DEFAULTS",
        "TOWLINE_ENGINE",
        "TOWLINE_HELM",
        "TOWLINE_SECRET_1",
        "PIPER_tool",
        "PIPER_vaultToken",
        "PIPER_credentialHostel",
        "PIPER_credentialsId",
        "PIPER_credentialsID",
        "PIPER_vaultAppRoleSecretID",
        "PIPER_targetRegistryPassword",
        "PIPER_gitHubTokens",
        "PIPER_VAULTCREDENTIAL_HOST",
        "credentialHost",
    ],
)
def test_other_variables_are_left_alone(name: str) -> None:
    check_variables({name: "x"}, RULES, KEYS)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PIPER_filePth", "filePath"),
        ("PIPER_filepath", "filePath"),
        ("PIPER_filePath", ""),
        ("PIPER_deadline", ""),
        ("filePth", ""),
        ("PIPER_file", ""),
    ],
)
def test_a_variable_that_is_one_slip_away_from_a_parameter_is_named(name: str, meant: str) -> None:
    said = list(
        misspelt(
            {name: "x", "PIPER_filePahth": ""},
            ["filePath", "tool"],
            ["filePath", "tool", "deadline"],
        )
    )
    assert said == ([(name.removeprefix("PIPER_"), meant)] if meant else [])


def test_an_empty_variable_holds_no_rule() -> None:
    check_variables({"PIPER_credentialHost": ""}, RULES, KEYS)


def test_a_parameter_that_is_left_alone_and_nearly_a_rule_is_an_error() -> None:
    with pytest.raises(ConfigError) as caught:
        check_parameters(["tool", "credentialHost"], RULES, KEYS, "PIPER_parametersJSON")
    assert (caught.value.where, caught.value.hint) == (
        "PIPER_parametersJSON",
        "did you mean credentialHosts?",
    )
    check_parameters(
        ["credentialHosts", "credentialHostel", "dockerImage", "stageName", "credentialsId"],
        RULES,
        KEYS,
        "PIPER_parametersJSON",
    )


@pytest.mark.parametrize("name", ["credentialPosts", "credentialGuests"])
def test_a_parameter_may_be_less_like_a_rule_than_a_variable_with_its_prefix(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_parameters([name], RULES, KEYS, "PIPER_parametersJSON")
    assert caught.value.hint == "did you mean credentialHosts?"
