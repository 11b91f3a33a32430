from __future__ import annotations

from pathlib import Path

import pytest

from tools.step_docs import FOLDER, HELP, help_of, help_pages, own_names, page, pages
from towline.config.metadata import all_schemas, load_schema
from towline.config.schema import StepSchema, parse_schema

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def row(text: str, name: str) -> list[str]:
    """The cells of the row of a parameter."""
    line = next(line for line in text.splitlines() if line.startswith(f"| `{name}`"))
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def paint(**fields: object) -> str:
    """The page of a made-up step with one parameter."""
    parameter = {
        "name": "colour",
        "type": "string",
        "description": "Colour of the wall.",
        "scope": ["STEPS"],
        **fields,
    }
    other = {
        "name": "tool",
        "type": "string",
        "description": "Brush or roller.",
        "scope": ["STEPS"],
    }
    return page(
        parse_schema(
            {"name": "paint", "description": "Paints.", "parameters": [parameter, other]}, "f"
        ),
        set(),
    )


@pytest.mark.parametrize("name", sorted(pages()))
def test_the_pages_are_those_of_the_metadata(name: str) -> None:
    assert (FOLDER / name).read_text() == pages()[name], (
        "the metadata has changed: run .venv/bin/python tools/step_docs.py"
    )


@pytest.mark.parametrize("name", sorted(help_pages()))
def test_the_help_in_jenkins_has_the_parameters_of_the_metadata(name: str) -> None:
    text = (HELP / name).read_text()
    assert text == help_pages()[name], (
        "the metadata has changed: run .venv/bin/python tools/step_docs.py"
    )
    assert all(
        f"<dt><code>{parameter.name}</code>" in text
        for parameter in load_schema(name.removesuffix(".txt")).parameters
    )


def test_the_help_in_jenkins_is_html() -> None:
    parameter = {
        "name": "colour",
        "type": "string",
        "description": "Not < `red`.",
        "scope": ["STEPS"],
        "default": "<b>",
        "aliases": [{"name": "hue"}],
    }
    text = help_of(
        parse_schema({"name": "paint", "description": "Paints.", "parameters": [parameter]}, "f")
    )
    assert (
        "<dt><code>colour</code> (also <code>hue</code>): string, default"
        ' <code>"&lt;b&gt;"</code></dt>\n<dd>Not &lt; red.</dd>\n' in text
    )


def test_there_is_a_page_for_every_step_and_no_other() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {
        f"{schema.name}.md" for schema in all_schemas()
    }


def test_the_readme_links_every_page() -> None:
    assert [name for name in pages() if f"](docs/steps/{name})" not in README] == []


@pytest.mark.parametrize("schema", all_schemas(), ids=lambda schema: schema.name)
def test_a_page_has_a_row_for_every_parameter_with_all_of_its_names(schema: StepSchema) -> None:
    text = pages()[f"{schema.name}.md"]
    for parameter in schema.parameters:
        cells = row(text, parameter.name)
        assert len(cells) == 7
        assert all(f"`{alias.name}`" in cells[0] for alias in parameter.aliases)
        link = f" [More](#{parameter.name.lower()})."
        meaning = section(text, parameter.name) if cells[-1].endswith(link) else cells[-1]
        assert parameter.description in meaning.replace("\\|", "|")
        assert parameter.description.startswith(cells[-1].split(". ")[0].replace("\\|", "|"))


def section(text: str, name: str) -> str:
    """The text about a parameter below the table, in one line."""
    return " ".join(text.partition(f"\n### `{name}`\n")[2].partition("\n#")[0].split())


@pytest.mark.parametrize("name", sorted(pages()))
def test_no_line_and_no_cell_of_a_page_is_too_wide(name: str) -> None:
    for line in pages()[name].splitlines():
        cells = line.strip("|").split(" | ") if line.startswith("|") else []
        assert max(map(len, cells), default=0) <= 200, line
        assert cells or len(line) <= 100, line


def test_a_long_description_has_its_first_sentences_and_the_notes_in_the_table() -> None:
    first, second = f"Red or {'blue' * 9}.", f"If {'green' * 40}, that."
    text = paint(description=f"{first} {second}", mandatory=True)
    assert row(text, "colour")[-1] == f"{first} **Must be set.** [More](#colour)."
    assert section(text, "colour") == f"{first} {second} **Must be set.**"
    assert "## Parameters in detail" in text
    assert "## Parameters in detail" not in paint()


@pytest.mark.parametrize("name", sorted(help_pages()))
def test_no_line_of_a_help_page_is_too_wide(name: str) -> None:
    made = help_pages()[name].partition("tools/step_docs.py")[2]
    assert [line for line in made.splitlines() if len(line) > 100] == []


