//! Last words: one line and exit code 70 (EX_SOFTWARE). Nothing can reach a panic as hull is built for release: a test links
//! the `prove_no_panic` configuration to show it.
//!
//! As PID 1 a return would panic the kernel, so there it is sync and reboot.

use core::panic::PanicInfo;

#[cfg(not(feature = "prove_no_panic"))]
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // the place is read before anything is called: the optimiser then sees that the panic's message is never looked at,
    // and leaves out `core::fmt`
    let (file, number) = info.location().map_or(("?", 0), |place| (place.file(), place.line()));
    let mut line = crate::sys::stdio::Line::new();
    crate::put!(&mut line, "hull: internal error at ", file, ":", number, " (please report this)\n");
    crate::sys::stdio::write_error(line.bytes());
    if crate::sys::process::own_pid() == 1 {
        crate::sys::process::sync_and_reboot();
    }
    crate::sys::process::exit(70)
}

/// With this feature a reachable panic is an undefined symbol at link time: the linker lists each place.
#[cfg(feature = "prove_no_panic")]
#[panic_handler]
#[allow(unsafe_code)]
fn panic(_: &PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        fn hull_can_panic() -> !;
    }
    // SAFETY: never linked, see above.
    unsafe { hull_can_panic() }
}
