"""E_ratio: is the candidate's rate more than `ratio` times stable's?

Given a stratum's requests per arm and its failures in all, the number on the candidate is hypergeometric when requests
are assigned at random and the model makes no difference: exactly so whatever callers do, whatever the rate does. With an
odds ratio ψ it is Fisher's noncentral hypergeometric law. The factor of the alternative ψ_j against the tolerated ψ_0 is

    L_j = (ψ_j/ψ_0)^x · Z(ψ_0)/Z(ψ_j),

whose mean is at most 1 for every odds ratio up to ψ_0 (monotone likelihood ratio). The tolerated quantity is a ratio of
rates r, not of odds: ψ_0 = r(1 − p)/(1 − rp), which grows with the base rate p, so that p is replaced by a bound known
before the stratum (`base.BaseRate`). Source: reference monitoring-statistics 2.1 item 9, review-ml finding 13.
"""

import math

from penstock.judge.hypergeometric import log_normalisers, slack, smallest_count

ALTERNATIVES = (1.5, 2.2, 4.5, 15.0, 200.0)
"""Odds ratios over the tolerated one."""

PRIOR = (0.2, 0.2, 0.2, 0.2, 0.2)

MANY = 64
"""Failures of a stratum beyond which the last alternatives bet as the third does: so many decide by that one at once, and
each alternative's sum costs time. What is bet depends on the failures in all, which the law is conditional on."""

UNTESTABLE = 0.95
"""Where ratio × base rate comes this close to 1 no rate can be harmful by the ratio; the stratum carries no evidence."""

_NOTHING = [0.0] * len(ALTERNATIVES)


def tolerated_odds_ratio(ratio: float, base: float) -> float | None:
    """ψ_0 for a tolerated rate ratio at base rate `base`; None where nothing could be harmful."""
    if ratio == 1.0:
        return 1.0
    if ratio * base >= UNTESTABLE:
        return None
    return ratio * (1.0 - base) / (1.0 - ratio * base)


def log_factors(
    candidate: int, stable: int, candidate_events: int, stable_events: int, psi: float | None
) -> list[float]:
    """log L_j of one stratum for each of `ALTERNATIVES`, against the tolerated odds ratio `psi`."""
    events = candidate_events + stable_events
    if psi is None or events == 0 or candidate == 0 or stable == 0:
        return _NOTHING
    bets = ALTERNATIVES if events <= MANY else ALTERNATIVES[:3]
    null, *alternatives = log_normalisers(candidate, stable, events, (psi, *(psi * bet for bet in bets)))
    excess = candidate_events - smallest_count(stable, events)
    null -= 2.0 * slack(candidate + stable)
    logs = [excess * log + null - alternative for log, alternative in zip(_LOGS, alternatives, strict=False)]
    return logs + logs[-1:] * (len(ALTERNATIVES) - len(logs))


_LOGS = tuple(math.log(alternative) for alternative in ALTERNATIVES)
