"""Artifacts that unpack to more than they seem are stopped by the sandbox's limits, and named."""

import pickle
import struct
import zlib

import numpy as np
import pytest
from penstock_serving.jobs.order import Order, parts
from penstock_serving.model.errors import BadModelError
from penstock_serving.model.files import GRAPH_FILE, MODEL_FILE
from penstock_serving.sandbox.run import Confines, run

FRAME = {"a": np.arange(10.0)}
TIGHT = Confines(memory_bytes=5 << 29, cpu_seconds=60, wall_seconds=120)
PACKAGING = "penstock_serving.jobs.confined"


def joblib_bomb(size: int) -> bytes:
    """A compressed joblib file, one bytes object of `size` zeros: some kilobytes for each gigabyte."""
    block = 1 << 24
    packer = zlib.compressobj(9)
    head = pickle.PROTO + b"\x04" + pickle.BINBYTES8 + struct.pack("<Q", size)
    content = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    repeated = packer.compress(bytes(block)) + packer.flush(zlib.Z_FULL_FLUSH)
    return content + repeated * (size // block)


def test_a_compressed_pickle_that_fills_memory_ends_its_sandbox() -> None:
    bomb = joblib_bomb(8 << 30)
    assert len(bomb) < 16 << 20
    with pytest.raises(BadModelError, match=r"MemoryError|SIGKILL|SIGXCPU"):
        run(PACKAGING, parts(Order(bomb, MODEL_FILE, FRAME)), TIGHT)


def test_a_graph_of_nothing_but_lengths_is_refused() -> None:
    """A protocol buffer that says of itself to be a terabyte long."""
    with pytest.raises(BadModelError, match=r"graph\.onnx cannot be served"):
        run(PACKAGING, parts(Order(b"\x3a\x80\x80\x80\x80\x80\x20", GRAPH_FILE, FRAME)), TIGHT)
