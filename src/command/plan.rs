//! `hull plan`: the operations of a bundle, printed and not done. Needs neither root nor the root filesystem.

use super::{Log, print, read_bundle, request};
use crate::cli::Options;
use crate::effect::probe;
use crate::error::Result;
use crate::fail;
use crate::plan::host::Wants;
use crate::rt::arena::Arena;
use crate::rt::start::Start;

/// Prints the plan.
///
/// # Errors
/// What reading and planning refuse.
pub fn plan<'a>(arena: &Arena<'a>, _start: &Start, options: &Options<'a>, log: &Log<'a>) -> Result<'a, u8> {
    let bundle = read_bundle(arena, options.bundle, log)?;
    let host = probe::host(&bundle.arena, Wants::of(&bundle.config))
        .map_err(|fault| fail!(arena, fault.errno(), fault.hint().text() => "look at the host's cgroups"))?;
    let request = request(options, bundle.path);
    let plan = crate::plan::plan(&bundle.arena, &bundle.config, &host, &request)?;
    print(arena, &plan)
}
