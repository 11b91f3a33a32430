"""`towline lint`: report everything that is wrong in the project's configuration files at once.

It asks neither the network nor Vault.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from towline.commands import team
from towline.commands.build import build_of
from towline.commands.build_context import default_branch_lookup
from towline.commands.call import Call
from towline.commands.context import team_documents
from towline.config.documents import (
    DEFAULTS_FILE,
    PROJECT_FILE,
    ConfigDocument,
    ConfigDocuments,
    DocumentReader,
    find_document,
    find_project,
    text_in,
    yaml_fix,
)
from towline.config.layers import agent_layer
from towline.config.lint.build_loop import SourceRepository, build_loops
from towline.config.lint.findings import (
    LEVELS,
    Finding,
    finding,
    sarif,
    sort_findings,
    unreadable_file,
)
from towline.config.lint.rules import LintReport, lint
from towline.config.lint.shape import shape_document
from towline.config.metadata import PIPELINE, load_schema
from towline.contract import SUCCESS, Outcome
from towline.errors import ConfigError
from towline.files import version, write_named
from towline.git.checkout import origin_url
from towline.pipeline.branches import BranchRules
from towline.printable import cut, tame_json, tame_lines
from towline.record import asdict, replace
from towline.steps.workspace_files import find_file
from towline.yaml.marks import YamlFault, load_located

SHARED = ("request", "result", "config", "json")
_DEPLOYS = "gitOpsUpdateDeployment"


# every command is given them
def configure(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:  # noqa: ARG001
    """Add the flags: the file for code hosts, and the platform team's files."""
    parser.add_argument(
        "--sarif",
        metavar="FILE",
        default="",
        help="also write the findings as SARIF 2.1.0, for code hosts",
    )
    parser.add_argument(
        "--defaults",
        metavar="FILE",
        action="append",
        default=[],
        help=(
            "look at this default document of the platform team instead of the project's files; may"
            " be repeated"
        ),
    )


def execute(arguments: argparse.Namespace, call: Call) -> Outcome:
    """Return all findings as outputs, and print them.

    Raises ConfigError, which holds the findings too, if one of them is an error.
    """
    report, names = (
        _team(call.folder, arguments.defaults)
        if arguments.defaults
        else _own_report(call, arguments.config)
    )
    for secret in report.secrets:
        call.console.hide(secret)
    found = [
        _masked(item, call.console.mask) for item in sort_findings(report.findings, files=names)
    ]
    if not call.requested and not arguments.json:
        call.out.write(tame_lines("".join(f"{item}\n" for item in found)))
    if arguments.sarif:
        write_named(
            call.folder,
            arguments.sarif,
            (tame_json(sarif(found, version=version())) + "\n").encode(),
        )
    ending = _ending(found)
    call.console.say(
        ending.summary
        if (call.folder / names[0]).exists()
        else f"there is no {names[0]}; {ending.summary}"
    )
    return ending


def _own_report(call: Call, config: str) -> tuple[LintReport, Sequence[str]]:
    """Return the findings in the project's files, and the name of its own file."""
    teams = team_documents(call)
    configuration = team.known(teams, team=teams)
    project, findings = _project(call.folder, config)
    defaults = list(_defaults(call.folder, project, findings))
    report = lint(project, defaults, configuration)
    rules = BranchRules(
        documents=ConfigDocuments(defaults=(*teams, *defaults), project=project),
        agent=agent_layer(PIPELINE, call.environ),
        default=default_branch_lookup(call, config),
        own=True,
    )
    loops = build_loops([project, *defaults], load_schema(_DEPLOYS), _source(call, rules))
    return replace(report, findings=(*findings, *report.findings, *loops)), [project.name]


def _team(folder: Path, files: Sequence[str]) -> tuple[LintReport, Sequence[str]]:
    """Return the findings in the platform team's documents, and their names.

    Raises ConfigError for a document that does not exist.
    """
    documents: list[ConfigDocument] = []
    findings: list[Finding] = []
    for name in dict.fromkeys(files):
        if not (folder / name).is_file():
            raise ConfigError(
                "the default document does not exist",
                where=name,
                hint="correct the path",
            )
        document, faults = _read(folder, name, inside=False, trusted=True)
        documents += [document] if document else []
        findings += faults
    report = team.report(documents, team.known(team=documents))
    return replace(report, findings=(*findings, *report.findings)), files


