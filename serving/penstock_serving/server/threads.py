"""Threads of native code: one per prediction, as predictions have threads already."""

import os


def limit_native_threads() -> None:
    """Let BLAS and OpenMP use one thread per prediction; to be called before numpy is first imported."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
