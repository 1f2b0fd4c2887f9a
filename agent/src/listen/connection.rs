//! Connections that are limited in number and must not fall silent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tokio_util::either::Either;
use tonic::transport::server::Connected;
use tracing::warn;

use super::socket::Bound;

/// Accepts connections for as long as somebody wants them, so many at a time.
pub(super) async fn accept(
    flag: String,
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
        Err(error) => return warn!("{flag}: cannot listen: {error}"),
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
                warn!("{flag}: cannot accept a connection: {error}");
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
