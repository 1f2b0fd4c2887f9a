//! TCP: many short HTTP connections, and few that send as much as they can at once.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use socket2::SockRef;

use crate::namespace::within;
use crate::network::{H1, H2};

/// Connections of each kind.
pub(crate) const CONNECTIONS: u8 = 30;
/// Connections that send much, for each version of IP.
pub(crate) const BULK_CONNECTIONS: u8 = 3;
/// What each of these sends.
const BULK: usize = 200_000;
pub(crate) const HTTP: u16 = 8080;
const DISCARD: u16 = 9009;
const TIMEOUT: Duration = Duration::from_secs(30);

fn serve(
    port: u16,
    connections: usize,
    client: impl FnOnce() -> anyhow::Result<()>,
    answer: impl Fn(&mut TcpStream) -> anyhow::Result<()> + Send + Sync,
) -> anyhow::Result<()> {
    let listener = within(H2.name, || Ok(TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?))?;
    // Also of accept(2): a client that fails must not leave the server waiting.
    SockRef::from(&listener).set_read_timeout(Some(TIMEOUT))?;
    thread::scope(|scope| {
        let server = scope.spawn(|| -> anyhow::Result<()> {
            for _ in 0..connections {
                let (mut stream, _) = listener.accept()?;
                stream.set_read_timeout(Some(TIMEOUT))?;
                answer(&mut stream)?;
            }
            Ok(())
        });
        client()?;
        server.join().map_err(|_| anyhow::anyhow!("the server has panicked"))?
    })
}

fn connect(to: IpAddr, port: u16) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&(to, port).into(), TIMEOUT)
        .with_context(|| format!("cannot connect to {to}"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

/// Requests and responses, a connection each.
pub(super) fn web() -> anyhow::Result<()> {
    let client = || {
        within(H1.name, || {
            for number in 0..CONNECTIONS {
                let mut stream = connect(H2.address(80, number), HTTP)?;
                let request =
                    format!("GET /{number} HTTP/1.1\r\nHost: h2\r\nConnection: close\r\n\r\n");
                stream.write_all(request.as_bytes())?;
                let mut response = String::new();
                stream.read_to_string(&mut response)?;
                ensure!(response.ends_with("hello"), "not the response: {response}");
            }
            Ok(())
        })
    };
    serve(HTTP, CONNECTIONS.into(), client, |stream| {
        let mut request = Vec::new();
        let mut buffer = [0; 1024];
        while !request.ends_with(b"\r\n\r\n") {
            let read = stream.read(&mut buffer)?;
            ensure!(read > 0, "a request was cut");
            request.extend_from_slice(&buffer[..read]);
        }
        Ok(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")?)
    })
}

/// Much at once, so that the sender's kernel makes super-packets.
pub(super) fn bulk() -> anyhow::Result<()> {
    let client = || {
        within(H1.name, || {
            for number in 0..BULK_CONNECTIONS {
                for to in [H2.address(90, number), H2.address6(0x900 + u16::from(number))] {
                    let mut stream = connect(to, DISCARD)?;
                    stream.write_all(&vec![b'x'; BULK])?;
                    stream.shutdown(std::net::Shutdown::Write)?;
                    ensure!(stream.read(&mut [0])? == 0, "the server said something");
                }
            }
            Ok(())
        })
    };
    serve(DISCARD, 2 * usize::from(BULK_CONNECTIONS), client, |stream| {
        let mut received = 0;
        let mut buffer = vec![0; 1 << 16];
        loop {
            match stream.read(&mut buffer)? {
                0 => break,
                read => received += read,
            }
        }
        ensure!(received == BULK, "{received} bytes have arrived");
        Ok(())
    })
}
