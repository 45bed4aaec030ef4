"""Evidence between strata: the sign-symmetric test, for quantities that come in bursts.

When one arm can be hit by a burst as a whole (a garbage collection, a cold cache, a noisy neighbour), its requests are not
independent and no count of requests is right. But when the arms are alike, the difference d of their rates in a stratum is
as likely to be +d as −d, whatever its size; then for any λ fixed beforehand exp(λd − λ²d²/2) has mean at most 1, because
cosh z ≤ exp(z²/2). A mixture over λ (in units of a scale known from the past) needs no moments and no bound.
Source: de la Peña 1999; Howard, Ramdas, McAuliffe, Sekhon 2021, self-normalised; reference 2.1 item 2.
"""

import math

BETS = (0.1, 0.2, 0.4, 0.8)
"""λ, in units of 1/scale."""

PRIOR = (0.25, 0.25, 0.25, 0.25)

MEMORY = 0.95
"""How much of the scale's square each further stratum keeps."""

FARTHEST = 10.0
"""Scales beyond which a difference counts as that many: after a long quiet the scale is next to nothing. Cut at both ends
alike the difference keeps its symmetry."""


def log_factors(difference: float, scale: float) -> list[float]:
    """log of exp(λd/s − (λd/s)²/2) for each λ; no evidence while the scale is unknown (0)."""
    if scale <= 0.0:
        return [0.0] * len(BETS)
    standardised = min(FARTHEST, max(-FARTHEST, difference / scale))
    return [bet * standardised - 0.5 * (bet * standardised) ** 2 for bet in BETS]


def next_scale(scale: float, difference: float) -> float:
    """Root mean square of the differences so far, older ones fading."""
    if scale <= 0.0:
        return abs(difference)
    return math.sqrt(MEMORY * scale * scale + (1.0 - MEMORY) * difference * difference)
