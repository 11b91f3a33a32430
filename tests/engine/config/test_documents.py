from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.fakes.serve import Answer, LoopbackServer, Request
from towline.config.documents import (
    ConfigDocument,
    ConfigDocuments,
    parse_document,
    read_documents,
    stage_name,
)
from towline.errors import ConfigError


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "workspace" / ".pipeline").mkdir(parents=True)
    return tmp_path / "workspace"


def put(workspace: Path, text: str, name: str = ".pipeline/config.yml") -> Path:
    (workspace / name).write_text(text, encoding="utf-8")
    return workspace


def names(documents: ConfigDocuments) -> list[str]:
    return [document.name for document in documents.defaults]


def fault_of(folder: Path, config: str = "") -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read_documents(folder, config=config)
    return caught.value


def test_a_project_without_configuration_is_empty(workspace: Path) -> None:
    documents = read_documents(workspace)
    assert documents.project.content == {}
    assert names(documents) == ["towline/defaults.yaml"]


def test_the_configuration_may_end_in_yaml_and_the_usual_name_counts_first(workspace: Path) -> None:
    put(workspace, "general: {a: yaml}", ".pipeline/config.yaml")
    assert read_documents(workspace).project.section("general") == {"a": "yaml"}
    put(workspace, "general: {a: yml}")
    assert read_documents(workspace).project.name == ".pipeline/config.yml"


@pytest.mark.parametrize(
    ("asked", "there"),
    [
        ("other.yml", "other.yaml"),
        ("other.yaml", "other.yml"),
        ("other.yml", "other.yml"),
        ("plain", "plain"),
    ],
)
def test_another_configuration_may_be_asked_for(workspace: Path, asked: str, there: str) -> None:
    put(workspace, "general: {a: 1}", there)
    assert read_documents(workspace, config=asked).project.name == there


def test_a_configuration_that_was_asked_for_must_be_there(workspace: Path) -> None:
    assert fault_of(workspace, "other.yml").where == "other.yml"


def test_a_tab_is_told_from_other_faults(workspace: Path) -> None:
    fault = fault_of(put(workspace, "steps:\n\tpaint: {}\n"))
    assert (fault.where, "spaces" in fault.hint) == (".pipeline/config.yml:2:1", True)
    assert "spaces" not in fault_of(put(workspace, "steps: [")).hint


def test_default_documents_stand_from_the_librarys_to_the_projects(
    workspace: Path, tmp_path: Path
) -> None:
    put(workspace, "customDefaults: [one.yml, sub/../one.yml]")
    put(workspace, "general: {a: 1}", "one.yml")
    (workspace / "sub").mkdir()
    team = put(tmp_path, "general: {a: 2}", "team.yml") / "team.yml"
    documents = read_documents(
        workspace,
        team_files=[str(team)],
        team_documents=[parse_document("general: {a: 3}", "of the call", trusted=True)],
    )
    assert names(documents) == [
        "towline/defaults.yaml",
        str(team),
        "of the call",
        "one.yml",
        "sub/../one.yml",
    ]
    assert [document.trusted for document in (*documents.defaults, documents.project)] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


def test_custom_defaults_of_default_documents_are_not_followed(workspace: Path) -> None:
    documents = read_documents(
        workspace,
        team_documents=[parse_document("customDefaults: [missing.yml]", "team", trusted=True)],
    )
    assert names(documents) == ["towline/defaults.yaml", "team"]


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        (
            "general: 1\ncustomDefaults:\n  - one.yml\n  - missing.yml\n",
            "missing.yml is not there",
            4,
        ),
        (
            "\ncustomDefaults:\n  - https://me:secret@host/defaults.yml\n",
            "https://host/defaults.yml cannot be read",
            3,
        ),
        ("\ncustomDefaults: one.yml\n", "must be a list", 2),
        (f"customDefaults: {['one.yml'] * 101}\n", "at most 100", 1),
        ("customDefaults: [1]\n", "must be a path", 1),
        ("customDefaults:\n  - one.yml\n  - ''\n", "'' is a folder", 3),
        ("customDefaults: [.pipeline]\n", "'.pipeline' is a folder", 1),
    ],
)
def test_custom_defaults_that_cannot_be_read_name_the_line_that_asks_for_them(
    workspace: Path, text: str, message: str, line: int
) -> None:
    put(workspace, "general: {}", "one.yml")
    fault = fault_of(put(workspace, text.replace("general: 1", "general: {}")))
    assert message in fault.message
    assert fault.where == f".pipeline/config.yml:{line}"


