"""`spec.model`: which model, pinned to which content, read with whose rights."""

from penstock.api.base import Part
from penstock.api.references import Digest, ObjectName, ObjectReference
from penstock.api.scalars import Scalar
from penstock.api.signing import SignedBy


class ModelUri(Scalar):
    """Where a model is fetched from."""

    __slots__ = ()
    pattern = r"^(s3|https?|pvc|file)://[^\s]+$"
    max_length = 1024
    form = "uri says where the model is: begin with s3://, https://, http://, pvc:// or file://"


class Access(Part):
    """With whose rights the model is read. The operator itself reads no Secrets."""

    service_account_name: ObjectName | None = None
    """Service account under which the model is fetched and served. Left out: the namespace's default."""
    secret_ref: ObjectReference | None = None
    """Secret whose keys become environment variables of the fetch, such as AWS_ACCESS_KEY_ID."""
    ca_ref: ObjectReference | None = None
    """ConfigMap whose key ca.crt holds the authorities to trust for https."""


class Model(Part):
    """Which model to serve. A change is a new revision, released as `rollout` says."""

    uri: ModelUri
    """Where the model is: a directory or a file, as s3://bucket/path, https://host/path, pvc://claim/path, or
    file:///path inside runtime.image."""
    digest: Digest | None = None
    """Content the model must have, as `penstock digest DIR` prints it. Formats that can run code when loaded, joblib
    among them, are only served with it; this version serves no other, and without it the deployment says so and waits."""
    signed_by: SignedBy | None = None
    """Whose signature the model must bear besides: OpenSSF Model Signing 1.0, in the package's file model.sig. It is
    verified where the model is fetched. Left out: none is asked for, and one that is there is not looked at."""
    access: Access = Access()
    """With whose rights the model is read. The operator itself reads no Secrets."""
