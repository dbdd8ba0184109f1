//! The program: everything is in the library, entry included (`rt::start`).
#![no_std]
#![no_main]

use hull as _;
