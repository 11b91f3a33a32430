"""Writes docs/steps/<step>.md, and the parameters in vars/<step>.txt, from the steps' metadata.

A test compares the files with the metadata, so run this after each change of the metadata:
`.venv/bin/python tools/step_docs.py`.
"""

# ruff: noqa: INP001 - a program beside setup.sh, not a package

from __future__ import annotations

import html
import json
import re
import textwrap
from pathlib import Path

from towline.config.metadata import all_schemas
from towline.config.schema import (
    SECTIONS,
    OneOfRule,
    Parameter,
    ParameterAlias,
    Requirement,
    StepSchema,
)

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "steps"
HELP = ROOT / "vars"
MADE = "<!-- Parameters: made from the step's metadata by tools/step_docs.py. -->\n"
COLUMNS = 100  # of a line outside a table
_CELL = 196  # characters of a cell in a table, beside its spaces and escapes
_DETAILS = "## Parameters in detail"


def pages() -> dict[str, str]:
    """All pages of docs/steps, by file name."""
    added = own_names((ROOT / "docs" / "contract.md").read_text(encoding="utf-8"))
    return {
        f"{schema.name}.md": page(schema, added.get(schema.name, set())) for schema in all_schemas()
    }


def help_pages() -> dict[str, str]:
    """All help pages for Jenkins, of the steps that Towline runs, by file name.

    A page is its hand-written beginning, followed by the parameters.
    """
    found = {}
    for schema in (schema for schema in all_schemas() if not schema.library):
        written = (HELP / f"{schema.name}.txt").read_text(encoding="utf-8").partition(MADE)[0]
        found[f"{schema.name}.txt"] = f"{written.rstrip()}\n{MADE}{help_of(schema)}"
    return found


def help_of(schema: StepSchema) -> str:
    """The parameters of a step as HTML: names, type, default, meaning."""
    items = [
        line
        for parameter in schema.parameters
        for line in (
            *_wrapped(f"<dt>{_spelt(parameter)}</dt>"),
            *_wrapped(f"<dd>{_html_meaning(parameter)}</dd>"),
        )
    ]
    return "\n".join(["<p>Parameters:</p>", "<dl>", *items, "</dl>", ""])


def _html_meaning(parameter: Parameter) -> str:
    text = " ".join([parameter.description, *_notes(parameter)])
    return html.escape(text.replace("`", "").replace("**", ""), quote=False)