TWO = "---\ngeneral: {}\n---\ngeneral: {credentialHosts: [a.example]}\n"


def test_a_second_document_of_the_platform_team_is_an_error_and_no_rule_that_is_off(
    workspace: Path, tmp_path: Path
) -> None:
    team = put(tmp_path, TWO, "team.yml") / "team.yml"
    with pytest.raises(ConfigError, match="something stands behind it") as by_file:
        read_documents(workspace, team_files=[str(team)])
    with pytest.raises(ConfigError, match="something stands behind it") as by_text:
        read_documents(workspace, team_documents=[parse_document(TWO, "of the call", trusted=True)])
    assert (by_file.value.where, by_text.value.where) == (f"{team}:3", "of the call:3")


def test_a_second_document_of_the_project_is_not_read_as_in_piper(workspace: Path) -> None:
    put(workspace, "general: {a: 1}\n---\ngeneral: {a: 2}\n", "one.yml")
    documents = read_documents(put(workspace, "customDefaults: [one.yml]\n--- {b\n"))
    assert [documents.project.content, documents.defaults[-1].content] == [
        {"customDefaults": ["one.yml"]},
        {"general": {"a": 1}},
    ]
    assert [documents.project.unread, documents.defaults[-1].unread] == [3, 2]
    assert (
        read_documents(put(workspace, "stages: {Central Build: {}}\n---\na: b\n")).project.unread
        == 2
    )
    assert read_documents(put(workspace, "a: b\n---\n# nothing\n")).project.unread == 0


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("- a\n", "the configuration must be a map", 1),
        ("general:\n  - a\n", "general must be a map", 1),
        ("stages:\n  Build: true\n", "stages.Build must be a map", 2),
        ("general: {}\nsteps:\n  a: {}\n  paint: [colour]\n", "steps.paint must be a map", 4),
        ("steps: text", "steps must be a map", 1),
    ],
)
def test_a_section_that_is_not_a_map_is_named_with_its_line(
    workspace: Path, text: str, message: str, line: int
) -> None:
    fault = fault_of(put(workspace, text))
    assert message in fault.message
    assert fault.where == f".pipeline/config.yml:{line}"


def test_empty_sections_are_not_an_error(workspace: Path) -> None:
    project = read_documents(
        put(workspace, "general:\nsteps:\n  paint:\nstages:\n  Build: {}\n")
    ).project
    assert (
        project.section("steps", "paint")
        == project.section("stages", "Build")
        == project.section("stages", "Other")
        == {}
    )


def test_yaml_that_does_not_parse_is_named_with_line_and_column(workspace: Path) -> None:
    fault = fault_of(put(workspace, "general:\n  a: 1\n  b: [1\nsteps: {}\n"))
    assert re.fullmatch(r"\.pipeline/config\.yml:[34]:\d+", fault.where)
    assert (
        fault_of(put(workspace, "general:\n  a: 1\n  a: 2\n")).where == ".pipeline/config.yml:3:3"
    )


def test_an_unreadable_text_is_named(workspace: Path) -> None:
    (workspace / ".pipeline/config.yml").write_bytes(b"general: {a: \xff}")
    assert "UTF-8" in fault_of(workspace).message
    (workspace / "folder.yml").mkdir()
    assert fault_of(workspace, "folder.yml").where == "folder.yml"


