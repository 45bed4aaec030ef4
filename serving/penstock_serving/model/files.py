"""Where a package and its files are."""

from pathlib import Path

MODEL_FILE = "model.joblib"
SIGNATURE_FILE = "signature.json"
GOLDEN_FILE = "golden.json"


def model_directory(root: Path, digest: str) -> Path:
    """Where the model with this digest lives under `root`."""
    return root / digest.replace(":", "-")
