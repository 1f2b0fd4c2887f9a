use rustix::io::Errno;

use crate::ports::{PortNo, Ports};

use super::super::MonitorError;
use super::super::engine::{Changes, Engine};
use super::kernel::{FakeKernel, Fault, Item, message};
use super::listing;

/// A kernel with the datapath `ovs-system` and the ports `a` and `b`.
fn kernel() -> FakeKernel {
    let mut kernel = FakeKernel::new();
    kernel.add_datapath(2, "ovs-system");
    kernel.set_port((2, 1), "a");
    kernel.set_port((2, 2), "b");
    kernel
}

/// An engine that has dumped that.
fn started() -> (Engine<FakeKernel>, Ports) {
    let mut ports = Ports::default();
    let mut engine = Engine::start(kernel()).unwrap();
    assert_eq!(engine.update(&mut ports).unwrap(), Changes { dumps: 1, ..Changes::default() });
    assert_eq!(listing(&ports), ["ovs-system: 0 ovs-system, 1 a, 2 b"]);
    (engine, ports)
}

#[track_caller]
fn update(engine: &mut Engine<FakeKernel>, ports: &mut Ports) -> Changes {
    let changes = engine.update(ports).unwrap();
    assert_eq!(without_types(ports), engine.link.listing());
    changes
}

/// The fake kernel says nothing of types and devices; the local port has them nevertheless.
fn without_types(ports: &Ports) -> Vec<String> {
    let line = |line: String| {
        let (datapath, ports) = line.split_once(": ").unwrap();
        let ports = ports.split(", ").map(|port| port.splitn(3, ' ').take(2).collect::<Vec<_>>());
        let ports: Vec<_> = ports.map(|words| words.join(" ")).collect();
        format!("{datapath}: {}", ports.join(", "))
    };
    listing(ports).into_iter().map(line).collect()
}

#[test]
fn without_a_change_nothing_is_asked() {
    let (mut engine, mut ports) = started();
    assert_eq!(update(&mut engine, &mut ports), Changes::default());
    assert_eq!(engine.link.dumps, 1);
}

#[test]
fn changes_are_followed_without_a_dump() {
    let (mut engine, mut ports) = started();
    engine.link.remove_port((2, 1));
    engine.link.set_port((2, 1), "c");
    engine.link.set_port((2, 2), "b2");
    engine.link.add_datapath(9, "other");
    engine.link.set_port((9, 7), "a");
    let changes = update(&mut engine, &mut ports);
    assert_eq!(changes, Changes { announced: 5, ..Changes::default() });
    let other = ports.find(b"other").unwrap();
    assert_eq!(ports.number(other, b"a"), Some(PortNo(7)));
}

#[test]
fn a_datapath_created_again_has_its_id_and_no_old_port() {
    let (mut engine, mut ports) = started();
    let before = ports.find(b"ovs-system").unwrap();
    engine.link.delete_datapath(2);
    update(&mut engine, &mut ports);
    assert_eq!(ports.name(before, PortNo(1)), Some("a"), "its upcalls may be on their way");
    engine.link.add_datapath(3, "ovs-system");
    update(&mut engine, &mut ports);
    assert_eq!(ports.find(b"ovs-system"), Some(before));
    assert_eq!(engine.datapaths(), 1);
}

#[test]
fn after_a_loss_everything_is_dumped() {
    let (mut engine, mut ports) = started();
    engine.link.remove_port((2, 1));
    engine.link.delete_datapath(2);
    engine.link.add_datapath(5, "ovs-system");
    engine.link.lose();
    let changes = update(&mut engine, &mut ports);
    assert_eq!(changes, Changes { dumps: 1, losses: 1, ..Changes::default() });
}

#[test]
fn what_goes_wrong_with_a_dump_makes_another() {
    let added = Fault::Added((2, 5), "e".into());
    for fault in [Fault::Loss, Fault::Interrupted, added, Fault::Deleted, Fault::Unfinished] {
        let mut kernel = kernel();
        kernel.add_datapath(8, "second");
        kernel.faults.push_back(fault.clone());
        let (mut engine, mut ports) = (Engine::start(kernel).unwrap(), Ports::default());
        assert_eq!(update(&mut engine, &mut ports).dumps, 2, "{fault:?}");
    }
}

#[test]
fn a_dump_that_does_not_end_is_left_to_the_next_update() {
    let mut kernel = kernel();
    kernel.faults.extend(std::iter::repeat_n(Fault::Unfinished, 7));
    let (mut engine, mut ports) = (Engine::start(kernel).unwrap(), Ports::default());
    let changes = engine.update(&mut ports).unwrap();
    assert_eq!(changes.dumps, 5);
    assert!(ports.is_empty());
    assert_eq!(update(&mut engine, &mut ports).dumps, 3);
}

#[test]
fn a_failed_dump_leaves_the_table_as_it_was() {
    let (mut engine, mut ports) = started();
    engine.want_dump();
    engine.link.faults.extend(std::iter::repeat_n(Fault::Interrupted, 5));
    update(&mut engine, &mut ports);
}

#[test]
fn a_refusal_is_an_error_that_the_next_update_overcomes() {
    let mut kernel = kernel();
    kernel.faults.push_back(Fault::Refused(Errno::PERM));
    let (mut engine, mut ports) = (Engine::start(kernel).unwrap(), Ports::default());
    let error = engine.update(&mut ports).unwrap_err();
    assert!(matches!(error, MonitorError::NotAllowed { .. }), "{error}");
    assert_eq!(update(&mut engine, &mut ports).dumps, 2, "the failed one counts");
}

