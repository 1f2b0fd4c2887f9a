//! vswitchds come and go.

use std::num::NonZeroU32;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;
use upspan::source::live::targets::{Targets, TargetsError};
use upspan::source::live::uprobe::Method;
use upspan::source::live::usdt::process::Procfs;

use super::capture::Loaded;
use super::found;
use super::memory::is_probed;
use super::vswitchd::{Build, Running};

/// A procfs with some processes only: programs of other tests are to be left alone.
struct Processes(TempDir);

impl Processes {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("there is space"))
    }

    fn add(&self, running: &Running) {
        let pid = running.pid().to_string();
        let link = symlink(Path::new("/proc").join(&pid), self.0.path().join(pid));
        link.expect("it is not there yet");
    }

    fn targets(&self) -> Targets {
        Targets::of(Procfs::new(self.0.path()), None)
    }
}

fn only(running: &Running) -> Targets {
    Targets::new(NonZeroU32::new(running.pid().0))
}

/// Of which processes the events are.
fn pids(loaded: &mut Loaded) -> Vec<u32> {
    loaded.events().iter().map(|event| event.pid).collect()
}

#[test]
fn all_vswitchds_are_probed_and_those_that_come_later() {
    let processes = Processes::new();
    let mut loaded = Loaded::new(Method::Multi);
    let mut first = Running::start(Build::Program);
    processes.add(&first);
    let mut targets = processes.targets();
    targets.start(&mut loaded.programs).expect("there is one");
    first.order("h");
    assert_eq!(pids(&mut loaded), [first.pid().0; 3]);

    let mut second = first.another();
    processes.add(&second);
    targets.follow(&mut loaded.programs);
    second.order("h");
    assert_eq!(pids(&mut loaded), [second.pid().0; 3]);

    let mut third = Running::start(Build::SharedLibrary);
    processes.add(&third);
    first.end();
    targets.follow(&mut loaded.programs);
    third.order("h");
    second.order("h");
    assert_eq!(pids(&mut loaded), [[third.pid().0; 3], [second.pid().0; 3]].concat());
}

#[test]
fn only_the_process_that_is_named_is_probed() {
    let mut loaded = Loaded::new(Method::Multi);
    let mut named = Running::start(Build::Program);
    let mut other = named.another();
    let mut targets = only(&named);
    targets.start(&mut loaded.programs).expect("it runs");
    targets.follow(&mut loaded.programs);
    other.order("h");
    named.order("h");
    assert_eq!(loaded.events().len(), 3);
    let probes = found(&other);
    assert!(!probes.found.iter().any(|probe| is_probed(other.pid(), probe)));
}

#[test]
fn a_process_without_all_probes_is_captured_as_far_as_it_goes() {
    let mut loaded = Loaded::new(Method::Multi);
    let mut running = Running::start(Build::Arguments);
    let mut targets = only(&running);
    targets.start(&mut loaded.programs).expect("it has one probe");
    running.order("0");
    assert_eq!(loaded.events().len(), 1);
}

#[test]
fn what_cannot_be_probed_is_refused_with_advice() {
    let mut loaded = Loaded::new(Method::Multi);
    let without = Running::start(Build::WithoutProbes);
    let error = only(&without).start(&mut loaded.programs).expect_err("it has none");
    assert!(matches!(error, TargetsError::Find(_)), "{error}");
    assert!(error.to_string().contains("--enable-usdt-probes"), "{error}");

    let this = NonZeroU32::new(std::process::id());
    let error = Targets::new(this).start(&mut loaded.programs).expect_err("it is a test");
    assert!(error.to_string().contains("not ovs-vswitchd"), "{error}");
}

#[test]
fn a_node_without_vswitchd_is_called_so() {
    let mut loaded = Loaded::new(Method::Multi);
    let nobody = Processes::new();
    let mut targets = nobody.targets();
    let error = targets.start(&mut loaded.programs).expect_err("there is none");
    insta::assert_snapshot!(error, @"no ovs-vswitchd is running on this node: start it (on Debian: systemctl start openvswitch-switch); in a container, share the host's PID namespace (hostPID: true)");
}
