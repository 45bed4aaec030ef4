//! Short turns on the processor, for threads that do little at a time and are waited for.
//!
//! Linux since 6.12 lets a thread that asks for a shorter slice interrupt one with a longer when it wakes
//! (`sched_setattr(2)`, `sched_runtime` of `SCHED_OTHER`): an answer need not wait for the monitor's counting to come to
//! the end of its turn. The thread's share stays the same. Where the system knows nothing of it, nothing changes.

use std::mem;

/// The least that Linux grants.
const NANOSECONDS: u64 = 100_000;

/// `struct sched_attr` as of its first version.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Ask for short turns for the calling thread.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
pub fn shorten() {
    #[allow(clippy::cast_possible_truncation)]
    let mut wanted = Attributes { size: mem::size_of::<Attributes>() as u32, ..Attributes::default() };
    // SAFETY: the pointers are to one structure of ours, whose size it says itself; the calls keep neither.
    unsafe {
        if libc::syscall(libc::SYS_sched_getattr, 0, &raw mut wanted, wanted.size, 0) == 0 && wanted.policy == 0 {
            wanted.runtime = NANOSECONDS;
            libc::syscall(libc::SYS_sched_setattr, 0, &raw const wanted, 0);
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub fn shorten() {}
