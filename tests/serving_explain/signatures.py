"""Signatures for matrices made in tests."""

import numpy as np
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.signature import Column, Output, Signature, Versions


def signature_of(matrix: np.ndarray, width: int = 0, classes: tuple[str, ...] = ()) -> Signature:
    """A signature of the matrix's columns, c0, c1, …, with the output `predict_proba` where there are classes."""
    texts = [any(isinstance(value, str) for value in matrix[:, index]) for index in range(matrix.shape[1])]
    columns = [
        Column(f"c{index}", Datatype.BYTES if text else Datatype.FP64, True, True, (), ())
        for index, text in enumerate(texts)
    ]
    outputs = [Output("predict", Datatype.FP64, 0)]
    if classes:
        outputs.append(Output("predict_proba", Datatype.FP64, width))
    return Signature(tuple(columns), tuple(outputs), classes, (), Versions("3.11.0", "1.9.1", "2.4.6", "1.5.3"))
