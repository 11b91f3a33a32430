"""Pure.

What steps leave for later ones: values, and which of them are facts, written by this pipeline's own
steps.

Whoever can write into the workspace, a pull request too, can leave a value. A fact was kept where
that is not possible.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping


class PipelineEnvironment(Mapping[str, object]):
    """The pipeline environment's values by their keys, and beside them its facts, which may be others."""

    def __init__(self, values: Mapping[str, object], facts: Mapping[str, object]) -> None:
        self._values = dict(values)
        self.facts = dict(facts)

    def __getitem__(self, key: str) -> object:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def facts_of(values: Mapping[str, object]) -> Mapping[str, object]:
    """What this pipeline's own steps have written; of values that nobody has kept apart there is none."""
    return values.facts if isinstance(values, PipelineEnvironment) else {}


def proven(values: Mapping[str, object], key: str) -> bool:
    """Whether the value of `key` is the one that a step of this pipeline has written."""
    facts = facts_of(values)
    return key in values and key in facts and _text(values[key]) == _text(facts[key])


def changed(values: Mapping[str, object], key: str) -> bool:
    """Whether a step of this pipeline has written another value there than the one that is there by now."""
    return key in values and key in facts_of(values) and not proven(values, key)


def origin(values: Mapping[str, object], key: str) -> str:
    """The place of a value in words, and if it is none that is known to be a step's own."""
    place = f"{key} in the pipeline environment"
    if proven(values, key):
        return place
    if changed(values, key):
        return f"{place}, which is not what a step of this build has written there"
    return f"{place}, which no step of this build is known to have written"


def _text(value: object) -> str:
    """A value so that equal ones have one text: `1` is neither `true` nor `"1"`."""
    return json.dumps(value, sort_keys=True)
