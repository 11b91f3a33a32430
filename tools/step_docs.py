"""Writes docs/steps/<step>.md, and the parameters in vars/<step>.txt, from the steps' metadata.

A test compares, so run it after a change there: `.venv/bin/python tools/step_docs.py`.
"""

# ruff: noqa: INP001 - a program beside setup.sh, no package

from __future__ import annotations

import html
import json
import re
from pathlib import Path

from towline.config.catalog import all_schemas
from towline.config.schema import SECTIONS, Alias, Parameter, Requirement, Rule, StepSchema

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "steps"
HELP = ROOT / "vars"
MADE = "<!-- Parameters: made from the step's metadata by tools/step_docs.py. -->\n"


def pages() -> dict[str, str]:
    """Every page by its file's name."""
    added = own_names((ROOT / "docs" / "contract.md").read_text(encoding="utf-8"))
    return {
        f"{schema.name}.md": page(schema, added.get(schema.name, set())) for schema in all_schemas()
    }


def help_pages() -> dict[str, str]:
    """Return the help page of every step that Towline runs, by its file name.

    A page holds what a person wrote, then the parameters.
    """
    found = {}
    for schema in (schema for schema in all_schemas() if not schema.library):
        written = (HELP / f"{schema.name}.txt").read_text(encoding="utf-8").partition(MADE)[0]
        found[f"{schema.name}.txt"] = f"{written.rstrip()}\n{MADE}{help_of(schema)}"
    return found


def help_of(schema: StepSchema) -> str:
    """The parameters of a step as HTML: names, type, default, meaning."""
    items = [
        f"<dt>{_spelt(parameter)}</dt>\n<dd>{_meaning(parameter)}</dd>"
        for parameter in schema.parameters
    ]
    return "\n".join(["<p>Parameters:</p>", "<dl>", *items, "</dl>", ""])


def _meaning(parameter: Parameter) -> str:
    text = " ".join([parameter.description, *_notes(parameter)])
    return html.escape(text.replace("`", "").replace("**", ""), quote=False)


def _spelt(parameter: Parameter) -> str:
    also = (
        f" (also {', '.join(f'<code>{alias.name}</code>' for alias in parameter.aliases)})"
        if parameter.aliases
        else ""
    )
    default = (
        ""
        if parameter.default is None
        else (
            ", default"
            f" <code>{html.escape(json.dumps(parameter.default, ensure_ascii=False), quote=False)}</code>"
        )
    )
    return f"<code>{parameter.name}</code>{also}: {parameter.type}{default}"


def own_names(contract: str) -> dict[str, set[str]]:
    """Return per step the parameters that Piper does not have, as the contract lists them.

    `all` names the steps that Towline runs.
    """
    table = contract.partition("## Names that Piper does not have")[2].partition("\n\n| variable")[
        0
    ]
    rows = [
        [cell.strip() for cell in line.strip("| ").split(" | ")]
        for line in table.splitlines()
        if line.startswith("| `")
    ]
    run_here = [schema.name for schema in all_schemas() if not schema.library]
    found: dict[str, set[str]] = {}
    for names, steps, *_ in rows:
        for step in run_here if steps == "all" else re.findall(r"`(\w+)`", steps):
            found.setdefault(step, set()).update(re.findall(r"`(\w+)`", names))
    return found


def page(schema: StepSchema, added: set[str]) -> str:
    """The page of one step; `added` are the parameters that Piper does not have."""
    given = "" if schema.library else ", and but for secrets as the flag `--<parameter>`"
    table = [
        "| parameter | type | default | may stand in | else taken from | of | meaning |",
        "|---|---|---|---|---|---|---|",
        *(
            _row(parameter, schema, of="Towline" if parameter.name in added else "Piper")
            for parameter in schema.parameters
        ),
        *(
            ["", "## Rules", "", *(f"* {_rule(rule)}" for rule in schema.rules)]
            if schema.rules
            else []
        ),
    ]
    return "\n".join(
        [
            f"# {schema.name}",
            "",
            f"<!-- Made from resources/towline/steps/{schema.name}.yaml by tools/step_docs.py. -->",
            "",
            schema.description,
            "",
            *([f"Also called {_code(*schema.aliases)}.", ""] if schema.aliases else []),
            f"Every parameter may be given as the variable `PIPER_<parameter>` as well{given}.",
            f"`towline explain {schema.name}` says which value counts in a project, and why.",
            "",
            (
                "`general`, `step` and `stage` are the sections of `.pipeline/config.yml`, `call`"
                " is a call from a Jenkinsfile."
            ),
            "",
            *table,
            "",
        ]
    )


