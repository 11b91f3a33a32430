"""An asyncio server in a thread of its own, from start() to stop()."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Self


class LoopThread:
    """Runs `_serve` in a thread; `_end` is set when it is to end, and `_ways` are the tasks of
    its connections.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._ways: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__)

    def start(self) -> Self:
        """Let connections through."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close the port and every connection."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        raise NotImplementedError
