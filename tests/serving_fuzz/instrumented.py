"""One target under atheris, in a process of its own: `python -m tests.serving_fuzz.instrumented TARGET PROGRAM [OPTION …]`.

PROGRAM does the same when it is called with options only: libFuzzer starts it where it needs further processes.
"""

import sys

import atheris

with atheris.instrument_imports(include=["penstock_serving"]):
    from tests.serving_fuzz.targets import TARGETS

if __name__ == "__main__":
    target = TARGETS[sys.argv[1]]
    atheris.Setup(sys.argv[2:], target)
    atheris.Fuzz()
