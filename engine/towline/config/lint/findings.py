"""Pure.

Findings of lint: the rules by their stable names (docs/lint.md), a finding with its place, SARIF.

Code hosts take findings as a SARIF 2.1.0 log (OASIS standard; this is the part that GitHub's code
scanning needs).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal
from urllib.parse import quote

from towline.config.documents import ConfigDocument
from towline.record import frozen

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")


@frozen
class LintRule:
    """A rule: its name, which never changes, its highest level, its meaning, and the usual fix."""

    name: str
    level: Level
    meaning: str
    fix: str


def _rule(name: str, level: Level, meaning: str, fix: str) -> LintRule:
    return LintRule(name=name, level=level, meaning=meaning, fix=fix)


RULES = {
    rule.name: rule
    for rule in (
        _rule(
            "unreadable-file",
            "error",
            "The file is not YAML, not UTF-8, or too large.",
            "correct it at the place that is named",
        ),
        _rule(
            "second-document",
            "error",
            "There is text after the first YAML document; in the project's files, a warning.",
            "write all of it as one document, or the other one as a file of its own",
        ),
        _rule(
            "not-a-map",
            "error",
            "A section is a text or a list.",
            "write `key: value` lines below it",
        ),
        _rule(
            "custom-defaults",
            "error",
            "An entry of customDefaults is not a text, or names a file that is not in the"
            " workspace.",
            "correct the path",
        ),
        _rule(
            "wrong-type",
            "error",
            "A parameter has a value of another type.",
            "write the type that is named",
        ),
        _rule(
            "wrong-value",
            "error",
            "A parameter has a value that is not one of its possible values, or is too small.",
            "write one of the possible values",
        ),
        _rule(
            "number-as-text",
            "warning",
            "A number or date is given for a text, and YAML reads it differently than it is"
            " written.",
            "put it in quotes",
        ),
        _rule(
            "platform-only",
            "error",
            "A parameter is set that a pull request must not change.",
            "let the platform team set it",
        ),
        _rule(
            "lost-rule",
            "error",
            "A rule of the platform team is in a place that nothing reads, has a misspelt name,"
            " or has an entry without a value.",
            "correct its name or its place",
        ),
        _rule(
            "secret-in-clear",
            "error",
            "A password, token or key is written in the file.",
            "replace it, and keep the new one in a credential or in Vault",
        ),
        _rule(
            "possible-secret",
            "warning",
            "A key with the name of a secret has a text.",
            "keep the secret elsewhere; if it is not a secret, give the key another name",
        ),
        _rule(
            "wrong-flag",
            "error",
            "A flag is neither true nor false; in quotes, a warning.",
            "write true or false without quotes",
        ),
        _rule(
            "flag-without-step",
            "warning",
            "A stage's section enables a step that the stage does not have.",
            "move it to a stage that has the step",
        ),
        _rule(
            "idle-key",
            "warning",
            "A key that nothing in the pipeline acts on, although Piper's pipeline or another stage"
            " reads it.",
            "remove it",
        ),
        _rule(
            "wrong-scope",
            "warning",
            "A parameter is set in a section where nothing reads it.",
            "move it where the finding says",
        ),
        _rule(
            "shadowed",
            "warning",
            "A value is always overridden by another key in the same file.",
            "remove one of the two",
        ),
        _rule(
            "deprecated-alias",
            "warning",
            "A parameter is set by a deprecated name.",
            "write the name that is given",
        ),
        _rule(
            "unknown-section",
            "warning",
            "A section that nothing reads, probably because of a slip in its name.",
            "correct its name or its indentation",
        ),
        _rule(
            "unknown-step",
            "warning",
            "An unknown step whose name is close to that of a known step.",
            "correct its name",
        ),
        _rule(
            "unknown-stage",
            "warning",
            "A stage that the pipeline does not have, with a name close to that of one of its"
            " stages.",
            "correct its name",
        ),
        _rule(
            "wrong-target",
            "error",
            "An entry of `targets` has a key that cannot be set there.",
            "correct its name, or set it for all of them",
        ),
        _rule(
            "unknown-key",
            "warning",
            "A key that its step does not have; in other sections, a key close to a parameter's"
            " name.",
            "correct its name",
        ),
        _rule(
            "build-loop",
            "warning",
            "The GitOps repository is the source repository, and a deployment starts a build.",
            "do not build the commits of deployments, or deploy to another branch",
        ),
        _rule(
            "unread-section",
            "note",
            "A section that neither Towline nor Piper reads.",
            "remove it, or begin its name with `x-` if another program reads it",
        ),
    )
}


@frozen
class Finding:
    """A finding and its place; `line` and `column` count from 1, columns in characters.

    `fix` says how to correct this finding.
    """

    rule: str
    level: Level
    file: str
    line: int
    column: int
    message: str
    fix: str

    @property
    def where(self) -> str:
        """`file:line:column`."""
        return f"{self.file}:{self.line}:{self.column}"

    def __str__(self) -> str:
        return f"{self.where}: {self.level}: {self.message} ({self.fix}) [{self.rule}]"


def finding(
    rule: str, document: ConfigDocument, path: Sequence[str | int], *, message: str, fix: str = ""
) -> Finding:
    """A finding at the key at `path`, or at the nearest key around it that has a place."""
    while path and tuple(path) not in document.marks:
        path = path[:-1]
    mark = document.marks.get(tuple(path))
    return Finding(
        rule=rule,
        level=RULES[rule].level,
        file=document.name,
        line=mark.line if mark else 1,
        column=mark.column if mark else 1,
        message=message,
        fix=fix or RULES[rule].fix,
    )


def unreadable_file(
    file: str, message: str, *, fix: str = "", line: int = 1, column: int = 1
) -> Finding:
    """The finding on a file that cannot be read."""
    rule = RULES["unreadable-file"]
    return Finding(
        rule=rule.name,
        level=rule.level,
        file=file,
        line=line,
        column=column,
        message=message,
        fix=fix or rule.fix,
    )


def sort_findings(findings: Iterable[Finding], *, files: Iterable[str] = ()) -> tuple[Finding, ...]:
    """Each finding once, sorted by file (`files` first, then in order of appearance) and place."""
    once = tuple(dict.fromkeys(findings))
    numbers = {
        name: number
        for number, name in enumerate(dict.fromkeys([*files, *(found.file for found in once)]))
    }
    return tuple(
        sorted(
            once,
            key=lambda found: (
                numbers[found.file],
                found.line,
                found.column,
                LEVELS.index(found.level),
                found.rule,
            ),
        )
    )


_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(findings: Sequence[Finding], *, version: str) -> dict[str, object]:
    """The log of one run: every rule, and a result for each finding; `version` is the program's."""
    driver = {
        "name": "Towline",
        "semanticVersion": version,
        "rules": [_sarif_rule(rule) for rule in RULES.values()],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(found) for found in findings],
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _sarif_rule(rule: LintRule) -> dict[str, object]:
    advice = f"{rule.fix[0].upper()}{rule.fix[1:]}."
    return {
        "id": rule.name,
        "shortDescription": {"text": rule.meaning},
        "help": {"text": advice},
        "defaultConfiguration": {"level": rule.level},
    }


def _result(found: Finding) -> dict[str, object]:
    location = {
        "artifactLocation": {"uri": _uri(found.file)},
        "region": {"startLine": found.line, "startColumn": found.column},
    }
    return {
        "ruleId": found.rule,
        "ruleIndex": list(RULES).index(found.rule),
        "level": found.level,
        "message": {"text": f"{found.message} ({found.fix})"},
        "locations": [{"physicalLocation": location}],
    }


def _uri(file: str) -> str:
    """A file's name as a URI reference: relative to the workspace, unless it lies outside."""
    return f"file://{quote(file)}" if file.startswith("/") else quote(file)
