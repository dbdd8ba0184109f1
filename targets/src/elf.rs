//! The promise about the shipped file: one static ELF at a fixed address that nothing has to load or relocate.

use anyhow::{Context, Result, bail, ensure};
use goblin::elf::{Elf, header, program_header, section_header};

/// Checks `file` against the promise; the error names the first part that is broken.
pub fn check(file: &[u8], machine: u16) -> Result<()> {
    let elf = Elf::parse(file).context("not an ELF file")?;
    ensure!(elf.header.e_machine == machine, "made for machine {}, not {machine}", elf.header.e_machine);
    ensure!(elf.header.e_type == header::ET_EXEC, "type {}, not EXEC", header::et_to_str(elf.header.e_type));
    for segment in &elf.program_headers {
        match segment.p_type {
            program_header::PT_INTERP => bail!("asks for the interpreter {}", elf.interpreter.unwrap_or("?")),
            program_header::PT_DYNAMIC => bail!("has a dynamic segment"),
            program_header::PT_LOAD if segment.is_write() && segment.is_executable() => {
                bail!("the segment at {:#x} is writable and executable", segment.p_vaddr);
            }
            program_header::PT_GNU_STACK if segment.is_executable() => bail!("asks for an executable stack"),
            _ => {}
        }
    }
    // There the kernel takes the lack of this header for a wish (fs/binfmt_elf.c, arch/arm/kernel/elf.c).
    let stack = elf.program_headers.iter().any(|segment| segment.p_type == program_header::PT_GNU_STACK);
    ensure!(stack || machine != header::EM_ARM, "gets an executable stack for want of a PT_GNU_STACK header");
    for section in &elf.section_headers {
        if let section_header::SHT_REL | section_header::SHT_RELA | section_header::SHT_DYNAMIC =
            section.sh_type
        {
            let name = elf.shdr_strtab.get_at(section.sh_name).unwrap_or("?");
            ensure!(section.sh_size == 0, "has relocations or dynamic linking: section {name}");
        }
    }
    let entry = elf.header.e_entry;
    let executable = |segment: &program_header::ProgramHeader| {
        segment.p_type == program_header::PT_LOAD
            && segment.is_executable()
            && segment.vm_range().contains(&(entry as usize))
    };
    ensure!(elf.program_headers.iter().any(executable), "the entry {entry:#x} is not in code");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: u16 = if cfg!(target_arch = "x86_64") { header::EM_X86_64 } else { header::EM_AARCH64 };

    /// The control: this test program is itself dynamic and relocated, and must not pass.
    #[test]
    fn a_dynamic_program_does_not_pass() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(check(&own, HOST).unwrap_err().to_string(), "type DYN, not EXEC");
    }

    #[test]
    fn another_machine_and_another_kind_of_file_do_not_pass() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(check(&own, header::EM_MIPS).unwrap_err().to_string().starts_with("made for machine"));
        assert_eq!(check(b"#!/bin/sh\n", HOST).unwrap_err().to_string(), "not an ELF file");
    }
}
