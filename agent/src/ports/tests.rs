use super::*;

fn table() -> (Ports, DatapathId) {
    let mut ports = Ports::default();
    let dp = ports.datapath(b"system@ovs-system").unwrap();
    (ports, dp)
}

fn in_namespace(id: i32) -> PortDetails {
    PortDetails { netns: Some(NetnsId(id)), ..PortDetails::default() }
}

fn present(ports: &Ports, dp: DatapathId) -> Vec<(u32, String)> {
    let text = |name| String::from_utf8_lossy(name).into_owned();
    let mut all: Vec<_> = ports.present(dp).map(|(number, name)| (number.0, text(name))).collect();
    all.sort();
    all
}

#[test]
fn a_removed_port_is_looked_up_until_its_number_is_used_again() {
    let (mut ports, dp) = table();
    ports.set_port(dp, PortNo(1), b"a", PortDetails::default());
    ports.remove_port(dp, PortNo(1));
    assert_eq!(present(&ports, dp), []);
    assert_eq!(ports.number(dp, b"a"), Some(PortNo(1)));
    assert_eq!(ports.name(dp, PortNo(1)), Some("a"));

    ports.set_port(dp, PortNo(1), b"b", PortDetails::default());
    assert_eq!(ports.number(dp, b"a"), None);
    assert_eq!(ports.number(dp, b"b"), Some(PortNo(1)));
    assert_eq!(ports.name(dp, PortNo(1)), Some("b"));
    assert_eq!(present(&ports, dp), [(1, "b".into())]);
}

#[test]
fn a_port_that_comes_back_under_another_number_is_found_there() {
    let (mut ports, dp) = table();
    ports.set_port(dp, PortNo(1), b"a", PortDetails::default());
    ports.remove_port(dp, PortNo(1));
    ports.set_port(dp, PortNo(2), b"a", PortDetails::default());
    assert_eq!(ports.number(dp, b"a"), Some(PortNo(2)));
    assert_eq!(ports.name(dp, PortNo(1)), Some("a"), "upcalls of it may be on their way");
    ports.remove_port(dp, PortNo(2));
    assert_eq!(ports.number(dp, b"a"), Some(PortNo(2)), "the newer of the removed");
    ports.set_port(dp, PortNo(2), b"b", PortDetails::default());
    assert_eq!(ports.number(dp, b"a"), Some(PortNo(1)));
}

#[test]
fn a_rename_takes_the_old_name_away() {
    let (mut ports, dp) = table();
    ports.set_port(dp, PortNo(1), b"a", PortDetails::default());
    ports.set_port(dp, PortNo(1), b"b", PortDetails::default());
    assert_eq!(ports.number(dp, b"a"), None);
    assert_eq!(ports.number(dp, b"b"), Some(PortNo(1)));
}

#[test]
fn two_ports_swap_their_names() {
    let (mut ports, dp) = table();
    let names: [(u32, &[u8]); 4] = [(1, b"a"), (2, b"b"), (1, b"b"), (2, b"a")];
    for (number, name) in names {
        ports.set_port(dp, PortNo(number), name, PortDetails::default());
    }
    assert_eq!(ports.number(dp, b"a"), Some(PortNo(2)));
    assert_eq!(ports.number(dp, b"b"), Some(PortNo(1)));
    assert_eq!(present(&ports, dp), [(1, "b".into()), (2, "a".into())]);
}

#[test]
fn a_name_of_two_namespaces_means_no_port_until_one_of_them_goes() {
    let (mut ports, dp) = table();
    ports.set_port(dp, PortNo(1), b"eth0", in_namespace(5));
    assert_eq!(ports.number(dp, b"eth0"), Some(PortNo(1)));
    ports.set_port(dp, PortNo(2), b"eth0", in_namespace(6));
    assert_eq!(ports.number(dp, b"eth0"), None);
    assert_eq!(ports.name(dp, PortNo(1)), Some("eth0"));
    assert_eq!(ports.name(dp, PortNo(2)), Some("eth0"));
    ports.remove_port(dp, PortNo(1));
    assert_eq!(ports.number(dp, b"eth0"), Some(PortNo(2)));
}

