"""Pure.

Schemas of a chart's values (`values.schema.json`): what they refer to outside of themselves is
refused before Helm sees them.

Helm reads such a reference wherever it leads: whoever writes the chart could have the agent ask
hosts that only the agent reaches, and learn which files it has. Packed charts are looked into as
Helm does: by any kind of member, under every spelling of its name; `repacked` has been there
before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping

from towline.errors import RenderError
from towline.gitops.packed_chart import members
from towline.gitops.repacked_charts import is_packed, plain_name

_NAME = "values.schema.json"
_POINTERS = frozenset(("$ref", "$dynamicRef", "$recursiveRef"))
_DIALECT = re.compile(r"https?://json-schema\.org/")
_HINT = (
    "put what it refers to into the schema itself (`$defs`), and refer to that as `#/$defs/NAME`"
)


class _Outside(ValueError):
    """A reference that leads out of its schema."""


def check_schemas(files: Mapping[str, bytes], chart: str) -> None:
    """Pass where the schemas among the `files` of `chart`, and in the charts packed in it, refer to nothing but themselves; raises RenderError."""
    for path, content in _schemas(files.items(), chart):
        try:
            json.loads(content.decode("utf-8-sig", "replace"), object_pairs_hook=_checked)
        except _Outside as fault:
            raise RenderError(
                f"the schema of the chart's values {fault}", where=path, hint=_HINT
            ) from None
        except (ValueError, RecursionError) as fault:
            raise RenderError(
                "the schema of the chart's values is no JSON that can be read",
                where=path,
                hint="correct it, or take it out",
            ) from fault


def _checked(pairs: list[tuple[str, object]]) -> None:
    """Every pair, also those that a later one of the same name replaces."""
    for key, value in pairs:
        if isinstance(value, str) and key in _POINTERS and not value.startswith("#"):
            raise _Outside(f"refers to {value!r}, which is outside of it")
        if isinstance(value, str) and key == "$schema" and not _DIALECT.match(value):
            raise _Outside(f"is written in {value!r}, which is no dialect of JSON Schema")


def _schemas(files: Iterable[tuple[str, bytes]], around: str) -> Iterator[tuple[str, bytes]]:
    """Each schema with its path for people, those of packed charts included; raises RenderError."""
    for name, content in files:
        place = f"{around}{plain_name(name)}"
        if place.rpartition("/")[2] == _NAME:
            yield place, content
        elif is_packed(name):
            inner = ((member.name, data) for member, data in members(place, content))
            yield from _schemas(inner, f"{place}/")
