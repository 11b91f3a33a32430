from __future__ import annotations

import threading

import pytest

from towline.registry.chunk_size import LARGEST, SMALLEST, ChunkSize

MIB = 1024 * 1024


def test_all_is_sent_at_once_until_something_was_too_large() -> None:
    assert ChunkSize().of(1 << 40) == 1 << 40


@pytest.mark.parametrize(("sent", "next_ones"), [(6 * MIB, [4, 1]), (1 << 40, [64, 16, 4, 1]), (64 * MIB, [16, 4, 1]), (MIB + 1, [1])])
def test_each_refusal_makes_the_next_one_smaller_down_to_the_least(sent: int, next_ones: list[int]) -> None:
    chunks, found = ChunkSize(), []
    while chunks.refused(sent):
        sent = chunks.of(sent)
        found.append(sent // MIB)
    assert found == next_ones
    assert sent == SMALLEST


def test_any_number_of_uploads_that_learn_the_same_at_once_learn_it_once() -> None:
    chunks, together, taught = ChunkSize(), threading.Barrier(20), []

    def learn() -> None:
        together.wait()
        taught.append(chunks.refused(6 * MIB))

    threads = [threading.Thread(target=learn) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (taught, chunks.of(LARGEST)) == ([True] * 20, 4 * MIB)


def test_a_limit_that_falls_later_is_learned_again_and_a_late_word_on_the_old_one_changes_nothing() -> None:
    chunks = ChunkSize()
    chunks.refused(6 * MIB)
    assert (chunks.refused(4 * MIB), chunks.of(LARGEST)) == (True, MIB)
    assert (chunks.refused(6 * MIB), chunks.of(LARGEST)) == (True, MIB)


def test_the_last_chunk_of_a_blob_is_judged_by_its_own_size() -> None:
    chunks = ChunkSize()
    chunks.refused(6 * MIB)
    assert (chunks.refused(2 * MIB), chunks.of(LARGEST)) == (True, MIB)
    assert (chunks.refused(1000), chunks.of(LARGEST)) == (False, MIB)


def test_the_registry_says_how_small_chunks_may_be() -> None:
    chunks = ChunkSize()
    chunks.refused(6 * MIB)
    chunks.at_least(str(5 * MIB))
    assert (chunks.of(LARGEST), chunks.refused(5 * MIB), chunks.refused(6 * MIB)) == (5 * MIB, False, True)


@pytest.mark.parametrize("said", [None, "", "-1", "many", "²", "9" * 12, "0"])
def test_what_is_no_length_is_not_heeded(said: str | None) -> None:
    chunks = ChunkSize()
    chunks.at_least(said)
    assert (chunks.refused(2 * MIB), chunks.of(LARGEST)) == (True, MIB)