def _row(parameter: Parameter, schema: StepSchema, *, of: str) -> str:
    names = [
        f"`{parameter.name}`",
        *(f"also `{alias.name}`{_limits(parameter, alias)}" for alias in parameter.aliases),
    ]
    default = (
        ""
        if parameter.default is None
        else f"`{json.dumps(parameter.default, ensure_ascii=False)}`"
    )
    conditional = [
        f"`{json.dumps(each.default)}` where `{each.parameter}` is `{each.value}`"
        for each in parameter.conditions
    ]
    places = ", ".join(parameter.places) or "nowhere"
    cells = [
        "<br>".join(names),
        parameter.type,
        "<br>".join([default, *conditional]).removeprefix("<br>"),
        places,
        "<br>".join(_sources(parameter, schema)),
        of,
        " ".join([parameter.description, *_notes(parameter)]),
    ]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _limits(parameter: Parameter, alias: Alias) -> str:
    """Return in brackets whether an alias is deprecated, and in which scopes it is ignored."""
    elsewhere = [
        place
        for scope, place in SECTIONS.items()
        if place in parameter.places and scope not in alias.scope
    ]
    limits = ["deprecated"] * alias.deprecated + [f"not in {', '.join(elsewhere)}"] * bool(
        elsewhere
    )
    return f" ({', '.join(limits)})" if limits else ""


def _sources(parameter: Parameter, schema: StepSchema) -> list[str]:
    """Return the sources of a value that nobody configures.

    They are the pipeline environment, a Jenkins credential and Vault.
    """
    found = [
        f"`{source.pipeline_environment}`{' (over `general`)' if source.over else ''}"
        for source in parameter.sources
    ]
    found += [
        f"credential named by `{entry.name}`"
        for entry in schema.credentials
        if parameter.name in entry.parameters.values()
    ]
    if parameter.vault:
        kind = "Vault, as a file" if parameter.vault.file else "Vault"
        default = f", else `{parameter.vault.default}`" if parameter.vault.default else ""
        field = f", field `{parameter.vault.field}`" if parameter.vault.field else ""
        found.append(f"{kind}: secret named by `{parameter.vault.secret}`{default}{field}")
    return found


def _notes(parameter: Parameter) -> list[str]:
    """What else there is to know, a sentence each."""
    notes = [f"Possible: {_code(*parameter.possible_values)}."] if parameter.possible_values else []
    notes += [] if parameter.minimum is None else [f"At least {parameter.minimum}."]
    notes += [] if parameter.maximum is None else [f"At most {parameter.maximum}."]
    unless = f", unless {_code(*parameter.unless, joint=' or ')} is" if parameter.unless else ""
    notes += (
        [f"**Must be set{unless}.**"] if parameter.mandatory and parameter.default is None else []
    )
    notes += (
        [
            (
                "**Must be set where"
                f" {' and '.join(map(_requirement, parameter.mandatory_if))}{unless}.**"
            )
        ]
        if parameter.mandatory_if
        else []
    )
    notes += ["Secret: never in a file."] if parameter.secret else []
    notes += (
        ["Only the platform team sets it: not in a project's files."] if parameter.trusted else []
    )
    return notes + ([f"Not built yet: {parameter.later}."] if parameter.later else [])


def _requirement(requirement: Requirement) -> str:
    return (
        f"`{requirement.parameter}` is set"
        if requirement.not_empty
        else f"`{requirement.parameter}` is {_code(*requirement.values, joint=' or ')}"
    )


def _rule(rule: Rule) -> str:
    groups = " or ".join(" with ".join(f"`{name}`" for name in group) for group in rule.one_of)
    return (
        f"{'None, or one' if rule.optional else 'One'} of:"
        f" {groups}.{f' {rule.message}' if rule.message else ''}"
    )


def _code(*texts: str, joint: str = ", ") -> str:
    return joint.join(f"`{text}`" for text in texts)


def main() -> None:
    """Write every page, and take away those of steps that are gone."""
    for name, text in help_pages().items():
        (HELP / name).write_text(text, encoding="utf-8")
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = pages()
    for path in FOLDER.glob("*.md"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
