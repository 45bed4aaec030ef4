"""What a confined process may ask of the kernel: two filters.

`child` is a list of what is allowed, for a process that opens what nobody vouches for: it computes in memory, reads
files and answers through a pipe that it has already. `server` a list of what is refused, for a serving process that
must unpickle: it listens and answers, and never needs to call out, to start a program, or to change files.
"""

from penstock_serving.sandbox.bpf import ALLOW, ENOSYS, EPERM, Filter, Rule, When, refuse

_REFUSED = refuse(EPERM)

_ACCESS = 0o3 | 0o100 | 0o1000 | 0o20000000  # the access mode, O_CREAT, O_TRUNC, and what sets O_TMPFILE apart
_READ_ONLY = 0
_CLONE_THREAD = 0x00010000
_AF_UNIX = 1
_TCP = (  # AF_INET or AF_INET6, SOCK_STREAM, and no protocol but TCP
    When(0, 2, 0xFFFFFFFF ^ 8),
    When(1, 1, 0xF),
    When(2, 0, 0xFFFFFFFF ^ 6),
)
_MSG_FASTOPEN = 0x20000000
_PR_SET_NAME, _PR_SET_VMA = 15, 0x53564D41
_TCGETS, _TIOCSTI, _TIOCLINUX = 0x5401, 0x5412, 0x541C

_COMPUTING = """
read write readv writev pread64 close fstat stat lstat newfstatat statx lseek fadvise64 statfs fstatfs
access faccessat faccessat2 getcwd readlink readlinkat getdents64 dup dup2 dup3 pipe pipe2 fcntl
mmap mprotect munmap mremap brk madvise msync mincore membarrier
rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack rt_sigtimedwait restart_syscall
futex futex_waitv set_robust_list get_robust_list rseq set_tid_address arch_prctl getcpu
sched_yield sched_getaffinity sched_setaffinity sched_getparam sched_getscheduler getpriority
nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time times getrusage getrlimit
getpid gettid getppid getuid geteuid getgid getegid getgroups capget getrandom uname sysinfo
poll ppoll select pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2
exit exit_group
"""

_CHANGING_FILES = """
creat mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat mknod mknodat
chmod fchmod fchmodat chown fchown lchown fchownat truncate ftruncate fallocate utime utimes utimensat futimesat
setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr
"""

_STARTING_AND_STEERING_PROCESSES = """
execve execveat fork vfork ptrace process_vm_readv process_vm_writev process_madvise pidfd_open pidfd_getfd
pidfd_send_signal kill tkill rt_sigqueueinfo rt_tgsigqueueinfo setpgid setsid
"""

_PRIVILEGES = """
io_uring_setup io_uring_enter io_uring_register bpf perf_event_open userfaultfd keyctl add_key request_key
init_module finit_module delete_module kexec_load kexec_file_load mount umount2 pivot_root chroot unshare setns
move_mount open_tree fsopen fsconfig fsmount fspick mount_setattr open_by_handle_at name_to_handle_at
memfd_create memfd_secret reboot swapon swapoff acct quotactl personality
setuid setgid setreuid setregid setresuid setresgid setgroups setrlimit shmget shmat msgget semget mq_open
"""

_REACHING_OUT = "socket connect bind listen socketpair sendto sendmsg sendmmsg"

_READING_FILES = (
    Rule("open", ALLOW, (When(1, _READ_ONLY, _ACCESS),), _REFUSED),
    Rule("openat", ALLOW, (When(2, _READ_ONLY, _ACCESS),), _REFUSED),
    Rule("openat2", refuse(ENOSYS)),
)
_THREADS_ONLY = (
    Rule("clone", ALLOW, (When(0, _CLONE_THREAD, _CLONE_THREAD),), _REFUSED),
    Rule("clone3", refuse(ENOSYS)),  # its flags are behind a pointer; the C library then uses clone
)
_OWN_LIMITS_READ = (Rule("prlimit64", ALLOW, (When(2, 0), When(2, 0, high=1)), _REFUSED),)


def _refused(calls: str) -> tuple[Rule, ...]:
    return tuple(Rule(call, _REFUSED) for call in calls.split())


def child(process: int) -> Filter:
    """The filter of the process with this id that opens untrusted artifacts: no socket, program, process or write."""
    return Filter(
        rules=(
            *(Rule(call, ALLOW) for call in _COMPUTING.split()),
            *_READING_FILES,
            *_THREADS_ONLY,
            *_OWN_LIMITS_READ,
            Rule("tgkill", ALLOW, (When(0, process),), _REFUSED),
            Rule("prctl", ALLOW, (When(0, _PR_SET_NAME),), _REFUSED),
            Rule("ioctl", ALLOW, (When(1, _TCGETS),), _REFUSED),
            *_refused(_REACHING_OUT),
            *_refused(_CHANGING_FILES),
            *_refused(_STARTING_AND_STEERING_PROCESSES),
            *_refused(_PRIVILEGES),
        ),
        default=refuse(ENOSYS),
    )


NO_IO_URING = Filter((Rule("io_uring_setup", refuse(ENOSYS)),), ALLOW)
"""What a process lives under that may have to confine itself later."""


def server(process: int) -> Filter:
    """The filter of the serving process with this id that must unpickle."""
    return Filter(
        rules=(
            *_READING_FILES,
            *_THREADS_ONLY,
            *_OWN_LIMITS_READ,
            # sockets of this machine, and streams: those can be listened at, while calling out needs connect
            Rule("socket", ALLOW, _TCP, _REFUSED, (When(0, _AF_UNIX),)),
            Rule("sendto", ALLOW, (When(3, 0, _MSG_FASTOPEN),), _REFUSED),
            Rule("sendmsg", ALLOW, (When(2, 0, _MSG_FASTOPEN),), _REFUSED),
            Rule("sendmmsg", ALLOW, (When(3, 0, _MSG_FASTOPEN),), _REFUSED),
            Rule("tgkill", ALLOW, (When(0, process),), _REFUSED),
            # a terminal could be typed into
            Rule("ioctl", _REFUSED, (When(1, _TIOCSTI),), ALLOW, (When(1, _TIOCLINUX),)),
            *_refused("connect"),
            *_refused(_CHANGING_FILES),
            *_refused(_STARTING_AND_STEERING_PROCESSES),
            *_refused(_PRIVILEGES),
        ),
        default=ALLOW,
    )
