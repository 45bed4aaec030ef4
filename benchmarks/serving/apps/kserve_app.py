"""KServe's server with a scikit-learn model, as its sklearnserver does it: `MODEL_FILE PORT`. Runs in KServe's own venv."""

import sys

import joblib
import kserve
from kserve.utils.utils import get_predict_input, get_predict_response


class SklearnModel(kserve.Model):
    """Loads with joblib, predicts within the event loop, answers in the protocol of the request."""

    def __init__(self, path: str) -> None:
        super().__init__("m")
        self._model = joblib.load(path)
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):  # noqa: ARG002  (KServe's signature)
        """Labels of the rows."""
        return get_predict_response(payload, self._model.predict(get_predict_input(payload)), "m")


if __name__ == "__main__":
    kserve.ModelServer(http_port=int(sys.argv[2]), enable_grpc=False, workers=1).start([SklearnModel(sys.argv[1])])
