"""Pure.

How often something that breaks off is tried again: as long as it gets further, or another try is
another one.
"""

from __future__ import annotations

ATTEMPTS = 5  # in a row that brought nothing
_LESSONS = 20  # in all that brought nothing but a lesson


class Attempts:
    """The tries of one blob; `failed` counts those in a row that brought nothing.

    What gets further, if only a little, is bounded by the copy's time.
    """

    def __init__(self) -> None:
        self.failed = 0
        self._best = self._lessons = 0

    def again(self, reached: int, *, taught: bool = False, rested: bool = False) -> bool:
        """Whether to try again after a try that got as far as the byte `reached`, or `taught` how the next one is to be made.

        One that ended with a rest which the host had asked for counts for nothing: it is bounded by
        the copy's time, too.
        """
        if rested and reached <= self._best:
            return True
        gained, self._best = reached - self._best, max(self._best, reached)
        self.failed = 0 if gained > 0 or taught else self.failed + 1
        self._lessons += gained <= 0 and taught
        return self.failed < ATTEMPTS and self._lessons <= _LESSONS
