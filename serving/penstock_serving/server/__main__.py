"""`python -m penstock_serving.server`: serve one model."""

import os
import sys
import time
import traceback

from penstock_serving.sandbox.server import confine, prepare
from penstock_serving.server.threads import limit_native_threads

if __name__ == "__main__":
    began = time.perf_counter()
    limit_native_threads()
    prepare()
    from penstock_serving.server.main import main

    code = 1
    try:
        code = main(time.perf_counter() - began, confine)
    except Exception:  # noqa: BLE001  (nobody else is there to say it)
        traceback.print_exc()
    sys.stdout.flush()
    # Everything is answered and closed, or lost. A regular exit would wait for native code that a predict thread may be
    # stuck in, and end the interpreter that the lane's threads may be about to take.
    os._exit(code)
