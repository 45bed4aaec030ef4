"""Contributions equal what `shap` says of the same models (see make_golden.py, which writes the golden file)."""

import json
from pathlib import Path

import numpy as np
import pytest
from penstock_serving.explain.explainer import Explainer

with np.load(Path(__file__).with_name("golden.npz"), allow_pickle=False) as archive:
    GOLDEN = {name: archive[name] for name in archive.files}
NAMES = sorted({name.rpartition("/")[0] for name in GOLDEN if "/" in name})


@pytest.mark.parametrize("name", NAMES)
def test_contributions_and_base_values_are_those_of_shap(name):
    explainer = Explainer(GOLDEN[f"{name}/data"].tobytes())
    found = explainer.explain(GOLDEN[f"{name}/rows"])
    expected = GOLDEN[f"{name}/contributions"]
    assert found.contributions.shape == expected.shape
    np.testing.assert_allclose(found.contributions, expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.base_values, GOLDEN[f"{name}/base"], rtol=0, atol=1e-6)


def test_the_golden_file_tells_what_made_it():
    assert json.loads(GOLDEN["versions"].tobytes()).keys() == {"python", "shap", "scikit-learn", "numpy"}
    assert len(NAMES) == 16
