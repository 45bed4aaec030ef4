"""Integer histograms become bounded scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock.judge.change.score import Observation, folded, midranks, observe
from penstock.judge.change.tolerance import in_standard_deviations
from scipy.special import ndtr

HISTOGRAMS = st.lists(st.integers(0, 10_000), min_size=1, max_size=30).filter(lambda counts: sum(counts) > 0)


@given(HISTOGRAMS)
def test_the_reference_scores_one_half_against_itself(counts: list[int]) -> None:
    assert observe(midranks(counts), counts).score == pytest.approx(0.5)


@given(HISTOGRAMS, st.data())
def test_splitting_the_rows_changes_no_score(counts: list[int], data: st.DataObject) -> None:
    first = [data.draw(st.integers(0, count)) for count in counts]
    scores = midranks(counts)
    parts = [observe(scores, part) for part in (first, [a - b for a, b in zip(counts, first, strict=True)])]
    whole = observe(scores, counts)
    assert whole.rows == sum(part.rows for part in parts)
    assert whole.total == pytest.approx(sum(part.total for part in parts))


@pytest.mark.parametrize("shift", [0.1, 0.25, 0.5, 1.0])
def test_a_shift_of_a_normal_feature_moves_the_score_as_documented(shift: float) -> None:
    edges = np.linspace(-4, 4, 400)

    def counts(mean: float) -> list[int]:
        shares = np.diff(np.concatenate([[0.0], ndtr(edges - mean), [1.0]]))
        return [round(1e7 * share) for share in shares]

    score = observe(midranks(counts(0.0)), counts(shift)).score
    assert score is not None
    assert score - 0.5 == pytest.approx(ndtr(shift / 2**0.5) - 0.5, abs=1e-4)
    assert in_standard_deviations(score - 0.5) == pytest.approx(shift, abs=1e-3)


def test_a_wider_distribution_keeps_its_midranks_but_raises_its_folded_ones() -> None:
    reference, wider = [10, 20, 40, 20, 10], [20, 20, 20, 20, 20]
    ranks = midranks(reference)
    assert observe(ranks, wider).score == pytest.approx(0.5)
    usual, seen = observe(folded(ranks), reference).score, observe(folded(ranks), wider).score
    assert usual is not None
    assert seen is not None
    assert seen > usual + 0.1


def test_no_rows_are_no_observation() -> None:
    nothing = observe(midranks([1, 2, 3]), [0, 0, 0])
    assert not nothing.absurd
    assert nothing.score is None


@pytest.mark.parametrize(
    "seen",
    [
        Observation(5, float("nan")),
        Observation(5, float("inf")),
        Observation(5, 5.1),
        Observation(5, -0.1),
        Observation(-1, 0.0),
        Observation(0, 1.0),
    ],
)
def test_a_sum_that_rows_cannot_have_is_absurd(seen: Observation) -> None:
    assert seen.absurd


def test_rounding_in_a_sum_is_not_absurd_and_never_leaves_the_unit_interval() -> None:
    seen = Observation(3, 3 * (1 + 1e-12))
    assert not seen.absurd
    assert seen.score == 1.0


@pytest.mark.parametrize("counts", [[], [0, 0], [3, -1]])
def test_a_reference_needs_rows(counts: list[int]) -> None:
    with pytest.raises(ValueError, match="reference histogram"):
        midranks(counts)


@pytest.mark.parametrize("counts", [[1, 2], [1, 2, -3]])
def test_counts_that_do_not_fit_the_bins_are_refused(counts: list[int]) -> None:
    with pytest.raises(ValueError, match="bins"):
        observe(midranks([1, 1, 1]), counts)
