"""How far each image has come, as lines for a terminal: name, bar, bytes in binary units, rate and the time to go, fitted to its width."""

from __future__ import annotations

from collections.abc import Sequence

from tqdm.std import tqdm

from towline.registry.copy.progress import ProgressState

_MOST = 12  # a terminal is not high


def lines(states: Sequence[ProgressState], *, width: int) -> list[str]:
    """A line for each image that is still on its way, of many the first ones; `width` in characters."""
    moving = [state for state in states if state.done < state.total] or list(states[-1:])
    shown = [_line(state, width=width) for state in moving[:_MOST]]
    return shown if len(moving) <= _MOST else [*shown, f"  and {len(moving) - _MOST} more"]


def _line(state: ProgressState, *, width: int) -> str:
    elapsed = state.done / state.rate if state.rate else 0.0
    rest = tqdm.format_interval(state.rest) if state.rest is not None else "?"
    # The library's own text of a rate counts in thousands, and of bytes leaves out the unit.
    facts = f"{_bytes(state.done)}/{_bytes(state.total)} {_bytes(state.rate)}/s {rest} left"
    name = _short(state.name, max(8, min(width // 3, width - len(facts) - 14)))
    return str(
        tqdm.format_meter(
            state.done,
            state.total,
            elapsed,
            ncols=width - 1,
            prefix=name,
            bar_format=f"  {{desc}} {{percentage:3.0f}}%|{{bar}}| {facts}",
        )
    )


def _bytes(number: float) -> str:
    """`number` bytes in the binary units of IEC 80000-13."""
    short = tqdm.format_sizeof(number, divisor=1024)
    return f"{short[:-1]}{short[-1].upper()}iB" if short[-1].isalpha() else f"{short}B"


def _short(name: str, most: int) -> str:
    """The end of a name, where its tag is, if it is too long."""
    return name if len(name) <= most else f"..{name[len(name) - most + 2 :]}"
