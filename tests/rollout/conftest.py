"""Pods as the state machine sees them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
