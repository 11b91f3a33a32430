from __future__ import annotations

from towline.gitops.notes import Notes, Replaced


def test_what_is_left_alone_is_said_once_however_often_the_change_is_made() -> None:
    notes, shown = Notes(), list[str]()
    for text in ("a", "a", "b"):
        notes.say(text)
        notes.show(say=shown.append, warn=print)
        notes.clear()
    assert shown == ["a", "b"]


def test_lines_and_warnings_come_in_their_order() -> None:
    notes, shown = Notes(), list[str]()
    notes.say("a")
    notes.warn("a")
    notes.say("b")
    notes.show(say=lambda text: shown.append(f"say {text}"), warn=shown.append)
    assert shown == ["say a", "a", "say b"]


def test_notes_of_a_block_are_dropped_and_those_before_it_stay() -> None:
    notes, shown = Notes(), list[str]()
    one = Replaced(file="f", name="n", old="", new="x")
    notes.replaced.append(one)
    notes.say("a")
    with notes.dropped():
        notes.replaced.append(one)
        notes.warn("b")
    notes.show(say=shown.append, warn=shown.append)
    assert (notes.replaced, shown) == ([one], ["a"])
    notes.clear()
    assert notes.replaced == []
