from __future__ import annotations

import json
import os
import pwd
from pathlib import Path

import pytest

from tests.fakes.credential_helper import install
from towline.errors import CredentialError
from towline.registry.auth.credential_helper import ask
from towline.registry.auth.docker_config import CredentialHelper
from towline.secret import IDENTITY, Login

STORE = CredentialHelper(
    name="store", server="registry.example.com", origin="config.json, credsStore"
)


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_a_helper_gives_the_login_for_its_server(tmp_path: Path) -> None:
    environ = install(tmp_path / "bin", "store", {"registry.example.com": ("me", "hunter2")})
    assert ask(STORE, environ) == Login(
        username="me", password="hunter2", origin="docker-credential-store"
    )


def test_the_user_token_has_an_identity_token(tmp_path: Path) -> None:
    login = ask(
        STORE, install(tmp_path / "bin", "store", {"registry.example.com": ("<token>", "t")})
    )
    assert login is not None
    assert login.kind == IDENTITY


def test_a_server_that_the_helper_does_not_know_is_no_fault(tmp_path: Path) -> None:
    assert ask(STORE, install(tmp_path / "bin", "store", {})) is None
    assert (
        ask(STORE, install(tmp_path / "empty", "store", {"registry.example.com": ("", "")})) is None
    )


def test_the_server_is_not_in_the_arguments_and_our_own_variables_are_not_handed_on(
    tmp_path: Path, workspace: Path
) -> None:
    environ = install(tmp_path / "bin", "store", {"registry.example.com": ("me", "p")})
    ask(
        STORE,
        {
            **environ,
            "PIPER_targetRegistryPassword": "hunter2",
            "TOWLINE_SECRET_1": "hunter2",
            "AWS_SECRET_ACCESS_KEY": "key",
        },
    )
    seen = json.loads((tmp_path / "bin" / "seen.json").read_text())
    assert (seen["arguments"], seen["folder"]) == (["get"], "/")
    assert "hunter2" not in seen["environ"].values()
    assert seen["environ"]["AWS_SECRET_ACCESS_KEY"] == "key"


def test_nothing_leads_a_helper_into_the_workspace(tmp_path: Path, workspace: Path) -> None:
    """A helper may run tools by name, or by its settings: `credential_process` of AWS."""
    environ = install(tmp_path / "bin", "store", {"registry.example.com": ("me", "p")})
    own = {
        "HOME": str(workspace),
        "AWS_CONFIG_FILE": f"{workspace}/aws",
        "GNUPGHOME": f"{tmp_path}/bin/../workspace/x",
        "AWS_PROFILE": "workspace",
    }
    ask(
        STORE,
        {
            **environ,
            **own,
            "PATH": f"{workspace}/bin:bin:{environ['PATH']}",
            "XDG_CONFIG_HOME": str(tmp_path),
        },
    )
    seen = json.loads((tmp_path / "bin" / "seen.json").read_text())["environ"]
    assert (seen["PATH"], seen["HOME"]) == (environ["PATH"], pwd.getpwuid(os.getuid()).pw_dir)
    assert (seen["AWS_PROFILE"], seen["XDG_CONFIG_HOME"]) == ("workspace", str(tmp_path))
    assert not {"AWS_CONFIG_FILE", "GNUPGHOME"} & seen.keys()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo no such thing; exit 3", "ends with 3: no such thing"),
        ("echo nonsense", "answers without a login"),
        ("echo [1]", "answers without a login"),
        ("echo '{}'", "answers without a login"),
        (
            """echo '{"Username":"me","Secret":"hunter2"}'; exit 1""",
            "ends with 1: it gives a login all the same",
        ),
        ("exec sleep 60", "exceeded its time limit"),
    ],
)
def test_a_helper_that_fails_is_named_with_what_it_says(
    tmp_path: Path, script: str, message: str
) -> None:
    environ = install(tmp_path / "bin", "store", script=script)
    with pytest.raises(CredentialError) as caught:
        ask(STORE, environ, seconds=0.3 if "sleep" in script else 120)
    assert caught.value.message == f"docker-credential-store {message}"
    assert caught.value.where == STORE.origin
    assert "docker-credential-store get" in caught.value.hint


def test_a_helper_that_fails_for_what_it_is_not_given_says_so(
    tmp_path: Path, workspace: Path
) -> None:
    environ = install(tmp_path / "bin", "store", script="echo no such profile; exit 1")
    with pytest.raises(CredentialError) as caught:
        ask(
            STORE,
            {
                **environ,
                "AWS_CONFIG_FILE": f"{workspace}/aws",
                "HOME": str(workspace),
                "PWD": str(workspace),
            },
        )
    assert (
        "; it is not given AWS_CONFIG_FILE, HOME, which leads into the workspace: keep"
        in caught.value.hint
    )


def test_a_helper_comes_from_path_and_never_from_the_workspace(
    tmp_path: Path, workspace: Path
) -> None:
    """Facts section 4, "credential helper execution"."""
    install(workspace / "bin", "store", {"registry.example.com": ("evil", "p")})
    for path in (str(workspace / "bin"), "bin", "", "."):
        with pytest.raises(CredentialError, match="is not on PATH"):
            ask(STORE, {"PATH": path})
