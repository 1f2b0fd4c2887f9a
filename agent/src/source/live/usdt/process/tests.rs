//! Processes of made-up procfs trees, and of this machine.

use std::io::Read;
use std::os::unix::fs::symlink;

use super::*;

/// A directory that looks like procfs.
pub(in super::super) struct MadeProcfs(tempfile::TempDir);

impl MadeProcfs {
    pub(in super::super) fn new() -> Self {
        let made = Self(tempfile::tempdir().unwrap());
        for other in ["self", "net", "12a"] {
            fs::create_dir(made.path(other)).unwrap();
        }
        made
    }

    pub(in super::super) fn procfs(&self) -> Procfs {
        Procfs::new(self.0.path())
    }

    pub(in super::super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Adds a process, that of a container with its own root directory.
    pub(in super::super) fn add(&self, pid: u32, comm: &str, executable: Option<&str>) {
        let dir = self.path(&pid.to_string());
        fs::create_dir_all(dir.join("root")).unwrap();
        fs::create_dir(dir.join("map_files")).unwrap();
        fs::write(dir.join("status"), format!("Name:\t{comm}\nTgid:\t{pid}\nPid:\t{pid}\n"))
            .unwrap();
        fs::write(dir.join("maps"), "").unwrap();
        self.stat(pid, comm, 'S', 1, 4711);
        if let Some(executable) = executable {
            symlink(executable, dir.join("exe")).unwrap();
        }
    }

    fn stat(&self, pid: u32, comm: &str, state: char, parent: u32, start: u64) {
        let zeros = " 0".repeat(17);
        let line = format!("{pid} ({comm}) {state} {parent}{zeros} {start} 0 0\n");
        fs::write(self.path(&format!("{pid}/stat")), line).unwrap();
    }

    /// Lets a process map code, as `path`, with other mappings around it.
    pub(in super::super) fn map(&self, pid: u32, inode: u64, path: &str) {
        let maps = self.path(&format!("{pid}/maps"));
        let before = fs::read_to_string(&maps).unwrap();
        let lines = [
            format!("{:08x}-{:08x} r--p 00000000 fe:00 {inode} {path}", inode << 16, inode << 16),
            format!(
                "{:08x}-{:08x} r-xp 00001000 fe:00 {inode}          {path}",
                (inode << 16) + 0x1000,
                (inode << 16) + 0x3000
            ),
            "7ffd4b5fe000-7ffd4b600000 r-xp 00000000 00:00 0          [vdso]\n".to_owned(),
        ];
        fs::write(maps, before + &lines.join("\n")).unwrap();
    }

    /// Puts a file where [`MadeProcfs::map`] has mapped it.
    pub(in super::super) fn map_file(&self, pid: u32, inode: u64, bytes: &[u8]) {
        let range = format!("{:x}-{:x}", (inode << 16) + 0x1000, (inode << 16) + 0x3000);
        fs::write(self.path(&format!("{pid}/map_files/{range}")), bytes).unwrap();
    }

    /// Puts a file below a process's root directory.
    pub(in super::super) fn root_file(&self, pid: u32, path: &str, bytes: &[u8]) {
        let path = self.path(&format!("{pid}/root{path}"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

const PROGRAM: &str = "/usr/sbin/ovs-vswitchd";

fn content(file: &MappedFile) -> Vec<u8> {
    let mut content = Vec::new();
    file.file().read_to_end(&mut content).unwrap();
    content
}

#[test]
fn vswitchds_are_found_by_program_or_name() {
    let made = MadeProcfs::new();
    made.add(2, "kthreadd", None);
    made.add(30, "bash", Some("/usr/bin/bash"));
    made.add(811, "monitor", Some(PROGRAM));
    made.add(1812, "ovs-vswitchd", Some(PROGRAM));
    made.add(812, "ovs-vswitchd", Some("/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"));
    made.add(900, "renamed", Some("/opt/ovs/bin/ovs-vswitchd (deleted)"));
    made.add(901, "ovs-vswitchd", Some(PROGRAM));
    made.stat(901, "ovs-vswitchd", 'Z', 1, 1);
    made.add(902, "monitor", Some("/usr/bin/monitor"));

    let found = made.procfs().vswitchds().unwrap();
    let pids: Vec<_> = found.readable.iter().map(|vswitchd| vswitchd.id().pid.0).collect();
    assert_eq!(pids, [812, 900, 1812]);
    assert!(found.unreadable.is_empty());
    let replaced = &found.readable[1];
    assert_eq!(replaced.executable(), Path::new("/opt/ovs/bin/ovs-vswitchd"));
    assert_eq!(replaced.id().start, StartTime(4711));
}

#[test]
fn a_vswitchd_that_cannot_be_looked_at_is_reported() {
    let made = MadeProcfs::new();
    for (pid, name) in [(812, "ovs-vswitchd"), (30, "bash")] {
        made.add(pid, name, None);
        // Not a link: readlink fails, but not as it does for a process without a program.
        fs::write(made.path(&format!("{pid}/exe")), "").unwrap();
    }
    let found = made.procfs().vswitchds().unwrap();
    assert!(found.readable.is_empty());
    let [ProcessError::Unreadable { path, .. }] = &found.unreadable[..] else {
        panic!("{:?}", found.unreadable)
    };
    assert_eq!(*path, made.path("812/exe"));
}

#[test]
fn without_a_procfs_there_is_an_error() {
    let error = Procfs::new("/nonexistent").vswitchds().unwrap_err();
    assert!(error.to_string().starts_with("cannot read /nonexistent: "), "{error}");
}

#[test]
fn a_given_process_is_a_running_vswitchd_or_the_error_says_what_it_is() {
    let made = MadeProcfs::new();
    made.add(30, "bash", Some("/usr/bin/bash"));
    made.add(2, "kthreadd", None);
    made.add(811, "monitor", Some(PROGRAM));
    made.add(812, "ovs-vswitchd", Some(PROGRAM));
    made.stat(812, "ovs-vswitchd", 'S', 811, 1);
    made.add(813, "handler1", Some(PROGRAM));
    fs::write(made.path("813/status"), "Name:\thandler1\nTgid:\t812\n").unwrap();
    made.add(820, "monitor", Some(PROGRAM));
    made.add(821, "ovs-vswitchd", Some(PROGRAM));
    made.stat(821, "ovs-vswitchd", 'Z', 1, 1);

    let procfs = made.procfs();
    assert_eq!(procfs.vswitchd(Pid(812)).unwrap().id().pid, Pid(812));
    for (pid, error) in [
        (99, "process 99 is not running: `pidof ovs-vswitchd` names those that are"),
        (821, "process 821 is not running: `pidof ovs-vswitchd` names those that are"),
        (
            30,
            "process 30 is \"bash\" (/usr/bin/bash), not ovs-vswitchd: \
             `pidof ovs-vswitchd` names those that are",
        ),
        (
            2,
            "process 2 is \"kthreadd\", not ovs-vswitchd: \
             `pidof ovs-vswitchd` names those that are",
        ),
        (
            811,
            "process 811 is the monitor that restarts ovs-vswitchd after a crash: \
             give ovs-vswitchd itself, 812",
        ),
        (
            820,
            "process 820 is the monitor that restarts ovs-vswitchd after a crash: \
             give ovs-vswitchd itself, which is not running",
        ),
        (813, "813 is a thread: give its process, 812"),
    ] {
        assert_eq!(procfs.vswitchd(Pid(pid)).unwrap_err().to_string(), error);
    }
}

#[test]
fn a_process_with_the_same_number_is_another() {
    let made = MadeProcfs::new();
    made.add(812, "ovs-vswitchd", Some(PROGRAM));
    made.map(812, 7, PROGRAM);
    let vswitchd = made.procfs().vswitchd(Pid(812)).unwrap();
    assert!(vswitchd.is_running().unwrap());
    assert_eq!(vswitchd.mappings().unwrap().len(), 1);

    made.stat(812, "ovs-vswitchd", 'S', 1, 4712);
    assert!(!vswitchd.is_running().unwrap());
    assert!(matches!(vswitchd.mappings(), Err(ProcessError::NotRunning(Pid(812)))));

    fs::remove_dir_all(made.path("812")).unwrap();
    assert!(!vswitchd.is_running().unwrap());
    assert!(matches!(vswitchd.mappings(), Err(ProcessError::NotRunning(Pid(812)))));
}

#[test]
fn each_file_is_mapped_once() {
    let made = MadeProcfs::new();
    made.add(812, "ovs-vswitchd", Some(PROGRAM));
    let vswitchd = made.procfs().vswitchd(Pid(812)).unwrap();
    made.map(812, 7, PROGRAM);
    made.map(812, 8, "/usr/lib/libofproto.so.3");
    made.map(812, 7, PROGRAM);
    let mappings = vswitchd.mappings().unwrap();
    let paths: Vec<_> = mappings.iter().map(Mapping::path).collect();
    assert_eq!(paths, [Path::new(PROGRAM), Path::new("/usr/lib/libofproto.so.3")]);
}

#[test]
fn maps_that_are_not_the_kernels_are_refused() {
    let made = MadeProcfs::new();
    made.add(812, "ovs-vswitchd", Some(PROGRAM));
    let vswitchd = made.procfs().vswitchd(Pid(812)).unwrap();
    fs::write(made.path("812/maps"), "nonsense\n").unwrap();
    assert!(matches!(vswitchd.mappings(), Err(ProcessError::Malformed(_))));

    fs::write(made.path("812/maps"), "").unwrap();
    for inode in 1..=1025 {
        made.map(812, inode, "/usr/lib/libmany.so");
    }
    assert!(matches!(vswitchd.mappings(), Err(ProcessError::TooManyFiles(Pid(812)))));
}

#[test]
fn a_mapped_file_is_the_one_that_the_kernel_maps() {
    let made = MadeProcfs::new();
    made.add(812, "ovs-vswitchd", Some(PROGRAM));
    made.map(812, 7, "/usr/lib/libofproto.so.3 (deleted)");
    made.map_file(812, 7, b"mapped");
    made.root_file(812, "/usr/lib/libofproto.so.3", b"its successor");
    let vswitchd = made.procfs().vswitchd(Pid(812)).unwrap();
    let file = vswitchd.open(&vswitchd.mappings().unwrap()[0]).unwrap();
    assert_eq!(content(&file), b"mapped");
    assert_eq!(file.path(), Path::new("/usr/lib/libofproto.so.3"));
}

#[test]
fn without_the_right_to_mapped_files_paths_below_the_process_root_are_opened() {
    let made = MadeProcfs::new();
    made.add(812, "ovs-vswitchd", Some(PROGRAM));
    made.map(812, 7, "/usr/lib/libofproto.so.3");
    made.root_file(812, "/usr/lib/libofproto.so.3", b"in the container");
    let vswitchd = made.procfs().vswitchd(Pid(812)).unwrap();
    let file = vswitchd.open(&vswitchd.mappings().unwrap()[0]).unwrap();
    assert_eq!(content(&file), b"in the container");
}

#[test]
fn a_program_that_was_replaced_is_opened_through_its_process() {
    let made = MadeProcfs::new();
    // In procfs, the link opens the file although nothing has that path.
    let program = made.path("ovs-vswitchd (deleted)");
    fs::write(&program, b"running").unwrap();
    let program = program.to_str().unwrap();
    made.add(812, "ovs-vswitchd", Some(program));
    made.map(812, 7, program);
    let vswitchd = made.procfs().vswitchd(Pid(812)).unwrap();
    made.root_file(812, vswitchd.executable().to_str().unwrap(), b"its successor");
    let file = vswitchd.open(&vswitchd.mappings().unwrap()[0]).unwrap();
    assert_eq!(content(&file), b"running");
    assert_eq!(file.path(), vswitchd.executable());
}

#[test]
fn a_library_that_was_replaced_is_not_taken_for_its_successor() {
    let made = MadeProcfs::new();
    made.add(812, "ovs-vswitchd", Some(PROGRAM));
    made.map(812, 7, "/usr/lib/libofproto.so.3 (deleted)");
    made.root_file(812, "/usr/lib/libofproto.so.3", b"its successor");
    let vswitchd = made.procfs().vswitchd(Pid(812)).unwrap();
    let error = vswitchd.open(&vswitchd.mappings().unwrap()[0]).unwrap_err();
    assert_eq!(error.path, Path::new("/usr/lib/libofproto.so.3"));
}

#[test]
fn what_is_no_regular_file_is_not_opened() {
    let made = MadeProcfs::new();
    made.add(812, "ovs-vswitchd", Some(PROGRAM));
    made.map(812, 7, "/fifo");
    let (fifo, mode) = (made.path("812/root/fifo"), rustix::fs::Mode::RWXU);
    rustix::fs::mknodat(rustix::fs::CWD, fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let vswitchd = made.procfs().vswitchd(Pid(812)).unwrap();
    let error = vswitchd.open(&vswitchd.mappings().unwrap()[0]).unwrap_err();
    assert_eq!(error.to_string(), "cannot open /fifo: it is no regular file");
}

#[test]
fn files_of_a_process_of_this_machine_are_opened() {
    let dir = PathBuf::from("/proc/self");
    let pid = Pid(std::process::id());
    let start = Stat::read(&dir).unwrap().start;
    let executable = std::env::current_exe().unwrap();
    let id = ProcessId { pid, start };
    let this = Vswitchd { id, dir, executable: executable.clone() };
    let mappings = this.mappings().unwrap();
    assert!(mappings.iter().any(|mapping| mapping.path() == executable));
    for mapping in mappings {
        let file = this.open(&mapping).unwrap();
        let attached = fs::File::open(file.attach_path()).unwrap().metadata().unwrap();
        let opened = file.file().metadata().unwrap();
        use std::os::unix::fs::MetadataExt;
        assert_eq!((attached.dev(), attached.ino()), (opened.dev(), opened.ino()));
        assert_eq!(file.id(), FileId { device: opened.dev(), inode: opened.ino() });
    }
}
