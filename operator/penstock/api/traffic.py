"""`spec.traffic`: how calls are routed."""

from pydantic import StrictBool

from penstock.api.base import Part
from penstock.api.scalars import Duration


class Traffic(Part):
    """How calls are routed."""

    timeout: Duration = Duration("10s")
    """Longest time until an answer is complete, the repetition on stable included."""
    try_timeout: Duration = Duration("1s")
    """Longest time for the candidate's own answer; later ones count as failed and are answered by stable."""
    idempotent: StrictBool = True
    """Whether a call may be repeated. With false nothing is repeated on stable, and a candidate's failure is felt."""
