"""Generated requests, ordinary ones and ones that are not quite so, spelled in every way that JSON allows."""

from collections.abc import Sequence
from typing import Any

import orjson
from hypothesis import strategies as st
from penstock_serving.model.datatype import Datatype
from penstock_serving.model.signature import Column

from tests.serving_lane.lane_models import Ways

Spelled = bytes | list[Any] | tuple[Any, ...]
"""A value as it is spelled; a list; or, as a tuple, an object of (spelled key, value)."""

NUMBERS = (
    b"0", b"-0", b"-0.0", b"0.0", b"0e0", b"0E+5", b"-0e-3", b"1", b"-1", b"1.0", b"1e0", b"10e-1", b"0.1", b"1e1",
    b"0.30000000000000004", b"0.3", b"-0.7", b"9007199254740991", b"9007199254740992", b"9007199254740993",
    b"-9007199254740991", b"-9007199254740993", b"99999999999999999", b"123456789012345678", b"999999999999999999",
    b"1234567890123456789", b"-9223372036854775808", b"-9223372036854775809", b"9223372036854775807",
    b"18446744073709551615", b"18446744073709551616", b"1234567890123456789012345", b"9999999999999999999999999",
    b"1e16", b"1e22", b"1e23", b"1e38", b"3.4028234663852886e38", b"3.4028235677973366e38", b"3.4028235677973362e38",
    b"3.4028234663852887e38", b"3.402823466385289e38", b"3.4028236e38", b"-3.4028234663852886e38", b"1e39", b"1e150",
    b"1e151", b"1e154", b"1.3e154", b"1e155", b"1e308", b"-1e308", b"1.7976931348623157e308", b"1.7976931348623159e308",
    b"1e309", b"-1e400", b"5e-324", b"4.9406564584124654e-324", b"2e-324", b"1e-400", b"-1e-400", b"2.2250738585072011e-308",
    b"1.17549435e-38", b"1.4e-45", b"7e-46", b"0.1e-44", b"16777217", b"16777217.0", b"0.000000000000000000000000000001",
    b"0e99999999999999999999", b"1e-99999999999999999999", b"1e99999999999999999999", b"1." + b"0" * 400 + b"1",
    b"0." + b"123456789" * 90, b"1" + b"0" * 17, b"1" + b"0" * 18, b"1" + b"0" * 330,
    # what is no number
    b"01", b"-01", b"00", b"+1", b".5", b"1.", b"1.e5", b"1e", b"1e+", b"-", b"- 1", b"0x10", b"1_000", b"NaN",
    b"Infinity", b"-Infinity", b"nan", b"1,", b"1 2",
)  # fmt: skip
OTHERS = (
    b"null", b"true", b"false", b'""', b'"a"', b'"1.5"', b"[]", b"[1]", b"{}", b"nul", b"True", b"tru e", b'"\\u0061"',
    b"'a'", b'"\\ud800"', b'"\x01"', b'"\x7f"', b'"tab\t"', b'"\xff"', b'"\xed\xa0\x80"', b'"\xf0\x9f\x98\x80"',
    b'"\xc0\x80"',
)  # fmt: skip
TEXTS = (
    "",
    "a",
    "b",
    "c",
    "Bern",
    "Zürich",
    "Zu\u0308rich",
    "bern",
    " Bern",
    "nie gesehen",
    "😀",
    "x" * 500,
    "\x7f",
    "/",
)
SPACES = st.sampled_from([b""] * 12 + [b" ", b"\n", b"\t", b"\r\n", b"  \n "])
IDS = (
    b'""',
    b'"7"',
    b'"' + b"i" * 256 + b'"',
    b'"' + b"i" * 257 + b'"',
    b'"\xc3\xa4"',
    b'"a/b\x7f"',
    b'"\\n"',
    b"null",
    b"7",
    b"[]",
)
MORE = (
    (b'"outputs"', b"[]"), (b'"outputs"', b'[{"name":"predict"}]'), (b'"outputs"', b"null"), (b'"parameters"', b"{}"),
    (b'"parameters"', b'{"binary_data_output":false}'), (b'"inputs"', b"[]"), (b'"unknown"', b"1"), (b'"id"', b'"twice"'),
    (b'"i\\u0064"', b'"e"'), (b'"model_name"', b'"x"'),
)  # fmt: skip
SHAPES = (
    b"[1]",
    b"[1,1]",
    b"[]",
    b"[0]",
    b"[2]",
    b"[1.0]",
    b"[true]",
    b"[01]",
    b"[1e0]",
    b"[-1]",
    b"1",
    b"[1,1,1]",
    b"null",
    b"[99999999999]",
)
DATATYPES = (
    b'"FP64"',
    b'"FP32"',
    b'"INT64"',
    b'"INT32"',
    b'"UINT8"',
    b'"BOOL"',
    b'"BYTES"',
    b'"fp64"',
    b"null",
    b"64",
    b'"FP6\\u0034"',
)


@st.composite
def rendered(draw: st.DrawFn, value: Spelled) -> bytes:
    """The JSON of what is spelled, with white space here and there."""
    if isinstance(value, bytes):
        return value
    pieces = []
    for item in value:
        if isinstance(value, tuple):
            pieces.append(item[0] + draw(SPACES) + b":" + draw(SPACES) + draw(rendered(item[1])))
        else:
            pieces.append(draw(rendered(item)))
    opened, closed = (b"{", b"}") if isinstance(value, tuple) else (b"[", b"]")
    inner = b",".join(draw(SPACES) + piece + draw(SPACES) for piece in pieces)
    return opened + (inner or draw(SPACES)) + closed


