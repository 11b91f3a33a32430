"""Configuration documents, read and checked.

These are the library's defaults, the platform team's documents, the project's, and the custom
defaults that this names; also `defaultHosts` of a trusted layer, the hosts inside of a network from
which the platform team lets a project take default documents.

The author of a pull request chooses `customDefaults`, and even `towline plan` reads them: they must
not lead the agent to hosts that only the agent can reach.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from towline import dispatch, host_patterns
from towline.config.schema import SETTING_SECTIONS
from towline.config.values import parse_text
from towline.errors import ConfigError
from towline.files import (
    Misfit,
    Outside,
    in_workspace,
    is_folder,
    is_inside,
    leads_out,
    misfit,
    read_inside,
    resource_text,
)
from towline.record import frozen, replace
from towline.yaml.marks import (
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_EXPANDED,
    MAX_LOADED,
    LocatedData,
    Mark,
    YamlFault,
    YamlLimit,
    load_located,
)

DEFAULT_HOSTS = "defaultHosts"
_VARIABLE = f"PIPER_{DEFAULT_HOSTS}"


def default_hosts(
    documents: Iterable[ConfigDocument], environ: Mapping[str, str]
) -> tuple[str, ...]:
    """The hosts of the variable PIPER_defaultHosts, else of the last trusted document with any.

    Raises ConfigError for an entry that no host can match.
    """
    if text := environ.get(_VARIABLE):
        return _checked(parse_text("list", text), _VARIABLE)
    found: tuple[str, ...] = ()
    for document in documents:
        value = document.section("general").get(DEFAULT_HOSTS)
        if document.trusted and value is not None:
            found = _checked(value, document.where("general", DEFAULT_HOSTS))
    return found


def _checked(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise ConfigError(
            f"{DEFAULT_HOSTS} must be a list of hosts",
            where=where,
            hint="write host, host:port or *.example.com",
        )
    for entry in value:
        try:
            host_patterns.parse(entry)
        except ValueError as fault:
            raise ConfigError(
                f"{entry!r} in {DEFAULT_HOSTS} is not a valid host pattern",
                where=where,
                hint=str(fault),
            ) from fault
    return tuple(value)


PROJECT_FILE = ".pipeline/config.yml"
DEFAULTS_FILE = ".pipeline/defaults.yaml"
# today's name of a stage by its former name; Post has two in Piper (facts 3.4)
_FORMER_NAMES = {"Central Build": "Build", "Post Actions": "Post"}
UNREAD_DOCUMENT = "only the first YAML document of a file is read, and something stands behind it"
_TABS = "indent with spaces only, and quote a text that begins with a sign such as @, % or `"
_PATH = "correct the path"
_LARGEST_FILE = 8 * 1024 * 1024
_SMALLER = (
    f"a configuration file may have {MAX_CHARACTERS} characters, {MAX_LOADED} keys and values "
    f"(aliases may add {MAX_EXPANDED}), and {MAX_DEPTH} levels: take out what no step reads"
)
_MOST_CUSTOM_DEFAULTS = 100
_Path = tuple[str | int, ...]


@frozen
class ConfigDocument:
    """A configuration file whose shape is checked.

    `name` is its name for people, `marks` have the line of every key. `unread` is the line of a
    second YAML document in the file, which is not read; 0 if there is none. `carried`: it came with
    the call of a change request, whose author may have written it; keys that only trusted layers
    set are ignored there.
    """

    name: str
    trusted: bool
    content: Mapping[str, Any]
    marks: Mapping[_Path, Mark]
    unread: int = 0
    carried: bool = False

    def section(self, *path: str) -> Mapping[str, object]:
        """The map at `path`: `general`, or `stages` and a stage's name; empty if there is none."""
        found = self.content
        for part in path:
            found = found.get(part) or {}
        return found  # no copy: with thousands of stages that would be millions of keys

    def where(self, *path: str | int) -> str:
        """`name:line` of the key at `path`, or of the nearest key around it."""
        while path and path not in self.marks:
            path = path[:-1]
        return f"{self.name}:{self.marks[path].line}" if path in self.marks else self.name


@frozen
class ConfigDocuments:
    """The project's own document, and the defaults below it, weakest first.

    Defaults are the library's, the platform team's, and the custom defaults that the project names.
    """

    defaults: tuple[ConfigDocument, ...]
    project: ConfigDocument


