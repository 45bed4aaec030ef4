"""Seccomp filters as data, and their translation to classic BPF (Linux, Documentation/userspace-api/seccomp_filter).

A filter sees a call's number and the raw words of its arguments, never what a pointer leads to. So what must be judged
by a structure in memory (`connect`, `openat2`, `clone3`) can only be refused whole.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from penstock_serving.sandbox.syscalls import X32_BIT, Machine

EPERM, ENOSYS = 1, 38
ALLOW = 0x7FFF0000
_KILL = 0x80000000
_ERRNO = 0x00050000

_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16


def refuse(errno: int) -> int:
    """The action that makes a call fail with `errno`."""
    return _ERRNO | errno


@dataclass(frozen=True, slots=True)
class When:
    """A condition: argument `index` (its low 32 bits, or with `high` its upper ones) masked by `mask` is `equals`."""

    index: int
    equals: int
    mask: int = 0xFFFFFFFF
    high: int = 0

    @property
    def offset(self) -> int:
        """Where the word is in `struct seccomp_data` (little-endian)."""
        return _ARGUMENTS_AT + 8 * self.index + 4 * self.high


@dataclass(frozen=True, slots=True)
class Rule:
    """What happens to a call: `action` if every condition holds, or all of the alternative ones, else `otherwise`."""

    call: str
    action: int
    conditions: tuple[When, ...] = ()
    otherwise: int = ALLOW
    alternatively: tuple[When, ...] = ()


@dataclass(frozen=True, slots=True)
class Filter:
    """Rules, at most one for each call and alternative; what happens to every other call."""

    rules: tuple[Rule, ...]
    default: int


def _statement(code: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, 0, 0, value)


def _jump(code: int, value: int, when_true: int, when_false: int) -> bytes:
    return struct.pack("=HBBI", code, when_true, when_false, value)


def assemble(wanted: Filter, machine: Machine) -> bytes:
    """The filter as instructions of 8 bytes (`struct sock_filter`).

    Calls of another architecture's table end the process. Rules about calls that this machine does not have are left
    out: there is nothing to make them with.
    """
    program = [
        _statement(_LOAD, _ARCHITECTURE_AT),
        _jump(_EQUAL, machine.audit, 1, 0),
        _statement(_RETURN, _KILL),
        _statement(_LOAD, _NUMBER_AT),
        _jump(_AT_LEAST, X32_BIT, 0, 1),
        _statement(_RETURN, refuse(ENOSYS)),
    ]
    for rule in wanted.rules:
        number = machine.numbers.get(rule.call)
        if number is not None:
            body = _body(rule)
            program += [_jump(_EQUAL, number, 0, len(body)), *body]
    program.append(_statement(_RETURN, wanted.default))
    return b"".join(program)


def _body(rule: Rule) -> Sequence[bytes]:
    if not rule.conditions:
        return [_statement(_RETURN, rule.action)]
    steps: list[bytes] = []
    for conditions in filter(None, (rule.conditions, rule.alternatively)):
        steps += _if_all(conditions, rule.action)
    return [*steps, _statement(_RETURN, rule.otherwise)]


def _if_all(conditions: Sequence[When], action: int) -> list[bytes]:
    steps = []
    for place, condition in enumerate(conditions):
        left = len(conditions) - place - 1
        steps += [
            _statement(_LOAD, condition.offset),
            _statement(_AND, condition.mask),
            _jump(_EQUAL, condition.equals, 0, 3 * left + 1),
        ]
    return [*steps, _statement(_RETURN, action)]