@pytest.mark.parametrize(
    "text", ["general: {a: [" + "1," * 200 + "]}", f"general: {{a: {'x' * 3_000}}}"]
)
def test_default_documents_together_are_bounded_as_one_alone(
    workspace: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("towline.config.documents.MAX_LOADED", 500)
    monkeypatch.setattr("towline.config.documents.MAX_CHARACTERS", 8_000)
    for name in ("a.yml", "b.yml", "c.yml"):
        put(workspace, text, name)
    assert len(read_documents(put(workspace, "customDefaults: [a.yml, b.yml]")).defaults) == 3
    fault = fault_of(put(workspace, "customDefaults:\n  - a.yml\n  - b.yml\n  - c.yml\n"))
    assert (fault.message, fault.where) == (
        "default documents up to c.yml hold too much",
        ".pipeline/config.yml:4",
    )


def test_a_pipe_is_never_opened(workspace: Path) -> None:
    os.mkfifo(workspace / ".pipeline/config.yml")
    assert "not a regular file" in fault_of(workspace).message


def test_a_file_beyond_all_measure_is_not_read(workspace: Path) -> None:
    with (put(workspace, "") / ".pipeline/config.yml").open("r+b") as stream:
        stream.truncate(9 * 1024 * 1024)
    fault = fault_of(workspace)
    assert "larger than 8 MiB" in fault.message
    assert "may have 8388608 characters" in fault.hint


@pytest.mark.parametrize(
    "text", ["general: " + "[" * 200 + "]" * 200, "general: [" + "x, " * 100_000 + "]", "&a [*a]"]
)
def test_a_file_that_holds_too_much_says_how_much_it_may_hold(workspace: Path, text: str) -> None:
    assert (
        "may have 8388608 characters, 100000 keys and values (aliases may add 100000), and 100"
        " levels" in fault_of(put(workspace, text)).hint
    )


def test_a_section_is_not_a_copy_since_thousands_of_stages_ask_for_it() -> None:
    document = parse_document("stages: {Build: {}}", "x", trusted=False)
    assert document.section("stages") is document.section("stages")


@pytest.mark.parametrize("path", ["/nowhere/team.yml", "relative.yml"])
def test_the_platform_teams_files_are_there_and_not_the_projects(
    workspace: Path, path: str
) -> None:
    put(workspace, "general: {}", "relative.yml")
    with pytest.raises(ConfigError) as caught:
        read_documents(workspace, team_files=[path])
    assert path in caught.value.where


@pytest.mark.parametrize("way", ["as it is", "with dots", "by a link from outside", "in a link"])
def test_a_file_of_the_platform_team_in_the_workspace_is_refused(
    workspace: Path, tmp_path: Path, way: str
) -> None:
    """Anybody who pushes to a branch could change it, and with it what is trusted."""
    inside = put(workspace, "general: {}", "team.yml") / "team.yml"
    elsewhere = put(tmp_path, "general: {}", "team.yml") / "team.yml"
    (tmp_path / "link.yml").symlink_to(inside)
    (workspace / "link.yml").symlink_to(elsewhere)
    named = {
        "as it is": inside,
        "with dots": tmp_path / "sub/../workspace/team.yml",
        "by a link from outside": tmp_path / "link.yml",
        "in a link": workspace / "link.yml",
    }[way]
    with pytest.raises(ConfigError, match="lies in the workspace") as caught:
        read_documents(workspace, team_files=[str(named)])
    assert caught.value.where == f"TOWLINE_DEFAULTS: {named}"
    assert "outside of every workspace" in caught.value.hint
    assert str(elsewhere) in names(read_documents(workspace, team_files=[str(elsewhere)]))


def test_links_that_lead_to_each_other_are_not_a_file_of_the_platform_team(
    workspace: Path, tmp_path: Path
) -> None:
    (tmp_path / "loop.yml").symlink_to(tmp_path / "loop.yml")
    with pytest.raises(ConfigError) as caught:
        read_documents(workspace, team_files=[str(tmp_path / "loop.yml")])
    assert caught.value.hint == "correct the file or its permissions"


def test_a_path_that_is_not_a_file_is_named_by_its_kind(workspace: Path) -> None:
    with pytest.raises(ConfigError, match="the file is not there") as caught:
        read_documents(workspace, team_files=["/nowhere/team.yml"])
    assert caught.value.hint == "correct TOWLINE_DEFAULTS"
    with pytest.raises(ConfigError, match="the file is not a regular file"):
        read_documents(workspace, config="/dev/null")
    (workspace / ".pipeline" / "config.yml").mkdir(parents=True)
    with pytest.raises(ConfigError, match="the file is a folder"):
        read_documents(workspace)


def test_a_key_without_a_mark_has_the_line_of_the_key_around_it() -> None:
    document = parse_document("general:\n  a: 1\n", "f", trusted=True)
    nothing = ConfigDocument(name="config.yml", trusted=False, content={}, marks={})
    assert (document.where("general", "b"), document.where("steps", "s"), nothing.where("x")) == (
        "f:1",
        "f:1",
        "config.yml",
    )


# ---- which files


def test_a_custom_default_may_end_in_the_other_of_the_two_endings(workspace: Path) -> None:
    put(workspace, "customDefaults: [one.yml, two.yaml]")
    put(workspace, "general: {a: 1}", "one.yaml")
    put(workspace, "general: {a: 2}", "two.yml")
    assert names(read_documents(workspace))[1:] == ["one.yaml", "two.yml"]


def test_a_projects_own_defaults_file_stands_below_its_custom_defaults_and_is_not_trusted(
    workspace: Path, tmp_path: Path
) -> None:
    put(workspace, "customDefaults: [one.yml]")
    put(workspace, "general: {}", "one.yml")
    put(workspace, "general: {a: own}", ".pipeline/defaults.yaml")
    documents = read_documents(workspace, team_documents=[parse_document("", "team", trusted=True)])
    assert names(documents) == [
        "towline/defaults.yaml",
        "team",
        ".pipeline/defaults.yaml",
        "one.yml",
    ]
    assert [document.trusted for document in documents.defaults] == [True, True, False, False]


class Shelf(LoopbackServer):
    def answer(self, request: Request) -> Answer:
        return Answer(
            status=200,
            body=(
                f"general: {{path: {request.path}, token:"
                f" '{request.headers.get('authorization', '')}'}}\n".encode()
            ),
        )


def test_custom_defaults_come_from_http_too_and_each_url_is_asked_once(workspace: Path) -> None:
    with Shelf() as server:
        put(
            workspace,
            f"customDefaults: [{server.url}/a.yml?key=hidden, {server.url}/a.yml?key=hidden,"
            f" HTTP://{server.host}/b.yml]",
        )
        documents = read_documents(
            workspace, environ={"PIPER_gitHubTokens": f'["{server.host}:token-of-host"]'}
        )
        assert server.count("GET") == 2
    assert names(documents)[1:] == [
        f"{server.url}/a.yml",
        f"{server.url}/a.yml",
        f"http://{server.host}/b.yml",
    ]
    assert documents.defaults[-1].section("general") == {
        "path": "/b.yml",
        "token": "token token-of-host",
    }
    assert not documents.defaults[-1].trusted


@pytest.mark.parametrize(
    "url",
    [
        "{server}/a.yml",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.9.8.7/job/x/build",
        "http://[::ffff:a9fe:a9fe]/",
        "http://localhost:1/x",
        "http://2852039166/",
        "https://no-such-host.invalid/",
    ],
)
def test_what_a_pull_request_names_is_not_asked_inside_and_one_answer_is_given(
    workspace: Path, url: str
) -> None:
    with Shelf() as server:
        put(workspace, f"customDefaults: ['{url.format(server=server.url)}']")
        with pytest.raises(ConfigError) as caught:
            read_documents(workspace, environ={})
        assert server.count("GET") == 0
    assert "no public host of this name is known" in caught.value.message
    assert "defaultHosts of a trusted layer" in caught.value.hint


def test_a_host_inside_is_asked_where_a_trusted_layer_names_it(workspace: Path) -> None:
    def read(environ: Mapping[str, str], **team: str) -> int:
        with Shelf() as server:
            put(
                workspace,
                f"general: {{defaultHosts: ['{server.host}']}}\ncustomDefaults:"
                f" [{server.url}/a.yml]",
            )
            documents = [
                parse_document(text.replace("HOST", server.host), name, trusted=name != "carried")
                for name, text in team.items()
            ]
            named = {name: value.replace("HOST", server.host) for name, value in environ.items()}
            with contextlib.suppress(ConfigError):
                read_documents(workspace, environ=named, team_documents=documents)
            return server.count("GET")

    assert read({}) == 0  # the project's own word does not count
    assert read({}, team="general: {defaultHosts: ['HOST']}") == 1
    assert read({"PIPER_defaultHosts": "other.corp,HOST"}) == 1
    assert read({"PIPER_defaultHosts": "other.corp"}, team="general: {defaultHosts: ['HOST']}") == 0
    assert (
        read({}, team="general: {defaultHosts: ['HOST']}", later="general: {defaultHosts: []}") == 0
    )
    assert read({}, carried="general: {defaultHosts: ['HOST']}") == 0
    assert read({"PIPER_gitHubTokens": '["HOST:token-of-host"]'}) == 1


def test_metadata_services_are_not_asked_whoever_names_them(workspace: Path) -> None:
    put(workspace, "customDefaults: ['http://169.254.169.254/x']")
    with pytest.raises(ConfigError, match="link-local, which Towline never connects to"):
        read_documents(workspace, environ={"PIPER_defaultHosts": "169.254.169.254"})


OUT = (
    "{outside}/NAME",
    "../NAME",
    "link/NAME",
    "file.yml",
    "../../NAME/../WORKSPACE/own.yml",
    "link/NAME/../../WORKSPACE/own.yml",
)


@pytest.mark.parametrize("name", OUT)
def test_nobody_learns_which_files_of_the_agent_are_there(
    workspace: Path, tmp_path: Path, name: str
) -> None:
    outside = tmp_path / "outside"
    (outside / "agents").mkdir(parents=True)
    put(workspace, "general: {}", "own.yml")
    (workspace / "link").symlink_to(outside)
    answers = set()
    for file in ("agents", "nobodys"):
        (workspace / "file.yml").unlink(missing_ok=True)
        (workspace / "file.yml").symlink_to(outside / file)
        path = (
            name.format(outside=outside).replace("NAME", file).replace("WORKSPACE", workspace.name)
        )
        answers.add(
            str(fault_of(put(workspace, f"customDefaults: ['{path}']"))).replace(file, "NAME")
        )
    assert len(answers) == 1


@pytest.mark.parametrize("name", [".pipeline/config.yml", ".pipeline/defaults.yaml", ".pipeline"])
def test_a_usual_file_that_is_a_link_out_is_refused_whatever_is_behind_it(
    workspace: Path, tmp_path: Path, name: str
) -> None:
    if name == ".pipeline":
        (workspace / name).rmdir()
    (workspace / name).symlink_to(tmp_path / "gone")
    with pytest.raises(ConfigError, match="leads out of the workspace"):
        read_documents(workspace)


# ---- the stage that was once called Central Build


@pytest.mark.parametrize(
    ("stages", "colour", "line"),
    [
        ("\n  Central Build:\n    colour: former\n", "former", 3),
        ("\n  Build:\n    colour: own\n  Central Build:\n    colour: former\n", "own", 3),
        ("\n  Central Build:\n    colour: former\n  Build:\n    colour: own\n", "own", 5),
        ("\n  Central Build:\n    colour: former\n  Build:\n", "former", 3),
    ],
)
def test_central_build_is_build_and_build_wins_where_both_are(
    stages: str, colour: str, line: int
) -> None:
    document = parse_document(f"stages:{stages}", "f", trusted=True)
    assert document.section("stages", "Build") == {"colour": colour}
    assert document.where("stages", "Build", "colour") == f"f:{line}"
    assert list(document.section("stages")) == ["Build"]


def test_a_call_in_central_build_is_one_in_build() -> None:
    assert [stage_name(name) for name in ("Central Build", "Build", "Release", "")] == [
        "Build",
        "Build",
        "Release",
        "",
    ]
