"""Where a package and its files are."""

from pathlib import Path

MODEL_FILE = "model.joblib"
SKOPS_FILE = "model.skops"
GRAPH_FILE = "graph.onnx"
ONNX_FILE = "model.onnx"
PROOF_FILE = "proof.json"
SERVING_FILE = "serving.json"
SIGNATURE_FILE = "signature.json"
GOLDEN_FILE = "golden.json"
REFERENCE_FILE = "reference.json"
EXPLAIN_FILE = "explain.npz"
CARD_FILE = "card.json"

ESTIMATOR_FILES = (GRAPH_FILE, SKOPS_FILE, MODEL_FILE)
"""What a model can be in, safest first: an ONNX graph of the owner's, a skops file, a pickle."""


def model_directory(root: Path, digest: str) -> Path:
    """Where the model with this digest lives under `root`."""
    return root / digest.replace(":", "-")