def test_the_contract_says_which_parameters_are_towlines_own() -> None:
    deploy = pages()["gitOpsUpdateDeployment.md"]
    assert row(deploy, "valuesTemplate")[5] == row(deploy, "credentialHosts")[5] == "Towline"
    assert row(deploy, "tool")[5] == row(deploy, "filePath")[5] == "Piper"
    assert "| Towline |" not in pages()["kanikoExecute.md"]


def test_the_contracts_table_names_steps_by_name_or_all() -> None:
    contract = """## Names that Piper does not have

| parameter | step | type |
|---|---|---|
| `a`, `b` | `imagePushToRegistry` | list |
| `c` | all | text |
| `tool: x` | `imagePushToRegistry` | |

| variable | `d` |
"""
    assert own_names(contract) == {
        "imagePushToRegistry": {"a", "b", "c"},
        "gitOpsUpdateDeployment": {"c"},
        "containerPushToRegistry": {"c"},
        "vaultRotateSecretId": {"c"},
    }


@pytest.mark.parametrize(
    ("fields", "cell", "text"),
    [
        ({"type": "list", "default": ["a", "b"]}, 2, '`["a", "b"]`'),
        ({"default": False, "type": "boolean"}, 2, "`false`"),
        (
            {"conditions": [{"parameter": "tool", "value": "roller", "default": "white"}]},
            2,
            '`"white"` if `tool` is `roller`',
        ),
        ({"scope": ["PARAMETERS", "GENERAL", "STAGES", "STEPS"]}, 3, "general, step, stage, call"),
        ({"scope": []}, 3, "nowhere"),
        (
            {
                "sources": [
                    {"pipelineEnvironment": "a/b"},
                    {"pipelineEnvironment": "c", "over": "GENERAL"},
                ]
            },
            4,
            "`a/b`<br>`c` (before `general`)",
        ),
        (
            {"vault": {"secret": "colourVaultSecretName", "default": "colour", "file": True}},
            4,
            "Vault, as a file: secret named by `colourVaultSecretName`, else `colour`",
        ),
        (
            {"possibleValues": ["red", "blue"]},
            6,
            "Colour of the wall. Possible values: `red`, `blue`.",
        ),
        ({"mandatory": True}, 6, "Colour of the wall. **Must be set.**"),
        ({"mandatory": True, "default": "red"}, 6, "Colour of the wall."),
        (
            {"mandatoryIf": [{"name": "tool", "value": ["brush", "roller"]}]},
            6,
            "Colour of the wall. **Must be set if `tool` is `brush` or `roller`.**",
        ),
        (
            {"mandatoryIf": [{"name": "tool", "notEmpty": True}]},
            6,
            "Colour of the wall. **Must be set if `tool` is set.**",
        ),
        ({"secret": True}, 6, "Colour of the wall. Secret: never put it into a file."),
        (
            {"trusted": True},
            6,
            "Colour of the wall. Only the platform team may set it, not a project's files.",
        ),
        (
            {"later": "colours come later; use white"},
            6,
            "Colour of the wall. Not built yet: colours come later; use white.",
        ),
        ({"description": "Red | blue."}, 6, "Red \\| blue."),
        (
            {"aliases": [{"name": "color"}, {"name": "paint", "deprecated": True}]},
            0,
            "`colour`<br>also `color`<br>also `paint` (deprecated)",
        ),
        (
            {
                "scope": ["STEPS", "GENERAL"],
                "aliases": [{"name": "color", "scope": ["STEPS", "STAGES"]}],
            },
            0,
            "`colour`<br>also `color` (not in general)",
        ),
    ],
)
def test_a_cell_says_what_the_metadata_says(
    fields: dict[str, object], cell: int, text: str
) -> None:
    assert row(paint(**fields), "colour")[cell] == text


def test_a_page_lists_rules_and_where_a_credential_comes_from() -> None:
    parameters = [
        {"name": name, "type": "string", "description": f"The {name}.", "scope": ["STEPS"]}
        for name in ("id", "user", "password", "file")
    ]
    text = page(
        parse_schema(
            {
                "name": "paint",
                "description": "Paints.",
                "aliases": ["colour"],
                "parameters": parameters,
                "credentials": [
                    {
                        "name": "id",
                        "kind": "usernamePassword",
                        "parameters": {"username": "user", "password": "password"},
                    }
                ],
                "rules": [
                    {"oneOf": [["user", "password"], ["file"]], "message": "Or nobody gets in."}
                ],
            },
            "f",
        ),
        set(),
    )
    assert row(text, "user")[4] == "credential named by `id`"
    assert "\n* One of: `user` with `password` or `file`. Or nobody gets in.\n" in text
    assert "Also called `colour`." in text


def test_only_a_step_that_towline_runs_has_flags() -> None:
    metadata = {"name": "paint", "description": "Paints.", "parameters": []}
    assert "by the flag" in page(parse_schema(metadata, "f"), set())
    assert "by the flag" not in page(parse_schema({**metadata, "library": True}, "f"), set())
