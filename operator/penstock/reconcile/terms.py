"""What of `spec.rollout` is frozen when a release starts."""

from penstock.api.modelrevision import Terms
from penstock.api.rollout import Rollout


def terms_of(rollout: Rollout) -> Terms:
    """The terms of a release that starts under this rollout."""
    return Terms(
        false_rollback=rollout.false_rollback,
        missed_regression=rollout.missed_regression,
        guardrails=rollout.guardrails,
        strategy=rollout.strategy,
        stickiness=rollout.stickiness,
    )


def rollout_under(terms: Terms, rollout: Rollout) -> Rollout:
    """The spec's rollout as it applies to a release under these terms; `criteria_of` gives its criteria."""
    return rollout.model_copy(
        update={
            "false_rollback": terms.false_rollback,
            "missed_regression": terms.missed_regression,
            "guardrails": terms.guardrails,
            "strategy": terms.strategy,
            "stickiness": terms.stickiness,
        }
    )
