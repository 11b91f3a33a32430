"""How far each image has come, as lines for a terminal: name, bar, bytes in binary units, rate and the time to go, fitted to its width."""

from __future__ import annotations

from collections.abc import Sequence

from tqdm.std import tqdm

from towline.registry.progress import State

_MOST = 12  # a terminal is not high
_FORMAT = "  {{desc}} {{percentage:3.0f}}%|{{bar}}| {{n_fmt}}/{{total_fmt}}{{unit}} {rate}iB/s {{remaining}} left"


def lines(states: Sequence[State], *, width: int) -> list[str]:
    """A line for each image that is still on its way, of many the first ones; `width` in characters."""
    moving = [state for state in states if state.done < state.total] or list(states[-1:])
    shown = [_line(state, width=width) for state in moving[:_MOST]]
    return shown if len(moving) <= _MOST else [*shown, f"  and {len(moving) - _MOST} more"]


def _line(state: State, *, width: int) -> str:
    elapsed = state.done / state.rate if state.rate else 0.0
    rate = tqdm.format_sizeof(state.rate, divisor=1024) if state.rate else "?"  # the library's own text of it counts in thousands
    return str(tqdm.format_meter(
        state.done, state.total, elapsed, ncols=width - 1, prefix=_short(state.name, width // 3), unit="iB", unit_scale=True, unit_divisor=1024,
        rate=state.rate or None, bar_format=_FORMAT.format(rate=rate),
    ))


def _short(name: str, most: int) -> str:
    """The end of a name, where its tag is, if it is too long."""
    return name if len(name) <= most else f"..{name[len(name) - most + 2 :]}"
