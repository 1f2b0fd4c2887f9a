//! What the attributes of a span say about its connection.
//!
//! Names are those that instrumentations write: the stable semantic conventions, and those before
//! 1.21 that are still common. Addresses count only where they are IP addresses: a name is never
//! resolved, for the answer may be another one than the application got.

use std::net::IpAddr;

use super::connection::{Endpoint, Transport};
use super::span::Side;
use crate::protobuf::{Fields, Malformed, Value};

const KEY_VALUE_KEY: u32 = 1;
const KEY_VALUE_VALUE: u32 = 2;
const ANY_VALUE_STRING: u32 = 1;
const ANY_VALUE_INT: u32 = 3;

/// Ends of a connection, as the attributes name them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attributes {
    /// `network.peer.*`: who is at the other end of the connection.
    peer: Endpoint,
    /// `network.local.*`: who is at this end.
    local: Endpoint,
    /// `server.*` and, in its place, the address of the URL: whom the client wanted.
    server: Endpoint,
    url: Endpoint,
    /// `client.*`: who the server thinks the client is, maybe behind a proxy.
    client: Endpoint,
    /// `None` if it says so and it is none of ours; TCP if it says nothing.
    transport: Option<Transport>,
    says_transport: bool,
}

/// A value of the types that matter.
#[derive(Clone, Copy)]
enum Scalar<'a> {
    Text(&'a str),
    Int(u64),
}

impl Scalar<'_> {
    fn address(self) -> Option<IpAddr> {
        match self {
            Self::Text(text) => address(text),
            Self::Int(_) => None,
        }
    }

    /// Some instrumentations write ports as text.
    fn port(self) -> Option<u16> {
        let port = match self {
            Self::Text(text) => text.parse().ok()?,
            Self::Int(number) => u16::try_from(number).ok()?,
        };
        (port != 0).then_some(port)
    }
}

/// An IP address, also in brackets and with a zone.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let bare = bare.split_once('%').map_or(bare, |(address, _zone)| address);
    let address: IpAddr = bare.parse().ok()?;
    (!address.is_unspecified()).then(|| address.to_canonical())
}

impl Attributes {
    /// Takes a `KeyValue` in.
    pub(super) fn add(&mut self, key_value: &[u8]) -> Result<(), Malformed> {
        let (key, value) = pair(key_value)?;
        // Of several names for the same, the first in the span counts: instrumentations that write
        // old and new names write the same under both.
        let (end, is_port): (fn(&mut Self) -> &mut Endpoint, bool) = match key {
            b"network.peer.address" | b"net.sock.peer.addr" | b"net.peer.ip" => {
                (|this| &mut this.peer, false)
            }
            b"network.peer.port" | b"net.sock.peer.port" => (|this| &mut this.peer, true),
            b"network.local.address" | b"net.sock.host.addr" | b"net.host.ip" => {
                (|this| &mut this.local, false)
            }
            b"network.local.port" | b"net.sock.host.port" => (|this| &mut this.local, true),
            b"server.address" => (|this| &mut this.server, false),
            b"server.port" => (|this| &mut this.server, true),
            b"client.address" => (|this| &mut this.client, false),
            b"client.port" => (|this| &mut this.client, true),
            // Of a client's span the server's name and port, of a server's the peer's port.
            b"net.peer.name" => (|this| &mut this.peer, false),
            b"net.peer.port" => (|this| &mut this.peer, true),
            b"net.host.name" => (|this| &mut this.server, false),
            b"net.host.port" => (|this| &mut this.server, true),
            b"url.full" | b"http.url" => {
                if let Some(Scalar::Text(url)) = scalar(value)? {
                    self.url = authority(url);
                }
                return Ok(());
            }
            b"network.transport" | b"net.transport" => {
                if let Some(Scalar::Text(name)) = scalar(value)? {
                    self.says_transport = true;
                    self.transport = transport(name);
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        if let Some(value) = scalar(value)? {
            let end = end(self);
            if is_port {
                end.port = end.port.or_else(|| value.port());
            } else {
                end.address = end.address.or_else(|| value.address());
            }
        }
        Ok(())
    }

    /// Protocol, client and server of a span on this side. `None` if it is over something that has
    /// no ports, such as a unix socket.
    pub(super) fn connection(&self, side: Side) -> Option<(Transport, Endpoint, Endpoint)> {
        let transport = if self.says_transport { self.transport? } else { Transport::Tcp };
        let wanted = first(&[self.server, self.url]);
        let (client, server) = match side {
            Side::Client => (self.local, first(&[self.peer, wanted])),
            Side::Server => {
                // What the server takes for the client may sit behind a proxy: only where nothing
                // is known of the peer itself, it is the peer.
                let client = if self.peer.address.is_some() { self.peer } else { self.client };
                (client, first(&[self.local, self.server]))
            }
        };
        Some((transport, client, server))
    }
}

/// Address and port, each of the first that knows it.
fn first(ends: &[Endpoint; 2]) -> Endpoint {
    Endpoint { address: ends[0].address.or(ends[1].address), port: ends[0].port.or(ends[1].port) }
}

/// The value of `k8s.pod.ip`, if the `KeyValue` is that.
pub(super) fn pod_address(key_value: &[u8]) -> Result<Option<IpAddr>, Malformed> {
    let (key, value) = pair(key_value)?;
    let value = if key == b"k8s.pod.ip" { scalar(value)? } else { None };
    Ok(value.and_then(Scalar::address))
}

/// Key and encoded value of a `KeyValue`.
fn pair(key_value: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (mut key, mut value) = (&[][..], &[][..]);
    for field in Fields::new(key_value) {
        let field = field?;
        match field.number {
            KEY_VALUE_KEY => key = field.bytes()?,
            KEY_VALUE_VALUE => value = field.bytes()?,
            _ => {}
        }
    }
    Ok((key, value))
}

fn scalar(any_value: &[u8]) -> Result<Option<Scalar<'_>>, Malformed> {
    let mut found = None;
    for field in Fields::new(any_value) {
        let field = field?;
        match (field.number, field.value) {
            (ANY_VALUE_STRING, Value::Bytes(bytes)) => {
                found = std::str::from_utf8(bytes).ok().map(Scalar::Text);
            }
            (ANY_VALUE_INT, Value::Varint(number)) => found = Some(Scalar::Int(number)),
            _ => {}
        }
    }
    Ok(found)
}

fn transport(name: &str) -> Option<Transport> {
    match name {
        "tcp" | "ip_tcp" => Some(Transport::Tcp),
        "udp" | "ip_udp" | "quic" => Some(Transport::Udp),
        "sctp" => Some(Transport::Sctp),
        _ => None,
    }
}

/// Host, if it is an address, and port of a URL.
fn authority(url: &str) -> Endpoint {
    let Some((scheme, rest)) = url.split_once("://") else { return Endpoint::default() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..end];
    let host_port = authority.rsplit_once('@').map_or(authority, |(_user, host)| host);
    let (host, port) = match host_port.rfind(']') {
        Some(bracket) => host_port.split_at(bracket + 1),
        None => host_port.split_at(host_port.find(':').unwrap_or(host_port.len())),
    };
    let usual = match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|&port: &u16| port != 0),
        None => usual,
    };
    Endpoint { address: address(host), port }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    fn attributes(pairs: &[(&str, Any)]) -> Attributes {
        let mut attributes = Attributes::default();
        for (key, value) in pairs {
            let value = Some(AnyValue { value: Some(value.clone()) });
            let pair = KeyValue { key: (*key).to_owned(), value, ..KeyValue::default() };
            attributes.add(&pair.encode_to_vec()).expect("a KeyValue");
        }
        attributes
    }

