"""`reference.json`: what the monitor would have counted of the reference rows, bucket by bucket.

Drift is told by comparing the live counts with these, so both are counted by the same code.
"""

from collections.abc import Callable

import numpy as np

from penstock_serving.model.border import written
from penstock_serving.model.frame import Matrix
from penstock_serving.model.signature import Signature
from penstock_serving.monitor import layout as at
from penstock_serving.monitor.count import Tally
from penstock_serving.monitor.wire import Datagram, Kind
from penstock_serving.server.observe import Observer

FORMAT = "penstock.dev/reference/v1"


def reference_histograms(signature: Signature, matrix: Matrix, predict: Callable[[Matrix], Matrix]) -> bytes:
    """The counts of reference rows [rows, columns], and of their predictions, as the text of `reference.json`.

    A column's counts are those of its buckets (upper ends inclusive), or of its categories and of all others; those of
    predictions are of classes or buckets. Missing values are counted apart.
    """
    spans = at.layout(signature)
    counters = np.zeros(spans.words, dtype=np.int64)
    predictions = predict(matrix) if signature.default_output == "predict" else None
    observed = Observer(signature).rows(matrix, predictions)
    Tally(signature, spans).add(Datagram(Kind.ROWS, 1, 0, observed), counters)
    counts = counters.tolist()
    return written(
        {
            "format": FORMAT,
            "rows": counts[at.ROWS],
            "columns": [
                {
                    "name": column.name,
                    "counts": counts[span.start : span.stop],
                    "missing": counts[spans.missing.start + position],
                }
                for position, (column, span) in enumerate(zip(signature.columns, spans.features, strict=True))
            ],
            "predictions": {
                "counts": counts[spans.predictions.start : spans.predictions.stop],
                "unobserved": counts[at.UNOBSERVED],
            },
        }
    )
