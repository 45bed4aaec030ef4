"""Building one ONNX graph in double precision, node by node."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from penstock_serving.compile.emit.block import Block, Bound
from penstock_serving.compile.plan import INPUT, PLAN_KEY, REFUSED
from penstock_serving.model.frame import Matrix

OPSET = 21
ML_OPSET = 5
IR_VERSION = 10
ML_DOMAIN = "ai.onnx.ml"

_SINGLE_LIMIT = float(np.finfo(np.float32).max) * (1 - 2.0**-20)
_DOUBLE_LIMIT = 1e300


class Graph:
    """Nodes, constants, outputs, and the conditions under which scikit-learn refuses a row.

    Tensors are named by position, so that the same estimator always gives the same bytes.
    """

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._nodes: list[Any] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], Any] = {}
        self._outputs: dict[str, int] = {}
        self._refusals: list[str] = []
        self._safe = _DOUBLE_LIMIT

    def add(self, operator: str, inputs: Sequence[str], domain: str = "", **attributes: Any) -> str:
        """Append a node with one output; return the output's name."""
        output = f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [output], domain=domain, **attributes))
        return output

    def constant(self, values: Any) -> str:
        """A constant tensor of the dtype of `values`; equal constants are held once."""
        array = np.asarray(values, order="C")
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = numpy_helper.from_array(array, f"c{len(self._constants)}")
        name: str = self._constants[key].name
        return name

    def doubles(self, values: Any) -> str:
        """A constant float64 tensor."""
        return self.constant(np.asarray(values, dtype=np.float64))

    def integers(self, values: Any) -> str:
        """A constant int64 tensor."""
        return self.constant(np.asarray(values, dtype=np.int64))

    def cast(self, tensor: str, dtype: int) -> str:
        return self.add("Cast", [tensor], to=dtype)

    def double(self, tensor: str) -> str:
        return self.cast(tensor, TensorProto.DOUBLE)

    def rounded(self, tensor: str) -> str:
        """The values rounded to float32, held as float64."""
        return self.double(self.cast(tensor, TensorProto.FLOAT))

    def columns(self, tensor: str, positions: Sequence[int] | int) -> str:
        """Some columns of a tensor [rows, columns]; one column alone as [rows]."""
        return self.add("Gather", [tensor, self.integers(positions)], axis=1)

    def concatenated(self, tensors: Sequence[str]) -> str:
        """Tensors [rows, …] side by side."""
        return tensors[0] if len(tensors) == 1 else self.add("Concat", tensors, axis=1)

    def flat(self, tensor: str) -> str:
        """[rows, 1] as [rows]."""
        return self.add("Squeeze", [tensor, self.integers([1])])

    def column(self, tensor: str) -> str:
        """[rows] as [rows, 1]."""
        return self.add("Unsqueeze", [tensor, self.integers([1])])

    def output(self, name: str, tensor: str, dtype: int = TensorProto.DOUBLE) -> None:
        """Give a tensor to the caller under a name."""
        self._nodes.append(helper.make_node("Identity", [tensor], [name]))
        self._outputs[name] = dtype

    def refuse_where(self, mask: str) -> None:
        """Refuse the rows where a Boolean tensor [rows, columns] is true anywhere."""
        self._refusals.append(mask)

    def refuse_not_finite(self, block: Block) -> None:
        """Refuse NaN and infinity, as scikit-learn's validation does."""
        self._limit(block.bound, _DOUBLE_LIMIT)
        self.refuse_where(self.add("IsNaN", [self.add("Sub", [block.tensor, block.tensor])]))

    def refuse_infinite(self, block: Block) -> None:
        """Refuse infinity but take NaN, as scikit-learn's validation does with allow-nan."""
        self._limit(block.bound, _DOUBLE_LIMIT)
        self.refuse_where(self.add("IsInf", [block.tensor]))

    def limit_single(self, bound: Bound) -> None:
        """Say that a block of this bound is cast to float32, where infinity is refused."""
        self._limit(bound, _SINGLE_LIMIT)

    def _limit(self, bound: Bound, limit: float) -> None:
        self._safe = min(self._safe, bound.largest_input(limit))

    @property
    def safe(self) -> float | None:
        """`Plan.safe`."""
        return self._safe if self._refusals else None

    def finish(self, metadata: str, probes: Sequence[str] = ()) -> bytes:
        """The model, serialised; `probes` names further float64 tensors to put out, for building proof rows."""
        nodes, outputs = list(self._nodes), dict(self._outputs)
        if self._refusals:
            nodes.extend(self._refused())
            outputs[REFUSED] = TensorProto.INT32
        outputs.update(dict.fromkeys(probes, TensorProto.DOUBLE))
        graph = helper.make_graph(
            nodes,
            "penstock",
            [helper.make_tensor_value_info(INPUT, TensorProto.DOUBLE, ["rows", self._columns])],
            [helper.make_tensor_value_info(name, dtype, None) for name, dtype in outputs.items()],
            list(self._constants.values()),
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML_DOMAIN, ML_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="penstock")
        helper.set_model_props(model, {PLAN_KEY: metadata})
        content: bytes = model.SerializeToString(deterministic=True)
        return content

    def _refused(self) -> list[Any]:
        axis = self.integers([1])
        masks = "refusals"
        return [
            helper.make_node("Concat", self._refusals, [masks], axis=1),
            helper.make_node("Cast", [masks], [f"{masks}.counted"], to=TensorProto.INT32),
            helper.make_node("ReduceMax", [f"{masks}.counted", axis], [REFUSED], keepdims=0),
        ]


def scaled(bound: Bound, gain: Matrix, offset: Matrix) -> Bound:
    """The bound of `gain * value + offset` for any of the columns."""
    largest = float(np.max(np.abs(gain), initial=0.0))
    return Bound(bound.gain * largest, bound.offset * largest + float(np.max(np.abs(offset), initial=0.0)))
