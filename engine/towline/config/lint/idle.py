"""Pure.

Idle keys: flags and keys of a configuration that nothing in the pipeline will act on.

`towline lint` and `towline plan` both name them, so that nothing is dropped without a word.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from towline.config.conditions import parse_flag
from towline.config.documents import ConfigDocument, stage_name
from towline.config.lint.findings import Finding, finding
from towline.config.near_names import misspelt_stage, slip
from towline.record import field, frozen

_EXTENSIONS = (
    "put the company's extensions into a folder of the checkout, and name it by"
    " globalExtensionsDirectory"
)
_CHECKOUT = "the pipeline checks out what the job builds"
# keys of Piper's pipeline whose work is not done here, with what does it instead
_PIPERS: Mapping[str, str] = {
    "stageConfigResource": "let the platform team define the stages (docs/pipeline.md)",
    "legacyConfigSettings": "`towline lint` finds keys that nothing reads",
    "containerMapResource": "let each step name its container",
    "stashSettings": "stages of one agent share its workspace",
    "customStashSettings": "stages of one agent share its workspace",
    "globalExtensionsRepository": _EXTENSIONS,
    "globalExtensionsVersion": _EXTENSIONS,
    "globalExtensionsRepositoryCredentialsId": _EXTENSIONS,
    "checkoutMap": _CHECKOUT,
    "skipCheckout": _CHECKOUT,
    "scmInfo": _CHECKOUT,
    "pullRequestStageName": "a flag in stages.Pull-Request Voting runs a step for change requests",
}
# keys of a stage definition, or of older ones, which a configuration cannot set
_DEFINED: Mapping[str, str] = {
    "stepConditions": "write the step's flag",
    "extensionExists": "a file in the extensions folder is enough",
}


@frozen
class KnownPipeline:
    """The names that say which flags have an effect.

    `stages` are the own names of each stage's steps by stage; `spellings` are own names by each
    spelling of a step; `others` are the steps that no stage has. `technical` maps technical names
    of stages to those in configurations. `confirms` is the stage that asks a person, and
    `confirm_keys` are its keys. `named` are stages of documents that are not checked themselves.
    """

    stages: Mapping[str, frozenset[str]]
    spellings: Mapping[str, str]
    others: frozenset[str] = frozenset()
    technical: Mapping[str, str] = field(default_factory=dict)
    confirms: str = ""
    confirm_keys: frozenset[str] = frozenset()
    named: frozenset[str] = frozenset()


def idle_keys(documents: Iterable[ConfigDocument], known: KnownPipeline) -> Iterator[Finding]:
    """The findings on each key of the documents that nothing in the pipeline acts on."""
    for document in documents:
        yield from _general(document, known)
        if document.content.get("spec") is not None and not document.trusted:
            message = "a definition of stages counts in documents of the platform team only"
            yield _idle(
                document, ("spec",), message, "let the platform team add it to its defaults"
            )
        stages: Mapping[str, Any] = document.section("stages")
        for name, values in stages.items():
            if stage_name(name) == name or not stages.get(stage_name(name)):
                yield from _stage(document, known, name, values or {})


def _general(document: ConfigDocument, known: KnownPipeline) -> Iterator[Finding]:
    """The findings on flags of steps that no stage has, and on keys of Piper's pipeline alone."""
    general: Mapping[str, Any] = document.section("general")
    sections: list[tuple[tuple[str, ...], Mapping[str, Any]]] = [(("general",), general)]
    steps: Mapping[str, Any] = document.section("steps")
    for name, values in steps.items():
        sections.append(
            (("steps", name), {key: values[key] for key in values or {} if key == name})
        )
    for path, values in sections:
        for key, value in values.items():
            if parse_flag(value) and known.spellings.get(key) in known.others:
                message = f"no stage of the pipeline has a step {key}, and the flag switches"
                yield finding(
                    "flag-without-step",
                    document,
                    (*path, key),
                    message=f"{message} nothing on",
                    fix="let a stage of the project's own have the flag, or call the step in an"
                    " extension",
                )
    yield from _unread(document, ("general",), general, _PIPERS)


