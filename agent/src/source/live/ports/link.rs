//! The socket to the kernel.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_sys::constants::NETLINK_GENERIC;
use netlink_sys::{Socket, SocketAddr};
use rustix::io::Errno;

use super::family::GroupId;
use super::message::Portid;

/// Longest datagram taken: the kernel fills dumps into buffers of at most 32 KiB (`netlink_dump`
/// in net/netlink/af_netlink.c), and an announcement is far shorter.
const MAX_DATAGRAM: usize = 64 * 1024;

/// `MSG_TRUNC` of recv(2): return the datagram's whole length, even if it is cut.
const MSG_TRUNC: i32 = 0x20;

/// A way to talk to the kernel; tests have a scripted one.
pub(super) trait Link {
    /// This end's address.
    fn portid(&self) -> Portid;
    /// Subscribes to a multicast group.
    fn join(&mut self, group: GroupId) -> io::Result<()>;
    /// Sends a request.
    fn send(&mut self, request: &[u8]) -> io::Result<()>;
    /// Takes the next datagram, without waiting for one.
    fn receive(&mut self, buffer: &mut Vec<u8>) -> io::Result<Received>;
}

/// What there was to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// A datagram, now in the buffer.
    Datagram,
    /// Nothing so far.
    Nothing,
    /// The news that datagrams were lost, because the socket was full.
    Loss,
}

/// A socket of generic netlink.
#[derive(Debug)]
pub(super) struct KernelLink {
    socket: Socket,
    portid: Portid,
}

impl KernelLink {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_GENERIC)?;
        let portid = Portid(socket.bind_auto()?.port_number());
        socket.set_non_blocking(true)?;
        Ok(Self { socket, portid })
    }
}

impl AsFd for KernelLink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Link for KernelLink {
    fn portid(&self) -> Portid {
        self.portid
    }

    fn join(&mut self, group: GroupId) -> io::Result<()> {
        self.socket.add_membership(group.0)
    }

    fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.socket.send_to(request, &SocketAddr::new(0, 0), 0).map(drop)
    }

    fn receive(&mut self, buffer: &mut Vec<u8>) -> io::Result<Received> {
        loop {
            buffer.clear();
            buffer.reserve(MAX_DATAGRAM);
            match self.socket.recv_from(buffer, MSG_TRUNC) {
                // Another process may send to this socket, but has nothing to say.
                Ok((_, sender)) if sender.port_number() != 0 => {}
                Ok((len, _)) if len > buffer.len() => return Ok(Received::Loss),
                Ok(_) => return Ok(Received::Datagram),
                Err(error) => match Errno::from_io_error(&error) {
                    Some(Errno::AGAIN) => return Ok(Received::Nothing),
                    Some(Errno::NOBUFS) => return Ok(Received::Loss),
                    Some(Errno::INTR) => {}
                    _ => return Err(error),
                },
            }
        }
    }
}
