//! Events of a recording, as upspan counts them and as Open vSwitch's upcall_cost.py does.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;
use upspan::event::EventKind;

/// Usable events, events, and lost ones, of each kind of which there are any.
pub type Counts = BTreeMap<&'static str, [u64; 3]>;

/// What `upspan`, a command without arguments, counts.
///
/// # Errors
/// It fails, or its report lacks the counts.
pub fn ours(mut upspan: Command, recording: &Path) -> anyhow::Result<Counts> {
    let report = stdout(upspan.args(["report", "--format", "json"]).arg(recording))?;
    let report: Value = serde_json::from_str(&report)?;
    let mut counts = Counts::new();
    for kind in EventKind::ALL {
        let of_kind = &report["counts"][kind.name()];
        let count = |name| of_kind[name].as_u64().with_context(|| format!("no {name} of {kind}"));
        let of_kind = [count("valid")?, count("total")?, count("miss")?];
        if of_kind[1] > 0 {
            counts.insert(kind.name(), of_kind);
        }
    }
    Ok(counts)
}

/// What the script prints, such as `  dpif_recv__recv_upcall   :   67/   67 [   0]`. `venv` is the
/// folder that tests/benches/setup makes, with the script and what it needs.
///
/// # Errors
/// It fails, or prints something else.
pub fn theirs(venv: &Path, recording: &Path) -> anyhow::Result<Counts> {
    let mut script = Command::new(venv.join("bin/python"));
    script.arg(venv.join("upcall_cost.py")).args(["--quiet", "--read-events"]).arg(recording);
    let printed = stdout(&mut script)?;
    let (_, lines) = printed
        .split_once("=> Events received per type")
        .context("the script printed no counts")?;
    let mut counts = Counts::new();
    for (label, numbers) in lines.lines().skip(1).map_while(|line| line.split_once(':')) {
        let kind = EventKind::ALL.into_iter().find(|kind| kind.label() == label.trim());
        let kind = kind.with_context(|| format!("the script counts {label}"))?;
        let numbers = numbers.split(|c: char| !c.is_ascii_digit()).filter(|text| !text.is_empty());
        let numbers = numbers.map(str::parse).collect::<Result<Vec<u64>, _>>()?;
        let numbers = numbers.try_into().map_err(|_| anyhow::anyhow!("three counts of {kind}"))?;
        counts.insert(kind.name(), numbers);
    }
    Ok(counts)
}

fn stdout(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}: {said}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}
