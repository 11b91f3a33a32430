"""The renderer process for Jinja templates: a sandbox without loader.

An undefined name is an error.

Request: `name` and `text` of the template, `variables` (name -> value), `limits`.
"""

from __future__ import annotations

import json
import re
import traceback
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError, Undefined, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from towline.gitops.render.child import RendererFault, serve_request
from towline.suggest import nearest

_NAMED = re.compile(r"'([^']*)' is undefined|has no attribute '([^']*)'")
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def render(request: Any) -> str:
    """The template with its variables filled in; raises RendererFault with the template's line."""
    name, variables = request["name"], request["variables"]
    try:
        return _filled(request["text"], variables, request["limits"]["output"])
    except (RendererFault, MemoryError):
        raise
    except TemplateSyntaxError as fault:
        raise RendererFault(
            fault.message or "not a template", where=f"{name}:{fault.lineno}"
        ) from fault
    except UndefinedError as fault:
        message = fault.message or "undefined"
        raise RendererFault(
            message, where=_where(name, fault), hint=_hint(message, variables)
        ) from fault
    except Exception as fault:  # a template can raise anything: it calls methods of its values
        raise RendererFault(
            f"{type(fault).__name__}: {fault}", where=_where(name, fault)
        ) from fault


def _filled(text: str, variables: dict[str, Any], most: int) -> str:
    pieces: list[str] = []
    size = 0
    for piece in _environment(text).from_string(text).generate(variables):
        pieces.append(piece)
        size += len(piece)
        if size > most:
            raise RendererFault(
                f"the result is larger than {most} bytes", hint="make the template smaller"
            )
    return "".join(pieces)


def _environment(text: str) -> ImmutableSandboxedEnvironment:
    """A sandbox in which each rendering of a template has the same result.

    A line with a statement only leaves nothing behind. Line ends are those of the template.
    """
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        newline_sequence="\r\n" if "\r\n" in text else "\n",
    )
    environment.filters["yaml"] = environment.filters["tojson"] = quote
    del environment.filters["random"], environment.globals["lipsum"]
    return environment


def quote(value: Any, indent: int | None = None) -> str:
    """`value` as JSON that is also YAML, on one line.

    Texts are in double quotes, so no value can add a line or change its type.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent, default=_refuse)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _refuse(value: Any) -> None:
    if isinstance(value, Undefined):
        str(value)  # raises UndefinedError with the name
    raise TypeError(f"{type(value).__name__} cannot be written as YAML")


def _where(name: str, fault: BaseException) -> str:
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(fault.__traceback__)
        if frame.filename == "<template>"
    ]
    return f"{name}:{lines[-1]}" if lines else name


def _hint(message: str, variables: dict[str, Any]) -> str:
    found = _NAMED.search(message)
    names = {
        *variables,
        *(part for value in variables.values() if isinstance(value, dict) for part in value),
    }
    return nearest(found.group(1) or found.group(2), names) if found else ""


if __name__ == "__main__":
    serve_request(render)
