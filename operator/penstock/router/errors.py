"""What can go wrong in the agent, by what follows from it."""


class RouterError(Exception):
    """Base of everything the agent expects to go wrong."""


class BadInputError(RouterError):
    """Part of the routing table cannot be used as it stands; waiting does not help.

    The text says where, what is wrong and what to write instead.
    """

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.where = where


class EnvoyUnavailableError(RouterError):
    """Envoy's admin socket does not answer; it is starting, restarting or gone. Wait: its files stay in force."""


class JournalError(RouterError):
    """The ledger's files cannot be read or written; without them there is no evidence, so the agent must not go on."""
