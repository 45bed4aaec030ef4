"""The filters decide as their tables say, on both architectures: their programs are run by a small machine of our own."""

import os
import struct

import pytest
from penstock_serving.sandbox import syscalls
from penstock_serving.sandbox.bpf import ALLOW, ENOSYS, EPERM, Filter, Rule, When, assemble, refuse
from penstock_serving.sandbox.policies import NO_IO_URING, child, server
from penstock_serving.sandbox.syscalls import Machine

KILL = 0x80000000
MACHINES = {"x86_64": syscalls._MACHINES["x86_64"], "aarch64": syscalls._MACHINES["aarch64"]}
CHILD, SERVER = child(1000), server(1000)
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_VSOCK = 1, 2, 10, 16, 40
STREAM, DATAGRAM, RAW, NONBLOCK_CLOEXEC = 1, 2, 3, 0o2004000
TCP, SCTP = 6, 132
CLONE_VM_THREAD, SIGCHLD = 0x3D0F00, 17
O_APPEND = 0o2000


def decide(program: bytes, audit: int, number: int, arguments: tuple[int, ...]) -> int:
    """Run a classic BPF program over one call's `struct seccomp_data`."""
    words = [*arguments, *(0,) * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number, audit, 0, *words)
    accumulator = place = 0
    while True:
        code, when_true, when_false, value = struct.unpack_from("=HBBI", program, 8 * place)
        place += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, value)
            case 0x54:
                accumulator &= value
            case 0x15:
                place += when_true if accumulator == value else when_false
            case 0x35:
                place += when_true if accumulator >= value else when_false
            case 0x06:
                return value
            case _:
                pytest.fail(f"unknown instruction {code:#x}")


def decided(wanted: Filter, machine: Machine, call: str, *arguments: int) -> int:
    return decide(assemble(wanted, machine), machine.audit, machine.numbers[call], arguments)