    fn text(text: &str) -> Any {
        Any::StringValue(text.to_owned())
    }

    fn end(address: &str, port: u16) -> Endpoint {
        Endpoint { address: address.parse().ok(), port: (port != 0).then_some(port) }
    }

    fn tcp(client: Endpoint, server: Endpoint) -> Option<(Transport, Endpoint, Endpoint)> {
        Some((Transport::Tcp, client, server))
    }

    #[test]
    fn a_client_knows_its_peer() {
        let found = attributes(&[
            ("server.address", text("shop.example")),
            ("server.port", Any::IntValue(443)),
            ("network.peer.address", text("10.0.0.2")),
            ("network.peer.port", Any::IntValue(8443)),
        ]);
        assert_eq!(found.connection(Side::Client), tcp(end("", 0), end("10.0.0.2", 8443)));
    }

    #[test]
    fn a_url_or_an_old_name_tells_as_well() {
        let url = attributes(&[("url.full", text("http://user:x@10.0.0.2/path?a=b"))]);
        assert_eq!(url.connection(Side::Client), tcp(end("", 0), end("10.0.0.2", 80)));
        let old = attributes(&[
            ("http.url", text("https://[fd00::2]:8443/")),
            ("net.sock.host.port", Any::IntValue(50_000)),
        ]);
        assert_eq!(old.connection(Side::Client), tcp(end("", 50_000), end("fd00::2", 8443)));
    }

    #[test]
    fn a_server_knows_the_client_and_itself() {
        // As Python's gRPC server, whose ports are text.
        let grpc = attributes(&[
            ("net.peer.ip", text("::ffff:10.0.0.1")),
            ("net.peer.port", text("40000")),
        ]);
        assert_eq!(grpc.connection(Side::Server), tcp(end("10.0.0.1", 40_000), end("", 0)));
        // As Python's ASGI.
        let asgi = attributes(&[
            ("client.address", text("10.0.0.1")),
            ("client.port", Any::IntValue(40_000)),
            ("server.address", text("10.0.0.2")),
            ("server.port", Any::IntValue(8080)),
        ]);
        assert_eq!(
            asgi.connection(Side::Server),
            tcp(end("10.0.0.1", 40_000), end("10.0.0.2", 8080))
        );
    }

    #[test]
    fn a_client_behind_a_proxy_is_not_the_peer() {
        let found = attributes(&[
            ("client.address", text("203.0.113.9")),
            ("client.port", Any::IntValue(1234)),
            ("network.peer.address", text("10.0.0.1")),
        ]);
        assert_eq!(found.connection(Side::Server), tcp(end("10.0.0.1", 0), end("", 0)));
    }

    #[test]
    fn names_and_nonsense_say_nothing() {
        let found = attributes(&[
            ("server.address", text("localhost")),
            ("server.port", Any::IntValue(-1)),
            ("network.peer.address", Any::IntValue(7)),
            ("network.peer.port", text("http")),
            ("url.full", text("http://shop.example:99999")),
        ]);
        assert_eq!(found.connection(Side::Client), tcp(end("", 0), end("", 0)));
        let unix = attributes(&[("network.transport", text("unix"))]);
        assert_eq!(unix.connection(Side::Client), None);
        let quic = attributes(&[("network.transport", text("quic"))]);
        assert_eq!(
            quic.connection(Side::Client).map(|(transport, ..)| transport),
            Some(Transport::Udp)
        );
    }

    proptest! {
        #[test]
        fn any_url_has_an_authority_or_none(url: String, rest in "[0-9:@/\\[\\]%.a-f]{0,20}") {
            let _ = authority(&url);
            let _ = authority(&format!("http://{rest}"));
        }
    }
}
