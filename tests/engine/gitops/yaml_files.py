"""YAML files as people write them, made from a seed.

They have every style, comment, line end and oddity that an edit has to leave alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable

_WORDS = (
    "app",
    "image",
    "tag",
    "spec",
    "web",
    "name",
    "value",
    "x-y",
    "é",
    "replicas",
    "on",
    "env_1",
    "url",
    "0",
    "a.b",
    "host",
)
_PLAIN = (
    "1.20",
    "text",
    "two words",
    "true",
    "null",
    "~",
    "0123",
    "12:30:45",
    "host.example:5000/app:1.0",
    "http://x/y?a=b",
    "it's",
    "a#b",
    "-1",
    "1e3",
)
_COMMENTS = ("", "", "", " # why", "  # {{ not }} a template: really", "\t# tab")
_TEMPLATES = ("{{ .Values.a }}", '{{ include "x.y" . | quote }}', "{{- .b -}}")


class Author:
    """Writes one file; `dice` makes all choices."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.step = dice.choice((2, 2, 4))
        self.lines: list[str] = []
        self.anchors: list[str] = []

    def file(self) -> bytes:
        """A whole file with one to three documents."""
        dice = self.dice
        for number in range(dice.choice((1, 1, 2, 3))):
            self.anchors = []
            if number or dice.random() < 0.2:
                self.lines.append(dice.choice(("---", "--- # next", "---")))
            if dice.random() < 0.1:
                self.lines.append("# a document with nothing in it")
                continue
            self.mapping("", 3)
            if dice.random() < 0.1:
                self.lines.append("...")
        end = dice.choice(("\n", "\n", "\r\n"))
        text = end.join(self.lines) + dice.choice((end, end, "", end + end, f"{end}# the end"))
        return (dice.choice(("", "", "\ufeff")) + text).encode()

    def mapping(self, indent: str, depth: int, first: str = "") -> None:
        """A block mapping; `first` stands before its first key."""
        for number, word in enumerate(self.dice.sample(_WORDS, self.dice.randint(1, 5))):
            if not number and first:
                head = first
            else:
                head = indent
                self.between(indent)
            self.entry(head + self.key(word) + ":", indent, depth)

    def key(self, word: str) -> str:
        return self.dice.choice((word, word, word, f"'{word}'", f'"{word}"'))

    def between(self, indent: str) -> None:
        """Write lines that may stand between two others."""
        chance = self.dice.random()
        if chance < 0.08:
            self.lines.append("")
        elif chance < 0.16:
            self.lines.append(f"{indent}# between: {{a: b}}")
        elif chance < 0.19:
            self.lines.append("{{- if .Values.on }}")
        elif chance < 0.21:
            self.lines.append("  ")

    def entry(self, head: str, indent: str, depth: int) -> None:
        """Write the value of `head`, on its line or below it."""
        kinds: tuple[Callable[[str, str, int], None], ...] = (
            self.scalar,
            self.scalar,
            self.scalar,
            self.flow,
            self.block,
            self.folded,
        )
        deep: tuple[Callable[[str, str, int], None], ...] = (self.below, self.items, self.below)
        self.dice.choice(kinds + deep if depth else kinds)(head, indent, depth)

    def scalar(self, head: str, _indent: str, _depth: int) -> None:
        dice = self.dice
        gap = dice.choice((" ", " ", "  ", "\t", "   "))
        value = dice.choice(
            (
                self.plain(),
                self.plain(),
                self.quoted(),
                self.property(),
                "",
                dice.choice(_TEMPLATES),
                f"a-{dice.choice(_TEMPLATES)}",
            )
        )
        self.lines.append(f"{head}{gap if value else ''}{value}{dice.choice(_COMMENTS)}")

    def plain(self) -> str:
        return self.dice.choice(_PLAIN)

    def quoted(self) -> str:
        return self.dice.choice(
            (
                "'it''s'",
                '"a\\tb\\u00e9"',
                "''",
                '""',
                '"{{ .Values.q }}"',
                "'# no'",
                '"a: b"',
                "'1.20'",
            )
        )

    def property(self) -> str:
        """An anchor, an alias of an earlier anchor, or a tag."""
        chance = self.dice.random()
        if chance < 0.4:
            self.anchors.append(f"a{len(self.anchors)}")
            return f"&{self.anchors[-1]} {self.plain()}"
        if chance < 0.7 and self.anchors:
            return f"*{self.dice.choice(self.anchors)}"
        return self.dice.choice(("!!str 5", "!!int 5", "! x", "!custom y"))

    def flow(self, head: str, _indent: str, depth: int) -> None:
        self.lines.append(f"{head} {self.collection(min(depth, 2))}{self.dice.choice(_COMMENTS)}")

    def collection(self, depth: int) -> str:
        """A flow collection on one line."""
        dice = self.dice
        inner = [self.inner(depth) for _ in range(dice.randint(0, 3))]
        pad = dice.choice(("", " "))
        if dice.random() < 0.5:
            return f"[{pad}{', '.join(inner)}{pad}]"
        pairs = [
            f"{self.key(word)}: {value}"
            for word, value in zip(dice.sample(_WORDS, 3), inner, strict=False)
        ]
        return "{" + pad + dice.choice((", ", ",  ")).join(pairs) + pad + "}"

    def inner(self, depth: int) -> str:
        if depth and self.dice.random() < 0.3:
            return self.collection(depth - 1)
        return self.dice.choice(
            ("text", "1.20", "'a, b'", '"x"', "true", "h:5000/a:1", "two words")
        )

    def block(self, head: str, indent: str, _depth: int) -> None:
        """A literal or folded text."""
        deeper = indent + " " * self.step
        self.lines.append(
            f"{head}"
            f" {self.dice.choice(('|', '>', '|-', '>-', '|+'))}{self.dice.choice(('', '  # note'))}"
        )
        self.lines += [
            deeper + line if line else line
            for line in self.dice.choice(
                (["one"], ["one", "", "  two"], ["a: b # c", "- d"], ["é", "last"])
            )
        ]

    def folded(self, head: str, indent: str, _depth: int) -> None:
        """A text over two lines, plain or quoted."""
        quote = self.dice.choice(("", "'", '"'))
        self.lines += [
            f"{head} {quote}begins here",
            f"{indent}{' ' * self.step}and ends{quote}{self.dice.choice(('', ' # tail'))}",
        ]

    def below(self, head: str, indent: str, depth: int) -> None:
        self.lines.append(head + self.dice.choice(("", "", " # map", " &m" + str(len(self.lines)))))
        self.mapping(indent + " " * self.step, depth - 1)

    def items(self, head: str, indent: str, depth: int) -> None:
        """A block list, as deep as its key or deeper, of texts, maps and flow collections."""
        dice = self.dice
        self.lines.append(head)
        start = indent + dice.choice(("", " " * self.step))
        gap = " " * dice.choice((1, 1, 3))
        for _ in range(dice.randint(1, 4)):
            self.between(start)
            if depth > 1 and dice.random() < 0.5:
                self.mapping(f"{start} {gap}", depth - 2, first=f"{start}-{gap}")
            else:
                item = dice.choice((self.plain(), self.quoted(), self.collection(1)))
                self.lines.append(f"{start}-{gap}{item}{dice.choice(_COMMENTS)}")

    def repeats(self) -> None:
        """Write texts and maps with anchors, and aliases of them.

        Users are aliases, also in flow style and of maps that have aliases, and merge keys.
        """
        dice = self.dice
        for number in range(dice.randint(1, 3)):
            name, pad = f"r{number}", " " * self.step
            self.lines += [
                (
                    f"{name}: &{name}"
                    f" {dice.choice((self.plain(), self.quoted()))}{dice.choice(_COMMENTS)}"
                ),
                f"{name}-map: &{name}-map",
            ]
            self.lines += [
                f"{pad}k: {dice.choice((f'*{name}', self.plain(), self.quoted()))}",
                f"{pad}l: [x, *{name}]{dice.choice(_COMMENTS)}",
            ]
            users = [
                f"one: *{name}",
                f"two: {{a: *{name} , b: *{name}-map}}",
                f"three: [*{name}-map, *{name}]",
                f"four: {{<<: *{name}-map, own: 1}}",
            ]
            for user in dice.sample(users, dice.randint(1, 4)):
                self.between("")
                self.lines.append(f"{name}-{user}{dice.choice(_COMMENTS)}")


def written(seed: int) -> bytes:
    """The file of a seed."""
    return Author(random.Random(seed)).file()


def repeating(seed: int) -> bytes:
    """A file in which aliases and merge keys repeat texts, after other content."""
    author = Author(random.Random(seed))
    author.mapping("", 2)
    author.repeats()
    return author.dice.choice(("\n", "\r\n")).join([*author.lines, ""]).encode()
