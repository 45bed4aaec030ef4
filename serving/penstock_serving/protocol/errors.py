"""What a request that gets no prediction gets: a status, and one sentence that names column and rule, never a value."""

from penstock_serving.protocol.rules import Rule

NO_COLUMN = -1


class RequestError(Exception):
    """A request that is answered with the protocol's error body, `{"error": message}`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class BadRequestError(RequestError):
    """A request that contradicts the protocol or itself: no model could take it."""

    def __init__(self, message: str) -> None:
        super().__init__(400, message)


class ModelRefusalError(RequestError):
    """A well-formed request that this model does not take: counted against the model, and retried by the shield."""

    def __init__(self, rule: Rule, message: str, column: int = NO_COLUMN) -> None:
        super().__init__(400, f"{message} ({rule.value})")
        self.rule = rule
        self.column = column


class ModelFailureError(RequestError):
    """The model broke: an exception of its own, or an output that is not finite."""

    def __init__(self, message: str) -> None:
        super().__init__(500, message)


class SaturatedError(RequestError):
    """More requests than can be answered in time: try again a little later."""

    def __init__(self, message: str) -> None:
        super().__init__(429, message)


class NotServingError(RequestError):
    """The model does not answer now: starting, draining, or stuck."""

    def __init__(self, message: str) -> None:
        super().__init__(503, message)


class DeadlineError(RequestError):
    """The prediction was not ready in time."""

    def __init__(self, message: str) -> None:
        super().__init__(504, message)
