//! The wall clock: clock_gettime(2) through the plain call; rustix would parse the vDSO for it.
#![allow(unsafe_code)]

use super::raw::syscall3;
use linux_raw_sys::general as n;

/// Seconds since 1970 and nanoseconds; 0 where the kernel has no such clock.
pub fn now() -> (u64, u32) {
    let mut time = [0usize; 4];
    // SAFETY: the kernel writes a `struct timespec` of two words (on 32 bits: of the old layout) into `time`.
    match unsafe { syscall3(n::__NR_clock_gettime, n::CLOCK_REALTIME as usize, &raw mut time as usize, 0) }
        .done()
    {
        Ok(()) => {
            let [seconds, nanoseconds, ..] = time;
            (seconds as u64, nanoseconds as u32)
        }
        Err(_) => (0, 0),
    }
}
