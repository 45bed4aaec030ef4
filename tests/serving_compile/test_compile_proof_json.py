"""The proof as a document: read back as written, and nothing else read."""

import json

import pytest
from penstock_serving.compile.proof_json import dump, load
from penstock_serving.compile.result import Compared, Proof, Unproven, Versions
from penstock_serving.model.errors import BadModelError

PROOF = Proof(
    compared=(Compared("predict", 0.0, "reference", 2), Compared("predict_proba", 2.2e-16, "at a split", 0)),
    rows=(("reference", 400), ("at a split", 3000)),
    refused=4,
    splits=100,
    splits_visited=99,
    rows_independent=True,
    estimator_rows_independent=False,
    versions=Versions("1.9.1", "1.23.2", "1.32.0", "2.4.6"),
)


@pytest.mark.parametrize("result", [PROOF, Unproven("a KNeighborsClassifier is not compiled")])
def test_a_result_is_read_back_as_written(result):
    assert load(dump(result)) == result


def _with(path, value):
    document = json.loads(dump(PROOF))
    at = document
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"{}",
        b'{"unproven": 1}',
        b'{"unproven": "a", "proven": {}}',
        b"\xff",
        _with(["proven", "refused"], -1),
        _with(["proven", "refused"], True),
        _with(["proven", "splits"], 1.5),
        _with(["proven", "rows_independent"], 1),
        _with(["proven", "rows", 0], ["reference"]),
        _with(["proven", "compared", 0, "largest_difference"], "0"),
        _with(["proven", "compared", 0, "largest_difference"], float("nan")),
        _with(["proven", "compared", 0, "ties"], None),
        _with(["proven", "versions", "numpy"], 2),
        _with(["proven", "versions"], {}),
        _with(["proven", "more"], 1),
    ],
)
def test_a_damaged_document_is_refused(content):
    with pytest.raises(BadModelError, match=r"proof\.json is damaged"):
        load(content)
