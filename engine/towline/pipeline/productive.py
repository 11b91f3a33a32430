"""Which branches and tags are productive: the one rule for `plan`, `--if-active` and `lint` (docs/contract.md, "Branches")."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from towline.config.documents import Documents
from towline.config.layers import unfiltered
from towline.config.merge import Layer, Setting, fold
from towline.errors import ConfigError
from towline.gitops import change

TAGS = "productiveTags"
_BRANCH = "productiveBranch"
_INIT_STEPS = ("piperInitRunStageConfiguration", "piperPipelineStageInit")  # Piper's steps that read what holds for all stages
_USUAL = ("master", "main")


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Where settings for the whole pipeline stand: in the documents, and over all of them in the variables of the agent, which are trusted."""

    documents: Documents
    agent: Layer

    def setting(self, key: str, *, trusted: bool = False) -> Setting | None:
        """What holds for the whole pipeline, with `trusted` by trusted layers alone; None if nothing says it."""
        layers = (*unfiltered(self.documents, _INIT_STEPS, "Init"), self.agent)
        return fold(_only(layer, key) for layer in layers if layer.trusted or not trusted).get(key)


def productive_branch(rules: Rules, branch: str) -> bool:
    """Whether builds of the branch deploy; raises ConfigError if the setting is no name and no glob."""
    setting = rules.setting(_BRANCH)
    if setting and not (isinstance(setting.value, str) and setting.value):
        raise ConfigError(f"{_BRANCH} is {setting.value!r}", where=setting.origin, hint="write the branch's name as text")
    names = (str(setting.value),) if setting else _USUAL
    with told_by(setting):
        return branch in names or any(change.match(name, [branch]) for name in names)


def productive_tag(rules: Rules, tag: str) -> bool:
    """Whether a trusted layer takes the tag for productive: else whoever may push a tag could deploy; raises ConfigError."""
    setting = rules.setting(TAGS, trusted=True)
    if setting is None:
        return False
    if not isinstance(setting.value, list) or not all(isinstance(pattern, str) and pattern for pattern in setting.value):
        raise ConfigError(f"{TAGS} is {setting.value!r}", where=setting.origin, hint="write globs of tags as a list of texts")
    with told_by(setting):
        return any(tag == pattern or change.match(pattern, [tag]) for pattern in setting.value)


@contextmanager
def told_by(setting: Setting | None) -> Iterator[None]:
    """A fault inside is one of the setting's value, and says where that stands."""
    try:
        yield
    except ConfigError as fault:
        raise ConfigError(fault.message, where=setting.origin if setting else "", hint=fault.hint) from fault


def _only(layer: Layer, key: str) -> Layer:
    return replace(layer, values={key: layer.values[key]} if key in layer.values else {})
