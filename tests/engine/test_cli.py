from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.calls import Ending, configure, request
from towline import cli, deadline, dispatch
from towline.cli import main
from towline.files import version

CONFIG = "steps:\n  imagePushToRegistry:\n    targetRegistryUrl: https://registry.example.com\n"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_version_is_the_librarys() -> None:
    out = io.StringIO()
    assert main(["--version"], environ={}, out=out, err=io.StringIO()) == 0
    assert out.getvalue() == f"towline {version()}\n"


def test_an_unknown_step_ends_with_2_and_the_nearest_name(workspace: Path) -> None:
    ending = Ending(["run", "imagePushToRegistri"], workspace)
    assert ending.code == 2
    assert ending.result["status"] == "failure"
    assert ending.result["error"]["category"] == "config"
    assert "imagePushToRegistri" in ending.result["error"]["message"]
    assert "imagePushToRegistry" in ending.result["error"]["hint"]


def test_the_result_names_the_step_even_where_its_flags_are_wrong(workspace: Path) -> None:
    ending = Ending(["run", "gitopsUpdateDeployment", "--stage", "Release", "--bogus"], workspace)
    assert (ending.code, ending.result["step"], ending.result["stage"]) == (
        2,
        "gitOpsUpdateDeployment",
        "Release",
    )


def test_common_flags_may_stand_before_the_command(workspace: Path) -> None:
    ending = Ending(["--stage", "Build", "plan"], workspace)
    assert [stage["name"] for stage in ending.result["outputs"]["stages"]] == ["Build"]


def test_a_request_for_another_step_is_refused(workspace: Path) -> None:
    flag = request(workspace, step="gitopsUpdateDeployment")
    assert (
        "gitopsUpdateDeployment" in Ending(["run", "imagePushToRegistry", *flag], workspace).message
    )
    assert Ending(["run", "gitOpsUpdateDeployment", *flag], workspace).code == 3


def test_an_unknown_flag_ends_with_2_and_the_nearest_flag(workspace: Path) -> None:
    ending = Ending(
        ["run", "imagePushToRegistry", "--targetRegistryUrk", "https://r.example.com"], workspace
    )
    assert ending.code == 2
    assert ending.result["error"]["message"] == "unknown flag --targetRegistryUrk"
    assert "--targetRegistryUrl" in ending.result["error"]["hint"]


def test_a_secret_s_flag_says_which_variable_takes_its_place(workspace: Path) -> None:
    ending = Ending(["run", "imagePushToRegistry", "--targetRegistryPassword=hunter22"], workspace)
    assert (ending.code, ending.message) == (2, "unknown flag --targetRegistryPassword")
    assert "set PIPER_targetRegistryPassword" in ending.hint
    assert "hunter22" not in ending.err


def test_a_misspelt_flag_does_not_name_a_secret(workspace: Path) -> None:
    ending = Ending(["explain", "--credential"], workspace)
    assert (ending.code, ending.hint) == (2, "did you mean '--credentials'?")


def test_a_flag_is_not_understood_by_its_beginning(workspace: Path) -> None:
    assert (
        Ending(
            ["run", "imagePushToRegistry", "--targetRegistryU", "https://r.example.com"], workspace
        ).code
        == 2
    )


def test_an_unknown_command_ends_with_2_and_the_nearest_command(workspace: Path) -> None:
    ending = Ending(["rum", "imagePushToRegistry"], workspace)
    assert ending.code == 2
    assert "'run'" in ending.result["error"]["hint"]


def test_no_command_at_all_ends_with_2(workspace: Path) -> None:
    assert Ending([], workspace).code == 2


