"""What can go wrong with a local cluster. Each message says what is wrong, where, and what to do next."""


class ClusterError(Exception):
    """A local cluster could not be brought to the wanted state."""


class RefusalError(ClusterError):
    """This machine cannot run what was asked for; the message names what is missing."""


class StepError(ClusterError):
    """A step that should have worked did not; the message holds the end of its output."""


class NotReadyError(ClusterError):
    """The cluster's programs run but did not become ready in time."""
