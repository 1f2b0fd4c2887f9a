//! Sockets that listen: of a unix socket, who may connect, and what an earlier agent has left.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};

use super::address::ListenAddress;

/// Connections that wait to be taken.
const BACKLOG: i32 = 128;

/// Why it is not possible to listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The directory of a socket.
    #[error("cannot make the directory {path}: {error}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Something else is there.
    #[error("it is no socket: remove it, or name another path")]
    NoSocket,
    /// Somebody listens there.
    #[error("it is in use, by another upspan perhaps: stop that, or name another path")]
    InUse,
    /// The system refuses.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// A socket that listens already, before there is a runtime.
#[derive(Debug)]
pub(super) enum Bound {
    /// TCP.
    Tcp(TcpListener),
    /// A unix socket, and its file.
    Unix(UnixListener, SocketFile),
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

impl Bound {
    /// Listens; on a unix socket with these permissions, which replaces what an agent has left
    /// there that runs no more.
    pub(super) fn listen(address: &ListenAddress, mode: u32) -> Result<Self, BindError> {
        match address {
            ListenAddress::Tcp(address) => {
                let listener = TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                Ok(Self::Tcp(listener))
            }
            ListenAddress::Unix(path) => {
                make_directory(path)?;
                remove_stale(path)?;
                let listener = bind(path, mode)?;
                let file = SocketFile { path: path.clone(), identity: identity(path).ok() };
                Ok(Self::Unix(listener, file))
            }
        }
    }

    /// The address, its port resolved.
    pub(super) fn address(&self) -> io::Result<ListenAddress> {
        Ok(match self {
            Self::Tcp(listener) => ListenAddress::Tcp(listener.local_addr()?),
            Self::Unix(_, file) => ListenAddress::Unix(file.path.clone()),
        })
    }
}

fn make_directory(path: &Path) -> Result<(), BindError> {
    let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty())
    else {
        return Ok(());
    };
    if directory.exists() {
        return Ok(());
    }
    let cannot = |error| BindError::Directory { path: directory.to_owned(), error };
    fs::create_dir_all(directory).map_err(cannot)
}

/// Nobody can connect before it listens; by then it has its mode.
fn bind(path: &Path, mode: u32) -> io::Result<UnixListener> {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    rustix::net::listen(&socket, BACKLOG)?;
    let listener = UnixListener::from(socket);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn remove_stale(path: &Path) -> Result<(), BindError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
        Ok(found) if !found.file_type().is_socket() => return Err(BindError::NoSocket),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Ok(fs::remove_file(path)?)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Err(BindError::InUse),
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

    const MODE: u32 = 0o660;

    fn listen(path: &Path) -> Result<Bound, BindError> {
        Bound::listen(&ListenAddress::Unix(path.to_owned()), MODE)
    }

    #[test]
    fn owner_and_group_may_connect() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a/b.sock");
        let bound = listen(&path).expect("it listens");
        assert_eq!(fs::metadata(&path).expect("a socket").mode() & 0o777, MODE);
        UnixStream::connect(&path).expect("it listens");
        drop(bound);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_socket_is_replaced_and_one_in_use_is_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("b.sock");
        drop(UnixListener::bind(&path).expect("a socket"));
        assert!(path.exists());
        let _bound = listen(&path).expect("it is replaced");
        assert!(matches!(listen(&path), Err(BindError::InUse)));
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        fs::write(&path, "precious").expect("a file");
        assert!(matches!(listen(&path), Err(BindError::NoSocket)));
        assert_eq!(fs::read_to_string(&path).expect("a file"), "precious");
        let below = path.join("b.sock");
        assert!(matches!(listen(&below), Err(BindError::System(_))));
        let long = directory.path().join("x".repeat(200));
        assert!(matches!(listen(&long), Err(BindError::System(_))));
    }

    #[test]
    fn the_socket_of_another_is_not_removed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("b.sock");
        let Bound::Unix(listener, first) = listen(&path).expect("it listens") else {
            panic!("a unix socket");
        };
        drop(listener);
        let _second = listen(&path).expect("it is replaced");
        drop(first);
        assert!(path.exists());
    }
}
