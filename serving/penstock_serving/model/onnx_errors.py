"""What onnxruntime raises: classes of its own, which are no RuntimeErrors."""

from onnxruntime.capi import onnxruntime_pybind11_state as state

ONNXRUNTIME_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,
    state.Fail,
    state.InvalidArgument,
    state.InvalidGraph,
    state.InvalidProtobuf,
    state.NoModel,
    state.NoSuchFile,
    state.NotImplemented,
    state.RuntimeException,
)
