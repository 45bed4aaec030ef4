"""Files that this program did not write are refused, by name of what is wrong, before anything is allocated for them."""

import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_serving.explain import npz
from penstock_serving.explain.arrays import export
from penstock_serving.explain.explainer import Explainer
from penstock_serving.explain.explanation import AdditivityError
from penstock_serving.explain.importance import importance
from penstock_serving.explain.npz import MalformedError
from penstock_serving.explain.plan import Sampled
from penstock_serving.explain.plan_npz import load
from penstock_serving.explain.stages import UnseenValueError
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.serving_explain.signatures import signature_of

MATRIX = np.column_stack([np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 4])
LABELS = np.arange(60) % 3
BEFORE = make_column_transformer(
    (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), [0, 1, 2]),
    (OneHotEncoder(handle_unknown="ignore"), [3]),
    sparse_threshold=0,
)


def exported(model) -> bytes:
    data = export(model.fit(MATRIX, LABELS), signature_of(MATRIX), MATRIX)
    assert isinstance(data, bytes), data
    return data


FILES = [
    exported(make_pipeline(BEFORE, RandomForestClassifier(2, max_depth=3, random_state=0))),
    exported(make_pipeline(BEFORE, LogisticRegression())),
    exported(HistGradientBoostingClassifier(max_iter=2, max_depth=3, categorical_features=[3])),
]


def test_the_same_model_gives_the_same_bytes():
    again = exported(make_pipeline(BEFORE, RandomForestClassifier(2, max_depth=3, random_state=0)))
    assert again == FILES[0]


def archive(members: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as written:
        for name, content in members.items():
            written.writestr(name, content)
    return target.getvalue()


def array(values: np.ndarray, pickle: bool = False) -> bytes:
    target = io.BytesIO()
    np.lib.format.write_array(target, values, allow_pickle=pickle)
    return target.getvalue()


def header(shape: str, dtype: str = "<f8") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


DOCUMENT = array(np.frombuffer(b"{}", dtype=np.uint8))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not an archive"),
        (b"PK\x05\x06" + bytes(18), "no document"),
        (FILES[0][:-30], "not an archive"),
        (archive({"document.txt": b"{}"}), "not arrays"),
        (archive({"a0.npy": array(np.zeros(1))}), "no document"),
        (archive({"document.npy": DOCUMENT, "a1.npy": array(np.zeros(1))}), "not numbered"),
        (archive({"document.npy": DOCUMENT, "../a0.npy": array(np.zeros(1))}), "not numbered"),
        (archive({"document.npy": array(np.array([{}], dtype=object), pickle=True)}), "plain array"),
        (archive({"document.npy": array(np.zeros(1, dtype=">f8"))}), "plain array"),
        (archive({"document.npy": header("(999999999999,)")}), "as many values"),
        (archive({"document.npy": header("(999999999999, 999999999999)")}), "as many values"),
        (archive({"document.npy": header("(-1,)")}), "plain array"),
        (archive({"document.npy": header("(2,", "<f8")}), "plain array"),
        (archive({"document.npy": header("(__import__('os').getpid(),)")}), "plain array"),
        (archive({"document.npy": b"\x93NUMPY\x03\x00"}), "version"),
        (archive({"document.npy": b"no array"}), "version"),
        (archive({"document.npy": DOCUMENT}), "fields"),
        (archive({"document.npy": array(np.frombuffer(b"[" * 100_000, dtype=np.uint8))}), "JSON"),
    ],
    ids=range(18),
)
def test_what_is_not_such_a_file_is_refused(content, why):
    with pytest.raises(MalformedError, match=why):
        load(content)


def test_a_bomb_is_refused_by_the_size_it_declares(monkeypatch):
    monkeypatch.setattr(npz, "MAX_BYTES", 1 << 20)
    bomb = archive({"document.npy": bytes((1 << 20) + 1)})
    assert len(bomb) < 10_000
    with pytest.raises(MalformedError, match="MiB"):
        load(bomb)


def test_a_name_that_is_there_twice_is_refused():
    twice = archive({"document.npy": DOCUMENT, "documenT.npy": DOCUMENT}).replace(b"documenT", b"document")
    with pytest.raises(MalformedError, match="different names"):
        load(twice)


VALUES = st.sampled_from([-2, -1, 0, 1, 3, 255, 256, 2**31 - 1, 1e300, float("nan"), float("inf"), -float("inf")])


@settings(max_examples=150, deadline=None)
@given(data=st.data(), which=st.integers(0, 2))
def test_a_changed_number_is_refused_or_harmless(data, which):
    """Whatever number is changed: the file is refused, or rows are explained, or that they do not add up is said."""
    document, arrays = npz.read(FILES[which])
    number = data.draw(st.integers(0, len(arrays) - 1))
    changed = [values.copy() for values in arrays]
    target = changed[number].reshape(-1)
    if target.size:
        with np.errstate(all="ignore"):
            target[data.draw(st.integers(0, target.size - 1))] = np.float64(data.draw(VALUES)).astype(target.dtype)
    _explain(npz.write(document, changed))


LEAVES = st.sampled_from([None, True, -1, 0, 7, 10**20, 0.5, "", "x", [], {}, [[]], {"float": "nan"}, {"float": "x"}])


def places(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


@settings(max_examples=150, deadline=None)
@given(data=st.data(), which=st.integers(0, 2))
def test_a_changed_document_is_refused_or_harmless(data, which):
    raw, arrays = npz.read(FILES[which])
    document = json.loads(raw)
    path = data.draw(st.sampled_from([path for path in places(document) if path]))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = data.draw(LEAVES)
    _explain(npz.write(json.dumps(document).encode(), arrays))


def _explain(content: bytes) -> None:
    try:
        plan = load(content)
    except MalformedError:
        return
    if isinstance(plan.model, Sampled):
        return
    explainer = Explainer(content)
    rows = MATRIX[:2, : len(explainer.plan.columns)]
    with np.errstate(all="ignore"):
        try:
            found = explainer.explain(rows)
        except (AdditivityError, MalformedError, UnseenValueError):
            return
    assert np.isfinite(found.contributions).all()


def test_cycles_and_shared_nodes_are_refused():
    document, arrays = npz.read(FILES[0])
    named = json.loads(document)["model"]
    left = arrays[named["left"]]
    inner = np.flatnonzero(left >= 0)
    for child in (inner[1], left[inner[1]], 0):
        changed = list(arrays)
        changed[named["left"]] = left.copy()
        changed[named["left"]][inner[1]] = child
        if child != left[inner[1]]:
            with pytest.raises(MalformedError, match=r"parent|after"):
                load(npz.write(document, changed))


def test_contributions_that_do_not_add_up_are_an_error_and_no_answer():
    """A cover that contradicts its children's makes the game one that no Shapley values exist for as computed."""
    document, arrays = npz.read(FILES[0])
    cover = json.loads(document)["model"]["cover"]
    changed = list(arrays)
    changed[cover] = np.random.default_rng(0).random(len(arrays[cover]))
    with pytest.raises(AdditivityError):
        Explainer(npz.write(document, changed)).explain(MATRIX[:5])


def test_importance_is_the_mean_size_of_contributions():
    found = importance(FILES[0], MATRIX)
    each = Explainer(FILES[0]).explain(MATRIX).contributions
    np.testing.assert_allclose(found.values, np.abs(each).mean(axis=0))
    assert (found.columns, found.unit) == (("c0", "c1", "c2", "c3"), "probability")
