//! Echo requests, each to an address of its own, and so each with a flow of its own.

use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

use super::{Expected, Upcalls};
use crate::mark::{Mark, Traffic};
use crate::namespace::within;
use crate::network::{self, H1, H2};
use crate::truth::Cause;

const COUNT: u8 = 100;

pub(super) fn run() -> anyhow::Result<Vec<Expected>> {
    send(Traffic::Icmp, |number| H2.address(1, number))?;
    send(Traffic::Icmp6, |number| H2.address6(0x100 + u16::from(number)))?;
    let upcalls = Upcalls::Exactly(COUNT.into());
    // Requests and replies.
    let both =
        |traffic| ["p1", "p2"].map(|port| Expected { traffic, of: Cause::Miss, port, upcalls });
    Ok([Traffic::Icmp, Traffic::Icmp6].into_iter().flat_map(both).collect())
}

fn send(traffic: Traffic, address: impl Fn(u8) -> IpAddr + Sync) -> anyhow::Result<()> {
    let before = network::delivered("p1")?;
    within(H1.name, || {
        let (domain, protocol) = match traffic {
            Traffic::Icmp6 => (Domain::IPV6, Protocol::ICMPV6),
            _ => (Domain::IPV4, Protocol::ICMPV4),
        };
        let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
        for number in 0..COUNT {
            let mark = Mark { traffic, number: number.into() };
            let to = SocketAddr::new(address(number), 0);
            socket.send_to(&request(mark, to.is_ipv6()), &to.into())?;
        }
        Ok(())
    })?;
    network::await_delivery("p1", before + u64::from(COUNT))
}

/// An echo request. Of ICMPv6, the kernel computes the checksum.
fn request(mark: Mark, v6: bool) -> Vec<u8> {
    let [high, low] = (mark.number as u16).to_be_bytes();
    let mut message = vec![if v6 { 128 } else { 8 }, 0, 0, 0, 0, 1, high, low];
    message.extend(mark.payload());
    if !v6 {
        let checksum = checksum(&message).to_be_bytes();
        message[2..4].copy_from_slice(&checksum);
    }
    message
}

/// The checksum of RFC 1071, of an even number of bytes.
fn checksum(message: &[u8]) -> u16 {
    let words =
        message.chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