@pytest.mark.parametrize(
    ("words", "start"),
    [
        ([], "usage: towline [-h]"),
        (["help"], "usage: towline [-h]"),
        (["help", "run"], "usage: towline run [-h]"),
        (["run", "--help"], "usage: towline run [-h]"),
        (["help", "run", "gitopsUpdateDeployment"], "usage: towline run gitOpsUpdateDeployment "),
        (["help", "copy"], "usage: towline copy "),
    ],
)
def test_help_is_to_be_had_as_people_ask_for_it(
    words: list[str], start: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ending:
        main(words, environ={}, out=io.StringIO(), err=io.StringIO())
    assert ending.value.code == 0
    assert capsys.readouterr().out.startswith(start)


def test_the_help_of_run_names_the_steps_that_can_be_run_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"], environ={}, out=io.StringIO(), err=io.StringIO())
    out = capsys.readouterr().out
    assert (
        -1
        < out.index("imagePushToRegistry")
        < out.index("gitOpsUpdateDeployment")
        < out.index("kubernetesDeploy")
    )
    assert {f"  {name}" for name in dispatch.STEPS} <= set(out.splitlines())


def test_the_help_of_a_step_has_required_parameters_and_defaults(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(
            ["help", "run", "gitOpsUpdateDeployment"],
            environ={},
            out=io.StringIO(),
            err=io.StringIO(),
        )
    text = " ".join(capsys.readouterr().out.split())
    assert (
        "(required unless targets is set)"
        in text.partition("--filePath TEXT")[2].partition(" --")[0]
    )
    assert "default kubectl" in text.partition("--tool TEXT")[2].partition(" --")[0]
    assert "PIPER_password" in text


@pytest.mark.parametrize("word", ["version", "help"])
def test_help_has_help_of_its_own(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main(["help", word], environ={}, out=io.StringIO(), err=io.StringIO())
    assert (ending.value.code, capsys.readouterr().out.startswith(f"usage: towline {word}")) == (
        0,
        True,
    )


def test_version_stands_alone(workspace: Path) -> None:
    for words in (["version", "x"], ["version", "--json"]):
        ending = Ending(words, workspace)
        assert ending.code == 2
        assert "did you mean 'version'" not in ending.hint


def test_an_extra_argument_is_reported_where_arguments_are_allowed(workspace: Path) -> None:
    assert (
        "before the flags"
        in Ending(["explain", "imagePushToRegistry", "--set", "targetRegistryUrl"], workspace).hint
    )


def test_version_is_a_word_too() -> None:
    out = io.StringIO()
    assert main(["version"], environ={}, out=out, err=io.StringIO()) == 0
    assert out.getvalue() == f"towline {version()}\n"


@pytest.mark.parametrize(
    "words",
    [
        ["copy", "a:1", "b.example.com/a:1", "--stage", "Build"],
        ["--stage", "Build", "schema"],
        ["lint", "--stage", "Build"],
        ["schema", "--config", "x.yml"],
    ],
)
def test_a_flag_that_means_nothing_to_a_command_is_refused(
    words: list[str], workspace: Path
) -> None:
    ending = Ending(words, workspace)
    assert ending.code == 2
    assert ending.message in ("unknown flag --stage", "unknown flag --config")


def test_a_misspelt_stage_is_reported_before_any_work(workspace: Path) -> None:
    configure(workspace, "stages:\n  Acceptance:\n    filePath: a.yaml\n")
    ending = Ending(["run", "gitOpsUpdateDeployment", "--stage", "Acceptence"], workspace)
    assert (ending.code, ending.message) == (2, "there is no stage 'Acceptence'")
    assert "'Acceptance'" in ending.hint


def test_a_stage_of_the_callers_own_is_a_warning_only_and_none_where_the_call_says_more(
    workspace: Path,
) -> None:
    configure(workspace, CONFIG)
    words = ["run", "imagePushToRegistry", "--stage", "Nightly"]
    ending = Ending(words, workspace)
    assert ending.code == 3
    assert "warning: nothing is configured for stage 'Nightly'" in ending.err
    assert (
        "Nightly'"
        not in Ending([*words, "--sourceRegistryUrl", "https://s.example.com"], workspace).err
    )


def test_a_missing_stage_is_named_where_the_configuration_has_stages(workspace: Path) -> None:
    configure(
        workspace,
        "stages:\n  Acceptance:\n    filePath: a.yaml\n  Release:\n    filePath: b.yaml\n",
    )
    ending = Ending(
        ["run", "gitOpsUpdateDeployment", "--serverUrl", "https://git.example.com/r.git"], workspace
    )
    assert ending.code == 3
    assert "no stage is named: --stage takes Acceptance, Release" in ending.hint


def test_quiet_leaves_warnings_and_errors(workspace: Path) -> None:
    configure(workspace, CONFIG)
    words = ["run", "imagePushToRegistry", "--stage", "Nightly"]
    assert [
        line.partition(":")[0] for line in Ending([*words, "--quiet"], workspace).err.splitlines()
    ] == ["warning", "error", "  next"]
    assert "imagePushToRegistry: runs in stage Nightly" in Ending(words, workspace).err


def test_a_request_that_is_not_json_ends_with_2(workspace: Path) -> None:
    (workspace / "request.json").write_text("{")
    ending = Ending(["run", "imagePushToRegistry", "--request", "request.json"], workspace)
    assert ending.code == 2
    assert ending.result["error"]["where"] == "request.json"


def test_a_configuration_that_does_not_parse_is_named_with_line_and_column(workspace: Path) -> None:
    (workspace / ".pipeline").mkdir()
    (workspace / ".pipeline" / "config.yml").write_text(
        "steps:\n  imagePushToRegistry:\n    a: [1\n"
    )
    ending = Ending(["run", "imagePushToRegistry"], workspace)
    assert ending.code == 3
    assert ending.result["error"]["where"].startswith(".pipeline/config.yml:")
    assert ending.result["error"]["where"].count(":") == 2


def test_no_image_known_is_an_error_and_no_success(workspace: Path) -> None:
    (workspace / ".pipeline").mkdir()
    (workspace / ".pipeline" / "config.yml").write_text(CONFIG)
    ending = Ending(
        ["run", "imagePushToRegistry", "--sourceRegistryUrl", "https://staging.example.com"],
        workspace,
    )
    assert ending.code == 3
    assert "no image" in ending.result["error"]["message"]


def test_what_others_wrote_is_no_line_and_no_command_of_ours(workspace: Path) -> None:
    name = "a\n::error::forged\x1b[31m ##vso[task.setvariable variable=TOWLINE_ENGINE]x.yml"
    configure(workspace, json.dumps({"customDefaults": [name]}))
    ending = Ending(["run", "imagePushToRegistry"], workspace)
    assert ending.code == 3
    for text in (ending.err, ending.result["error"]["message"]):
        assert "\n::" not in text
        assert "\x1b" not in text
        assert "##vso" not in text
        assert "forged" in text


def test_a_name_of_any_length_leaves_a_log_that_can_be_read(workspace: Path) -> None:
    ending = Ending(
        ["run", "imagePushToRegistry", "--targetRegistryUrl", f"https://{'a.-_' * 200_000}!"],
        workspace,
    )
    assert ending.code == 3
    assert "a.-_!' is not a registry URL" in ending.err
    assert len(ending.err) < 10_000
    assert len(json.dumps(ending.result)) < 30_000


def test_the_result_names_the_step_by_its_own_name_and_the_stage(workspace: Path) -> None:
    ending = Ending(["run", "gitopsUpdateDeployment", "--stage", "Acceptance"], workspace)
    assert (ending.result["step"], ending.result["stage"]) == (
        "gitOpsUpdateDeployment",
        "Acceptance",
    )


def test_a_bug_ends_with_1_a_trace_and_a_result(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(dispatch.STEPS, "imagePushToRegistry", "json")  # a module without run()
    (workspace / ".pipeline").mkdir()
    (workspace / ".pipeline" / "config.yml").write_text(CONFIG)
    ending = Ending(["run", "imagePushToRegistry"], workspace)
    assert ending.code == 1
    assert "Traceback" in ending.err
    assert ending.result["error"]["category"] == "undefined"


def test_secrets_leave_the_environment_before_anything_is_started(workspace: Path) -> None:
    request = {
        "protocol": 1,
        "step": "imagePushToRegistry",
        "secrets": {"parameters/targetRegistryUser": "TOWLINE_1"},
    }
    (workspace / "request.json").write_text(json.dumps(request))
    environ = {
        "PIPER_targetRegistryPassword": "one-secret",
        "TOWLINE_1": "two-secret",
        "PATH": "/usr/bin",
    }
    ending = Ending(["run", "imagePushToRegistry", "--request", "request.json"], workspace, environ)
    assert ending.environ == {"PATH": "/usr/bin"}
    assert "secret" not in ending.err.replace("secrets", "")


CARRIED = {
    "protocol": 1,
    "step": "imagePushToRegistry",
    "parameters": {"targetRegistryUrl": "https://r.example.com", "tagLatest": "x-two-secret"},
    "secrets": {"parameters/targetRegistryUser": "1", "parameters/targetImages": "2"},
}


def carried(texts: dict[str, object]) -> tuple[int, str, str, dict[str, str]]:
    """Call the engine as the library does; exit code, both streams, and what is left behind."""
    environ = {
        "TOWLINE_REQUEST": json.dumps(CARRIED),
        "TOWLINE_SECRETS": f"{json.dumps(texts):1100}",
        "PATH": "/usr/bin",
    }
    out, err = io.StringIO(), io.StringIO()
    words = ["run", "imagePushToRegistry", "--request", "env:TOWLINE_REQUEST", "--result", "-"]
    code = main(words, environ=environ, out=out, err=err)
    return code, out.getvalue(), err.getvalue(), environ


def test_request_and_secrets_of_the_library_leave_the_environment(workspace: Path) -> None:
    code, out, err, environ = carried(
        {"1": "two-secret", "2": {"app": "shop/app", "token": "more-secret"}}
    )
    assert environ == {"PATH": "/usr/bin"}
    result = json.loads(out)
    assert (code, result["exitCode"]) == (3, 3)
    assert 'tagLatest is "x-****"' in result["error"]["message"]
    assert 'tagLatest is "x-****"' in err
    assert "two-secret" not in out + err


def test_a_secret_that_is_not_there_is_named(workspace: Path) -> None:
    code, out, _, _ = carried({"1": "two-secret"})
    assert code == 2
    assert json.loads(out)["error"]["message"] == (
        "the variable 2 of secret 'parameters/targetImages' is not set, and TOWLINE_SECRETS has no"
        " such key"
    )


def test_a_key_of_a_secret_is_not_a_variable(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CARRIED, "secrets", {"parameters/targetRegistryUser": "PATH"})
    code, out, _, environ = carried({"PATH": "two-secret"})
    assert environ == {"PATH": "/usr/bin"}
    assert code == 3
    assert "two-secret" not in out


@pytest.mark.parametrize("extra", ["two-secret", ["two-secret"], {"token": "two-secret"}])
def test_a_secret_that_no_entry_names_is_masked_all_the_same(
    workspace: Path, extra: object
) -> None:
    _, out, err, _ = carried({"1": "another", "2": {}, "3": extra})
    assert 'tagLatest is "x-****"' in err
    assert "two-secret" not in out + err


def test_a_result_on_standard_output_is_the_only_output(workspace: Path) -> None:
    configure(workspace, "{}")
    done = shell("towline plan --result -", workspace)
    assert json.loads(done.stdout)["status"] == "success"
    plain = shell("towline plan", workspace).stdout
    assert plain
    assert plain in done.stderr
    both = shell("towline plan --result - --json", workspace)
    assert json.loads(both.stdout)["status"] == "success"


def test_a_result_on_standard_output_is_in_ascii(workspace: Path) -> None:
    done = shell("towline run --result - '\u00fc\u2028##[error]'", workspace)
    assert done.stdout.isascii()
    result = json.loads(done.stdout)
    assert (done.returncode, result["exitCode"]) == (2, 2)
    assert "\u00fc" in result["error"]["message"]
    assert "##[" not in done.stdout


def test_a_result_that_standard_output_does_not_take_is_not_a_success(workspace: Path) -> None:
    assert shell("towline plan --result - >/dev/full", workspace).returncode == 9


def test_a_result_that_nobody_reads_is_not_a_success(workspace: Path) -> None:
    line = "mkfifo p; exec 3<>p 4>p 3<&-; towline plan --result - >&4"
    done = shell(line, workspace)
    assert done.returncode == 9
    assert "error: nobody reads the result on standard output\n" in done.stderr


def test_a_secret_of_the_environment_is_masked_wherever_else_it_stands_before_anything_is_read(
    workspace: Path,
) -> None:
    configure(workspace, CONFIG)
    word = "correct-horse-battery"
    environ = {
        "PIPER_password": word,
        "PIPER_tagLatest": f"x{word}",
        "DEPLOY_TOKEN": "other-horse-battery",
        "PIPER_verify": "other-horse-battery",
    }
    ending = Ending(["run", "imagePushToRegistry"], workspace, environ)
    assert ending.code == 3
    assert 'tagLatest is "x****"' in ending.err
    assert not any(
        value in ending.err + str(ending.result) for value in (word, "other-horse-battery")
    )


def test_short_words_and_paths_stay_readable_until_they_are_known_to_be_secrets(
    workspace: Path,
) -> None:
    configure(workspace, CONFIG)
    key = str(workspace / "missing-key")
    ending = Ending(
        ["run", "imagePushToRegistry"],
        workspace,
        {"USE_TOKEN": "latest", "MY_SSH_KEY": key, "PIPER_tagLatest": f"latest {key}"},
    )
    assert f'tagLatest is "latest {key[:30]}' in ending.err


def test_a_short_secret_does_not_garble_the_result(workspace: Path) -> None:
    environ = {"PIPER_targetRegistryPassword": "null", "PIPER_targetRegistryUrl": "null://null"}
    ending = Ending(["run", "imagePushToRegistry"], workspace, environ)
    assert ending.result["bindings"] == []
    assert "null" not in json.dumps(ending.result["error"])


def test_json_prints_the_result_and_nothing_else_to_standard_output(workspace: Path) -> None:
    ending = Ending(["plan", "--json"], workspace)
    assert json.loads(ending.out) == ending.result


def test_an_error_says_what_where_and_what_next(workspace: Path) -> None:
    (workspace / ".pipeline").mkdir()
    (workspace / ".pipeline" / "config.yml").write_text("steps: [\n")
    lines = Ending(["plan"], workspace).err.splitlines()
    assert [line.split(":")[0].strip() for line in lines] == ["error", "where", "next"]


def test_a_result_that_cannot_be_written_is_a_fault_of_the_machine(workspace: Path) -> None:
    (workspace / "file").write_text("")
    err = io.StringIO()
    assert (
        main(["plan", "--result", "file/result.json"], environ={}, out=io.StringIO(), err=err) == 9
    )
    assert "file/result.json" in err.getvalue()


def test_a_working_directory_that_is_gone_is_a_fault_of_the_machine(workspace: Path) -> None:
    (workspace / "gone").mkdir()
    program = (
        "import os, sys; from towline import cli; sys.argv = ['towline', 'plan'];"
        " os.rmdir(os.getcwd()); sys.exit(cli.entry())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=workspace / "gone",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 9
    assert done.stderr.startswith("error: the working directory is gone")


ENTRY = (
    "import sys; from towline import cli; sys.argv = ['towline', *sys.argv[1:]];"
    " sys.exit(cli.entry())"
)


def shell(line: str, workspace: Path) -> subprocess.CompletedProcess[str]:
    """Run `line`, in which `towline` is the engine, as a user would."""
    function = f'towline() {{ "{sys.executable}" -c "{ENTRY}" "$@"; }}'
    return subprocess.run(
        ["/bin/bash", "-c", f"{function}; {line}"],
        cwd=workspace,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "line",
    [
        "towline plan --result result.json --json >&-",
        "towline plan --result result.json 2>&-",
        "towline plan --result result.json 2>/dev/full",
        "towline plan --result result.json <&- >&- 2>&-",
    ],
)
def test_a_stream_that_takes_nothing_costs_neither_result_nor_success(
    line: str, workspace: Path
) -> None:
    assert shell(line, workspace).returncode == 0
    assert json.loads((workspace / "result.json").read_text())["status"] == "success"


def test_a_log_that_cannot_be_written_leaves_the_exit_code(workspace: Path) -> None:
    assert shell("towline run nothing --result result.json 2>/dev/full", workspace).returncode == 2
    assert json.loads((workspace / "result.json").read_text())["error"]["category"] == "config"


@pytest.mark.parametrize(
    "words", ["plan", "plan --json", "--version", "schema", "help", "help plan", "version --help"]
)
def test_an_answer_that_cannot_be_written_is_a_fault_of_the_machine(
    words: str, workspace: Path
) -> None:
    done = shell(f"towline {words} >/dev/full", workspace)
    assert done.returncode == 9
    assert "error: cannot write to standard output: No space left on device\n" in done.stderr


def test_a_reader_that_has_seen_enough_is_not_a_fault(workspace: Path) -> None:
    done = shell("set -o pipefail; towline schema | true && towline help copy | true", workspace)
    assert (done.returncode, done.stderr) == (0, "")


SIGNALLED = (
    "import os, sys; from towline import cli;"
    " sys.argv = ['towline', 'plan', '--result', 'result.json'];"
    "import towline.commands.plan as plan; from towline.contract import Outcome\n"
    "def execute(*_):\n"
    "  try:\n"
    "    for number in {numbers}: os.kill(os.getpid(), number)\n"
    "  finally:\n"
    "    os.kill(os.getpid(), {again}); open('put-away', 'w').close()\n"
    "  return Outcome(status='success', summary='went on')\n"
    "plan.execute = execute; sys.exit(cli.entry())"
)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_with_a_result_that_says_aborted_and_a_second_one_changes_nothing(
    number: signal.Signals, code: int, workspace: Path
) -> None:
    program = SIGNALLED.format(numbers=[int(number)], again=int(signal.SIGTERM))
    # the tests themselves may run under nohup
    words = ["env", "--default-signal=HUP", sys.executable, "-c", program]
    done = subprocess.run(words, cwd=workspace, capture_output=True, check=False)
    assert done.returncode == code
    assert json.loads((workspace / "result.json").read_text())["status"] == "aborted"
    assert (workspace / "put-away").exists()


WAITING = (
    "import os, sys, threading; from concurrent.futures import ThreadPoolExecutor; from towline"
    " import cli\nimport towline.commands.plan as plan; sys.argv = ['towline', 'plan', '--result',"
    " 'result.json']\ndef execute(*_):\n  ThreadPoolExecutor().submit(threading.Event().wait)\n "
    " os.kill(os.getpid(), {number})\nplan.execute = execute; sys.exit(cli.entry())"
)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_a_thread_that_still_waits_does_not_hold_up_the_end(
    number: signal.Signals, code: int, workspace: Path
) -> None:
    words = [
        "env",
        "--default-signal=HUP",
        sys.executable,
        "-c",
        WAITING.format(number=int(number)),
    ]
    # without an end of its own it would wait forever
    done = subprocess.run(words, cwd=workspace, capture_output=True, check=False, timeout=120)
    assert done.returncode == code, done.stderr
    assert json.loads((workspace / "result.json").read_text())["status"] == "aborted"


def test_the_end_of_a_session_is_ignored_under_nohup(workspace: Path) -> None:
    program = SIGNALLED.format(numbers=[int(signal.SIGHUP)], again=int(signal.SIGHUP))
    done = subprocess.run(
        ["nohup", sys.executable, "-c", program], cwd=workspace, capture_output=True, check=False
    )
    assert done.returncode == 0
    assert json.loads((workspace / "result.json").read_text())["summary"] == "went on"


def test_an_interruption_while_the_engine_loads_prints_no_traceback(workspace: Path) -> None:
    program = """
import os, runpy, signal, sys
# A shell lets background processes ignore the signal.
signal.signal(signal.SIGINT, signal.default_int_handler)
class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == "towline.cli":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
runpy.run_module("towline", run_name="__main__")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=workspace, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_the_console_script_and_the_module_are_one_entry_point(workspace: Path) -> None:
    script = Path(sys.executable).with_name("towline")
    for words in ([str(script)], [sys.executable, "-m", "towline"]):
        done = subprocess.run(
            [*words, "version"], cwd=workspace, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (0, f"towline {version()}\n")


def test_a_dash_is_not_a_step(workspace: Path) -> None:
    ending = Ending(["run", "-"], workspace)
    assert (ending.code, "unknown step" in ending.message) == (2, True)


def test_a_configuration_that_is_read_for_too_long_ends_with_9(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline, "GRACE", 0.0)
    monkeypatch.setattr(cli, "_READING", 0.01)
    configure(workspace, "general:\n" + "".join(f"  key{number}: x\n" for number in range(40_000)))
    ending = Ending(["lint"], workspace)
    assert (ending.code, ending.message) == (
        9,
        "the configuration has not been read within 0 seconds",
    )
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
