"""`spec.traffic`: how calls are routed."""

from typing import ClassVar

from pydantic import StrictBool

from penstock.api.base import Part, Rule
from penstock.api.scalars import Size, Timeout

MAX_BODY = Size("64Mi")


class Traffic(Part):
    """How calls are routed: timeouts, the largest body, whether a call may be repeated."""

    timeout: Timeout = Timeout("10s")
    """Longest time until an answer is complete, the repetition on stable included."""
    try_timeout: Timeout = Timeout("1s")
    """Longest time for the candidate's own answer; a later one counts as failed and is answered by stable."""
    max_body: Size = Size("1Mi")
    """Largest request that can be repeated on stable, at most 64Mi; larger ones are passed on and counted as
    unshielded."""
    idempotent: StrictBool = True
    """Whether a call may be repeated. With false nothing is repeated on stable, and callers feel a candidate's
    failures."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            name="timeout-positive",
            cel="!has(self.timeout) || self.timeout.matches('[1-9]')",
            message="timeout must be longer than nothing: write 10s, or leave it out",
            holds=lambda traffic: traffic.timeout.milliseconds > 0,
            field="timeout",
        ),
        Rule(
            name="try-timeout-positive",
            cel="!has(self.tryTimeout) || self.tryTimeout.matches('[1-9]')",
            message="tryTimeout must be longer than nothing: write 1s, or leave it out",
            holds=lambda traffic: traffic.try_timeout.milliseconds > 0,
            field="tryTimeout",
        ),
        Rule(
            name="try-timeout-within-timeout",
            cel=(
                f"has(self.tryTimeout) && !{Timeout.cel('self.tryTimeout')} || "
                f"has(self.timeout) && (!{Timeout.cel('self.timeout')} || !self.timeout.matches('[1-9]')) || "
                "duration(has(self.tryTimeout) ? self.tryTimeout : '1s') <= "
                "duration(has(self.timeout) ? self.timeout : '10s')"
            ),
            message="tryTimeout (else 1s) must not exceed timeout (else 10s): lower tryTimeout or raise timeout",
            holds=lambda traffic: (
                traffic.timeout.milliseconds == 0 or traffic.try_timeout.milliseconds <= traffic.timeout.milliseconds
            ),
            field="tryTimeout",
        ),
        Rule(
            name="max-body-range",
            cel=(
                f"!has(self.maxBody) || !{Size.cel('self.maxBody')} || "
                f"quantity(self.maxBody).compareTo(quantity('{MAX_BODY}')) <= 0"
            ),
            message=f"maxBody must be at most {MAX_BODY}: the router keeps every body in memory until it is answered",
            holds=lambda traffic: traffic.max_body.bytes <= MAX_BODY.bytes,
            field="maxBody",
        ),
    )
