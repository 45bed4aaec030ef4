"""How many pods a share of the traffic needs."""

FULL = 100
"""All of the traffic, in percent."""


def pods_for(weight: int, replicas: int) -> int:
    """Pods that carry `weight` percent of what `replicas` pods carry: at least one, and never a fraction less.

    | weight | of 2 | of 10 | of 30 |
    |-------:|-----:|------:|------:|
    |      0 |    1 |     1 |     1 |
    |      5 |    1 |     1 |     2 |
    |     50 |    1 |     5 |    15 |
    |    100 |    2 |    10 |    30 |
    """
    return max(1, -(-weight * replicas // FULL))
