//! Probes of made-up processes that map real notes.

use super::super::address::Address;
use super::super::argument::{Location, Size};
use super::super::made::{BOOKWORM_NOTES, TRIXIE_NOTES, bookworm, note_bytes, trixie};
use super::super::process::Pid;
use super::super::process::tests::MadeProcfs;
use super::*;

const PROGRAM: &str = "/usr/sbin/ovs-vswitchd";
const LIBRARY: &str = "/usr/lib/libofproto-3.5.so.0";

/// A process 812 that maps these files.
fn mapping(files: &[(&str, Vec<u8>)]) -> MadeProcfs {
    let made = MadeProcfs::new();
    made.add(812, "ovs-vswitchd", Some(PROGRAM));
    for (inode, (path, bytes)) in (1..).zip(files) {
        made.map(812, inode, path);
        made.map_file(812, inode, bytes);
    }
    made
}

fn search(made: &MadeProcfs) -> Result<Probes, FindError> {
    find(&made.procfs().vswitchd(Pid(812)).unwrap())
}

/// A note of `recv_upcall`, 1 byte beyond the last one.
fn recv_upcall(index: u64, arguments: &str) -> Vec<u8> {
    note_bytes(&Note {
        provider: "dpif_recv".to_owned(),
        name: "recv_upcall".to_owned(),
        location: Address(0x24000 + index),
        base: Address(0),
        semaphore: None,
        arguments: arguments.to_owned(),
    })
}

const SIX: &str = "8@%rdx 4@%ecx 8@%rax 4@12(%rbx) 8@568(%rbx) 8@576(%rbx)";

#[test]
fn the_probes_of_real_builds_are_found() {
    for (file, offsets) in [
        (bookworm(BOOKWORM_NOTES.to_vec()), [0xa96f9, 0x0017_7f8c, 0x0017_825f]),
        (trixie(TRIXIE_NOTES.to_vec()), [0xad5d9, 0x0018_2d3c, 0x0018_300f]),
    ] {
        let probes = search(&mapping(&[(PROGRAM, file.bytes())])).unwrap();
        assert_eq!(probes.process.pid, Pid(812));
        assert!(probes.faults.is_empty());
        assert_eq!(probes.missing().count(), 0);
        let found: Vec<_> = probes.found.iter().map(|probe| (probe.kind, probe.offset.0)).collect();
        let expected: Vec<_> = ProbeKind::ALL.into_iter().zip(offsets).collect();
        assert_eq!(found, expected);
        let execute = &probes.found[2];
        assert_eq!(execute.file.path().to_str(), Some(PROGRAM));
        assert_eq!(execute.arguments[3].size, Size::Four);
        // 12(%rdx)
        let Location::Memory { base, displacement: 12, index: None } =
            execute.arguments[3].location
        else {
            panic!("{:?}", execute.arguments[3])
        };
        assert_eq!(base.offset(), 96);
    }
}

#[test]
fn probes_of_shared_libraries_are_found() {
    let files = [
        (PROGRAM, bookworm(vec![]).bytes()),
        ("/usr/lib/locale.archive", b"no ELF file".to_vec()),
        (LIBRARY, trixie(TRIXIE_NOTES.to_vec()).bytes()),
    ];
    let probes = search(&mapping(&files)).unwrap();
    assert_eq!(probes.found.len(), 3);
    assert!(probes.found.iter().all(|probe| probe.file.path().to_str() == Some(LIBRARY)));
    assert!(probes.faults.is_empty());
}

#[test]
fn a_probe_may_be_at_several_places_and_others_at_none() {
    let notes = [recv_upcall(1, SIX), recv_upcall(2, SIX)].concat();
    let probes = search(&mapping(&[(PROGRAM, bookworm(notes).bytes())])).unwrap();
    let offsets: Vec<_> = probes.found.iter().map(|probe| probe.offset.0).collect();
    assert_eq!(offsets, [0x24001, 0x24002]);
    let missing: Vec<_> = probes.missing().map(|kind| kind.to_string()).collect();
    assert_eq!(
        missing,
        ["dpif_netlink_operate__:op_flow_put", "dpif_netlink_operate__:op_flow_execute"]
    );
}

#[test]
fn places_that_cannot_be_used_are_reported_beside_those_that_can() {
    let notes = [recv_upcall(1, SIX), recv_upcall(2, "8@x(%rip)"), recv_upcall(3, "8@%rax")];
    let made = mapping(&[(PROGRAM, bookworm(notes.concat()).bytes())]);
    made.map(812, 77, LIBRARY);
    let probes = search(&made).unwrap();
    assert_eq!(probes.found.len(), 1);
    let faults: Vec<_> = probes.faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        faults,
        [
            "cannot use the probe dpif_recv:recv_upcall of /usr/sbin/ovs-vswitchd: argument 1 \
             (\"8@x(%rip)\") is at a symbol or relative to the instruction pointer, which cannot \
             be resolved here",
            "cannot use the probe dpif_recv:recv_upcall of /usr/sbin/ovs-vswitchd: it has 1 \
             arguments instead of 6, as no known version of Open vSwitch has",
            "cannot open /usr/lib/libofproto-3.5.so.0: No such file or directory (os error 2)",
        ]
    );
}

#[test]
fn a_build_without_probes_is_called_so() {
    let files = [PROGRAM, LIBRARY, "/usr/lib/a.so", "/usr/lib/b.so", "/usr/lib/c.so"];
    let files = files.map(|path| (path, bookworm(vec![]).bytes()));
    assert_eq!(
        search(&mapping(&files)).unwrap_err().to_string(),
        "process 812 has no USDT probes: /usr/sbin/ovs-vswitchd was built without \
         --enable-usdt-probes (looked at /usr/sbin/ovs-vswitchd, /usr/lib/libofproto-3.5.so.0, \
         /usr/lib/a.so, and 2 more): install a build that has them, or capture without"
    );
}

#[test]
fn without_a_usable_place_the_error_says_why() {
    let notes = [recv_upcall(0x1_0000_0000, SIX), recv_upcall(2, "")].concat();
    let made = mapping(&[(PROGRAM, bookworm(notes).bytes())]);
    assert_eq!(
        search(&made).unwrap_err().to_string(),
        "process 812 has no USDT probes that can be used: cannot use the probe \
         dpif_recv:recv_upcall of /usr/sbin/ovs-vswitchd: its address 0x100024000 is in no \
         executable segment of the file (and 1 more like this)"
    );
    let mut damaged = bookworm(vec![]).bytes();
    damaged.truncate(100);
    let error = search(&mapping(&[(PROGRAM, damaged)])).unwrap_err().to_string();
    let start = "process 812 has no USDT probes that can be used: cannot read the USDT probes of \
                 /usr/sbin/ovs-vswitchd: it is damaged, or cannot be read: ";
    assert!(error.starts_with(start), "{error}");
}

#[test]
fn a_program_with_very_many_places_is_refused() {
    let notes: Vec<_> = (0..65).flat_map(|index| recv_upcall(index, SIX)).collect();
    let made = mapping(&[(PROGRAM, bookworm(notes).bytes())]);
    assert!(matches!(search(&made), Err(FindError::TooMany(Pid(812)))));
}
