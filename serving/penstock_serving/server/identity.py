"""Who answers."""

from dataclasses import dataclass

from penstock_serving import contract
from penstock_serving.protocol.documents import version_of


@dataclass(frozen=True, slots=True)
class Identity:
    """The served model's name, revision and digest."""

    name: str
    revision: str
    digest: str

    @property
    def labels(self) -> tuple[str, str, str]:
        """Values of `contract.IDENTITY_LABELS`."""
        return self.name, self.revision, self.digest

    @property
    def version(self) -> str:
        """The model's version in the protocol's sense, empty when it has none."""
        return version_of(self.revision)

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Headers of every answer."""
        return (contract.HEADER_DIGEST, self.digest), (contract.HEADER_REVISION, self.revision)

    @property
    def parameters(self) -> dict[str, str]:
        """Parameters of every v2 answer."""
        return {"digest": self.digest, "revision": self.revision}
