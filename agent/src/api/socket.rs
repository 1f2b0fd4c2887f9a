//! The unix socket: who may connect, and what an earlier agent has left.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Who may connect: the owner of the socket, and its group.
const MODE: u32 = 0o660;

/// Connections that wait to be taken.
const BACKLOG: i32 = 128;

/// Why a socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Its directory.
    #[error("cannot make the directory {path}: {error}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Something else is there.
    #[error("{0} is no socket: remove it, or name another path")]
    NoSocket(PathBuf),
    /// An agent that runs.
    #[error("another upspan listens on {0}: stop it, or name another path")]
    InUse(PathBuf),
    /// The system refuses.
    #[error("cannot listen on {path}: {error}")]
    Listen {
        /// The socket.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// A socket in the file system, which goes when this does.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// What another agent has put there since is left alone.
    identity: Option<Identity>,
}

/// Device and inode, which may be used again soon, and the time of birth.
type Identity = (u64, u64, Option<SystemTime>);

/// Listens on a socket at this path. What an agent has left there that runs no more is replaced.
pub(super) fn listen(path: &Path) -> Result<(UnixListener, SocketFile), SocketError> {
    if let Some(directory) = path.parent().filter(|directory| !directory.exists()) {
        let cannot = |error| SocketError::Directory { path: directory.to_owned(), error };
        fs::create_dir_all(directory).map_err(cannot)?;
    }
    remove_stale(path)?;
    let cannot = |error| SocketError::Listen { path: path.to_owned(), error };
    let listener = bind(path).map_err(cannot)?;
    listener.set_nonblocking(true).map_err(cannot)?;
    Ok((listener, SocketFile { path: path.to_owned(), identity: identity(path).ok() }))
}

/// The mode is set before anyone can connect.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let cannot = |error| SocketError::Listen { path: path.to_owned(), error };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(cannot(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(SocketError::NoSocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(cannot)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(cannot(error)),
        Ok(_) => Err(SocketError::InUse(path.to_owned())),
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino(), found.created().ok()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && self.identity == identity(&self.path).ok() {
            // Who cannot remove it leaves it: the next one replaces it.
            let _stays = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_and_group_may_connect() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b.sock");
        let (_listener, file) = listen(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, MODE);
        UnixStream::connect(&path).unwrap();
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_socket_is_replaced_and_one_in_use_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("b.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let (_listener, _file) = listen(&path).unwrap();
        assert!(matches!(listen(&path), Err(SocketError::InUse(_))));
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(listen(&path), Err(SocketError::NoSocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        let below = path.join("b.sock");
        assert!(matches!(listen(&below), Err(SocketError::Listen { .. })));
        let long = directory.path().join("x".repeat(200));
        assert!(matches!(listen(&long), Err(SocketError::Listen { .. })));
    }

    #[test]
    fn the_socket_of_another_is_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("b.sock");
        let (listener, first) = listen(&path).unwrap();
        drop(listener);
        let (_listener, _second) = listen(&path).unwrap();
        drop(first);
        assert!(path.exists());
    }
}
