//! vswitchds come and go.

use std::num::NonZeroU32;

use upspan::source::live::targets::{Targets, TargetsError};
use upspan::source::live::uprobe::Method;
use upspan::source::live::usdt::process::Procfs;

use super::capture::Loaded;
use super::found;
use super::memory::is_probed;
use super::vswitchd::{Build, Running};

fn targets(only: Option<&Running>) -> Targets {
    Targets::new(only.and_then(|running| NonZeroU32::new(running.pid().0)))
}

/// How many of the events are of this process: other tests run theirs meanwhile.
fn events_of(loaded: &mut Loaded, running: &Running) -> usize {
    loaded.events().iter().filter(|event| event.pid == running.pid().0).count()
}

#[test]
fn all_vswitchds_are_probed_and_those_that_come_later() {
    let mut loaded = Loaded::new(Method::Multi);
    let mut first = Running::start(Build::Program);
    let mut targets = targets(None);
    targets.start(&mut loaded.programs).expect("there is one at least");
    first.order("h");
    assert_eq!(events_of(&mut loaded, &first), 3);

    let mut second = first.another();
    targets.follow(&mut loaded.programs);
    second.order("h");
    assert_eq!(events_of(&mut loaded, &second), 3);

    let mut third = Running::start(Build::SharedLibrary);
    first.end();
    targets.follow(&mut loaded.programs);
    third.order("h");
    assert_eq!(events_of(&mut loaded, &third), 3);
    second.order("h");
    assert_eq!(events_of(&mut loaded, &second), 3);
}

#[test]
fn only_the_process_that_is_named_is_probed() {
    let mut loaded = Loaded::new(Method::Multi);
    let mut named = Running::start(Build::Program);
    let mut other = named.another();
    let mut targets = targets(Some(&named));
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
    let mut targets = targets(Some(&running));
    targets.start(&mut loaded.programs).expect("it has one probe");
    running.order("0");
    assert_eq!(loaded.events().len(), 1);
}

#[test]
fn what_cannot_be_probed_is_refused_with_advice() {
    let mut loaded = Loaded::new(Method::Multi);
    let without = Running::start(Build::WithoutProbes);
    let error = targets(Some(&without)).start(&mut loaded.programs).expect_err("it has none");
    assert!(matches!(error, TargetsError::Find(_)), "{error}");
    assert!(error.to_string().contains("--enable-usdt-probes"), "{error}");

    let this = NonZeroU32::new(std::process::id());
    let error = Targets::new(this).start(&mut loaded.programs).expect_err("it is a test");
    assert!(error.to_string().contains("not ovs-vswitchd"), "{error}");
}

#[test]
fn a_node_without_vswitchd_is_called_so() {
    let empty = tempfile::tempdir().expect("there is space");
    let mut loaded = Loaded::new(Method::Multi);
    let mut targets = Targets::of(Procfs::new(empty.path()), None);
    let error = targets.start(&mut loaded.programs).expect_err("there is none");
    insta::assert_snapshot!(error, @"no ovs-vswitchd is running on this node: start it (on Debian: systemctl start openvswitch-switch); in a container, share the host's PID namespace (hostPID: true)");
}
