"""Counting what was refused, whatever way it was asked."""

from penstock_serving.protocol.errors import ModelRefusalError, RequestError, SaturatedError
from penstock_serving.server.failures import FailureLog, as_request_error
from penstock_serving.server.feed import Feed
from penstock_serving.server.metrics import ServerMetrics


class Tally:
    """Counts errors in the metrics, tells the monitor of refusals, and the log of the model's own failures."""

    def __init__(self, metrics: ServerMetrics, feed: Feed) -> None:
        self._metrics, self._feed = metrics, feed
        self._log = FailureLog()

    def refused(self, error: RequestError) -> None:
        """Count an error that is about to be answered."""
        if isinstance(error, ModelRefusalError):
            self._metrics.refused(error.rule)
            self._feed.refusal(error.rule, error.column)
        elif isinstance(error, SaturatedError):
            self._metrics.saturated += 1

    def went_wrong(self, error: BaseException) -> RequestError:
        """What the caller is told of an exception of a prediction; the log is told of the model's own."""
        self._log.note(error)
        return as_request_error(error)
