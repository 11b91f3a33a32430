from __future__ import annotations

import threading

import pytest

from towline.registry.chunk_size import LARGEST_CHUNK, ChunkSize

MIB = 1024 * 1024


def test_all_is_sent_at_once_until_something_was_too_large() -> None:
    assert ChunkSize().of(1 << 40) == 1 << 40


def sizes(chunks: ChunkSize, *, limit: int, count: int) -> list[int]:
    """The MiB of the next requests; negative for requests over `limit`, which fail."""
    found = []
    for _ in range(count):
        sent = chunks.of(1 << 40)
        found.append(-sent // MIB if sent > limit else sent // MIB)
        if sent > limit:
            assert chunks.refused(sent)
        else:
            chunks.taken(sent)
    return found


@pytest.mark.parametrize(
    ("refused", "limit", "wanted"),
    [
        (6, 5, [1, 4, 4, 4]),
        (500, 100, [1, 4, 16, 64, 64]),
        (500, 1, [1, -4, 1, 1, 1]),
        (500, 10, [1, 4, -16, 4, 4, 4]),
        (4, 3, [1, 1, 1]),
        (2, 1, [1, 1, 1]),
    ],
)
def test_a_refusal_makes_the_next_ones_the_least_and_they_grow_as_far_as_they_are_taken(
    refused: int, limit: int, wanted: list[int]
) -> None:
    chunks = ChunkSize()
    assert chunks.refused(refused * MIB)
    assert sizes(chunks, limit=limit * MIB, count=len(wanted)) == wanted


def test_one_request_at_a_time_tries_more() -> None:
    chunks = ChunkSize()
    chunks.refused(500 * MIB)
    chunks.taken(MIB)
    assert [chunks.of(1 << 30) // MIB for _ in range(3)] == [4, 1, 1]
    chunks.taken(MIB)
    assert chunks.of(1 << 30) == MIB
    chunks.taken(4 * MIB)
    assert [chunks.of(1 << 30) // MIB for _ in range(3)] == [16, 4, 4]
    chunks.refused(16 * MIB)
    assert chunks.of(1 << 30) == 4 * MIB


def test_where_the_one_breaks_off_another_may_try() -> None:
    chunks = ChunkSize()
    chunks.refused(500 * MIB)
    chunks.taken(MIB)
    assert [chunks.of(1 << 30) // MIB for _ in range(2)] == [4, 1]
    chunks.broken(MIB)
    assert chunks.of(1 << 30) // MIB == 1
    chunks.broken(4 * MIB)
    assert [chunks.of(1 << 30) // MIB for _ in range(2)] == [4, 1]


def test_what_is_left_of_a_blob_tries_nothing() -> None:
    chunks = ChunkSize()
    chunks.refused(500 * MIB)
    chunks.taken(MIB)
    assert [chunks.of(size * MIB) // MIB for size in (1, 3, 4, 1)] == [1, 1, 4, 1]


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
    assert (taught, chunks.of(LARGEST_CHUNK)) == ([True] * 20, MIB)


def test_a_limit_that_falls_later_is_learned_again_and_a_late_answer_changes_nothing() -> None:
    chunks = ChunkSize()
    chunks.refused(6 * MIB)
    assert sizes(chunks, limit=5 * MIB, count=2) == [1, 4]
    assert (chunks.refused(6 * MIB), chunks.of(LARGEST_CHUNK)) == (True, 4 * MIB)
    assert (chunks.refused(4 * MIB), chunks.of(LARGEST_CHUNK)) == (True, MIB)
    assert (chunks.refused(6 * MIB), chunks.of(LARGEST_CHUNK)) == (True, MIB)
    assert sizes(chunks, limit=5 * MIB, count=2) == [1, 1]


def test_the_last_chunk_of_a_blob_is_judged_by_its_own_size() -> None:
    chunks = ChunkSize()
    chunks.refused(6 * MIB)
    assert (chunks.refused(2 * MIB), chunks.of(LARGEST_CHUNK)) == (True, MIB)
    assert (chunks.refused(1000), chunks.of(LARGEST_CHUNK)) == (False, MIB)


def test_the_registry_says_how_small_chunks_may_be() -> None:
    chunks = ChunkSize()
    chunks.refused(6 * MIB)
    chunks.at_least(str(5 * MIB))
    assert (chunks.of(LARGEST_CHUNK), chunks.refused(5 * MIB), chunks.refused(6 * MIB)) == (
        5 * MIB,
        False,
        True,
    )
    assert (
        chunks.fits(5 * MIB),
        chunks.fits(6 * MIB),
        chunks.least(9 * MIB, 1000),
        ChunkSize().least(9 * MIB, 1000),
    ) == (True, False, 5 * MIB, 1000)


@pytest.mark.parametrize("said", [None, "", "-1", "many", "²", "9" * 12, "0"])
def test_what_is_no_length_is_not_heeded(said: str | None) -> None:
    chunks = ChunkSize()
    chunks.at_least(said)
    assert (chunks.refused(2 * MIB), chunks.of(LARGEST_CHUNK)) == (True, MIB)
