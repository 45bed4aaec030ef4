"""One target under atheris, in a process of its own: `python -m tests.serving_fuzz.instrumented TARGET [OPTION …]`."""

import sys

import atheris

with atheris.instrument_imports(include=["penstock_serving"]):
    from tests.serving_fuzz.targets import TARGETS

if __name__ == "__main__":
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()
