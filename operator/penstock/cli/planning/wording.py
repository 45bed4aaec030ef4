"""Times, shares and counts as a person reads them, and as a manifest takes them."""

import math
from itertools import pairwise

_PARTS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def duration(seconds: float) -> str:
    """Two leading units, such as `1m 40s`, `9.5 s`, `3h 5m`, `2d`."""
    if seconds < 9.95:
        return f"{seconds:.2g} s" if seconds >= 0.1 else "0 s"
    for (unit, size), (smaller, step) in pairwise(_PARTS):
        steps = round(seconds / step)
        whole, rest = divmod(steps, size // step)
        if whole:
            return f"{whole}{unit} {rest}{smaller}" if rest else f"{whole}{unit}"
    return f"{round(seconds)} s"


def manifest_duration(seconds: float) -> str:
    """At least so long, in whole days, hours or minutes, as a manifest takes it."""
    for unit, size in _PARTS[:3]:
        if seconds >= 3 * size:
            return f"{math.ceil(seconds / size)}{unit}"
    return f"{max(1, math.ceil(seconds / 60))}m"


def percent(part: float) -> str:
    """A share with three digits, such as `0.5 %`."""
    return f"{100.0 * part:.3g} %"


def manifest_share(part: float) -> str:
    """A share as a manifest takes it, such as `0.5%`."""
    return f"{100.0 * part:g}%"


def count(number: float) -> str:
    """A count with three significant digits, such as `9`, `1,740` or `2.15 M`."""
    if number < 999.5:
        return f"{round(number)}"
    rounded = float(f"{number:.3g}")
    for unit, size in (("G", 1e9), ("M", 1e6)):
        if rounded >= size:
            return f"{rounded / size:.3g} {unit}"
    return f"{rounded:,.0f}" if rounded < 1e5 else f"{rounded / 1e3:.3g} k"


def traffic(per_second: float) -> str:
    """Requests per time in the unit that reads best, such as `50/s` or `3/h`."""
    for unit, seconds in (("s", 1.0), ("min", 60.0), ("h", 3_600.0)):
        if per_second * seconds >= 1.0:
            return (
                f"{round(per_second * seconds, 2):,.4g}/{unit}"
                if per_second * seconds < 1e4
                else (f"{per_second * seconds / 1e3:.4g}k/{unit}")
            )
    return f"{per_second * 86_400.0:.3g}/d"
