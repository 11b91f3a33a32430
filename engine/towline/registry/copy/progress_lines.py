"""The progress of images as lines for a terminal: name, bar, bytes, rate and the time to go.

Bytes are in binary units, and a line fits the width of the terminal.
"""

from __future__ import annotations

from collections.abc import Sequence

from tqdm.std import tqdm

from towline.registry.copy.progress import ProgressState

_MOST_LINES = 12  # a terminal has few


def lines(states: Sequence[ProgressState], *, width: int) -> list[str]:
    """A line for each image that is not done, at most 12; `width` is in characters."""
    moving = [state for state in states if state.done < state.total] or list(states[-1:])
    shown = [_line(state, width=width) for state in moving[:_MOST_LINES]]
    return (
        shown if len(moving) <= _MOST_LINES else [*shown, f"  and {len(moving) - _MOST_LINES} more"]
    )


def _line(state: ProgressState, *, width: int) -> str:
    elapsed = state.done / state.rate if state.rate else 0.0
    rest = tqdm.format_interval(state.rest) if state.rest is not None else "?"
    # tqdm itself writes a rate in thousands, and bytes without their unit
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
    """A name of at most `most` characters; a longer one loses its beginning, not its tag."""
    return name if len(name) <= most else f"..{name[len(name) - most + 2 :]}"
