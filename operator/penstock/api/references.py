"""Names of things: objects, headers, images, contents."""

from penstock.api.base import Part
from penstock.api.scalars import Scalar


class ObjectName(Scalar):
    """The name of a Kubernetes object."""

    __slots__ = ()
    pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
    max_length = 253
    form = "the name of an object has only a-z, 0-9, - and ., and begins and ends with a letter or digit"


class Label(Scalar):
    """A short name that is safe in metrics and object names."""

    __slots__ = ()
    pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
    max_length = 40
    form = "a name has at most 40 of a-z, 0-9 and -, and begins with a letter, like slow or p99-latency"


class HeaderName(Scalar):
    """The name of an HTTP header."""

    __slots__ = ()
    pattern = r"^[A-Za-z0-9-]+$"
    max_length = 64
    form = "the name of a header has only letters, digits and -, like x-user-id"


class CookieName(Scalar):
    """The name of an HTTP cookie."""

    __slots__ = ()
    pattern = r"^[A-Za-z0-9_-]+$"
    max_length = 64
    form = "the name of a cookie has only letters, digits, _ and -, like session_id"


class VariableName(Scalar):
    """The name of an environment variable that a user may set."""

    __slots__ = ()
    pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"
    max_length = 128
    form = "the name of a variable has only letters, digits and _, and does not begin with a digit"


class PythonType(Scalar):
    """The name of a Python class with its module."""

    __slots__ = ()
    pattern = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+$"
    max_length = 128
    form = "a type is named with its module, like sklearn.ensemble.IsolationForest"


class Digest(Scalar):
    """What `penstock digest` prints: the SHA-256 of a file or a directory tree."""

    __slots__ = ()
    pattern = r"^sha256:[0-9a-f]{64}$"
    max_length = 71
    form = "a digest is sha256: and 64 hexadecimal digits, as `penstock digest DIR` prints it"


class ImageReference(Scalar):
    """A container image with a tag or digest."""

    __slots__ = ()
    pattern = r"^[a-z0-9][A-Za-z0-9._/:-]*[:@][A-Za-z0-9._:-]+$"
    max_length = 255
    form = "an image is named with a tag or digest, like registry.example/serving:1.0"


class ObjectReference(Part):
    """An object of the same namespace, by name."""

    name: ObjectName
    """Name of the object."""
