"""Counting a datagram: integers into fixed buckets, and every record that was not seen."""

import numpy as np

from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import Signature
from penstock_serving.monitor import layout as at
from penstock_serving.monitor.layout import Layout, Span
from penstock_serving.monitor.state import Counters
from penstock_serving.monitor.wire import Datagram, Kind
from penstock_serving.protocol.rules import RULES

_BOOT, _NEXT, _LAST = range(at.NUMBERING_WORDS)


class Tally:
    """Adds datagrams to counters laid out for one signature."""

    def __init__(self, signature: Signature, layout: Layout) -> None:
        self._layout = layout
        self._edges = [None if column.is_text else np.array(column.edges) for column in signature.columns]
        self._prediction_edges = None if signature.classes else np.array(signature.prediction_edges)

    def add(self, datagram: Datagram, counters: Counters) -> None:
        """Count one datagram into `counters`.

        Records of it that were counted before (numbers below the expected one) are left out; numbers that were skipped
        are counted as lost. Each boot id, of a worker of the server, has a numbering of its own.
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
        missing = np.isnan(rows)
        features = self._layout.features
        counters[self._layout.missing.start : self._layout.missing.stop] += missing[:, :-1].sum(axis=0)
        for index, (edges, span) in enumerate(zip(self._edges, features, strict=True)):
            values = rows[:, index][~missing[:, index]]
            _bucket(values, edges, span, counters)
        predictions = rows[:, -1][~missing[:, -1]]
        counters[at.UNOBSERVED] += len(rows) - len(predictions)
        _bucket(predictions, self._prediction_edges, self._layout.predictions, counters)

    def _refusals(self, refusals: Matrix, counters: Counters) -> None:
        counters[at.REFUSALS] += len(refusals)
        columns = len(self._layout.features) + 1
        known = (refusals[:, 0] >= 0) & (refusals[:, 0] < len(RULES))
        rules, positions = refusals[known, 0], refusals[known, 1]
        positions = np.where((positions >= 0) & (positions < columns - 1), positions, columns - 1)
        span = self._layout.violations
        counters[span.start : span.stop] += np.bincount(rules * columns + positions, minlength=len(span))


def _bucket(values: Matrix, edges: Matrix | None, span: Span, counters: Counters) -> None:
    """Add values to a span: by edges (upper ends inclusive), or as positions, those outside into the last."""
    if edges is None:
        codes = values.astype(np.int64)
        positions = np.where((codes >= 0) & (codes < len(span)), codes, len(span) - 1)
    else:
        positions = np.searchsorted(edges, values, side="left")
    counters[span.start : span.stop] += np.bincount(positions, minlength=len(span))


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
