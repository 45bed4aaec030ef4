"""Times, shares and counts as a person reads them, and as a manifest takes them."""

import math

_PARTS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def duration(seconds: float) -> str:
    """Two leading units, such as `1m 40s`, `9 s`, `3h 5m`, `2d`."""
    if seconds < 10.0:
        return f"{seconds:.2g} s" if seconds >= 0.1 else "0 s"
    whole = round(seconds)
    for i, (unit, size) in enumerate(_PARTS):
        if whole >= size:
            if unit == "s":
                return f"{whole} s"
            smaller, step = _PARTS[i + 1]
            rest = round((whole % size) / step)
            whole_units = whole // size
            if rest * step == size:
                whole_units, rest = whole_units + 1, 0
            return f"{whole_units}{unit} {rest}{smaller}" if rest else f"{whole_units}{unit}"
    return "0 s"


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
    if number < 1_000:
        return f"{round(number)}"
    if number < 100_000:
        digits = 10 ** (len(str(round(number))) - 3)
        return f"{round(number / digits) * digits:,}"
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size * 0.9995:
            return f"{number / size:.3g} {unit}"
    return f"{number:.3g}"


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
