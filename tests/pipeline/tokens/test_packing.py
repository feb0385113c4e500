"""Plans: every token once, no needless cut, and the bins of a plain best-fit-decreasing."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.tokens.config import PackConfig
from pipeline.tokens.packing import Plan, best_fit, concat, make_plan, pad

lengths_of_documents = st.lists(st.integers(0, 90), max_size=60)
widths = st.integers(16, 40)
many = settings(max_examples=200, deadline=None)

Piece = tuple[int, int, int]


def rows(plan: Plan) -> list[list[Piece]]:
    pieces = list(
        zip(plan.document.tolist(), plan.start.tolist(), plan.length.tolist(), strict=True)
    )
    ends = plan.row_offsets.tolist()
    return [pieces[a:b] for a, b in pairwise(ends)]


def naive_best_fit(lengths: list[int], width: int) -> list[list[Piece]]:
    """Ding et al. 2024, section 3, by looking at every open bin for every piece."""
    pieces = [
        (document, start, min(width, length - start))
        for document, length in enumerate(lengths)
        for start in range(0, length, width)
    ]
    bins: list[tuple[int, int, list[Piece]]] = []  # room, since when, pieces
    for clock, piece in enumerate(sorted(pieces, key=lambda piece: -piece[2])):
        fitting = [b for b in bins if b[0] >= piece[2]]
        chosen = min(fitting, key=lambda b: b[:2]) if fitting else (width, 0, [])
        if fitting:
            bins.remove(chosen)
        bins.append((chosen[0] - piece[2], clock, [*chosen[2], piece]))
    return sorted(sorted(content) for _, _, content in bins)


@given(lengths=lengths_of_documents, width=widths)
@many
def test_best_fit_gives_the_bins_of_the_plain_algorithm(lengths: list[int], width: int) -> None:
    assert rows(best_fit(np.array(lengths, np.int64), width)) == naive_best_fit(lengths, width)


@given(lengths=lengths_of_documents, width=widths)
@many
def test_every_token_is_placed_exactly_once(lengths: list[int], width: int) -> None:
    for strategy in ("best_fit", "concat", "pad"):
        config = PackConfig(sequence_tokens=width, strategy=strategy)
        plan = make_plan(np.array(lengths, np.int64), config)
        placed = [
            (document, token)
            for row in rows(plan)
            for document, start, length in row
            for token in range(start, start + length)
        ]
        everything = [(d, token) for d, length in enumerate(lengths) for token in range(length)]
        assert sorted(placed) == everything
        assert all(0 < sum(piece[2] for piece in row) <= width for row in rows(plan))
        assert all(length > 0 for row in rows(plan) for _, _, length in row)


@given(lengths=lengths_of_documents, width=widths)
@many
def test_best_fit_cuts_no_document_more_than_its_length_asks_for(
    lengths: list[int], width: int
) -> None:
    plan = best_fit(np.array(lengths, np.int64), width)
    pieces = np.bincount(plan.document, minlength=len(lengths)).tolist()
    assert pieces == [-(-length // width) for length in lengths]
    assert plan.num_truncated(np.array(lengths, np.int64), width) == 0


@given(lengths=lengths_of_documents, width=widths)
@many
def test_concat_is_the_stream_cut_at_every_row(lengths: list[int], width: int) -> None:
    stream = [(d, token) for d, length in enumerate(lengths) for token in range(length)]
    wanted = [stream[i : i + width] for i in range(0, len(stream), width)]
    got = [
        [(document, start + i) for document, start, length in row for i in range(length)]
        for row in rows(concat(np.array(lengths, np.int64), width))
    ]
    assert got == wanted


@given(lengths=lengths_of_documents, width=widths)
@many
def test_pad_gives_each_document_rows_of_its_own(lengths: list[int], width: int) -> None:
    plan = pad(np.array(lengths, np.int64), width)
    wanted = [
        [(document, start, min(width, length - start))]
        for document, length in enumerate(lengths)
        for start in range(0, length, width)
    ]
    assert rows(plan) == wanted
    assert plan.num_truncated(np.array(lengths, np.int64), width) == 0


@pytest.mark.parametrize("strategy", ["best_fit", "concat", "pad"])
@pytest.mark.parametrize("lengths", [[], [0], [0, 0, 0]])
def test_no_tokens_give_no_rows(strategy: str, lengths: list[int]) -> None:
    plan = make_plan(np.array(lengths, np.int64), PackConfig(strategy=strategy))
    assert (plan.num_rows, len(plan.document), plan.utilisation(2048)) == (0, 0, 1.0)


def test_rows_follow_the_order_of_the_documents() -> None:
    plan = best_fit(np.array([3, 16, 12, 13, 40]), 16)
    assert rows(plan) == [
        [(0, 0, 3), (3, 0, 13)],
        [(1, 0, 16)],
        [(2, 0, 12)],
        [(4, 0, 16)],
        [(4, 16, 16)],
        [(4, 32, 8)],
    ]


def test_a_realistic_mix_of_lengths_fills_the_rows_and_truncates_nothing() -> None:
    lengths = np.random.default_rng(7).lognormal(5.5, 1.6, 40_000).astype(np.int64) + 1
    packed, joined = best_fit(lengths, 2048), concat(lengths, 2048)
    assert packed.utilisation(2048) >= 0.995
    assert packed.num_truncated(lengths, 2048) * 5 <= joined.num_truncated(lengths, 2048)
    assert joined.num_rows <= packed.num_rows <= joined.num_rows * 1.005


def test_a_million_equal_lengths_stay_fast() -> None:
    plan = best_fit(np.full(1_000_000, 7, np.int64), 2048)
    assert plan.num_rows == -(-1_000_000 // (2048 // 7))