def _wrapped(text: str, *, more: str = "") -> list[str]:
    """The lines of `text` in at most COLUMNS columns; `more` begins each line after the first."""
    return textwrap.wrap(
        text,
        COLUMNS,
        subsequent_indent=more,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _sentences(text: str) -> list[str]:
    return re.split(r"(?<=[^.]\.) (?=[A-Z`])", text)


def _spelt(parameter: Parameter) -> str:
    also = (
        f" (also {', '.join(f'<code>{alias.name}</code>' for alias in parameter.aliases)})"
        if parameter.aliases
        else ""
    )
    default = ""
    if parameter.default is not None:
        value = json.dumps(parameter.default, ensure_ascii=False)
        default = f", default <code>{html.escape(value, quote=False)}</code>"
    return f"<code>{parameter.name}</code>{also}: {parameter.type}{default}"


def own_names(contract: str) -> dict[str, set[str]]:
    """The parameters of each step that Piper does not have, by the table in docs/contract.md.

    `all` in that table means all steps that Towline runs.
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
    table = [
        "| parameter | type | default | allowed in | otherwise taken from | known from | meaning |",
        "|---|---|---|---|---|---|---|",
        *(
            _row(parameter, schema, of="Towline" if parameter.name in added else "Piper")
            for parameter in schema.parameters
        ),
        "",
    ]
    return "\n".join([*_introduction(schema), *table, *_rules(schema), *_details(schema)])


def _introduction(schema: StepSchema) -> list[str]:
    flags = "" if schema.library else ", and unless it is a secret by the flag `--<parameter>`"
    return [
        f"# {schema.name}",
        "",
        f"<!-- Made from resources/towline/steps/{schema.name}.yaml by tools/step_docs.py. -->",
        "",
        *_lines(schema.description),
        "",
        *([f"Also called {_code(*schema.aliases)}.", ""] if schema.aliases else []),
        *_lines(
            "Every parameter may also be set by the environment variable"
            f" `PIPER_<parameter>`{flags}."
        ),
        *_lines(f"`towline explain {schema.name}` says which value is used in a project, and why."),
        "",
        "`general`, `step` and `stage` are the sections of `.pipeline/config.yml`.",
        "`call` is a call from a Jenkinsfile.",
        "",
    ]


def _lines(text: str) -> list[str]:
    """One line for each sentence, wrapped where it is too long."""
    return [line for sentence in _sentences(text) for line in _wrapped(sentence)]


def _rules(schema: StepSchema) -> list[str]:
    lines = [line for rule in schema.rules for line in _wrapped(f"* {_rule(rule)}", more="  ")]
    return ["## Rules", "", *lines, ""] if lines else []


def _details(schema: StepSchema) -> list[str]:
    """The whole description of each parameter whose cell has only its beginning."""
    long = [parameter for parameter in schema.parameters if _is_long(parameter)]
    sections = [
        [
            "",
            f"### `{parameter.name}`",
            "",
            *_lines(" ".join([parameter.description, *_notes(parameter)])),
        ]
        for parameter in long
    ]
    return [_DETAILS, *(line for section in sections for line in section), ""] if long else []


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
        f"`{json.dumps(each.default)}` if `{each.parameter}` is `{each.value}`"
        for each in parameter.conditions
    ]
    places = ", ".join(parameter.sections) or "nowhere"
    cells = [
        "<br>".join(names),
        parameter.type,
        "<br>".join([default, *conditional]).removeprefix("<br>"),
        places,
        "<br>".join(_sources(parameter, schema)),
        of,
        _meaning(parameter),
    ]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _meaning(parameter: Parameter) -> str:
    """The description with its notes; of a long one as many sentences as fit, and a link."""
    notes = _notes(parameter)
    if not _is_long(parameter):
        return " ".join([parameter.description, *notes])
    link = f"[More](#{parameter.name.lower()})."
    sentences = _sentences(parameter.description)
    shown = [" ".join([*sentences[:count], *notes, link]) for count in range(len(sentences), 0, -1)]
    return next((text for text in shown if len(text) <= _CELL), f"{sentences[0]} {link}")


def _is_long(parameter: Parameter) -> bool:
    return len(" ".join([parameter.description, *_notes(parameter)])) > _CELL


def _limits(parameter: Parameter, alias: ParameterAlias) -> str:
    """In brackets: whether an alias is deprecated, and the sections in which it is ignored."""
    elsewhere = [
        place
        for scope, place in SECTIONS.items()
        if place in parameter.sections and scope not in alias.scope
    ]
    limits = ["deprecated"] * alias.deprecated + [f"not in {', '.join(elsewhere)}"] * bool(
        elsewhere
    )
    return f" ({', '.join(limits)})" if limits else ""


def _sources(parameter: Parameter, schema: StepSchema) -> list[str]:
    """The sources of a value that nobody configures: pipeline environment, credential, Vault."""
    found = [
        f"`{source.pipeline_environment}`{' (before `general`)' if source.over else ''}"
        for source in parameter.sources
    ]
    credentials = [
        entry.name for entry in schema.credentials if parameter.name in entry.parameters.values()
    ]
    found += [f"credential named by {_code(*credentials, joint=' or ')}"] if credentials else []
    if parameter.vault:
        kind = "Vault, as a file" if parameter.vault.file else "Vault"
        default = f", else `{parameter.vault.default}`" if parameter.vault.default else ""
        field = f", field `{parameter.vault.field}`" if parameter.vault.field else ""
        found.append(f"{kind}: secret named by `{parameter.vault.secret}`{default}{field}")
    return found


def _notes(parameter: Parameter) -> list[str]:
    """Sentences on the limits of a parameter: values, whether it must be set, who may set it."""
    notes = (
        [f"Possible values: {_code(*parameter.possible_values)}."]
        if parameter.possible_values
        else []
    )
    notes += [] if parameter.minimum is None else [f"At least {parameter.minimum}."]
    notes += [] if parameter.maximum is None else [f"At most {parameter.maximum}."]
    unless = f", unless {_code(*parameter.unless, joint=' or ')} is" if parameter.unless else ""
    notes += (
        [f"**Must be set{unless}.**"] if parameter.mandatory and parameter.default is None else []
    )
    notes += (
        [(f"**Must be set if {' and '.join(map(_requirement, parameter.mandatory_if))}{unless}.**")]
        if parameter.mandatory_if
        else []
    )
    notes += ["Secret: never put it into a file."] if parameter.secret else []
    notes += (
        ["Only the platform team may set it, not a project's files."] if parameter.trusted else []
    )
    return notes + ([f"Not built yet: {parameter.later}."] if parameter.later else [])


def _requirement(requirement: Requirement) -> str:
    return (
        f"`{requirement.parameter}` is set"
        if requirement.not_empty
        else f"`{requirement.parameter}` is {_code(*requirement.values, joint=' or ')}"
    )


def _rule(rule: OneOfRule) -> str:
    groups = " or ".join(" with ".join(f"`{name}`" for name in group) for group in rule.one_of)
    return (
        f"{'None, or one' if rule.optional else 'One'} of:"
        f" {groups}.{f' {rule.message}' if rule.message else ''}"
    )


def _code(*texts: str, joint: str = ", ") -> str:
    return joint.join(f"`{text}`" for text in texts)


def main() -> None:
    """Write all pages, and delete pages of steps that no longer exist."""
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
