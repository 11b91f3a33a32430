"""A program of the caller's own gets credentials of Vault, and nobody else sees them."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.vault_server import VaultServer
from towline.cli import main

PASSWORD = "correct-horse-battery"
ROLE, SECRET, TOKEN = "PIPER_vaultAppRoleID", "PIPER_vaultAppRoleSecretID", "PIPER_vaultToken"
KEYS = "vaultCredentialPath: app, vaultCredentialKeys: [user, password]"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    with VaultServer(tmp_path_factory.mktemp("vault")) as running:
        running.put(
            "team/app", user="ann", password=PASSWORD, lines="first line of it\nsecond line of it"
        )
        running.put("team/tests", login="tester")
        running.put("GROUP-SECRETS/shared", user="group")
        running.policy("team", "secret/data/team/*", "secret/data/GROUP-SECRETS/*")
        yield running


class Place:
    """A project whose configuration names the server, on its productive branch."""

    def __init__(self, folder: Path, server: VaultServer) -> None:
        self.folder, self.server = folder, server
        ids = server.app_role("team")
        self.login = {ROLE: ids[0], SECRET: ids[1]}
        self.environ = {"PATH": os.environ["PATH"]}
        self.result: dict[str, object] = {}
        self.configure(KEYS)

    def configure(self, general: str, more: str = "") -> None:
        (self.folder / ".pipeline").mkdir(exist_ok=True)
        where = (
            f"vaultServerUrl: '{self.server.url}', vaultBasePath: secret, vaultPipelineName: team"
        )
        (self.folder / ".pipeline" / "config.yml").write_text(
            f"general: {{{where}, {general}}}\n{more}"
        )

    def run(
        self, *words: str, flags: tuple[str, ...] = ("--branch", "main"), **environ: str
    ) -> tuple[int, str, str]:
        """Exit code, standard output and log of `towline exec FLAGS -- WORDS`."""
        out, err, result = io.StringIO(), io.StringIO(), self.folder / "result.json"
        given = {**self.environ, **self.login, **environ}
        code = main(
            ["exec", *flags, "--result", str(result), "--", *words], environ=given, out=out, err=err
        )
        self.result = json.loads(result.read_text())
        result.unlink()
        return code, out.getvalue(), err.getvalue()

    def python(
        self, code: str, flags: tuple[str, ...] = ("--branch", "main"), **environ: str
    ) -> tuple[int, str, str]:
        return self.run(sys.executable, "-I", "-c", code, flags=flags, **environ)

    def held(self, **environ: str) -> dict[str, str]:
        """The environment that the program itself has written to a file."""
        path = self.folder / "environment.json"
        words = [
            sys.executable,
            "-I",
            "-c",
            f"import json, os; json.dump(dict(os.environ), open({str(path)!r}, 'w'))",
        ]
        code, _, err = self.run(*words, **environ)  # type: ignore[arg-type]
        assert code == 0, err
        return dict(json.loads(path.read_text()))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: VaultServer) -> Place:
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path, server)


# ---- the program's variables


def test_it_has_the_credentials_and_all_that_the_caller_has_but_the_login(place: Place) -> None:
    held = place.held(OWN="mine", MY_TOKEN="own-secret-token", PIPER_vaultToken="")
    assert {name: value for name, value in held.items() if name.startswith("PIPER_")} == {
        "PIPER_VAULTCREDENTIAL_USER": "ann",
        "PIPER_VAULTCREDENTIAL_USER_BASE64": base64.b64encode(b"ann").decode(),
        "PIPER_VAULTCREDENTIAL_PASSWORD": PASSWORD,
        "PIPER_VAULTCREDENTIAL_PASSWORD_BASE64": base64.b64encode(PASSWORD.encode()).decode(),
    }
    assert (held["OWN"], held["MY_TOKEN"]) == ("mine", "own-secret-token")
    assert not any(value in held.values() for value in place.login.values())
    assert place.result["outputs"] == {
        "variables": [name for name in held if name.startswith("PIPER_")]
    }


def test_a_stage_that_nobody_knows_is_told(place: Place) -> None:
    code, _, err = place.run("true", flags=("--branch", "main", "--stage", "Acceptnce"))
    assert (
        code,
        "warning: nothing is configured for stage 'Acceptnce': did you mean 'Acceptance'?" in err,
    ) == (0, True), err


def test_a_path_without_a_program_is_a_fault_before_anybody_logs_in(place: Place) -> None:
    code, _, err = place.run("./gradlew", flags=("--branch", "main"))
    assert (code, "there is no file ./gradlew" in err, "Vault" in err) == (9, True, False), err


def test_sections_of_the_stage_and_of_a_step_count(place: Place) -> None:
    steps = (
        "steps: {npmExecuteEndToEndTests: {vaultTestCredentialPath: tests, vaultTestCredentialKeys:"
        " [login]}}"
    )
    place.configure(
        "unrelated: x",
        "stages: {Acceptance: {vaultCredentialPath: shared, vaultCredentialKeys:"
        f" [user]}}}}\n{steps}",
    )
    code, _, _ = place.run(
        sys.executable,
        "-c",
        "import os, sys; sys.exit('PIPER_VAULTCREDENTIAL_USER' not in os.environ)",
        flags=("--branch", "main", "--stage", "Acceptance"),
    )
    assert code == 0
    code, _, _ = place.run(
        sys.executable,
        "-c",
        "import os, sys; sys.exit(os.environ['PIPER_TESTCREDENTIAL_LOGIN'] != 'tester')",
        flags=("--branch", "main", "--step", "npmExecuteEndToEndTests"),
    )
    assert code == 0


def test_the_login_is_over_before_it_begins_and_its_token_given_back(
    place: Place, server: VaultServer
) -> None:
    before = server.tokens()
    check = (
        "import json, sys, urllib.request as u;"
        f" print(u.urlopen('{server.url}/v1/sys/health').status)"
    )
    assert place.python(check)[0] == 0
    assert server.tokens() == before


def test_what_it_would_have_is_explained_before(place: Place) -> None:
    out = io.StringIO()
    assert (
        main(
            ["explain", "--credentials", "--branch", "feature"],
            environ=dict(place.environ),
            out=out,
            err=io.StringIO(),
        )
        == 0
    )
    told = out.getvalue().partition("\nexec\n")[2]
    assert (
        "secrets at secret/team/app in Vault (.pipeline/config.yml:1) -> this build\n     "
        " refused: " in told
    )
    place.configure("unrelated: x")
    out = io.StringIO()
    main(
        ["explain", "--credentials", "--branch", "feature"],
        environ=dict(place.environ),
        out=out,
        err=io.StringIO(),
    )
    assert "\nexec\n" not in out.getvalue()


# ---- output


def test_what_it_writes_is_masked_line_by_line_and_else_as_it_is(place: Place) -> None:
    place.configure("vaultCredentialPath: app, vaultCredentialKeys: [password, lines]")
    code, out, err = place.python(
        "import os, sys; p = os.environ['PIPER_VAULTCREDENTIAL_PASSWORD']\n"
        # in one write, more than a pipe holds, so that it comes in pieces
        "print('\\x1b[32m::group::it is' + (' ' + p) * 20000)\n"
        "print(os.environ['PIPER_VAULTCREDENTIAL_PASSWORD_BASE64'])\n"
        "print(os.environ['PIPER_VAULTCREDENTIAL_LINES'].splitlines()[1], file=sys.stderr)"
    )
    assert (code, out) == (0, f"\x1b[32m::group::it is{' ****' * 20000}\n****\n")
    assert "\n****\n" in err
    assert not any(text in out + err for text in (PASSWORD, "second line", *place.login.values()))


def test_its_exit_code_is_ours(place: Place) -> None:
    code, _, err = place.python("import sys; sys.exit(37)")
    assert (code, "error: python" in err, "ended with exit code 37" in err) == (37, True, True)
    assert place.result["status"] == "failure"
    assert place.python("import os; os.kill(os.getpid(), 9)")[0] == 137


def test_flags_behind_the_dashes_are_its_own(place: Place) -> None:
    code, out, _ = place.run(
        sys.executable,
        "-c",
        "import sys; print(sys.argv[1:])",
        "--stage",
        "x",
        "--result",
        "y",
        "--json",
        "--verbose",
        "--",
        "-h",
    )
    assert (code, out) == (
        0,
        "['--stage', 'x', '--result', 'y', '--json', '--verbose', '--', '-h']\n",
    )
    assert not (place.folder / "y").exists()


def test_it_reads_the_input_of_the_caller(place: Place) -> None:
    words = [
        sys.executable,
        "-m",
        "towline",
        "exec",
        "--branch",
        "main",
        "--",
        sys.executable,
        "-c",
        "import sys; print(sys.stdin.read().upper())",
    ]
    environ = {**os.environ, **place.login}
    ended = subprocess.run(
        words,
        input="given",
        cwd=place.folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (ended.returncode, ended.stdout) == (0, "GIVEN\n"), ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_too_and_it_may_put_its_things_away(
    place: Place, number: signal.Signals
) -> None:
    """The program gets Ctrl-C as SIGTERM, because the terminal does not know it."""
    code = (
        "import os, signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'put"
        " away'), sys.exit(0)));os.write(1, b'ready\\n'); time.sleep(600)"
    )
    words = [
        sys.executable,
        "-m",
        "towline",
        "exec",
        "--branch",
        "main",
        "--",
        sys.executable,
        "-I",
        "-c",
        code,
    ]
    child = subprocess.Popen(
        words,
        cwd=place.folder,
        env={**os.environ, **place.login},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout
    assert child.stdout.readline() == "ready\n"
    child.send_signal(number)
    out, err = child.communicate(timeout=300)
    assert (child.returncode, out) == (128 + number, "put away"), err


def test_it_has_no_terminal_to_ask_at(place: Place) -> None:
    code = (
        "import os; print(os.getsid(0) == os.getpid())\ntry: open('/dev/tty')\nexcept OSError:"
        " print('none')"
    )
    ended, out, err = place.run(sys.executable, "-c", code, flags=("--branch", "main"))
    assert (ended, out) == (0, "True\nnone\n"), err


def test_who_has_seen_enough_of_it_ends_it_as_without_us(place: Place) -> None:
    """With `| head`, a program that writes without end would run for hours unseen."""
    words = [sys.executable, "-m", "towline", "exec", "--branch", "main", "--", "yes"]
    child = subprocess.Popen(
        words,
        cwd=place.folder,
        env={**os.environ, **place.login},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout
    assert child.stdout.readline() == "y\n"
    child.stdout.close()
    _, err = child.communicate(timeout=300)
    assert (child.returncode, "yes was killed by signal 13" in err) == (141, True), err


def test_it_ends_in_time(place: Place) -> None:
    code, _, err = place.run(
        sys.executable,
        "-c",
        "import time; time.sleep(600)",
        flags=("--branch", "main", "--deadline", "1"),
    )
    assert (code, "did not end within 1 seconds" in err) == (9, True)


# ---- invalid calls


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["exec"], "no program is named"),
        (["exec", "--"], "no program is named"),
        (["exec", "--deadline", "0", "--", "true"], "from 1 to"),
        (["exec", "--deadline", "9" * 30, "--", "true"], "from 1 to"),
        (["exec", "true"], "unexpected word 'true'"),
        (["exec", "--json", "--", "true"], "unknown flag --json"),
        (["exec", "--step", "imagePushToRegistri", "--", "true"], "unknown step"),
    ],
)
def test_what_is_no_call_is_a_fault_of_usage(place: Place, words: list[str], said: str) -> None:
    err = io.StringIO()
    assert main(words, environ=place.environ, out=io.StringIO(), err=err) == 2
    assert said in err.getvalue()


def test_a_program_of_the_workspace_is_named_by_its_path(place: Place) -> None:
    """A pull request can change a program that PATH finds in the workspace; a path is chosen by
    the caller.
    """
    tool = place.folder / "tool"
    tool.write_text("#!/bin/sh\necho ran\n")
    tool.chmod(0o755)
    code, _, err = place.run("tool", PATH=f"{place.folder}:/usr/bin:/bin")
    assert (code, "there is no program tool on PATH" in err) == (9, True)
    assert place.run("./tool")[:2] == (0, "ran\n")


# ---- if the program does not start


def test_it_is_not_run_where_a_credential_is_missing(place: Place) -> None:
    for general, code, said in [
        (
            "vaultCredentialPath: none, vaultCredentialKeys: [user]",
            3,
            "Vault has none of user at secret/team/none or secret/GROUP-SECRETS/none",
        ),
        ("vaultCredentialPath: app, vaultCredentialKeys: user", 3, "do not have the same shape"),
        ("unrelated: x", 3, "no credentials of Vault are named for a program"),
    ]:
        place.configure(general)
        ended, out, err = place.python("print('ran')")
        assert (ended, out, said in err) == (code, "", True), err


def test_it_is_not_run_without_a_login_or_by_one_that_is_refused(place: Place) -> None:
    login, place.login = place.login, {}
    ended, out, err = place.python("print('ran')")
    assert (ended, out, "there is no login for Vault" in err) == (4, "", True), err
    place.login = {**login, SECRET: "wrong-secret-id"}
    ended, out, err = place.python("print('ran')")
    assert (ended, out, "refuses the AppRole login" in err) == (4, "", True)
    assert "wrong-secret-id" not in err


def test_it_is_run_without_them_where_vault_is_skipped(place: Place) -> None:
    place.configure(f"{KEYS}, skipVault: true")
    ended, out, err = place.python("print('ran')")
    assert (ended, out, "note: Vault is not asked" in err) == (0, "ran\n", True)


def test_what_a_branch_names_in_vault_is_not_read_for_it(place: Place, server: VaultServer) -> None:
    flags = ("--branch", "feature")
    assert place.run(sys.executable, "-c", "print(1)", flags=flags)[0] == 4
    trusted = {"PIPER_vaultServerUrl": server.url}
    code, _, err = place.run(sys.executable, "-c", "print(1)", flags=flags, **trusted)
    assert (code, "Vault is not asked for secret/team/app" in err) == (4, True)
    code, out, _ = place.run(
        sys.executable,
        "-c",
        "print(1)",
        flags=flags,
        PIPER_vaultPaths="secret/team/*,secret/GROUP-SECRETS/*",
        **trusted,
    )
    assert (code, out) == (0, "1\n")
