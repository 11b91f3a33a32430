"""Requests and results are as docs/contract.md says: nothing more, nothing less."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from towline.config.values import coerce
from towline.contract import (
    BIND,
    Binding,
    Build,
    DefaultsDocument,
    Outcome,
    Request,
    encode_result,
    parse_request,
    read_request,
    take_request,
)
from towline.errors import ConfigError, Interrupted, Superseded, UsageError

CONTRACT = Path(__file__).resolve().parents[2] / "docs" / "contract.md"
FULL = {
    "protocol": 1,
    "version": "0.1.0",
    "step": "imagePushToRegistry",
    "stage": "Build",
    "parameters": {"a": [1, True, None]},
    "pipelineEnvironment": {"container/imageNameTag": "app:1"},
    "unproven": ["container/imageNameTag"],
    "secrets": {"parameters/password": "TOWLINE_SECRET_1"},
    "build": {
        "number": "7",
        "url": "https://j/7",
        "job": "app",
        "branch": "main",
        "changeRequest": "3",
        "sourceRepository": "https://g/app",
        "sourceCommit": "abc",
        "sourceTime": "2024-01-01T00:00:00Z",
    },
    "defaults": [{"name": "platform", "text": "general: {}"}],
    "bound": [
        {
            "credentialsId": "git",
            "kind": "usernamePassword",
            "variables": {"username": "PIPER_username", "password": "PIPER_password"},
        }
    ],
}


def fields(heading: str) -> set[str]:
    """The field names in the first column of a table of the contract."""
    text = (
        CONTRACT.read_text(encoding="utf-8")
        .partition(f"## {heading}\n")[2]
        .partition("\n## ")[0]
        .partition("\n### ")[0]
    )
    return {
        name
        for line in text.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }


def fault(data: object) -> UsageError:
    with pytest.raises(UsageError) as caught:
        parse_request(data)
    return caught.value


# Request


def test_the_whole_request_of_the_contract_is_understood() -> None:
    assert fields("Request") == FULL.keys()
    assert parse_request(FULL) == Request(
        version="0.1.0",
        step="imagePushToRegistry",
        stage="Build",
        parameters={"a": [1, True, None]},
        pipeline_environment={"container/imageNameTag": "app:1"},
        unproven=("container/imageNameTag",),
        secrets={"parameters/password": "TOWLINE_SECRET_1"},
        build=Build(
            number="7",
            url="https://j/7",
            job="app",
            branch="main",
            change_request="3",
            source_repository="https://g/app",
            source_commit="abc",
            source_time="2024-01-01T00:00:00Z",
        ),
        defaults=(DefaultsDocument(name="platform", text="general: {}"),),
        bound=(
            Binding(
                credentials_id="git",
                kind="usernamePassword",
                variables={"username": "PIPER_username", "password": "PIPER_password"},
            ),
        ),
    )
    assert parse_request(FULL).bound_ids == {"PIPER_username": "git", "PIPER_password": "git"}


def test_the_protocol_is_all_that_is_required() -> None:
    assert parse_request({"protocol": 1}) == Request()


@pytest.mark.parametrize("protocol", [2, 0, None])
def test_another_protocol_is_refused(protocol: int | None) -> None:
    refused = fault({} if protocol is None else {"protocol": protocol})
    assert (refused.message, refused.hint) == (
        f"the request speaks protocol {protocol}, this engine speaks 1",
        "use library and engine of one version",
    )


@pytest.mark.parametrize("key", sorted(FULL))
@pytest.mark.parametrize("value", [None, True, 1.5])
def test_a_field_of_another_type_is_refused_by_name(key: str, value: object) -> None:
    assert f"{key!r} must be of type" in fault({**FULL, key: value}).message


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        ({"stepp": "x"}, "the request has an unknown key 'stepp'", "did you mean 'step'?"),
        (
            {"build": {"Job": "x"}},
            "the request's build has an unknown key 'Job'",
            "did you mean 'job'?",
        ),
        (
            {"build": {"number": 7}},
            "the request's build: 'number' must be of type str",
            UsageError.usual_hint,
        ),
        (
            {"defaults": [{"path": "x"}]},
            "the request's defaults has an unknown key 'path'",
            "known: name, text",
        ),
        (
            {"defaults": ["x"]},
            "the request's defaults must be a JSON object",
            UsageError.usual_hint,
        ),
        (
            {"bound": [{"credentialId": "x"}]},
            "the request's bound has an unknown key 'credentialId'",
            "did you mean 'credentialsId'?",
        ),
        (
            {"bound": [{"variables": {"text": 5}}]},
            "the request's bound must map parts to names of environment variables",
            UsageError.usual_hint,
        ),
        *(
            (
                {"secrets": {"parameters/password": place}},
                "the request's secrets must map names to names of environment variables",
                UsageError.usual_hint,
            )
            for place in (
                5,
                None,
                {},
                {"text": "X"},
                {"json": 5},
                {"json": "X", "text": "Y"},
                ["X"],
            )
        ),
        (
            {"unproven": ["a", 5]},
            "the request's unproven must be keys of the pipeline environment",
            UsageError.usual_hint,
        ),
    ],
)
def test_what_the_contract_does_not_know_is_refused_with_the_nearest_name(
    change: dict[str, object], message: str, hint: str
) -> None:
    refused = fault({**FULL, **change})
    assert (refused.message, refused.hint) == (message, hint)


@pytest.mark.parametrize("data", [None, [], "text", 1])
def test_a_request_that_is_not_an_object_is_refused(data: object) -> None:
    assert fault(data).message == "the request must be a JSON object"


def test_a_request_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    path.write_text(json.dumps(FULL), encoding="utf-8")
    assert read_request(path) == parse_request(FULL)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff{}", b"[" * 100_000, b'{"protocol": 1} {}'],
    ids=["empty", "cut", "no text", "deep", "two"],
)
def test_a_file_that_is_not_json_is_named_with_its_path(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "request.json"
    path.write_bytes(data)
    with pytest.raises(UsageError, match="cannot read the request") as caught:
        read_request(path)
    assert (caught.value.where, "docs/contract.md" in caught.value.hint) == (str(path), True)


def test_a_missing_file_is_named_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the request") as caught:
        read_request(tmp_path / "no.json")
    assert caught.value.where == str(tmp_path / "no.json")


@pytest.mark.parametrize(
    ("text", "why"), [(b"", "empty"), (b"\n", "empty"), (b"{", "not JSON"), (b"\xff", "not JSON")]
)
def test_a_request_that_is_not_json_is_reported_with_the_reason(
    tmp_path: Path, text: bytes, why: str
) -> None:
    (tmp_path / "request.json").write_bytes(text)
    with pytest.raises(UsageError, match=f"cannot read the request: it is {why}"):
        read_request(tmp_path / "request.json")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    path.touch()
    os.truncate(path, 17 * 1024 * 1024)
    with pytest.raises(UsageError, match="larger than 16 MiB"):
        read_request(path)


# A request in variables


def test_a_request_in_a_variable_is_taken_out_of_the_environment() -> None:
    environ = {"TOWLINE_REQUEST": json.dumps(FULL), "PATH": "/bin"}
    assert take_request("env:TOWLINE_REQUEST", environ) == parse_request(FULL)
    assert environ == {"PATH": "/bin"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "the variable 'X' is not set"),
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("{", "it is not JSON"),
        ("\udcff{}", "it is not JSON"),
    ],
)
def test_a_variable_without_a_request_is_named(text: str | None, why: str) -> None:
    environ = {} if text is None else {"X": text}
    with pytest.raises(UsageError, match=f"cannot read the request: {why}") as caught:
        take_request("env:X", environ)
    assert caught.value.where == ("" if text is None else "the variable X")
    assert "docs/contract.md" in caught.value.hint


def test_secrets_travel_in_one_variable_padded_with_blanks() -> None:
    texts = {"1": 'a"b$c\n\u00e4\U0001f600', "2": "[1]"}
    environ = {"X": '{"protocol": 1}', "TOWLINE_SECRETS": f"{json.dumps(texts):2000}", "Y": "y"}
    request = take_request("env:X", environ)
    assert request.carried == texts
    assert environ == {"Y": "y"}
    assert "a" not in repr(request).partition("carried")[2]


def test_secrets_that_are_too_long_for_a_variable_go_on_in_the_next(tmp_path: Path) -> None:
    texts = {str(number): "x" * 1000 for number in range(10)}
    whole = json.dumps(texts)
    environ = {
        "TOWLINE_SECRETS": whole[:4000],
        "TOWLINE_SECRETS_2": whole[4000:8000],
        "TOWLINE_SECRETS_3": whole[8000:],
    }
    path = tmp_path / "request.json"
    path.write_text('{"protocol": 1}')
    assert take_request(str(path), environ).carried == texts
    assert environ == {}


@pytest.mark.parametrize("text", ["{hunter2", "[]", '"hunter2"', '{"1": "hunter2"', "7"])
def test_secrets_of_another_form_are_refused_without_a_word_of_them(text: str) -> None:
    environ = {"X": '{"protocol": 1}', "TOWLINE_SECRETS": text}
    with pytest.raises(UsageError) as caught:
        take_request("env:X", environ)
    assert caught.value.message == "the variable TOWLINE_SECRETS is not a JSON object"
    assert caught.value.__cause__ is None
    assert environ == {}


# Result


def test_every_field_of_the_contract_is_in_a_result_and_no_other() -> None:
    result = encode_result(
        Request(),
        Outcome(status="success", summary="done"),
        exit_code=0,
        seconds=1.23456,
        version="0.1.0",
    )
    assert result.keys() == fields("Result")
    assert result == {
        "protocol": 1,
        "version": "0.1.0",
        "step": "",
        "stage": "",
        "status": "success",
        "exitCode": 0,
        "summary": "done",
        "pipelineEnvironment": {},
        "outputs": {},
        "links": [],
        "reports": [],
        "bindings": [],
        "error": None,
        "seconds": 1.235,
    }


def test_what_a_step_did_is_in_its_result() -> None:
    outcome = Outcome(
        status=BIND,
        summary="bind these",
        pipeline_environment={"a/b": "c"},
        outputs={"images": []},
        links=({"name": "n", "target": "t"},),
        reports=({"name": "r", "target": "f"},),
        bindings=(Binding(credentials_id="id", kind="string", variables={"text": "NAME"}),),
    )
    result = json.loads(
        json.dumps(
            encode_result(
                Request(step="s", stage="Build"), outcome, exit_code=0, seconds=0, version="1"
            )
        )
    )
    assert (result["step"], result["stage"], result["status"], result["pipelineEnvironment"]) == (
        "s",
        "Build",
        "bind",
        {"a/b": "c"},
    )
    assert (result["links"], result["reports"]) == (
        [{"name": "n", "target": "t"}],
        [{"name": "r", "target": "f"}],
    )
    assert result["bindings"] == [
        {"credentialsId": "id", "kind": "string", "variables": {"text": "NAME"}}
    ]


@pytest.mark.parametrize(
    ("ending", "status", "error"),
    [
        (
            ConfigError("no", where="f:1", hint="do"),
            "failure",
            {"category": "config", "message": "no", "where": "f:1", "hint": "do"},
        ),
        (
            Superseded("newer"),
            "superseded",
            {"category": "custom", "message": "newer", "where": "", "hint": Superseded.usual_hint},
        ),
        (
            Interrupted(15),
            "aborted",
            {
                "category": "custom",
                "message": "interrupted",
                "where": "",
                "hint": "run it again: a step is idempotent",
            },
        ),
    ],
)
def test_a_fault_is_a_result_too(ending: ConfigError, status: str, error: dict[str, str]) -> None:
    result = encode_result(Request(step="s"), ending, exit_code=0, seconds=0, version="1")
    assert result.keys() == fields("Result")
    assert (result["status"], result["summary"], result["error"]) == (status, ending.message, error)
    assert result["outputs"] == {}


def test_the_result_has_the_exit_code() -> None:
    result = encode_result(Request(), ConfigError("no"), exit_code=3, seconds=0, version="1")
    assert result["exitCode"] == 3


def test_what_was_found_all_the_same_is_in_the_result_of_a_fault() -> None:
    ending = ConfigError(
        "two faults",
        outputs={"findings": ["one", "two"]},
        pipeline_environment={"deployment/Release/branch": "main"},
    )
    result = encode_result(Request(), ending, exit_code=0, seconds=0, version="1")
    assert (result["outputs"], result["pipelineEnvironment"]) == (
        {"findings": ["one", "two"]},
        {"deployment/Release/branch": "main"},
    )


def test_a_number_of_the_call_knows_how_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text(
        '{"protocol": 1, "parameters": {"sourceImageTag": 1.10}, "pipelineEnvironment":'
        ' {"artifactVersion": 1.20}}'
    )
    request = read_request(tmp_path / "request.json")
    assert coerce(request.parameters["sourceImageTag"], "string") == "1.10"
    assert coerce(request.pipeline_environment["artifactVersion"], "string") == "1.20"
