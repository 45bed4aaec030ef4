"""granian with an application that reads the body and gives one static answer: PORT. Runs in its own venv."""

import sys

from granian import Granian
from granian.constants import Interfaces

_HEADERS = [("content-type", "application/json")]
_BODY = b'{"model_name":"m","outputs":[{"name":"predict","datatype":"INT64","shape":[1],"data":[1]}]}'


async def app(_scope, protocol):
    """Read and answer."""
    await protocol()
    protocol.response_bytes(200, _HEADERS, _BODY)


if __name__ == "__main__":
    Granian("granian_static:app", address="127.0.0.1", port=int(sys.argv[1]), interface=Interfaces.RSGI).serve()
