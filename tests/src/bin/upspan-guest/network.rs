//! The network of the tests: two bridges, and hosts, which are network namespaces.
//!
//! ```text
//! h1 … h4 ── p1 … p4 ┐
//!      t1 (VXLAN) vx0 ├ br0        t1, t2 ── u1, u2 ── br-ex
//!     t2 (Geneve) gn0 ┘
//! ```
//!
//! Host number N has the address 10.0.0.N and owns 10.N.0.0/16, in IPv6 fd00::N and fd00:N::/32.
//! They know each other's link addresses. What is sent to 10.200.0.0/13 arrives at h2, which is not
//! meant and does not answer.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Context;

use crate::command::{feed, run, run_words};
use crate::wait::{self, LIMIT};

/// A host of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    /// Name of its namespace.
    pub(crate) name: &'static str,
    /// Its number.
    pub(crate) number: u8,
    /// Its interface in the network.
    device: &'static str,
}

pub(crate) const H1: Host = Host { name: "h1", number: 1, device: "eth0" };
pub(crate) const H2: Host = Host { name: "h2", number: 2, device: "eth0" };
pub(crate) const H3: Host = Host { name: "h3", number: 3, device: "eth0" };
const H4: Host = Host { name: "h4", number: 4, device: "eth0" };
/// Behind a VXLAN tunnel.
pub(crate) const T1: Host = Host { name: "t1", number: 5, device: "vx" };
/// Behind a Geneve tunnel.
pub(crate) const T2: Host = Host { name: "t2", number: 6, device: "gn" };

/// Comes later.
pub(crate) const H7: Host = Host { name: "h7", number: 7, device: "eth0" };

const HOSTS: [Host; 6] = [H1, H2, H3, H4, T1, T2];

impl Host {
    /// One of the addresses that it owns.
    pub(crate) const fn address(self, subnet: u8, last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, self.number, subnet, last))
    }

    /// One of the IPv6 addresses that it owns.
    pub(crate) const fn address6(self, last: u16) -> IpAddr {
        IpAddr::V6(Ipv6Addr::new(0xfd00, self.number as u16, 0, 0, 0, 0, 0, last))
    }

    /// What `ip -batch` is told inside of it.
    fn set_up(self) -> String {
        let Self { number: me, device: dev, .. } = self;
        let mut batch = format!(
            "link set {dev} address 02:00:00:00:00:{me:02x} up\n\
             addr add 10.0.0.{me}/24 dev {dev}\n\
             addr add fd00::{me}/64 dev {dev} nodad\n\
             route add local 10.{me}.0.0/16 dev lo\n\
             route add local fd00:{me}::/32 dev lo\n"
        );
        for Self { number: other, .. } in HOSTS.into_iter().filter(|&other| other != self) {
            let _ = write!(
                batch,
                "neigh add 10.0.0.{other} lladdr 02:00:00:00:00:{other:02x} dev {dev}\n\
                 neigh add fd00::{other} lladdr 02:00:00:00:00:{other:02x} dev {dev}\n\
                 route add 10.{other}.0.0/16 via 10.0.0.{other}\n\
                 route add fd00:{other}::/32 via fd00::{other}\n"
            );
        }
        if self != H2 {
            let _ = write!(
                batch,
                "route add 10.200.0.0/13 via 10.0.0.2\n\
                 route add 10.210.0.0/16 via 10.0.0.5\n\
                 route add 10.211.0.0/16 via 10.0.0.6\n\
                 route add fd00:200::/32 via fd00::2\n"
            );
        }
        batch
    }
}

/// Where a kind of traffic goes to be swallowed, or is treated specially by a flow.
pub(crate) mod sink {
    use super::{IpAddr, Ipv4Addr, Ipv6Addr};

    pub(crate) const PLAIN: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 200, 0, 1));
    pub(crate) const PROBES: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 200, 9, 9));
    pub(crate) const FLOOD: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 200, 8, 8));
    pub(crate) const NEW_PORT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 200, 7, 7));
    pub(crate) const PLAIN6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0x200, 0, 0, 0, 0, 0, 1));
    pub(crate) const VLAN: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 201, 0, 1));
    pub(crate) const CONNTRACK: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 202, 0, 1));
    pub(crate) const CONTROLLER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 203, 0, 1));
    pub(crate) const DROPPED: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 205, 0, 1));
    pub(crate) const VXLAN: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 210, 0, 1));
    pub(crate) const GENEVE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 211, 0, 1));
}

