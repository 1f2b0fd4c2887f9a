//! USDT probes are found in programs that were compiled and run for it, and the BPF programs are
//! attached to them. That takes root and a kernel with BPF.
#![cfg(target_os = "linux")]

#[cfg(target_arch = "x86_64")]
mod arguments;
mod attach;
mod capture;
mod faults;
mod follow;
mod memory;
mod rights;
mod vswitchd;

use std::fs;
use std::os::unix::fs::FileExt;

use upspan::source::live::usdt::machine::Machine;
use upspan::source::live::usdt::probes::{FindError, Probe, ProbeKind, Probes, find};
use upspan::source::live::usdt::process::{ProcessError, Procfs};

use vswitchd::{Build, Running};

fn found(running: &Running) -> Probes {
    let process = Procfs::default().vswitchd(running.pid()).expect("it is a vswitchd");
    find(&process).expect("it has probes")
}

/// The bytes of a probe's file at `offset`, through the path by which uprobes are attached.
fn bytes<const LEN: usize>(probe: &Probe, offset: u64) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    let file = fs::File::open(probe.file.attach_path()).expect("the path can be opened");
    file.read_exact_at(&mut bytes, offset).expect("the offset is in the file");
    bytes
}

/// All probes are in the file of this name, at `nop`s.
fn assert_all_found(probes: &Probes, file: &str) {
    assert!(probes.faults.is_empty(), "{:?}", probes.faults);
    assert_eq!(probes.missing().count(), 0);
    let count = |kind| probes.found.iter().filter(|probe| probe.kind == kind).count();
    assert_eq!(ProbeKind::ALL.map(count), [2, 1, 1]);
    for probe in &probes.found {
        assert!(probe.file.path().ends_with(file), "{:?}", probe.file);
        match probe.machine {
            Machine::X86_64 => assert_eq!(bytes(probe, probe.offset.0), [0x90]),
            Machine::Aarch64 => {
                assert_eq!(bytes(probe, probe.offset.0), 0xd503_201f_u32.to_le_bytes());
            }
        }
        let sizes: Vec<_> = probe
            .arguments
            .iter()
            .map(|argument| (argument.size.bytes(), argument.signed))
            .collect();
        let pointer = (8, false);
        let expected = match probe.kind {
            ProbeKind::RecvUpcall => {
                vec![pointer, (4, true), pointer, (4, false), pointer, (8, false)]
            }
            ProbeKind::FlowPut => vec![pointer; 4],
            ProbeKind::FlowExecute => vec![pointer, pointer, pointer, (4, false), pointer],
        };
        assert_eq!(sizes, expected, "{:?}", probe.arguments);
    }
    let mut offsets: Vec<_> = probes.found.iter().map(|probe| probe.offset).collect();
    offsets.sort();
    offsets.dedup();
    assert_eq!(offsets.len(), 4, "each has a place of its own");
}

fn can_open_mapped_files() -> bool {
    let files = fs::read_dir("/proc/self/map_files").expect("there is a procfs");
    files.flatten().any(|file| fs::File::open(file.path()).is_ok())
}

#[test]
fn probes_of_a_program_are_found() {
    let running = Running::start(Build::Program);
    let probes = found(&running);
    assert_all_found(&probes, "ovs-vswitchd");
    assert_eq!(probes.process.pid, running.pid());
    assert!(probes.found.iter().all(|probe| probe.semaphore.is_none()));
}

#[test]
fn probes_of_a_shared_library_are_found() {
    let running = Running::start(Build::SharedLibrary);
    assert_all_found(&found(&running), "libofproto.so");
}

#[test]
fn semaphores_are_found() {
    let running = Running::start(Build::WithSemaphores);
    let probes = found(&running);
    assert_all_found(&probes, "ovs-vswitchd");
    for probe in &probes.found {
        let semaphore = probe.semaphore.expect("it has one");
        assert_eq!(bytes(probe, semaphore.0), 0x5d17_u16.to_le_bytes());
    }
}

#[test]
fn probes_are_found_after_the_files_were_replaced() {
    for (build, file) in [(Build::Program, "ovs-vswitchd"), (Build::SharedLibrary, "libofproto.so")]
    {
        let running = Running::start(build);
        let path = running.dir().join(file);
        fs::remove_file(&path).expect("it is there");
        fs::write(&path, "another version").expect("there is space");
        let process = Procfs::default().vswitchd(running.pid()).expect("it is a vswitchd");
        match find(&process) {
            Ok(probes) => assert_all_found(&probes, file),
            // A library that was replaced takes a capability that the tests may not have.
            Err(FindError::Unusable { .. }) => {
                assert_eq!(file, "libofproto.so");
                assert!(!can_open_mapped_files());
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_program_without_probes_is_called_so() {
    let running = Running::start(Build::WithoutProbes);
    let process = Procfs::default().vswitchd(running.pid()).expect("it is a vswitchd");
    let error = find(&process).expect_err("it has none");
    assert!(matches!(error, FindError::None { .. }), "{error}");
    assert!(error.to_string().contains("--enable-usdt-probes"), "{error}");
}

#[test]
fn running_vswitchds_are_found_until_they_end() {
    let running = Running::start(Build::Program);
    let pid = running.pid();
    let procfs = Procfs::default();
    let found = procfs.vswitchds().expect("there is a procfs");
    let process = found.readable.iter().find(|process| process.id().pid == pid);
    let process = process.expect("it is found");
    assert_eq!(process.id(), procfs.vswitchd(pid).expect("it runs").id());
    assert!(process.is_running().expect("it is readable"));

    running.end();
    assert!(!process.is_running().expect("it is readable"));
    assert!(matches!(find(process), Err(FindError::Process(ProcessError::NotRunning(_)))));
}
