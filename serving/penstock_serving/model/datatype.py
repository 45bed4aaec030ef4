"""The tensor datatypes of the Open Inference Protocol that travel as JSON, and which of them a column takes."""

from enum import StrEnum


class Datatype(StrEnum):
    """Datatypes of Open Inference Protocol v2 (inference_rest.md, "Tensor Data Types") that JSON can hold."""

    BOOL = "BOOL"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FP32 = "FP32"
    FP64 = "FP64"
    BYTES = "BYTES"


INTEGER_RANGES = {
    Datatype.UINT8: (0, 2**8 - 1),
    Datatype.UINT16: (0, 2**16 - 1),
    Datatype.UINT32: (0, 2**32 - 1),
    Datatype.UINT64: (0, 2**64 - 1),
    Datatype.INT8: (-(2**7), 2**7 - 1),
    Datatype.INT16: (-(2**15), 2**15 - 1),
    Datatype.INT32: (-(2**31), 2**31 - 1),
    Datatype.INT64: (-(2**63), 2**63 - 1),
}
INTEGERS = frozenset(INTEGER_RANGES)
FLOATS = frozenset({Datatype.FP32, Datatype.FP64})

ACCEPTED = {
    Datatype.FP64: FLOATS | INTEGERS,
    Datatype.FP32: FLOATS | INTEGERS,
    Datatype.INT64: INTEGERS,
    Datatype.BOOL: frozenset({Datatype.BOOL}),
    Datatype.BYTES: frozenset({Datatype.BYTES}),
}
"""For each datatype of a column, the datatypes a caller may declare for it: widening, never a change of kind."""
