"""Counting a datagram: integers into fixed buckets, and every record that was not seen."""

import numpy as np

from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import Signature
from penstock_serving.monitor import layout as at
from penstock_serving.monitor.buckets import Column, buckets
from penstock_serving.monitor.layout import Layout
from penstock_serving.monitor.state import Counters
from penstock_serving.monitor.wire import Datagram, Kind
from penstock_serving.protocol.rules import RULES

_BOOT, _NEXT, _LAST = range(at.NUMBERING_WORDS)


class Tally:
    """Adds datagrams to counters laid out for one signature."""

    def __init__(self, signature: Signature, layout: Layout) -> None:
        self._layout = layout
        columns = [
            Column(None if column.is_text else column.edges, len(span))
            for column, span in zip(signature.columns, layout.features, strict=True)
        ]
        predictions = Column(None if signature.classes else signature.prediction_edges, len(layout.predictions))
        self._buckets = buckets([*columns, predictions])

    def add(self, datagram: Datagram, counters: Counters) -> None:
        """Count one datagram into `counters`.

        Records of it that were counted before (numbers below the expected one) are left out; numbers that were skipped
        are counted as lost. Each boot id has a numbering of its own; a worker of the server has two.
        """
        numbering = _numbering(datagram.boot, counters)
        expected = int(numbering[_NEXT])
        counters[at.LOST] += max(0, datagram.first - expected)
        records = datagram.records[max(0, expected - datagram.first) :]
        numbering[_NEXT] = max(expected, datagram.next)
        if datagram.kind is Kind.ROWS:
            self._rows(records, counters)
        elif datagram.kind is Kind.REFUSALS:
            self._refusals(records, counters)

    def _rows(self, rows: Matrix, counters: Counters) -> None:
        counters[at.ROWS] += len(rows)
        counts, missing = self._buckets.count(rows)
        spans = self._layout
        counters[spans.features[0].start : spans.features[-1].stop] += counts[: -len(spans.predictions)]
        counters[spans.predictions.start : spans.predictions.stop] += counts[-len(spans.predictions) :]
        counters[spans.missing.start : spans.missing.stop] += missing[:-1]
        counters[at.UNOBSERVED] += missing[-1]

    def _refusals(self, refusals: Matrix, counters: Counters) -> None:
        counters[at.REFUSALS] += len(refusals)
        columns = len(self._layout.features) + 1
        known = (refusals[:, 0] >= 0) & (refusals[:, 0] < len(RULES))
        rules, positions = refusals[known, 0], refusals[known, 1]
        positions = np.where((positions >= 0) & (positions < columns - 1), positions, columns - 1)
        span = self._layout.violations
        counters[span.start : span.stop] += np.bincount(rules * columns + positions, minlength=len(span))


def _numbering(boot: int, counters: Counters) -> Counters:
    """The numbering of a boot id; a new one takes the place of the one that was not heard of for longest."""
    table = counters[at.BOOTS : at.BOOTS + at.NUMBERINGS * at.NUMBERING_WORDS].reshape(
        at.NUMBERINGS, at.NUMBERING_WORDS
    )
    found = np.flatnonzero(table[:, _BOOT] == boot)
    numbering: Counters = table[found[0] if len(found) else int(np.argmin(table[:, _LAST]))]
    if not len(found):
        numbering[_BOOT], numbering[_NEXT] = boot, 0
    counters[at.HEARD] += 1
    numbering[_LAST] = counters[at.HEARD]
    return numbering
