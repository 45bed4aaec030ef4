"""`python -m penstock_serving.monitor`: the sidecar that counts what a model sees and says."""

import os
import sys
from pathlib import Path

from penstock_serving import contract
from penstock_serving.monitor.supervisor import main

if __name__ == "__main__":
    sys.exit(main(Path(os.environ.get(contract.ENV_MONITOR_SOCKET) or contract.MONITOR_SOCKET)))