/// Builds it.
pub(crate) fn set_up() -> anyhow::Result<()> {
    let mut batch = String::new();
    for (host, port) in [("h1", "p1"), ("h2", "p2"), ("h3", "p3"), ("h4", "p4")]
        .into_iter()
        .chain([("t1", "u1"), ("t2", "u2")])
    {
        run(&format!("ip netns add {host}"))?;
        let _ = writeln!(batch, "link add {port} type veth peer name eth0 netns {host}");
        let _ = writeln!(batch, "link set {port} up");
    }
    feed("ip -batch -", &batch)?;
    bridges()?;
    for (host, last, tunnel) in [
        (T1, 2, "link add vx type vxlan id 1 remote 192.168.50.1 dstport 4789 dev eth0\n"),
        (T2, 3, "link add gn type geneve id 2 remote 192.168.50.1\n"),
    ] {
        let underlay = format!(
            "link set lo up\n\
             link set eth0 address 02:00:00:00:01:{last:02x} up\n\
             addr add 192.168.50.{last}/24 dev eth0\n\
             neigh add 192.168.50.1 lladdr 02:00:00:00:01:01 dev eth0\n\
             {tunnel}"
        );
        feed(&format!("ip -n {} -batch -", host.name), &underlay)?;
    }
    underlay()?;
    for host in HOSTS {
        let batch = format!("link set lo up\n{}", host.set_up());
        feed(&format!("ip -n {} -batch -", host.name), &batch)?;
    }
    for Host { name, number, .. } in [H1, H2] {
        let batch = format!(
            "link add link eth0 name v100 type vlan id 100\n\
             link set v100 up\n\
             addr add 10.100.0.{number}/24 dev v100\n"
        );
        feed(&format!("ip -n {name} -batch -"), &batch)?;
    }
    feed(
        "ip -n h1 -batch -",
        "neigh add 10.100.0.2 lladdr 02:00:00:00:00:02 dev v100\n\
         route add 10.201.0.0/16 via 10.100.0.2\n\
         addr add 10.9.0.1/24 dev eth0\n",
    )?;
    // Answers who asks for any of these.
    feed("ip -n h3 -batch -", "route add local 10.9.0.128/25 dev lo\n")?;
    Ok(())
}

/// Makes the bridges, with their ports and flows.
pub(crate) fn bridges() -> anyhow::Result<()> {
    run("ovs-vsctl add-br br0 \
         -- set bridge br0 fail-mode=standalone \
         -- add-port br0 p1 -- add-port br0 p2 -- add-port br0 p3 -- add-port br0 p4 \
         -- add-port br0 vx0 -- set interface vx0 type=vxlan options:remote_ip=192.168.50.2 options:key=1 \
         -- add-port br0 gn0 -- set interface gn0 type=geneve options:remote_ip=192.168.50.3 options:key=2 \
         -- add-br br-ex \
         -- set bridge br-ex fail-mode=standalone other-config:hwaddr=02:00:00:00:01:01 \
         -- add-port br-ex u1 -- add-port br-ex u2")?;
    for flow in [
        "priority=100,udp,nw_dst=10.202.0.0/16,actions=ct(table=1,zone=5)",
        "table=1,priority=100,ct_state=+new+trk,ip,actions=ct(commit,zone=5),normal",
        "priority=100,udp,nw_dst=10.203.0.0/16,actions=controller,normal",
        "priority=100,udp,nw_dst=10.205.0.0/16,actions=drop",
    ] {
        run_words(&["ovs-ofctl", "add-flow", "br0", flow])?;
    }
    // Otherwise one flow stands for all ports of a pair of addresses.
    run("ovs-appctl upcall/disable-megaflows")?;
    Ok(())
}

/// Gives br-ex the addresses of the tunnels' near end.
pub(crate) fn underlay() -> anyhow::Result<()> {
    feed(
        "ip -batch -",
        "addr add 192.168.50.1/24 dev br-ex\n\
         link set br-ex up\n\
         neigh add 192.168.50.2 lladdr 02:00:00:00:01:02 dev br-ex\n\
         neigh add 192.168.50.3 lladdr 02:00:00:00:01:03 dev br-ex\n",
    )?;
    Ok(())
}

/// Removes the bridges, and with them the datapath.
pub(crate) fn remove_bridges() -> anyhow::Result<()> {
    run("ovs-vsctl del-br br0 -- del-br br-ex")?;
    wait::until("the datapath goes", LIMIT, || {
        Ok((!run("ovs-dpctl dump-dps")?.contains("ovs-system")).then_some(()))
    })
}

/// What the kernel counts of its datapath.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lookups {
    /// Packets that no flow matched.
    pub(crate) missed: u64,
    /// Upcalls that could not be delivered.
    pub(crate) lost: u64,
}

/// The kernel's counts of now.
pub(crate) fn lookups() -> anyhow::Result<Lookups> {
    let shown = run("ovs-dpctl show")?;
    let number = |name: &str| -> anyhow::Result<u64> {
        let at = shown.find(name).with_context(|| format!("no {name} in: {shown}"))?;
        let digits = shown[at + name.len()..].split_whitespace().next().unwrap_or_default();
        digits.parse().with_context(|| format!("{name}{digits}"))
    };
    Ok(Lookups { missed: number("missed:")?, lost: number("lost:")? })
}

/// Numbers and names of the datapath's ports, as `ovs-dpctl` says.
pub(crate) fn ports() -> anyhow::Result<Vec<(i64, String)>> {
    let port = |line: &str| {
        let (number, rest) = line.trim().strip_prefix("port ")?.split_once(": ")?;
        Some((number.parse().ok()?, rest.split_whitespace().next()?.to_owned()))
    };
    Ok(run("ovs-dpctl show")?.lines().filter_map(port).collect())
}

/// Packets that a port has sent to its host.
pub(crate) fn delivered(port: &str) -> anyhow::Result<u64> {
    let path = format!("/sys/class/net/{port}/statistics/tx_packets");
    let text = std::fs::read_to_string(&path).with_context(|| path)?;
    Ok(text.trim().parse()?)
}

/// Waits until a port has sent so many packets.
pub(crate) fn await_delivery(port: &str, packets: u64) -> anyhow::Result<()> {
    let what = format!("delivery of {packets} packets by {port}");
    wait::until(&what, LIMIT, || Ok((delivered(port)? >= packets).then_some(())))
}
