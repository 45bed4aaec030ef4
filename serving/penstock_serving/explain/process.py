"""The explaining process: answers questions from one socket, one after another, until the other side closes it.

Started by `client` as `python -m penstock_serving.explain.process DESCRIPTOR PRIORITY`. It imports neither scikit-learn
nor the server; a model that must be asked is opened here as well, from its pinned package.
"""

import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from penstock_serving.explain import confine

if __name__ == "__main__":
    confine.step_back(sys.argv[2])  # before numpy starts threads

import numpy as np

from penstock_serving.explain import frames, setup, wire
from penstock_serving.explain.explainer import Explainer
from penstock_serving.explain.explanation import AdditivityError, Explanation
from penstock_serving.explain.frames import Answer, Asks, Question, Says
from penstock_serving.explain.limits import Limits
from penstock_serving.explain.npz import MalformedError
from penstock_serving.explain.pace import Pace, cpu_stat
from penstock_serving.explain.permutation import Budget, Predict
from penstock_serving.explain.plan import Sampled
from penstock_serving.explain.plan_npz import load
from penstock_serving.explain.setup import Package, Setup
from penstock_serving.explain.stages import UnseenValueError
from penstock_serving.model.errors import ModelError
from penstock_serving.model.frame import Matrix
from penstock_serving.protocol.errors import DeadlineError, ModelFailureError, ModelRefusalError, RequestError
from penstock_serving.protocol.rules import Rule

_NUMBER_BYTES = 24  # of a float64 in JSON with its comma
_HEADERS_BYTES = 1024


def _receive(connection: socket.socket, size: int) -> bytes | None:
    """Exactly `size` bytes; None when the other side has closed."""
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(min(size - len(parts), 1 << 20))
        if not part:
            return None
        parts += part
    return bytes(parts)


def _question(connection: socket.socket, limit: int) -> Question | None:
    head = _receive(connection, frames.LENGTH.size)
    if head is None:
        return None
    (length,) = frames.LENGTH.unpack(head)
    if length > limit:
        return None
    frame = _receive(connection, length)
    return None if frame is None else frames.unpack_question(frame)


def _until(deadline: float, pace: Pace) -> Callable[[], None]:
    pace.begin()

    def pause() -> None:
        pace.rest()
        if time.monotonic() > deadline:
            raise DeadlineError("the explanation was not ready in time: ask for fewer rows, or allow more time")

    return pause


class Answering:
    """Answers questions about one model."""

    def __init__(self, model: Setup, limits: Limits) -> None:
        """Raises `MalformedError`, `ModelError` for a model that cannot be opened."""
        self._model, self._limits = model, limits
        self._asked = wire.explain_signature(model.signature)
        self._explainer = _explainer(model, limits)
        self._pace = Pace(cpu_stat())

    def answer(self, question: Question) -> Answer:
        """The answer to a question; errors of the request are answers as well."""
        try:
            return self._answer(question, _until(time.monotonic() + question.seconds, self._pace))
        except RequestError as error:
            return Answer(Says.ERROR, None, frames.write_error(error))
        except (AdditivityError, MalformedError) as error:
            return Answer(Says.ERROR, None, frames.write_error(ModelFailureError(f"no explanation: {error}")))
        except MemoryError:
            much = RequestError(413, "the explanation needs more memory than there is for it: ask for fewer rows")
            return Answer(Says.ERROR, None, frames.write_error(much))

    def _answer(self, question: Question, pause: Callable[[], None]) -> Answer:
        model, content = self._model, question.content
        match question.kind:
            case Asks.V2:
                call = wire.decode_v2(content, question.json_length, self._asked)
                body = wire.v2_response(model.name, call, self._explain(call.matrix, pause), model.parameters)
                return Answer(Says.BODY, body.json_length, body.body)
            case Asks.V1:
                call = wire.decode_v1(content, self._asked)
                body = wire.v1_response(self._explain(call.matrix, pause))
                return Answer(Says.BODY, body.json_length, body.body)
        matrix = frames.read_matrix(content, self._explainer.plan.text)
        return Answer(Says.EXPLANATION, None, frames.write_explanation(self._explain(matrix, pause)))

    def _explain(self, matrix: Matrix, pause: Callable[[], None]) -> Explanation:
        plan, limits = self._explainer.plan, self._limits
        allowed = min(limits.rows, limits.frame_bytes // (_NUMBER_BYTES * len(plan.columns) * len(plan.outputs)))
        if len(matrix) > max(allowed, 1):
            raise RequestError(413, f"{len(matrix)} rows are asked for, at most {allowed} are explained at once")
        try:
            return self._explainer.explain(matrix, pause)
        except UnseenValueError as unseen:
            name = self._model.signature.names[unseen.position]
            raise ModelRefusalError(
                Rule.UNSEEN_CATEGORY,
                f"input {name!r} takes only the categories the model was made with",
                unseen.position,
            ) from unseen


def _explainer(model: Setup, limits: Limits) -> Explainer:
    budget = Budget(limits.predictions, seed=0)
    asked = load(model.data).model
    if model.package is None or not isinstance(asked, Sampled):
        return Explainer(model.data, budget=budget)
    return Explainer(model.data, _predict(model.package, asked.output, limits), budget)


def _predict(package: Package, output: str, limits: Limits) -> Predict:
    """The model's own output, opened as the server opens it: a pickle only after this process has confined itself."""
    from penstock_serving.model import trust
    from penstock_serving.model.load import load_model
    from penstock_serving.sandbox import server as sandbox

    def before_unpickling() -> None:
        confine.limit_memory(2 * limits.memory_bytes)  # for scikit-learn as well, since it cannot be limited later
        sandbox.confine()

    sandbox.prepare()
    loaded = load_model(Path(package.directory), package.digest, trust.from_environment(), before_unpickling)
    if output not in loaded.signature.output:
        raise MalformedError(f"the model has no output {output[:128]!r}")
    method = loaded.method(output)

    def predict(matrix: Matrix) -> Matrix:
        try:
            return np.asarray(method(matrix))
        except ValueError as error:
            raise ModelRefusalError(Rule.MODEL_REFUSED, "the model does not take this input") from error

    return predict


def serve(connection: socket.socket, setup_limit: int) -> int:
    """Answer until the other side closes; the exit code."""
    first = _question(connection, setup_limit)
    if first is None or first.kind is not Asks.SETUP:
        return 1
    try:
        model, limits = setup.read(first.content)
        answering = Answering(model, limits)
    except (MalformedError, ModelError, ValueError) as error:
        refusal = ModelFailureError(f"this model's explanations cannot be opened: {error}")
        connection.sendall(frames.pack_answer(Answer(Says.ERROR, None, frames.write_error(refusal))))
        return 1
    confine.limit_memory(limits.memory_bytes)
    connection.sendall(frames.pack_answer(Answer(Says.READY, None, b"")))
    while (question := _question(connection, limits.frame_bytes + _HEADERS_BYTES)) is not None:
        confine.limit_cpu(question.seconds)
        connection.sendall(frames.pack_answer(answering.answer(question)))
    return 0


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as _connection:
        sys.exit(serve(_connection, setup_limit=(1 << 32) - 1))