def read_documents(
    folder: Path,
    *,
    config: str = "",
    team_files: Sequence[str] = (),
    team_documents: Sequence[ConfigDocument] = (),
    environ: Mapping[str, str] | None = None,
) -> ConfigDocuments:
    """The documents of the workspace `folder`; raises ConfigError.

    `config` is the project's own file if not the usual one; the team's documents are given as paths
    or as they are. `environ` has tokens (PIPER_gitHubTokens) and proxies for custom defaults from
    http(s).
    """
    project = read_project(folder, config)
    above = (library_defaults(), *(team_file(folder, path) for path in team_files), *team_documents)
    reader = DocumentReader(folder, environ, inside=default_hosts(above, environ or {}))
    own = [reader.read(name, where=name) for name in [DEFAULTS_FILE] if reader.has(name)]
    return ConfigDocuments(
        project=project,
        defaults=(*above, *own, *custom_defaults(project, reader)),
    )


def read_yaml(text: str, name: str, *, whole: bool = True) -> LocatedData:
    """YAML text to data with positions; raises ConfigError naming file, line and column.

    For a `whole` text a second YAML document is an error, too.
    """
    try:
        located = load_located(text)
    except YamlFault as fault:
        where = f"{name}:{fault.line}:{fault.column}"
        raise ConfigError(
            f"the YAML cannot be read: {fault.problem}", where=where, hint=yaml_fix(fault)
        ) from fault
    if whole and located.unread:
        raise ConfigError(
            UNREAD_DOCUMENT,
            where=f"{name}:{located.unread.line}",
            hint="write all of it as one document, or the other one as a file of its own",
        )
    return located


def yaml_fix(fault: YamlFault) -> str:
    """The hint for a fault of YAML; empty if its message says everything that is known."""
    if isinstance(fault, YamlLimit):
        return _SMALLER
    return _TABS if "cannot start any token" in fault.problem else ""


def parse_document(text: str, name: str, *, trusted: bool) -> ConfigDocument:
    """A configuration's text to a document; raises ConfigError if a section is not a map.

    In a trusted text a second YAML document is an error as well: Piper does not read it either, and
    a rule of the platform team in it would be off. In a project's file it is only noted (`unread`).
    """
    located = read_yaml(text, name, whole=trusted)
    document = ConfigDocument(name=name, trusted=trusted, content={}, marks=located.marks)
    content = _map(located.value, document)
    for section in SETTING_SECTIONS:
        inner = _map(content.get(section), document, section)
        for key, value in inner.items() if section != "general" else ():
            _map(value, document, section, key)
    unread = located.unread.line if located.unread else 0
    return _with_current_stages(replace(document, content=content, unread=unread))


def stage_name(name: str) -> str:
    """Today's name of a stage: `Central Build` is a name of Build, `Post Actions` one of Post."""
    return _FORMER_NAMES.get(name, name)


def former_stage_names(name: str) -> list[str]:
    """The former names of the stage `name`."""
    return [former for former, today in _FORMER_NAMES.items() if today == name]


def _with_current_stages(document: ConfigDocument) -> ConfigDocument:
    """The document with today's names of stages.

    If it has a section of both names, the former one is not read (facts 1.5 and 3.2).
    """
    for former, today in _FORMER_NAMES.items():
        stages = document.section("stages")
        if former not in stages:
            continue
        renamed = {key: value for key, value in stages.items() if key != former}
        marks = dict(document.marks)
        if renamed.get(today) is None:
            renamed[today] = stages[former]
            marks |= {
                ("stages", today, *path[2:]): mark
                for path, mark in document.marks.items()
                if path[:2] == ("stages", former)
            }
        document = replace(document, content={**document.content, "stages": renamed}, marks=marks)
    return document


