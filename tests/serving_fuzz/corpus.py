"""The inputs that are kept: those that together reach all code that fuzzing has reached, and those that once failed.

One file a target, one input a line, written as Python writes bytes.
"""

import ast
import json
import random
from collections.abc import Iterable
from pathlib import Path

from tests.serving.hostile_attack import hostile_message
from tests.serving.hostile_endings import conversation
from tests.serving.hostile_parts import document, spoil
from tests.serving.hostile_requests import binary_tensors

FOLDER = Path(__file__).with_name("corpus")
SEEDS = 150


def read(target: str) -> list[bytes]:
    """The inputs kept for a target."""
    return [ast.literal_eval(line) for line in (FOLDER / f"{target}.txt").read_text("ascii").splitlines()]


def write(target: str, inputs: Iterable[bytes]) -> None:
    """Keep these inputs and no others."""
    lines = sorted({repr(content) for content in inputs}, key=lambda line: (len(line), line))
    (FOLDER / f"{target}.txt").write_text("".join(f"{line}\n" for line in lines), "ascii")


def seeds(target: str) -> list[bytes]:
    """What a fuzzer may begin with: hostile requests of every family, without what is large."""
    chance = random.Random(5)
    made = [_seed(target, chance) for _ in range(SEEDS)]
    return [content for content in made if len(content) < 3_000]


def _seed(target: str, chance: random.Random) -> bytes:
    first = bytes([chance.randrange(256)])
    match target:
        case "http":
            return first + b"".join(hostile.content for hostile in conversation(chance, 3))
        case "v2":
            return first + json.dumps(spoil(chance, document())).encode()
        case "v2-binary":
            head, _, body = binary_tensors(chance).partition(b"\r\n\r\n")
            told = [line.partition(b": ")[2] for line in head.split(b"\r\n") if line.startswith(b"Inference-")]
            length = max(0, min(int(told[0]), 65_535)) if told else 0
            return first + length.to_bytes(2, "little") + body
        case "v1":
            rows = [[0.5, 1.5, 3, True, "DE", None], [0.5], [1, 2, 3], {"x": 0.5}]
            return first + json.dumps(spoil(chance, {"instances": [chance.choice(rows)]})).encode()
        case _:
            return first + hostile_message(chance)
