"""Why a model is not compiled."""


class NotCompiledError(Exception):
    """The estimator, or the way it is set up, is not on the allow-list; the message says what and where."""
