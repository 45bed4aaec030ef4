"""The hostile modules can be imported, by tests and by what they start."""

import sys
from pathlib import Path

MODULES = Path(__file__).parent / "modules"
sys.path.append(str(MODULES))