def _map(value: Any, document: ConfigDocument, *path: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(
            f"{'.'.join(path) or 'the configuration'} must be a map",
            where=document.where(*path),
            hint="write `key: value` lines below it",
        )
    return value


# ---- documents by path and URL


class DocumentReader:
    """Reads documents by their path in the workspace `folder` or by URL; each URL is fetched once.

    The limits on length and content of one document hold for all of them together, so that a long
    list does not fill the memory. `environ` has tokens and proxies; `inside` are the hosts in
    private networks that a project may name.
    """

    def __init__(
        self, folder: Path, environ: Mapping[str, str] | None = None, *, inside: Sequence[str] = ()
    ) -> None:
        self._folder = folder
        self._environ = environ or {}
        self.inside = inside
        self._texts: dict[str, str] = {}
        self._characters, self._nodes = MAX_CHARACTERS, MAX_LOADED

    def has(self, name: str, *, trusted: bool = False) -> bool:
        """Whether a file exists, with either ending.

        If not `trusted`, a path that leads out of the workspace counts as existing, so that `read`
        refuses it.
        """
        out = not trusted and any(leads_out(self._folder, known) for known in _endings(name))
        return out or _existing(self._folder, name, inside=not trusted) is not None

    def read(self, name: str, *, where: str, trusted: bool = False) -> ConfigDocument:
        """The document called `name`, which `where` asks for; raises ConfigError.

        A document from plain http is never trusted.
        """
        scheme = name.partition("://")[0].lower()
        if scheme in ("http", "https"):
            return self._download(name, where=where, trusted=trusted)
        found = find_document(self._folder, name, where=where, trusted=trusted)
        return self._parsed(
            text_in(self._folder, found, inside=not trusted), found, where=where, trusted=trusted
        )

    def _download(self, url: str, *, where: str, trusted: bool) -> ConfigDocument:
        remote = dispatch.source("http")
        if url not in self._texts:
            self._texts[url] = remote.fetch(
                url, self._environ, where=where, inside=None if trusted else self.inside
            )
        return self._parsed(
            self._texts[url],
            remote.display_url(url),
            where=where,
            trusted=trusted and url[:6].lower() == "https:",
        )

    def _parsed(self, text: str, name: str, *, where: str, trusted: bool) -> ConfigDocument:
        self._characters -= len(text)
        document = parse_document(text, name, trusted=trusted) if self._characters >= 0 else None
        self._nodes -= len(document.marks) if document else 0
        if document is None or self._nodes < 0:
            raise ConfigError(
                f"default documents up to {name} hold too much",
                where=where,
                hint=(
                    f"together they may have {MAX_CHARACTERS} characters, and {MAX_LOADED} keys and"
                    " values"
                ),
            )
        return document


def read_project(folder: Path, config: str = "") -> ConfigDocument:
    """The project's own document, `config` or its usual file, which may be missing.

    Raises ConfigError.
    """
    found = find_project(folder, config)
    if not found:
        return ConfigDocument(name=PROJECT_FILE, trusted=False, content={}, marks={})
    return parse_document(text_in(folder, found, inside=not config), found, trusted=False)


def find_project(folder: Path, config: str = "") -> str:
    """The file name of the project's own document; empty if the usual one is missing.

    Raises ConfigError.
    """
    if not config:
        _check_inside(folder, PROJECT_FILE, PROJECT_FILE)
    found = _existing(folder, config or PROJECT_FILE, inside=not config)
    if found is None and config:
        raise ConfigError(
            "the configuration that was asked for is not there",
            where=config,
            hint="correct the path, relative to the workspace",
        )
    return found or ""


def find_document(folder: Path, name: str, *, where: str, trusted: bool = False) -> str:
    """The file name, with its real ending, of a document that `where` asks for.

    Raises ConfigError.
    """
    if not trusted:
        _check_inside(folder, name, where)
    found = _existing(folder, name, inside=not trusted)
    if found is None:
        raise ConfigError(
            f"the configuration {name} is not there",
            where=where,
            hint="correct the path, relative to the workspace",
        )
    if _at(folder, found).is_dir() if trusted else is_folder(folder, found):
        raise ConfigError(
            f"the configuration {found!r} is a folder", where=where, hint="give the path of a file"
        )
    return found


def library_defaults() -> ConfigDocument:
    """Towline's own default document."""
    return parse_document(resource_text("defaults.yaml"), "towline/defaults.yaml", trusted=True)


def team_file(folder: Path, path: str) -> ConfigDocument:
    """A default document of the platform team by its absolute path outside of the workspace.

    Raises ConfigError.
    """
    where = f"TOWLINE_DEFAULTS: {path}"
    if not Path(path).is_absolute():
        raise ConfigError(
            "a relative path would name a file of the project",
            where=where,
            hint="give absolute paths",
        )
    if in_workspace(Path(path), folder):
        raise ConfigError(
            "it lies in the workspace, where a branch can change it",
            where=where,
            hint="keep it on the agent, outside of every workspace",
        )
    return parse_document(
        read_text(Path(path), path, hint="correct TOWLINE_DEFAULTS"), path, trusted=True
    )


def custom_defaults(project: ConfigDocument, reader: DocumentReader) -> Iterable[ConfigDocument]:
    """The default documents that the project's own names, in their order.

    Raises ConfigError naming the line that asks for one.
    """
    names = project.content.get("customDefaults")
    if names is not None and (not isinstance(names, list) or len(names) > _MOST_CUSTOM_DEFAULTS):
        raise ConfigError(
            f"customDefaults must be a list of at most {_MOST_CUSTOM_DEFAULTS}",
            where=project.where("customDefaults"),
            hint="write `- path` lines below it",
        )
    for index, name in enumerate(names or []):
        line = project.where("customDefaults", index)
        if not isinstance(name, str):
            raise ConfigError(
                "an entry of customDefaults must be a path or a URL",
                where=line,
                hint="write it as text",
            )
        yield reader.read(name, where=line)


def _existing(folder: Path, name: str, *, inside: bool) -> str | None:
    """The path `name`, or the same path with the other of the endings `.yml` and `.yaml`.

    None if neither exists, or if it has to be `inside` the workspace and is not.
    """
    exists = is_inside if inside else _exists
    return next((known for known in _endings(name) if exists(folder, known)), None)


def _exists(folder: Path, name: str) -> bool:
    return os.path.exists(_at(folder, name))  # noqa: PTH110 - Path's raises where it may not look


def _at(folder: Path, name: str) -> Path:
    """The path of a document; `a/../b` is `b`, as for documents inside of the workspace."""
    return Path(os.path.normpath(folder / name))


def _endings(name: str) -> list[str]:
    stem, dot, ending = name.rpartition(".")
    other = {"yml": "yaml", "yaml": "yml"}.get(ending, "") if dot else ""
    return [name, f"{stem}.{other}"] if other else [name]


def _check_inside(folder: Path, name: str, where: str) -> None:
    """Pass if the file lies in the workspace; raises ConfigError.

    A pull request must not have the agent's own files read, nor learn which of them exist.
    """
    for known in _endings(name):
        if leads_out(folder, known):
            hint = "keep the file in the project; the platform team's stand in TOWLINE_DEFAULTS"
            raise ConfigError(f"{known} leads out of the workspace", where=where, hint=hint)


def text_in(folder: Path, name: str, *, inside: bool = True) -> str:
    """The text of a file by its path from the workspace `folder`; raises ConfigError.

    If `inside`, it has to lie in that folder.
    """
    if not inside:
        return read_text(_at(folder, name), name)
    try:
        text = read_inside(folder, name, _LARGEST_FILE).decode("utf-8")
    except Outside as fault:
        raise ConfigError(
            "the file leads out of the workspace",
            where=name,
            hint="keep the file itself in the project",
        ) from fault
    except Misfit as fault:
        raise _misfit(str(fault), name, _PATH) from fault
    except (OSError, ValueError) as fault:
        raise _unreadable(fault, name) from fault
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_text(path: Path, name: str, *, hint: str = _PATH) -> str:
    """The text of a file of at most 8 MiB; raises ConfigError under its `name`."""
    try:
        if why := misfit(path, _LARGEST_FILE):
            raise _misfit(why, name, hint)
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as fault:
        raise _unreadable(fault, name) from fault


def _misfit(why: str, name: str, hint: str) -> ConfigError:
    return ConfigError(
        f"the file {why}", where=name, hint=_SMALLER if why.startswith("is larger") else hint
    )


def _unreadable(fault: OSError | ValueError, name: str) -> ConfigError:
    reason = fault.strerror if isinstance(fault, OSError) else "it is not UTF-8"
    return ConfigError(
        f"the file cannot be read: {reason}", where=name, hint="correct the file or its permissions"
    )
