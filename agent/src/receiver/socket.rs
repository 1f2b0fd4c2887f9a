//! Listening sockets, and connections that are limited in number and must not fall silent.

use std::io;
use std::net::TcpListener as StdTcpListener;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::fs::{Mode, chmod};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tokio_util::either::Either;
use tonic::transport::server::Connected;
use tracing::warn;

use super::address::ListenAddress;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// A socket that listens already, before there is a runtime.
#[derive(Debug)]
pub(super) enum Bound {
    Tcp(StdTcpListener),
    Unix(StdUnixListener, SocketFile),
}

/// The file of a unix socket, removed in the end.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // If it is gone, somebody else has removed it.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Bound {
    /// Listens; a unix socket with these permissions.
    pub(super) fn listen(address: &ListenAddress, mode: u32) -> io::Result<Self> {
        match address {
            ListenAddress::Tcp(address) => {
                let listener = StdTcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                Ok(Self::Tcp(listener))
            }
            ListenAddress::Unix(path) => {
                remove_stale(path)?;
                let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
                bind(&socket, &SocketAddrUnix::new(path)?)?;
                let file = SocketFile(path.clone());
                // Nobody can connect before it listens.
                chmod(path, Mode::from_raw_mode(mode))?;
                listen(&socket, BACKLOG)?;
                Ok(Self::Unix(StdUnixListener::from(socket), file))
            }
        }
    }

    /// The address, its port resolved.
    pub(super) fn address(&self) -> io::Result<ListenAddress> {
        Ok(match self {
            Self::Tcp(listener) => ListenAddress::Tcp(listener.local_addr()?),
            Self::Unix(_, file) => ListenAddress::Unix(file.0.clone()),
        })
    }
}

/// Removes the socket of an agent that was killed. Whatever else is there stays, and is in the way.
fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type().is_socket(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    match StdUnixStream::connect(path) {
        Err(error) if is_socket && error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// Accepts connections for as long as somebody wants them, so many at a time.
pub(super) async fn accept(
    bound: Bound,
    most: usize,
    idle: Duration,
    to: mpsc::Sender<Connection>,
) {
    let room = Arc::new(Semaphore::new(most));
    let (listener, _file) = match bound {
        Bound::Tcp(listener) => (TcpListener::from_std(listener).map(Either::Left), None),
        Bound::Unix(listener, file) => {
            (UnixListener::from_std(listener).map(Either::Right), Some(file))
        }
    };
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) => return warn!("the receiver cannot listen: {error}"),
    };
    loop {
        // Never closed.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = accept_one(&listener) => accepted,
            () = to.closed() => return,
        };
        match accepted {
            Ok(stream) => {
                if to.send(Connection::new(stream, permit, idle)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                // A client that has gone already, or no more file descriptors.
                warn!("the receiver cannot accept a connection: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn accept_one(
    listener: &Either<TcpListener, UnixListener>,
) -> io::Result<Either<TcpStream, UnixStream>> {
    match listener {
        Either::Left(listener) => {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            Ok(Either::Left(stream))
        }
        Either::Right(listener) => Ok(Either::Right(listener.accept().await?.0)),
    }
}

/// A connection that takes one place, and fails when its client says nothing for too long: before
/// TLS or HTTP/2 have begun, or when it does not answer their pings.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Either<TcpStream, UnixStream>,
    _permit: OwnedSemaphorePermit,
    idle: Duration,
    heard: Instant,
    check: Pin<Box<Sleep>>,
}

impl Connection {
    fn new(
        stream: Either<TcpStream, UnixStream>,
        permit: OwnedSemaphorePermit,
        idle: Duration,
    ) -> Self {
        let heard = Instant::now();
        Self { stream, _permit: permit, idle, heard, check: Box::pin(sleep_until(heard + idle)) }
    }
}

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buf) {
            self.heard = Instant::now();
            return Poll::Ready(read);
        }
        loop {
            ready!(self.check.as_mut().poll(cx));
            let until = self.heard + self.idle;
            if until <= Instant::now() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.check.as_mut().reset(until);
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const IDLE: Duration = Duration::from_secs(60);

    fn connection(stream: UnixStream) -> Connection {
        let room = Arc::new(Semaphore::new(1));
        Connection::new(Either::Right(stream), room.try_acquire_owned().expect("room"), IDLE)
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_left() {
        let (mut client, stream) = UnixStream::pair().expect("a pair");
        let mut connection = connection(stream);
        let begin = Instant::now();
        let mut byte = [0];
        for _ in 0..3 {
            tokio::time::advance(IDLE / 2).await;
            client.write_all(&[7]).await.expect("it listens");
            assert_eq!(connection.read(&mut byte).await.expect("a byte"), 1);
        }
        let error = connection.read(&mut byte).await.expect_err("nothing comes");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begin.elapsed() >= 3 * (IDLE / 2) + IDLE);
    }
}
