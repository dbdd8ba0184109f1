//! The command line of a family's virtual machine. Emulated always, so that it is the same one everywhere.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::family::Family;

/// A machine, and what it boots.
pub struct Machine<'a> {
    pub family: &'a Family,
    pub kernel: &'a Path,
    pub dtb: Option<&'a Path>,
    pub initramfs: &'a Path,
    /// MiB; a family whose machine has one size only has that one.
    pub memory: u64,
    pub processors: u32,
    /// Raw images, read-only.
    pub disks: Vec<PathBuf>,
    /// Appended to the kernel's command line.
    pub arguments: &'a str,
    /// What the console's port is connected to: `stdio`, or `mon:stdio` for QEMU's own keys on top.
    pub serial: &'a str,
}

impl Machine<'_> {
    /// QEMU, to be spawned by the caller. It ends when the machine powers off or reboots.
    pub fn command(&self) -> Result<Command> {
        let qemu = &self.family.qemu;
        let mut command = Command::new(&qemu.system);
        // Kernels patch their own code while they run; a second thread of QEMU's can still be in the old one, and dies of it.
        command.args(&qemu.machine).args(["-accel", "tcg,thread=single", "-nodefaults", "-no-user-config"]);
        command.args(["-display", "none", "-no-reboot"]);
        match &qemu.memory {
            Some(only) => command.args(["-m", only]),
            None => command.args(["-m", &self.memory.to_string(), "-smp", &self.processors.to_string()]),
        };
        let ports = if qemu.serial.is_empty() { &["stdio".to_owned()][..] } else { &qemu.serial };
        for port in ports {
            command.args(["-serial", if port == "stdio" { self.serial } else { port }]);
        }
        command.arg("-kernel").arg(self.kernel).arg("-initrd").arg(self.initramfs);
        if qemu.dtb.is_some() {
            let dtb = self
                .dtb
                .with_context(|| format!("{} needs a device tree beside its kernel", self.family.name()))?;
            command.arg("-dtb").arg(dtb);
        }
        for (number, disk) in self.disks.iter().enumerate() {
            let device = qemu
                .disk
                .as_ref()
                .with_context(|| format!("QEMU's machine for {} takes no disk image", self.family.name()))?;
            // A comma in a value is written twice (qemu(1)).
            let file = disk.to_str().context("the name of a disk image is not UTF-8")?.replace(',', ",,");
            command.arg("-drive").arg(format!("if=none,id=d{number},format=raw,readonly=on,file={file}"));
            command.arg("-device").arg(format!("{device},drive=d{number}"));
        }
        ensure!(!self.arguments.contains('\n'), "the kernel's command line is one line");
        let words = [&format!("console={}", qemu.console), &qemu.arguments, "panic=-1", self.arguments];
        let line: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        command.arg("-append").arg(line.join(" "));
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family;

    fn line(name: &str, disks: Vec<PathBuf>) -> Result<String> {
        let family = family::named(name)?.pop().context("one family")?;
        let machine = Machine {
            family: &family,
            kernel: Path::new("k"),
            dtb: family.qemu.dtb.as_ref().map(|_| Path::new("t")),
            initramfs: Path::new("i"),
            memory: 64,
            processors: 2,
            disks,
            arguments: "quiet -- a b",
            serial: "stdio",
        };
        let command = machine.command()?;
        let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
        Ok(words.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_virtual_machine_has_the_memory_and_the_disks_that_were_asked_for() {
        assert_eq!(
            line("riscv64", vec!["a,b".into()]).unwrap(),
            "-M virt -accel tcg,thread=single -nodefaults -no-user-config -display none -no-reboot -m 64 -smp 2 -serial stdio \
             -kernel k -initrd i -drive if=none,id=d0,format=raw,readonly=on,file=a,,b \
             -device virtio-blk-pci,drive=d0 -append console=ttyS0 panic=-1 quiet -- a b"
        );
    }

    #[test]
    fn a_machine_that_copies_a_board_has_what_the_board_has() {
        assert_eq!(
            line("raspberry-pi", vec![]).unwrap(),
            "-M raspi3b -accel tcg,thread=single -nodefaults -no-user-config -display none -no-reboot -m 1G -serial null \
             -serial stdio -kernel k -initrd i -dtb t -append console=ttyS1 panic=-1 quiet -- a b"
        );
        let refused = line("raspberry-pi", vec!["a".into()]).unwrap_err();
        assert_eq!(refused.to_string(), "QEMU's machine for raspberry-pi takes no disk image");
    }
}
