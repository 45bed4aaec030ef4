"""Counting a datagram: integers into fixed buckets, and every record that was not seen."""

import numpy as np

from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import Signature
from penstock_serving.monitor import layout as at
from penstock_serving.monitor.layout import Layout
from penstock_serving.monitor.state import Counters
from penstock_serving.monitor.wire import Datagram, Kind
from penstock_serving.protocol.rules import RULES

_BOOT, _NEXT, _LAST = range(at.NUMBERING_WORDS)


class Tally:
    """Adds datagrams to counters laid out for one signature."""

    def __init__(self, signature: Signature, layout: Layout) -> None:
        self._layout = layout
        edges = [None if column.is_text else np.array(column.edges) for column in signature.columns]
        self._edges = [*edges, None if signature.classes else np.array(signature.prediction_edges)]
        self._spans = [*layout.features, layout.predictions]
        self._last = [span.stop - 1 for span in self._spans]

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
        missing = np.isnan(rows).sum(axis=0)
        counters[self._layout.missing.start : self._layout.missing.stop] += missing[:-1]
        counters[at.UNOBSERVED] += missing[-1]
        cells = np.empty(rows.shape[::-1], dtype=np.int64)
        for cell, values, edges, span in zip(
            cells, np.ascontiguousarray(rows.T), self._edges, self._spans, strict=True
        ):
            np.add(_positions(values, edges, len(span)), span.start, out=cell)
        counters[:] += np.bincount(cells.ravel(), minlength=len(counters))
        # A missing value is in none of the buckets, and was put into the last.
        counters[self._last] -= missing

    def _refusals(self, refusals: Matrix, counters: Counters) -> None:
        counters[at.REFUSALS] += len(refusals)
        columns = len(self._layout.features) + 1
        known = (refusals[:, 0] >= 0) & (refusals[:, 0] < len(RULES))
        rules, positions = refusals[known, 0], refusals[known, 1]
        positions = np.where((positions >= 0) & (positions < columns - 1), positions, columns - 1)
        span = self._layout.violations
        counters[span.start : span.stop] += np.bincount(rules * columns + positions, minlength=len(span))


def _positions(values: Matrix, edges: Matrix | None, buckets: int) -> Matrix:
    """In which bucket each value is: by edges (upper ends inclusive), or as a position, one outside in the last. A missing
    value is in the last, too."""
    if edges is None:
        return np.where((values > -1) & (values < buckets), values, buckets - 1).astype(np.int64)
    return edges.searchsorted(values, side="left")


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
