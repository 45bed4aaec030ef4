"""The core's bench for this folder's tests: models of the API server and of what runs in the cluster."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
