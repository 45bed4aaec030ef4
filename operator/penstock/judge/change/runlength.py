"""Exact average run lengths (ARL) of the classical charts, by Fredholm integral equations.

The ARL is the mean number of steps to an alarm. For a chart whose state is a Markov chain it solves `L(s) = 1 + ∫
L(y) K(s, y) dy` over the states that raise no alarm (Page 1954). Nyström's method with Gauss-Legendre nodes turns
that into a small linear system; for these smooth kernels the error falls exponentially with the nodes.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Vector = NDArray[np.float64]
Transition = Callable[[Vector], Vector]
"""Probability to go from each given state to each quadrature state: (n,) -> (n, states)."""


def normal_cusum(allowance: float, threshold: float, mean: float = 0.0, start: float = 0.0) -> float:
    """ARL in steps of Page's one-sided chart `S <- max(0, S + z - allowance)`, alarm at `S >= threshold`, z ~ N(mean,
    1).

    `start` is the headstart (Lucas and Crosier 1982), in the units of S. Exact up to about 1e10 steps, where double
    precision ends. Raises ValueError unless allowance > 0 and 0 <= start < threshold.
    Source: Page, Biometrika 41 (1954); the equation as in Goel and Wu, Technometrics 13 (1971).
    """
    return _normal_cusum(allowance, threshold, mean, start)[1]


def two_sided_normal_cusum(allowance: float, threshold: float, mean: float = 0.0, start: float = 0.0) -> float:
    """ARL in steps of the pair of one-sided charts that look up and down, both started at `start`.

    The sides cannot stand high together, so their one-sided run lengths combine exactly: Lucas and Crosier,
    Technometrics 24 (1982), appendix; `1/L = 1/L_up + 1/L_down` without headstart. Raises ValueError as
    `normal_cusum`, and for a headstart above threshold/2 + allowance, where the sides do interact.
    """
    if start > threshold / 2 + allowance:
        raise ValueError(f"headstart {start} is above threshold/2 + allowance, where the two sides interact; lower it")
    up, up_ahead = _normal_cusum(allowance, threshold, mean, start)
    down, down_ahead = _normal_cusum(allowance, threshold, -mean, start)
    return (up_ahead * down + up * down_ahead - up * down) / (up + down)


def shiryaev_roberts(threshold: float, shift: float) -> float:
    """ARL in steps, under N(0, 1), of `R <- (1 + R) exp(shift z - shift²/2)`, R = 0 at first, alarm at `R >=
    threshold`.

    This is the e-SR detector with the true likelihood ratio, so the result shows how far above `threshold` its run
    length really is. Raises ValueError unless threshold > 1 and shift > 0. Source: Moustakides, Polunchenko and
    Tartakovsky, Comm. Statist. Theory Methods 38 (2009), eq. for the ARL.
    """
    if not (threshold > 1 and shift > 0):
        raise ValueError(f"threshold {threshold} must be above 1 and shift {shift} above 0")
    half = shift * shift / 2
    nodes, weights = _gauss(-half - 10 * shift, float(np.log(threshold)), 300)

    def transition(states: Vector) -> Vector:
        steps = (nodes - np.log1p(states)[:, None] + half) / shift
        return _density(steps) / shift * weights

    return _mean_steps(transition, np.exp(nodes), (0.0,))[0]


def ewma(weight: float, width: float, mean: float = 0.0) -> float:
    """ARL in steps of `Z <- (1 - weight) Z + weight z` from Z = 0, alarm outside ± width standard deviations of the
    limit.

    z ~ N(mean, 1). Raises ValueError unless 0 < weight <= 1 and width > 0.
    Source: Crowder, Technometrics 29 (1987); Lucas and Saccucci, Technometrics 32 (1990).
    """
    if not (0 < weight <= 1 and width > 0):
        raise ValueError(f"weight {weight} must lie in (0, 1] and width {width} above 0")
    edge = width * (weight / (2 - weight)) ** 0.5
    nodes, weights = _gauss(-edge, edge, max(60, int(8 * edge / weight)))

    def transition(states: Vector) -> Vector:
        steps = (nodes - (1 - weight) * states[:, None]) / weight - mean
        return _density(steps) / weight * weights

    return _mean_steps(transition, nodes, (0.0,))[0]


def _normal_cusum(allowance: float, threshold: float, mean: float, start: float) -> tuple[float, float]:
    """ARL from zero and from `start`."""
    if not allowance > 0:
        raise ValueError(f"allowance {allowance} must be above 0")
    if not 0 <= start < threshold:
        raise ValueError(f"the start {start} must lie in [0, threshold {threshold})")
    nodes, weights = _gauss(0.0, threshold, 40 + int(3 * threshold))

    def transition(states: Vector) -> Vector:
        drift = allowance - states[:, None] - mean
        return np.hstack([ndtr(drift), _density(nodes + drift) * weights])

    from_zero, ahead = _mean_steps(transition, np.concatenate([[0.0], nodes]), (0.0, start))
    return from_zero, ahead


def _mean_steps(transition: Transition, states: Vector, starts: tuple[float, ...]) -> tuple[float, ...]:
    lengths = np.linalg.solve(np.eye(len(states)) - transition(states), np.ones(len(states)))
    return tuple(float(length) for length in 1.0 + transition(np.array(starts)) @ lengths)


def _gauss(low: float, high: float, nodes: int) -> tuple[Vector, Vector]:
    points, weights = np.polynomial.legendre.leggauss(nodes)
    half = (high - low) / 2
    return low + half * (points + 1), half * weights


def _density(z: Vector) -> Vector:
    density: Vector = np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    return density