def _stage(
    document: ConfigDocument, known: KnownPipeline, name: str, values: Mapping[str, Any]
) -> Iterator[Finding]:
    """The findings in a stage's section."""
    path, steps = ("stages", name), known.stages.get(stage_name(name))
    enabled = {key: known.spellings[key] for key in values if key in known.spellings}
    flags = {key: step for key, step in enabled.items() if parse_flag(values[key])}
    if steps is None:
        yield from _unknown_stage(document, known, name, is_own_stage=bool(flags))
    for key, step in flags.items():
        if steps is not None and step not in steps:
            having = [stage for stage, held in known.stages.items() if step in held]
            others = ", ".join(having) or "none, but one of the project's own would run it"
            yield finding(
                "flag-without-step",
                document,
                (*path, key),
                message=f"stage {name} has no step {step}, and the flag {key} switches nothing on",
                fix=f"stages that have it: {others}",
            )
    yield from _misspelt_flags(document, known, path, values)
    yield from _unread(document, path, values, _DEFINED)
    yield from _confirm_keys(document, known, name, values.keys() - {*flags, *_DEFINED})


def _confirm_keys(
    document: ConfigDocument, known: KnownPipeline, name: str, keys: Collection[str]
) -> Iterator[Finding]:
    """The findings on keys of the stage that asks a person, and on its keys in other stages."""
    if not known.confirms:
        return
    is_asking = stage_name(name) == known.confirms
    for key in sorted(keys):
        if is_asking and key not in known.confirm_keys:
            message = f"stage {name} asks a person and has no steps, so nothing reads {key} there"
            fix = f"its keys: {', '.join(sorted(known.confirm_keys))}"
            yield _idle(document, ("stages", name, key), message, fix)
        elif not is_asking and key in known.confirm_keys:
            message = f"nothing reads {key} in stage {name}"
            fix = f"write it in stages.{known.confirms}, or in general"
            yield _idle(document, ("stages", name, key), message, fix)


def _misspelt_flags(
    document: ConfigDocument, known: KnownPipeline, path: Sequence[str], values: Mapping[str, Any]
) -> Iterator[Finding]:
    """The findings on keys that are true and have nearly the name of a step."""
    names = frozenset(known.spellings)
    for key, value in values.items():
        if parse_flag(value) and key not in names and (near := slip(key, names)):
            yield misspelt_key(document, (*path, key), near)


def misspelt_key(document: ConfigDocument, path: Sequence[str], near: str) -> Finding:
    """The finding on the key at `path` that nothing reads and that is nearly `near`."""
    message = f"no step that Towline knows reads {path[-1]}"
    return finding("unknown-key", document, path, message=message, fix=f"did you mean {near!r}?")


def _unknown_stage(
    document: ConfigDocument, known: KnownPipeline, name: str, *, is_own_stage: bool
) -> Iterator[Finding]:
    """The finding on a stage that the pipeline does not have, if it is a misspelt one."""
    if name in known.named:
        return
    configured = document.section("stages")
    near = known.technical.get(name) or misspelt_stage(
        name, frozenset(known.stages), configured, enables=is_own_stage
    )
    if not near:
        return
    message, fix = f"the pipeline has no stage {name}", f"did you mean {near!r}?"
    yield finding("unknown-stage", document, ("stages", name), message=message, fix=fix)


def _unread(
    document: ConfigDocument,
    path: Sequence[str],
    values: Mapping[str, Any],
    keys: Mapping[str, str],
) -> Iterator[Finding]:
    for key, instead in keys.items():
        if values.get(key) is not None:
            where = ".".join(path)
            yield _idle(document, (*path, key), f"nothing reads {key} in {where}", instead)


def _idle(document: ConfigDocument, path: Sequence[str], message: str, fix: str) -> Finding:
    return finding("idle-key", document, path, message=message, fix=fix)
