"""KServe's server with a scikit-learn model, as its sklearnserver loads and asks it: `MODEL_FILE HTTP_PORT GRPC_PORT`.

Runs in KServe's environment.
"""

import sys

import joblib
import kserve
from kserve.utils.utils import get_predict_input, get_predict_response


class SklearnModel(kserve.Model):
    """Loads with joblib, answers in the protocol of the request."""

    def __init__(self, path: str) -> None:
        super().__init__("m")
        self._model = joblib.load(path)
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        """Labels of the rows."""
        return get_predict_response(payload, self._model.predict(get_predict_input(payload)), "m")


if __name__ == "__main__":
    server = kserve.ModelServer(http_port=int(sys.argv[2]), grpc_port=int(sys.argv[3]), workers=1)
    server.start([SklearnModel(sys.argv[1])])
