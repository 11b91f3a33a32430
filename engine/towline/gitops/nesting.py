"""Pure.

How deep YAML is nested, known before it is read: each level takes stack in what reads and in what
compares it.
"""

from __future__ import annotations

import re

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_LEADING = re.compile(r"^[ ?-]+", re.MULTILINE)


def deeper(text: str, most: int) -> bool:
    """Whether `text` has more than `most` levels, or is no YAML so that nobody knows; libyaml itself would end the process with it at some ten thousand."""
    if (
        text.count("[") + text.count("{") + 2 * max(map(len, _LEADING.findall(text)), default=0)
        < most
    ):
        return False
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(
                event, yaml.CollectionEndEvent
            )
            if depth > most:
                return True
    except (yaml.YAMLError, ValueError):
        return True
    return False
