"""Log lines for people, on one stream; every registered secret is masked in all of them."""

from __future__ import annotations

import base64
from typing import TextIO
from urllib.parse import quote

from towline.errors import TowlineError

MASK = "****"
_SHORTEST = 4


class Console:
    """Writes lines to `stream`; what `hide` was given never gets through."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._hidden: set[str] = set()

    def hide(self, secret: str) -> None:
        """Mask `secret` from now on, as it is, URL-quoted and in base64; under four characters it would garble every line."""
        if len(secret) >= _SHORTEST:
            encoded = base64.b64encode(secret.encode()).decode()
            self._hidden.update({secret, quote(secret, safe=""), encoded, encoded.rstrip("=")})

    def mask(self, text: str) -> str:
        """`text` with every registered secret replaced, the longest first."""
        for secret in sorted(self._hidden, key=len, reverse=True):
            text = text.replace(secret, MASK)
        return text

    def say(self, text: str) -> None:
        """One line about what happens."""
        print(self.mask(text), file=self._stream, flush=True)

    def warn(self, text: str) -> None:
        """One line about what is probably not meant so."""
        self.say(f"warning: {text}")

    def fail(self, fault: TowlineError) -> None:
        """What happened, where, and what to do next."""
        self.say(f"error: {fault.message}")
        if fault.where:
            self.say(f"  where: {fault.where}")
        if fault.hint:
            self.say(f"  next:  {fault.hint}")
