"""How long a caller waits, as the proxy before us says it."""

import math


def seconds_told(value: bytes | str) -> float:
    """Seconds, from the milliseconds in `contract.HEADER_EXPECTED_TIMEOUT`; without end where that is no such number."""
    return int(value) / 1000 if value.isdigit() and len(value) < 12 and int(value) > 0 else math.inf