def _ending(found: Sequence[Finding]) -> Outcome:
    outputs = {"findings": [asdict(item) for item in found]}
    counts = [(level, sum(item.level == level for item in found)) for level in LEVELS]
    summary = (
        ", ".join(f"{count} {level}{'s' * (count > 1)}" for level, count in counts if count)
        or "nothing found"
    )
    first = next((item for item in found if item.level == "error"), None)
    if first:
        more = "correct each of them" if counts[0][1] > 1 else first.fix
        raise ConfigError(
            f"the configuration has faults: {summary}; the first: {first.message}",
            where=first.where,
            hint=more,
            outputs=outputs,
        )
    return Outcome(status=SUCCESS, summary=summary, outputs=outputs)


def _masked(found: Finding, mask: Callable[[str], str]) -> Finding:
    return replace(found, message=cut(mask(found.message)), fix=cut(mask(found.fix)))


# ---- files


def _project(folder: Path, config: str) -> tuple[ConfigDocument, list[Finding]]:
    """Return the project's own document, or an empty one if it is missing or unreadable.

    Raises ConfigError if the file asked for is missing.
    """
    name = find_project(folder, config)
    document, findings = _read(folder, name, inside=not config) if name else (None, [])
    return (
        document or ConfigDocument(name=name or PROJECT_FILE, trusted=False, content={}, marks={}),
        findings,
    )


def _defaults(
    folder: Path, project: ConfigDocument, findings: list[Finding]
) -> Iterator[ConfigDocument]:
    """Return the default documents in the workspace: the usual file and the files that are named.

    Unreadable ones are added to `findings`.
    """
    for entry, path in _named(folder, project, findings):
        try:
            document, faults = _read(folder, find_document(folder, entry, where=""))
        except ConfigError as fault:
            findings.append(
                finding("custom-defaults", project, path, message=fault.message, fix=fault.hint)
            )
            continue
        findings += faults
        if document:
            yield document


def _named(
    folder: Path, project: ConfigDocument, findings: list[Finding]
) -> Iterator[tuple[str, tuple[str | int, ...]]]:
    """Return the default documents that are files, with the places that name them, not URLs."""
    if DocumentReader(folder).has(DEFAULTS_FILE):
        yield DEFAULTS_FILE, ()
    entries = project.content.get("customDefaults")
    if entries is not None and not isinstance(entries, list):
        findings.append(
            finding(
                "custom-defaults",
                project,
                ("customDefaults",),
                message="customDefaults is not a list",
                fix="write `- path` lines below it",
            )
        )
        return
    for number, entry in enumerate(entries or []):
        path = ("customDefaults", number)
        if not isinstance(entry, str):
            findings.append(
                finding(
                    "custom-defaults",
                    project,
                    path,
                    message="an entry of customDefaults is not a text",
                    fix="write a path or a URL as text",
                )
            )
        elif entry.partition("://")[0].lower() not in ("http", "https"):
            yield entry, path


def _read(
    folder: Path, name: str, *, inside: bool = True, trusted: bool = False
) -> tuple[ConfigDocument | None, list[Finding]]:
    """Return a file as a document, with findings on its shape; None if it cannot be read."""
    try:
        document, faults = shape_document(
            name, load_located(text_in(folder, name, inside=inside)), trusted=trusted
        )
    except YamlFault as fault:
        return None, [
            unreadable_file(
                name,
                f"the YAML cannot be read: {fault.problem}",
                fix=yaml_fix(fault),
                line=fault.line,
                column=fault.column,
            )
        ]
    except ConfigError as fault:
        return None, [unreadable_file(name, fault.message, fix=fault.hint)]
    return document, list(faults)


def _source(call: Call, rules: BranchRules) -> SourceRepository:
    """Return the project's own repository, as the build or else the checkout names it."""
    content = None
    with contextlib.suppress(ConfigError):
        content = find_file(call.folder, "Jenkinsfile", where="Jenkinsfile")
    url = build_of(call).source_repository or origin_url(call.folder, call.environ)
    return SourceRepository(
        url=url, rules=rules, jenkinsfile=(content or b"").decode("utf-8", "replace")
    )
