//! What an image says to hull as its init: /etc/hull.json, written by the image builder.

use super::print;
use crate::effect::procfs;
use crate::error::Result;
use crate::fail;
use crate::json::locate::Source;
use crate::json::read::read;
use crate::json::tables::document;
use crate::json::view::{ANY, List, Value, object, word_values};
use crate::rt::arena::{Arena, Full};
use crate::sys::open;
use core::ffi::CStr;
use rustix::fd::AsFd;
use rustix::fs::{CWD, OFlags};

crate::words! {
    /// What the machine does at the end.
    End {
        /// The default.
        PowerOff = "poweroff",
        /// From the start.
        Reboot = "reboot",
    }
}
word_values!(End);

object! {
    /// All of it.
    Settings {
        /// Files of kernel modules in the order in which they can be loaded.
        modules "hull.modules": plain List<'a, &'a CStr>;
        /// A block device to leave the initramfs for, read-only; that one has an /etc/hull.json of its own.
        root "hull.root": optional &'a CStr;
        /// The type of its file system.
        rootfstype "hull.rootfstype": plain &'a CStr;
        /// Names of folders in /bundles, in the order in which they run.
        bundles "hull.bundles": plain List<'a, &'a CStr>;
        /// What comes after the last one.
        end "hull.end": optional End;
    }
}

document! { SETTINGS: Settings::KIND, &[ANY]; ROOT: Settings::KIND }

/// The largest file that is taken.
const LIMIT: usize = 16 << 10;

impl<'a> Settings<'a> {
    /// Reads the file; without one, or with one that is broken, which is said, there is nothing to do.
    pub fn read(arena: &Arena<'a>) -> Settings<'a> {
        match Self::try_read(arena) {
            Ok(settings) => settings,
            Err(error) => {
                crate::message!({print} () error);
                Settings::ABSENT
            }
        }
    }

    fn try_read(arena: &Arena<'a>) -> Result<'a, Settings<'a>> {
        let text = open::open(CWD, c"/etc/hull.json", OFlags::RDONLY)
            .and_then(|file| procfs::read_all(arena, file.as_fd(), LIMIT))
            .map_err(|fault| fail!(arena, fault.errno() => "read /etc/hull.json"))?;
        let slots = read(arena, Source { file: "/etc/hull.json", text }, &SETTINGS, ROOT)?;
        Ok(Settings { slots: slots.first_chunk().ok_or(Full)? })
    }
}