def spelled(cell: Any, column: Column) -> bytes:
    """A cell of a model's matrix as an ordinary caller spells it."""
    if cell is None or cell != cell:
        return b"null"
    if column.datatype is Datatype.BOOL:
        return b"true" if cell else b"false"
    if column.datatype is Datatype.INT64:
        return b"%d" % cell
    return orjson.dumps(cell if column.is_text else float(cell))


@st.composite
def cells(draw: st.DrawFn, cell: Any, column: Column, odd: int) -> bytes:
    """The cell, mostly; one time in `odd` (0: never) something else."""
    if not odd or draw(st.integers(1, odd)) > 1:
        return spelled(cell, column)
    if column.is_text:
        texts = (*TEXTS, *column.categories)
        return draw(st.sampled_from([orjson.dumps(text) for text in texts]) | st.sampled_from(OTHERS + NUMBERS[:8]))
    limits = [] if column.limits is None else [repr(limit).encode() for limit in column.limits]
    numbers = st.sampled_from([*NUMBERS, *limits, *limits]) | st.floats(allow_nan=False, allow_infinity=False).map(
        _number
    )
    return draw(numbers | st.integers(-(10**25), 10**25).map(b"%d".__mod__) | st.sampled_from(OTHERS))


def _number(value: float) -> bytes:
    return repr(value).encode()


def name_of(text: str) -> bytes:
    return orjson.dumps(text)


def table(rows: Sequence[Sequence[bytes]], *, nested: bool, name: bytes = b'"x"') -> Spelled:
    """Rows by position."""
    data: list[Any] = [list(row) for row in rows] if nested else [value for row in rows for value in row]
    shape = [b"%d" % len(rows), b"%d" % len(rows[0])]
    return ((b'"name"', name), (b'"datatype"', b'"FP64"'), (b'"shape"', shape), (b'"data"', data))


def named(values: Sequence[bytes], columns: Sequence[Column]) -> list[Any]:
    """One row by name."""
    return [
        (
            (b'"name"', name_of(column.name)),
            (b'"datatype"', name_of(column.datatype.value)),
            (b'"shape"', [b"1"]),
            (b'"data"', [value]),
        )
        for value, column in zip(values, columns, strict=True)
    ]


@st.composite
def requests(draw: st.DrawFn, ways: Ways) -> bytes:
    """A request about rows of the model; often ordinary, often not quite."""
    odd = draw(st.sampled_from([0, 0, 30, 6]))
    columns = ways.signature.columns
    picked = draw(st.lists(st.integers(0, len(ways.rows) - 1), min_size=1, max_size=4))
    rows = [
        [draw(cells(cell, column, odd)) for cell, column in zip(ways.rows[at], columns, strict=True)] for at in picked
    ]
    if draw(st.booleans()):
        name = draw(
            st.sampled_from([b'"x"', b'"x"', b'""', b'"\xc3\xa4"', name_of(columns[0].name), b'"' + b"n" * 129 + b'"'])
        )
        inputs: list[Any] = [table(rows, nested=draw(st.booleans()), name=name)]
    else:
        inputs = draw(st.permutations(named(rows[0], columns)))
    if odd and draw(st.booleans()):
        inputs = draw(spoiled(inputs))
    document = [(b'"inputs"', inputs)]
    if draw(st.booleans()):
        document.insert(draw(st.integers(0, 1)), (b'"id"', draw(st.sampled_from(IDS if odd else IDS[:3]))))
    if odd and draw(st.integers(0, 3)) == 0:
        document.insert(draw(st.integers(0, len(document))), draw(st.sampled_from(MORE)))
    return draw(SPACES) + draw(rendered(tuple(document))) + draw(SPACES)


@st.composite
def spoiled(draw: st.DrawFn, inputs: list[Any]) -> list[Any]:
    """Inputs with one of their parts changed, left out, doubled or moved."""
    at = draw(st.integers(0, len(inputs) - 1))
    parts = list(draw(st.permutations(inputs[at])))
    part = draw(st.integers(0, len(parts) - 1))
    key, value = parts[part]
    instead = {b'"shape"': SHAPES, b'"datatype"': DATATYPES}.get(key, OTHERS)
    match draw(
        st.sampled_from(
            ["value", "value", "value", "gone", "double", "more", "nest", "key", "tensor gone", "tensor twice"]
        )
    ):
        case "value":
            parts[part] = (key, draw(st.sampled_from(instead)))
        case "gone":
            parts.pop(part)
        case "double":
            parts.append((key, value))
        case "more":
            parts.append((b'"parameters"', draw(st.sampled_from([b"{}", b"null", b'{"content_type":"str"}']))))
        case "nest":
            parts[part] = (key, [value])
        case "key":
            parts[part] = (draw(st.sampled_from([b'"Name"', b'"nam\\u0065"', b'""', b"name"])), value)
        case "tensor gone":
            return inputs[:at] + inputs[at + 1 :]
        case _:
            return [*inputs, inputs[at]]
    return [*inputs[:at], tuple(parts), *inputs[at + 1 :]]