REFUSED = refuse(EPERM)
DECISIONS = [
    (CHILD, "read", (0,), ALLOW),
    (CHILD, "openat", (0, 0, os.O_RDONLY | os.O_CLOEXEC), ALLOW),
    (CHILD, "openat", (0, 0, os.O_WRONLY), REFUSED),
    (CHILD, "openat", (0, 0, os.O_RDWR), REFUSED),
    (CHILD, "openat", (0, 0, os.O_RDONLY | os.O_CREAT), REFUSED),
    (CHILD, "openat", (0, 0, os.O_RDONLY | os.O_TRUNC), REFUSED),
    (CHILD, "openat", (0, 0, 0o20000000 | os.O_RDONLY), REFUSED),
    (CHILD, "openat", (0, 0, O_APPEND | os.O_WRONLY), REFUSED),
    (CHILD, "openat2", (), refuse(ENOSYS)),
    (CHILD, "clone", (CLONE_VM_THREAD,), ALLOW),
    (CHILD, "clone", (SIGCHLD,), REFUSED),
    (CHILD, "clone3", (), refuse(ENOSYS)),
    (CHILD, "execve", (), REFUSED),
    (CHILD, "socket", (AF_UNIX, STREAM), REFUSED),
    (CHILD, "socket", (AF_INET, STREAM), REFUSED),
    (CHILD, "sendto", (3,), REFUSED),
    (CHILD, "tgkill", (1000, 1000), ALLOW),
    (CHILD, "tgkill", (1001, 1001), REFUSED),
    (CHILD, "kill", (1000,), REFUSED),
    (CHILD, "prlimit64", (0, 7, 0, 1), ALLOW),
    (CHILD, "prlimit64", (0, 7, 1, 0), REFUSED),
    (CHILD, "prlimit64", (0, 7, 1 << 32, 0), REFUSED),
    (CHILD, "ioctl", (0, 0x5401), ALLOW),
    (CHILD, "ioctl", (0, 0x5412), REFUSED),
    (CHILD, "io_uring_setup", (8,), REFUSED),
    (CHILD, "ptrace", (), REFUSED),
    (SERVER, "bind", (3,), ALLOW),
    (SERVER, "listen", (3,), ALLOW),
    (SERVER, "connect", (3,), REFUSED),
    (SERVER, "socket", (AF_UNIX, DATAGRAM), ALLOW),
    (SERVER, "socket", (AF_INET, STREAM | NONBLOCK_CLOEXEC, 0), ALLOW),
    (SERVER, "socket", (AF_INET6, STREAM | NONBLOCK_CLOEXEC, TCP), ALLOW),
    (SERVER, "socket", (AF_INET, STREAM, SCTP), REFUSED),
    (SERVER, "socket", (AF_INET, DATAGRAM), REFUSED),
    (SERVER, "socket", (AF_INET6, DATAGRAM), REFUSED),
    (SERVER, "socket", (AF_INET, RAW), REFUSED),
    (SERVER, "socket", (AF_NETLINK, RAW), REFUSED),
    (SERVER, "socket", (AF_VSOCK, STREAM), REFUSED),
    (SERVER, "sendto", (3, 0, 10, 0), ALLOW),
    (SERVER, "sendto", (3, 0, 10, 0x20000000), REFUSED),
    (SERVER, "sendmsg", (3, 0, 0x20004000), REFUSED),
    (SERVER, "execveat", (), REFUSED),
    (SERVER, "openat", (0, 0, os.O_WRONLY | os.O_CREAT), REFUSED),
    (SERVER, "unlinkat", (), REFUSED),
    (SERVER, "io_uring_enter", (), REFUSED),
    (SERVER, "pidfd_getfd", (), REFUSED),
    (SERVER, "write", (1,), ALLOW),
    (SERVER, "tgkill", (1000, 1001), ALLOW),
    (SERVER, "tgkill", (1, 1), REFUSED),
    (SERVER, "ioctl", (0, 0x5413), ALLOW),
    (SERVER, "ioctl", (0, 0x5412), REFUSED),
    (SERVER, "ioctl", (0, 0x541C), REFUSED),
    (NO_IO_URING, "io_uring_setup", (), refuse(ENOSYS)),
    (NO_IO_URING, "connect", (), ALLOW),
]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("wanted", "call", "arguments", "action"), DECISIONS)
def test_a_call_is_decided_as_the_table_says(
    machine: str, wanted: Filter, call: str, arguments: tuple[int, ...], action: int
) -> None:
    assert decided(wanted, MACHINES[machine], call, *arguments) == action


@pytest.mark.parametrize("machine", MACHINES)
def test_a_call_that_nobody_has_thought_of_does_not_exist_for_the_child(machine: str) -> None:
    program = assemble(CHILD, MACHINES[machine])
    for number in (463, 500, 1000):
        assert decide(program, MACHINES[machine].audit, number, ()) == refuse(ENOSYS)


@pytest.mark.parametrize("machine", MACHINES)
def test_another_architecture_s_calls_end_the_process(machine: str) -> None:
    assert decide(assemble(SERVER, MACHINES[machine]), 0x40000003, 11, ()) == KILL


def test_the_second_table_of_x86_64_is_closed() -> None:
    machine = MACHINES["x86_64"]
    number = machine.numbers["connect"] | syscalls.X32_BIT
    assert decide(assemble(SERVER, machine), machine.audit, number, ()) == refuse(ENOSYS)


@pytest.mark.parametrize("machine", MACHINES)
def test_programs_fit_the_kernel_s_limit(machine: str) -> None:
    for wanted in (CHILD, SERVER, NO_IO_URING):
        assert len(assemble(wanted, MACHINES[machine])) // 8 <= 4096


def test_several_conditions_are_all_needed() -> None:
    rule = Rule("read", ALLOW, (When(0, 1), When(1, 2)), refuse(EPERM), (When(2, 3),))
    wanted, machine = Filter((rule,), refuse(ENOSYS)), MACHINES["x86_64"]
    assert decided(wanted, machine, "read", 1, 2) == ALLOW
    assert decided(wanted, machine, "read", 1, 1) == refuse(EPERM)
    assert decided(wanted, machine, "read", 0, 2) == refuse(EPERM)
    assert decided(wanted, machine, "read", 0, 0, 3) == ALLOW
    assert decided(wanted, machine, "write", 1, 2) == refuse(ENOSYS)
