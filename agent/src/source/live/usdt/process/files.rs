//! Files whose code a process runs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hashbrown::HashSet;
use rustix::fs::OFlags;

use super::error::{ProcessError, advice};
use super::maps::{self, Line, Mapping};
use super::{Vswitchd, is_gone, undeleted};

/// A file, whatever its path: uprobes belong to it, in every process that maps it. Attach to each
/// once.
///
/// The same file seen through two overlay file systems, as two containers of one image have them,
/// has two identities although the kernel places uprobes in the one below: so let a probe fire for
/// its own process only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// Device of the file system (`st_dev`).
    pub device: u64,
    /// Number in the file system (`st_ino`).
    pub inode: u64,
}

/// A file whose code a process runs, held open: it stays the same although its path may become
/// that of another.
#[derive(Debug)]
pub struct MappedFile {
    path: PathBuf,
    id: FileId,
    file: File,
}

/// A file whose code a process runs, but which cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open {}: {error}{}", path.display(), advice(error))]
pub struct UnreadableFile {
    /// Its path in the process's mount namespace.
    pub path: PathBuf,
    /// What the system says.
    pub error: io::Error,
}

impl MappedFile {
    /// Its path in the process's mount namespace when it was mapped, for people to read.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which file it is.
    #[must_use]
    pub const fn id(&self) -> FileId {
        self.id
    }

    /// The file, for reading.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// A path by which this process, and no other, names the file to the kernel when it attaches
    /// uprobes, as long as `self` lives. A path in the process's file system may by now be that of
    /// another file, where a uprobe at the same offset would do harm.
    #[must_use]
    pub fn attach_path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.file.as_raw_fd()).into()
    }

    /// Opens `path`, which need not be the name that the file is to be known by.
    fn open(path: &Path, name: &Path) -> io::Result<Self> {
        let irregular = || io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
        // Opening a device may have effects, and a FIFO would block: a process can put one there.
        if !fs::metadata(path)?.is_file() {
            return Err(irregular());
        }
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(irregular());
        }
        let id = FileId { device: metadata.dev(), inode: metadata.ino() };
        Ok(Self { path: name.to_owned(), id, file })
    }
}

impl Mapping {
    /// Path in the process's mount namespace when it was mapped.
    #[must_use]
    pub fn path(&self) -> &Path {
        undeleted(&self.path)
    }
}

impl Vswitchd {
    /// Most files whose code is looked at. With DPDK as shared libraries, it is some 200.
    const MAX_FILES: usize = 1024;

    /// The files whose code it runs: the program and its shared libraries, each once.
    ///
    /// # Errors
    ///
    /// When it has ended or cannot be read.
    pub fn mappings(&self) -> Result<Vec<Mapping>, ProcessError> {
        let pid = self.id.pid;
        let path = self.dir.join("maps");
        let failed = |error: io::Error| {
            if is_gone(&error) {
                ProcessError::NotRunning(pid)
            } else {
                ProcessError::Unreadable { path: path.clone(), error }
            }
        };
        let mut lines = BufReader::new(File::open(&path).map_err(failed)?);
        let mut line = Vec::new();
        let mut seen = HashSet::new();
        let mut mappings = Vec::new();
        while lines.read_until(b'\n', &mut line).map_err(failed)? > 0 {
            match maps::parse(line.strip_suffix(b"\n").unwrap_or(&line)) {
                None => return Err(ProcessError::Malformed(path)),
                Some(Line::Other) => {}
                Some(Line::Code(mapping)) => {
                    if seen.insert((mapping.device.clone(), mapping.inode)) {
                        mappings.push(mapping);
                    }
                }
            }
            if mappings.len() > Self::MAX_FILES {
                return Err(ProcessError::TooManyFiles(pid));
            }
            line.clear();
        }
        // Who is ending has no memory any more, and who got its number has another.
        if mappings.is_empty() || !self.is_running()? {
            return Err(ProcessError::NotRunning(pid));
        }
        Ok(mappings)
    }

    /// Opens a file of [`Vswitchd::mappings`].
    ///
    /// # Errors
    ///
    /// When the system refuses it, or when it was replaced and only its path could be opened.
    pub fn open(&self, mapping: &Mapping) -> Result<MappedFile, UnreadableFile> {
        let name = mapping.path();
        // The very file, even one that is deleted, but it takes CAP_SYS_ADMIN or
        // CAP_CHECKPOINT_RESTORE (proc_map_files_get_link of the kernel's fs/proc/base.c).
        let range = format!("{:x}-{:x}", mapping.start, mapping.end);
        let first = match MappedFile::open(&self.dir.join("map_files").join(range), name) {
            Ok(file) => return Ok(file),
            Err(error) => error,
        };
        let second = if mapping.path == self.executable {
            MappedFile::open(&self.dir.join("exe"), name)
        } else {
            // With ` (deleted)` behind it, it is the path of nothing, and so it should be.
            let path = mapping.path.strip_prefix("/").unwrap_or(&mapping.path);
            MappedFile::open(&self.dir.join("root").join(path), name)
        };
        second.map_err(|second| {
            // A missing right says what to do, a missing path does not.
            let is_denied = first.kind() == io::ErrorKind::PermissionDenied;
            let error = if is_denied { first } else { second };
            UnreadableFile { path: name.to_owned(), error }
        })
    }
}
