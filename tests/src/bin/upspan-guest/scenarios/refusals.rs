//! Nothing can be captured: upspan says why and what to do, and ends with the exit code for it.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};

use anyhow::Context;

use super::Place;
use crate::capture::{Probes, Running};
use crate::command::run as command;
use crate::report::Report;
use crate::vswitchd;
use crate::wait::{self, LIMIT};

/// Exit code of an error (docs/operations.md).
const ERROR: i32 = 1;

pub(super) fn run(place: &Place<'_>, report: &mut Report) -> anyhow::Result<()> {
    refuses(place, &["run", "--pid", "1"], "process 1 is \"", report)?;
    refuses(place, &["record", "-w", "/tmp/none", "--pid", "1"], "process 1 is \"", report)?;
    let other = Stranger::start()?;
    let pid = other.0.id().to_string();
    refuses(place, &["run", "--pid", &pid], "--enable-usdt-probes", report)?;
    drop(other);
    let nobody = Command::new(place.upspan).uid(65_534).gid(65_534).arg("run").output()?;
    refused("run as nobody", &nobody, "run it as root", report);

    command("umount /sys/kernel/tracing")?;
    refuses(place, &["run"], "mount -t tracefs tracefs /sys/kernel/tracing", report)?;
    command("mount -t tracefs tracefs /sys/kernel/tracing")?;
    command("mount -t tmpfs none /sys/kernel/btf")?;
    refuses(place, &["run"], "CONFIG_DEBUG_INFO_BTF=y", report)?;
    command("umount /sys/kernel/btf")?;

    vswitchd::kill()?;
    refuses(place, &["run"], "no ovs-vswitchd is running on this node", report)?;
    vswitchd::start()?;
    let mut probes = Probes::default();
    let mut run = Running::start(place.upspan, &[], &mut probes)?;
    run.await_complete(&mut probes, "captures after all of this", report)?;
    run.stop(report)?;
    Ok(())
}

/// With these arguments, it ends, and says this.
pub(super) fn refuses(
    place: &Place<'_>,
    arguments: &[&str],
    says: &str,
    report: &mut Report,
) -> anyhow::Result<()> {
    let output = Command::new(place.upspan).args(arguments).stdin(Stdio::null()).output()?;
    refused(&arguments.join(" "), &output, says, report);
    Ok(())
}

fn refused(name: &str, output: &Output, says: &str, report: &mut Report) {
    let said = String::from_utf8_lossy(&output.stderr);
    let holds = output.status.code() == Some(ERROR) && said.contains(says);
    let detail = format!("{}: {}", output.status, said.trim().replace('\n', " | "));
    report.check(&format!("{name}: says {says}"), holds, detail);
}

/// A program that is called ovs-vswitchd, and has no probes.
struct Stranger(Child);

impl Stranger {
    fn start() -> anyhow::Result<Self> {
        const PATH: &str = "/tmp/ovs-vswitchd";
        fs::copy("/bin/busybox", PATH).context(PATH)?;
        // What busybox does goes by the name that it is given.
        let child = Command::new(PATH).arg0("sleep").arg("600").spawn().context(PATH)?;
        let comm = format!("/proc/{}/comm", child.id());
        let stranger = Self(child);
        wait::until("another ovs-vswitchd", LIMIT, || {
            Ok((fs::read_to_string(&comm)?.trim() == "ovs-vswitchd").then_some(()))
        })?;
        Ok(stranger)
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
