"""`spec.model`: which model, pinned to which content, read with whose rights."""

from typing import Annotated, ClassVar

from pydantic import Field

from penstock.api.base import Part, Rule

SCHEMES = ("image", "pvc", "s3", "http", "https")
"""Where a model can be fetched from."""

_Name = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]


class ObjectReference(Part):
    """An object of the same namespace, by name."""

    name: _Name
    """Name of the object."""


class Access(Part):
    """With whose rights the model is read. The operator itself reads no Secrets."""

    service_account_name: _Name | None = None
    """Service account under which the model is fetched and served. Left out: the namespace's default."""
    secret_ref: ObjectReference | None = None
    """Secret whose keys become environment variables of the fetch, such as AWS_ACCESS_KEY_ID."""
    ca_ref: ObjectReference | None = None
    """ConfigMap whose key ca.crt holds the authorities to trust for https."""


class Model(Part):
    """The model to serve."""

    uri: Annotated[str, Field(min_length=1, max_length=1024)]
    """Where the model is: a directory or a file at image://, pvc://, s3://, http:// or https://."""
    digest: Annotated[str, Field(max_length=71, pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    """Content the model must have, as `penstock digest DIR` prints it. Left out: resolved once per change of
    spec.model and recorded. Formats that can run code, joblib among them, load only with a digest given here."""
    access: Access = Access()
    """With whose rights the model is read."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            name="model-uri-scheme",
            cel=f"self.uri.matches('^({'|'.join(SCHEMES)})://[^ ]+$')",
            message="uri must name a place: begin with image://, pvc://, s3://, http:// or https://",
            holds=lambda model: (
                model.uri.partition("://")[0] in SCHEMES and " " not in model.uri and not model.uri.endswith("://")
            ),
            field="uri",
        ),
    )