#[test]
fn a_port_of_a_datapath_that_was_not_announced_leads_to_a_dump() {
    let (mut engine, mut ports) = started();
    engine.link.add_datapath(9, "other");
    engine.link.queue.clear();
    engine.link.set_port((9, 1), "x");
    assert_eq!(update(&mut engine, &mut ports).dumps, 1);
}

#[test]
fn a_module_that_is_unloaded_and_loaded_again_is_followed() {
    let (mut engine, mut ports) = started();
    engine.link.unload();
    update(&mut engine, &mut ports);
    assert_eq!(engine.datapaths(), 0);
    assert_eq!(update(&mut engine, &mut ports), Changes::default(), "it is not loaded by asking");

    engine.link.load(50, 51);
    update(&mut engine, &mut ports);
    engine.link.add_datapath(4, "again");
    engine.link.set_port((4, 1), "a");
    assert_eq!(update(&mut engine, &mut ports).announced, 2);
}

#[test]
fn a_module_whose_loading_was_not_announced_is_found_by_a_dump() {
    let (mut engine, mut ports) = started();
    engine.link.unload();
    engine.link.load(50, 51);
    engine.link.add_datapath(4, "again");
    engine.link.lose();
    update(&mut engine, &mut ports);
    engine.link.set_port((4, 1), "a");
    assert_eq!(update(&mut engine, &mut ports).announced, 1);
}

#[test]
fn without_the_module_nothing_starts() {
    let error = Engine::start(FakeKernel::default()).err().unwrap();
    assert!(matches!(error, MonitorError::NoOpenvswitch), "{error}");
}

#[test]
fn messages_that_cannot_be_understood_are_counted() {
    let (mut engine, mut ports) = started();
    for (family, payload) in [(35, &[1, 1, 0, 0, 9][..]), (36, &[77, 1, 0, 0]), (99, b"other")] {
        engine.link.queue.push_back(Item::Datagram(message(family, 0, 0, 0, payload)));
    }
    let changes = update(&mut engine, &mut ports);
    assert_eq!(changes, Changes { unreadable: 2, ..Changes::default() });
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        AddDatapath(i32, u8),
        DeleteDatapath(i32),
        SetPort(i32, u32, u8),
        RemovePort(i32, u32),
        Lose,
        Fault(Fault),
        Reload,
        Update,
    }

    fn step() -> impl Strategy<Value = Step> {
        let (dp, number, name) = (1..4i32, 0..5u32, 0..4u8);
        let added = |(dp, number)| Fault::Added((dp, number), format!("late{number}"));
        let fault = prop_oneof![
            Just(Fault::Loss),
            Just(Fault::Interrupted),
            Just(Fault::Deleted),
            Just(Fault::Unfinished),
            (1..4i32, 5..8u32).prop_map(added),
        ];
        prop_oneof![
            3 => (dp.clone(), 0..3u8).prop_map(|(dp, name)| Step::AddDatapath(dp, name)),
            1 => dp.clone().prop_map(Step::DeleteDatapath),
            6 => (dp.clone(), number.clone(), name).prop_map(|(d, n, name)| Step::SetPort(d, n, name)),
            2 => (dp, number).prop_map(|(dp, number)| Step::RemovePort(dp, number)),
            1 => Just(Step::Lose),
            1 => fault.prop_map(Step::Fault),
            1 => Just(Step::Reload),
            3 => Just(Step::Update),
        ]
    }

    /// Does what a kernel would let happen.
    fn happen(kernel: &mut FakeKernel, step: Step) {
        match step {
            Step::AddDatapath(dp, name) => {
                let name = format!("dp{name}");
                let is_new = kernel.datapaths.values().all(|other| *other != name);
                if is_new && !kernel.datapaths.contains_key(&dp) {
                    kernel.add_datapath(dp, &name);
                }
            }
            Step::DeleteDatapath(dp) if kernel.datapaths.contains_key(&dp) => {
                kernel.delete_datapath(dp);
            }
            Step::SetPort(dp, number, name) if kernel.datapaths.contains_key(&dp) && number > 0 => {
                let name = format!("p{name}");
                let has_it = |((of, other), held): (&(i32, u32), &String)| {
                    *of == dp && *other != number && *held == name
                };
                if !kernel.ports.iter().any(has_it) {
                    kernel.set_port((dp, number), &name);
                }
            }
            Step::RemovePort(dp, number)
                if number > 0 && kernel.ports.contains_key(&(dp, number)) =>
            {
                kernel.remove_port((dp, number));
            }
            Step::Lose => kernel.lose(),
            Step::Fault(Fault::Added((dp, _), _)) if !kernel.datapaths.contains_key(&dp) => {}
            Step::Fault(fault) if kernel.faults.is_empty() => kernel.faults.push_back(fault),
            Step::Reload => {
                let (_, vport) = kernel.families.unwrap();
                kernel.faults.clear();
                kernel.unload();
                kernel.load(vport + 1, vport + 2);
            }
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn whatever_happens_the_table_becomes_the_kernels(
            steps in proptest::collection::vec(step(), 0..60),
        ) {
            let (mut engine, mut ports) = (Engine::start(kernel()).unwrap(), Ports::default());
            for step in steps {
                match step {
                    Step::Update => { update(&mut engine, &mut ports); }
                    step => {
                        // A fault that waits was made for the kernel as it was.
                        if !matches!(step, Step::Lose) {
                            engine.link.faults.clear();
                        }
                        happen(&mut engine.link, step);
                    }
                }
            }
            update(&mut engine, &mut ports);
            for datapath in ports.datapaths().collect::<Vec<_>>() {
                for (number, name) in ports.present(datapath) {
                    prop_assert_eq!(ports.number(datapath, name), Some(number));
                }
            }
        }
    }
}