#[test]
fn namespaces_without_an_id_are_not_taken_for_one() {
    let (mut ports, dp) = table();
    ports.set_port(dp, PortNo(1), b"eth0", in_namespace(-1));
    ports.set_port(dp, PortNo(2), b"eth0", in_namespace(-1));
    assert_eq!(ports.number(dp, b"eth0"), None);
    assert_eq!(present(&ports, dp).len(), 2);
}

#[test]
fn a_datapath_that_is_created_again_keeps_its_id_and_its_old_ports_names() {
    let (mut ports, dp) = table();
    ports.add_port(dp, PortNo(0), b"ovs-system");
    ports.add_port(dp, PortNo(1), b"a");
    ports.remove_ports(dp);
    assert_eq!(ports.datapath(b"ovs-system"), Some(dp));
    ports.add_port(dp, PortNo(0), b"ovs-system");
    assert_eq!(present(&ports, dp), [(0, "ovs-system".into())]);
    assert_eq!(ports.name(dp, PortNo(1)), Some("a"));
}

#[test]
fn removed_ports_make_room_for_new_ones() {
    let (mut ports, dp) = table();
    for number in 0..Ports::MAX_PORTS as u32 {
        ports.add_port(dp, PortNo(number), format!("p{number}").as_bytes());
    }
    let new = PortNo(Ports::MAX_PORTS as u32);
    ports.set_port(dp, new, b"new", PortDetails::default());
    assert_eq!(ports.name(dp, new), None);
    ports.remove_port(dp, PortNo(7));
    ports.set_port(dp, new, b"new", PortDetails::default());
    assert_eq!(ports.number(dp, b"new"), Some(new));
    assert_eq!(ports.number(dp, b"p7"), None);
    ports.set_port(dp, PortNo(8), b"renamed", PortDetails::default());
    assert_eq!(ports.name(dp, PortNo(8)), Some("renamed"), "a full table can be changed");
}

#[test]
fn details_are_kept_and_follow_the_port() {
    let (mut ports, dp) = table();
    let details = PortDetails {
        port_type: Some(PortType::from_number(2)),
        ifindex: Some(IfIndex(12)),
        netns: None,
    };
    ports.set_port(dp, PortNo(1), b"a", details);
    assert_eq!(ports.details(dp, PortNo(1)), Some(details));
    assert_eq!(ports.details(dp, PortNo(2)), None);
}

#[test]
fn port_types_have_the_kernels_numbers() {
    let names: Vec<_> = (0..7).map(|number| PortType::from_number(number).to_string()).collect();
    let expected = ["unknown(0)", "netdev", "internal", "gre", "vxlan", "geneve", "unknown(6)"];
    assert_eq!(names, expected);
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Set(u32, u8, Option<i32>),
        Remove(u32),
        RemoveAll,
    }

    fn step() -> impl Strategy<Value = Step> {
        let netns = proptest::option::of(-1..2);
        prop_oneof![
            6 => (0..6u32, 0..4u8, netns).prop_map(|(number, name, ns)| Step::Set(number, name, ns)),
            3 => (0..6u32).prop_map(Step::Remove),
            1 => Just(Step::RemoveAll),
        ]
    }

    proptest! {
        #[test]
        fn a_name_means_the_only_port_that_has_it(steps in proptest::collection::vec(step(), 0..40)) {
            let (mut ports, dp) = table();
            for step in steps {
                match step {
                    Step::Set(number, name, netns) => {
                        let details = PortDetails { netns: netns.map(NetnsId), ..PortDetails::default() };
                        ports.set_port(dp, PortNo(number), &[b'a' + name], details);
                    }
                    Step::Remove(number) => ports.remove_port(dp, PortNo(number)),
                    Step::RemoveAll => ports.remove_ports(dp),
                }
                for name in 0..4 {
                    let name = [b'a' + name];
                    let having: Vec<_> =
                        ports.present(dp).filter(|port| port.1 == name).map(|port| port.0).collect();
                    let found = ports.number(dp, &name);
                    match having[..] {
                        [only] => prop_assert_eq!(found, Some(only)),
                        // Only removed ports can have it.
                        [] => if let Some(number) = found {
                            prop_assert_eq!(ports.name(dp, number).map(str::as_bytes), Some(&name[..]));
                        },
                        _ => prop_assert_eq!(found, None),
                    }
                }
            }
        }
    }
}
