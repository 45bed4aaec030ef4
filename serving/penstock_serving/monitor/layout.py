"""Where each counter lives in the monitor's shared memory: a fixed array of int64, derived from the signature alone."""

import hashlib
from dataclasses import dataclass

from penstock_serving.model.signature import Signature
from penstock_serving.monitor.restarts import HEADER_BYTES
from penstock_serving.protocol.rules import RULES

PAGE_WORDS = HEADER_BYTES // 8


@dataclass(frozen=True, slots=True)
class Span:
    """Counters [start, stop)."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


ROWS = 0
REFUSALS = 1
LOST = 2
MALFORMED = 3
UNOBSERVED = 4
HEARD = 5
BOOTS = 6
NUMBERINGS = 64
"""Numberings that are kept: twice as many as a server's workers have, each of which has two."""
NUMBERING_WORDS = 3
"""A boot id, the next number expected, and when it was last heard (in datagrams counted)."""
_FIXED = BOOTS + NUMBERINGS * NUMBERING_WORDS


@dataclass(frozen=True, slots=True)
class Layout:
    """Counters of one copy.

    For each feature its values (numeric: one more bucket than edges; text: one more than categories, the last one
    unseen) and its missing values; predictions by class, or by bucket; violations by rule and column, the last column
    standing for none.
    """

    features: tuple[Span, ...]
    missing: Span
    predictions: Span
    violations: Span
    fingerprint: int

    @property
    def words(self) -> int:
        """Length of one copy in int64."""
        return self.violations.stop

    @property
    def total_bytes(self) -> int:
        """Length of the shared memory: a page of its own for what the supervisor writes, and two copies."""
        return (PAGE_WORDS + 2 * self.words) * 8


def layout(signature: Signature) -> Layout:
    """The layout of a signature's counters."""
    position = _FIXED
    features = []
    for column in signature.columns:
        length = len(column.categories if column.is_text else column.edges) + 1
        features.append(Span(position, position + length))
        position += length
    missing = Span(position, position + len(signature.columns))
    buckets = len(signature.classes) or len(signature.prediction_edges) + 1
    predictions = Span(missing.stop, missing.stop + buckets)
    violations = Span(predictions.stop, predictions.stop + len(RULES) * (len(signature.columns) + 1))
    shape = repr((features, missing, predictions, violations)).encode()
    fingerprint = int.from_bytes(hashlib.sha256(shape).digest()[:7], "little")
    return Layout(tuple(features), missing, predictions, violations, fingerprint)
