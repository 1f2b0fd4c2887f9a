//! What is refused for lack of rights says which would do.

use std::process::Command;
use std::thread;

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
use upspan::source::live::programs::Programs;
use upspan::source::live::uprobe::Method;
use upspan_tests::upspan;

use super::capture::{CONFIG, Loaded};
use super::found;
use super::vswitchd::{Build, Running};

/// Does something on a thread with these capabilities only.
fn with<T: Send>(effective: CapabilitySet, run: impl FnOnce() -> T + Send) -> T {
    let limited = || {
        let all = capabilities(None).expect("it is our own thread");
        set_capabilities(None, CapabilitySets { effective, ..all }).expect("root has all of them");
        run()
    };
    thread::scope(|scope| scope.spawn(limited).join()).unwrap_or_else(|panic| {
        std::panic::resume_unwind(panic);
    })
}

const BPF: CapabilitySet = CapabilitySet::BPF;
const PERFMON: CapabilitySet = CapabilitySet::PERFMON;

#[test]
fn two_capabilities_are_enough_for_uprobe_multi() {
    let mut running = Running::start(Build::Program);
    let probes = found(&running);
    let (mut loaded, _attached) = with(BPF | PERFMON, || {
        // The best method of this kernel is found without others, too.
        let programs = Programs::load(&CONFIG);
        let loaded = Loaded::of(programs.unwrap_or_else(|error| panic!("{error}")));
        let attached = loaded.attach(&probes);
        (loaded, attached)
    });
    running.order("h");
    assert_eq!(loaded.events().len(), 3);
}

#[test]
fn uprobes_of_perf_say_what_they_take() {
    let running = Running::start(Build::Program);
    let probes = found(&running);
    let attached = with(BPF | PERFMON, || Loaded::new(Method::Perf).programs.attach_usdt(&probes));
    for result in attached {
        // Kernels of before this took more (6.16, 6.12.33, 6.1.141, …) are content.
        let Err(error) = result else { continue };
        let error = error.to_string();
        assert!(error.ends_with("this takes root or the capability CAP_SYS_ADMIN"), "{error}");
    }
    let attached =
        with(CapabilitySet::SYS_ADMIN, || Loaded::new(Method::Perf).programs.attach_usdt(&probes));
    assert!(attached.iter().all(Result::is_ok), "{attached:?}");
}

#[test]
fn programs_are_not_loaded_without_rights() {
    for effective in [CapabilitySet::empty(), BPF, PERFMON] {
        let error = with(effective, || Programs::load(&CONFIG).err());
        let error = error.expect("it is refused").to_string();
        assert!(error.contains("CAP_BPF and CAP_PERFMON"), "{error}");
    }
}

#[test]
fn the_agent_says_at_once_what_it_lacks() {
    let agent = upspan();
    let output = Command::new("setpriv")
        .args(["--inh-caps=-all", "--bounding-set=-all"])
        .arg(agent.get_program())
        .args(["run", "--output", "/dev/null"])
        .output()
        .expect("setpriv of util-linux is there");
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(String::from_utf8_lossy(&output.stderr), @"upspan: this process lacks CAP_BPF and CAP_PERFMON: run it as root (sudo upspan …), or grant it CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE; if it is not root, also CAP_DAC_READ_SEARCH; on kernels before 6.6, also CAP_SYS_ADMIN");
}
