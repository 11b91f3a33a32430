"""What is built, as far as credentials go: whether the project's own configuration may name hosts there."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from towline.addressees import Standing
from towline.config.documents import Documents
from towline.pipeline.stages import Circumstances, verdict


def standing_of(
    known: Documents, circumstances: Callable[[], Circumstances], sign: str
) -> Callable[[], Standing]:
    """Who asks is told what is built; `sign` says that a change request is.

    It is looked at once, and only then. Raises ConfigError.
    """

    @cache
    def found() -> Standing:
        if sign:
            return Standing(
                project=False,
                build=f"{sign} says that a change request is built, and its author can change that",
                request=True,
            )
        given = circumstances()
        said = verdict(known, given)
        if said.warning:
            given.warn(said.warning)
        what = _what(given)
        if said.productive:
            return Standing(
                project=True,
                build=(
                    f"the productive {what}"
                    if given.branch or given.tag
                    else "a job whose branch its owner has set"
                ),
            )
        more = f"; {said.unheard}" if said.unheard else ""
        return Standing(
            project=False,
            build=(
                said.why
                if given.unknown
                else f"{what} is built, which is not productive ({said.why}{more})"
            ),
        )

    return found


def _what(given: Circumstances) -> str:
    kind = "tag" if given.tag else "branch"
    return f"{kind} {given.tag or given.branch}"
