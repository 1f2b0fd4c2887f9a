//! A packet in one line.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use etherparse::ip_number;

use super::{Headers, names};
use crate::enrich::Mac;

/// One line for people: `10.0.0.1:46772 > 10.0.0.2:5001 tcp SYN`.
impl fmt::Display for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for vlan in self.vlans.iter().flatten() {
            write!(f, "vlan {vlan} ")?;
        }
        match (self.source, self.destination) {
            (_, _) if self.arp_operation.is_some() => self.arp(f),
            (Some(source), Some(destination)) => {
                Endpoint(source, self.source_port).fmt(f)?;
                f.write_str(" > ")?;
                Endpoint(destination, self.destination_port).fmt(f)?;
                self.transport(f)
            }
            _ => self.frame(f),
        }
    }
}

impl Headers {
    fn arp(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.arp_operation, self.source, self.destination) {
            (Some(1), Some(sender), Some(target)) => {
                write!(f, "arp who-has {target} tell {sender}")
            }
            (Some(2), Some(sender), Some(target)) => write!(f, "arp reply {sender} to {target}"),
            (operation, ..) => write!(f, "arp operation {}", operation.unwrap_or_default()),
        }
    }

    fn transport(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(protocol) = self.protocol else { return Ok(()) };
        match names::protocol(protocol) {
            Some(name) => write!(f, " {name}")?,
            None => write!(f, " protocol {protocol}")?,
        }
        if let Some(flags) = self.tcp_flags {
            let set = names::TCP_FLAGS.iter().enumerate().filter(|(bit, _)| flags >> bit & 1 == 1);
            for (position, (_, name)) in set.enumerate() {
                write!(f, "{}{name}", if position == 0 { ' ' } else { ',' })?;
            }
        }
        if let Some((kind, code)) = self.icmp {
            let name = if protocol == ip_number::IPV6_ICMP.0 {
                names::icmpv6(kind)
            } else {
                names::icmp(kind)
            };
            match name {
                Some(name) => write!(f, " {name}")?,
                None => write!(f, " type {kind} code {code}")?,
            }
        }
        Ok(())
    }

    /// A frame whose network layer is not known, or was cut off.
    fn frame(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(source), Some(destination)) = (self.source_mac, self.destination_mac) else {
            return f.write_str("no headers");
        };
        write!(f, "{} > {}", Mac(source), Mac(destination))?;
        match self.ethertype {
            Some(ethertype) => write!(f, " ethertype {ethertype:#06x}"),
            None => f.write_str(" 802.2"),
        }
    }
}

/// An address with its port, if it has one; IPv6 in brackets then.
struct Endpoint(IpAddr, Option<u16>);

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(port) => SocketAddr::new(self.0, port).fmt(f),
            None => self.0.fmt(f),
        }
    }
}
