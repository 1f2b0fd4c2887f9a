//! Traffic of every kind, and how many upcalls it must cause.

mod echo;
mod tcp;
mod udp;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::mark::{Mark, Traffic};
use crate::network::{self, H1, H3, H7, Host, T1, T2, sink};
use crate::report::Report;
use crate::truth::Cause;
use crate::wait::{self, LIMIT};

pub(crate) use udp::{Packet, send};

/// Upcalls that must have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upcalls {
    Exactly(usize),
    /// Some depend on hashes or on the time.
    AtLeast(usize),
}

/// Upcalls of marked packets that must have been, of a kind of traffic at a port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) traffic: Traffic,
    pub(crate) of: Cause,
    pub(crate) port: &'static str,
    pub(crate) upcalls: Upcalls,
}

/// First port of destinations; the ones that follow make each packet a flow of its own.
pub(crate) const FIRST_PORT: u16 = 10_000;

/// Packets that are sent at once: enough for full batches, and few enough for the netlink sockets.
const BURST: u16 = 128;

/// Upcalls at a port, by the number of packets sent.
type AtPort = (&'static str, fn(usize) -> Upcalls);

/// What one kind of traffic does: from where, to where, and by which port it arrives.
struct Stream {
    traffic: Traffic,
    from: Host,
    to: IpAddr,
    arrives: &'static str,
    count: u16,
    expected: &'static [AtPort],
}

fn once(sent: usize) -> Upcalls {
    Upcalls::Exactly(sent)
}

fn twice(sent: usize) -> Upcalls {
    Upcalls::Exactly(2 * sent)
}

fn many(sent: usize) -> Upcalls {
    Upcalls::AtLeast(sent / 2)
}

/// Datapath ports of tunnels, as vswitchd names them.
const VXLAN_PORT: &str = "vxlan_sys_4789";
const GENEVE_PORT: &str = "genev_sys_6081";

const STREAMS: [Stream; 8] = [
    Stream {
        traffic: Traffic::Udp,
        from: H1,
        to: sink::PLAIN,
        arrives: "p2",
        count: 2048,
        expected: &[("p1", once)],
    },
    Stream {
        traffic: Traffic::Udp6,
        from: H3,
        to: sink::PLAIN6,
        arrives: "p2",
        count: 512,
        expected: &[("p3", once)],
    },
    Stream {
        traffic: Traffic::Vlan,
        from: H1,
        to: sink::VLAN,
        arrives: "p2",
        count: 256,
        expected: &[("p1", once)],
    },
    Stream {
        traffic: Traffic::VxlanOut,
        from: H1,
        to: sink::VXLAN,
        arrives: "u1",
        count: 256,
        // The packet within the tunnel, and the one around it.
        expected: &[("p1", once), ("br-ex", many)],
    },
    Stream {
        traffic: Traffic::VxlanIn,
        from: T1,
        to: sink::PLAIN,
        arrives: "p2",
        count: 256,
        expected: &[(VXLAN_PORT, once), ("u1", many)],
    },
    Stream {
        traffic: Traffic::GeneveOut,
        from: H1,
        to: sink::GENEVE,
        arrives: "u2",
        count: 256,
        expected: &[("p1", once), ("br-ex", many)],
    },
    Stream {
        traffic: Traffic::GeneveIn,
        from: T2,
        to: sink::PLAIN,
        arrives: "p2",
        count: 256,
        expected: &[(GENEVE_PORT, once), ("u2", many)],
    },
    Stream {
        traffic: Traffic::Conntrack,
        from: H1,
        to: sink::CONNTRACK,
        arrives: "p2",
        count: 256,
        expected: &[("p1", twice)],
    },
];

/// Sends everything, a burst at a time, and waits until it has arrived.
pub(crate) fn everything(report: &Report) -> anyhow::Result<Vec<Expected>> {
    let mut expected = Vec::new();
    for stream in &STREAMS {
        report.say(format_args!("sends {} packets: {:?}", stream.count, stream.traffic));
        stream.run()?;
        expected.extend(stream.expected());
    }
    report.say("sends to a controller, and what is dropped");
    expected.extend(controller()?);
    expected.extend(dropped()?);
    report.say("sends echo requests");
    expected.extend(echo::run()?);
    report.say("asks for link addresses");
    arp()?;
    report.say("speaks HTTP, and sends much by TCP");
    tcp::web()?;
    tcp::bulk()?;
    Ok(expected)
}

impl Stream {
    fn run(&self) -> anyhow::Result<()> {
        let ports: Vec<u16> = (0..self.count).collect();
        for burst in ports.chunks(BURST.into()) {
            let before = network::delivered(self.arrives)?;
            let packets = burst.iter().map(|&number| packet(self.traffic, self.to, number));
            send(self.from, packets)?;
            network::await_delivery(self.arrives, before + burst.len() as u64)?;
        }
        Ok(())
    }

    fn expected(&self) -> impl Iterator<Item = Expected> {
        let (traffic, sent) = (self.traffic, usize::from(self.count));
        let of = move |&(port, upcalls): &AtPort| Expected {
            traffic,
            of: Cause::Miss,
            port,
            upcalls: upcalls(sent),
        };
        self.expected.iter().map(of)
    }
}

/// The packet of this number, to a port of its own.
fn packet(traffic: Traffic, to: IpAddr, number: u16) -> Packet {
    let to = SocketAddr::new(to, FIRST_PORT + number);
    Packet { to, mark: Mark { traffic, number: number.into() } }
}

/// Each goes up a second time, by the flow's action.
fn controller() -> anyhow::Result<Vec<Expected>> {
    const COUNT: u16 = 64;
    let before = network::delivered("p2")?;
    let packets = (0..COUNT).map(|number| packet(Traffic::Controller, sink::CONTROLLER, number));
    send(H1, packets)?;
    network::await_delivery("p2", before + u64::from(COUNT))?;
    let upcalls = Upcalls::Exactly(COUNT.into());
    let expected = |of| Expected { traffic: Traffic::Controller, of, port: "p1", upcalls };
    Ok(vec![expected(Cause::Miss), expected(Cause::Action)])
}

/// Dropped ones between others, so that batches have members without execute.
fn dropped() -> anyhow::Result<Vec<Expected>> {
    const COUNT: u16 = 128;
    let pairs = (0..COUNT).flat_map(|number| {
        let dropped = packet(Traffic::Dropped, sink::DROPPED, number);
        let passes = packet(Traffic::AroundDropped, sink::PLAIN, 20_000 + number);
        [dropped, passes]
    });
    let before = network::delivered("p2")?;
    send(H1, pairs)?;
    network::await_delivery("p2", before + u64::from(COUNT))?;
    Ok([Traffic::Dropped, Traffic::AroundDropped]
        .map(|traffic| Expected {
            traffic,
            of: Cause::Miss,
            port: "p1",
            upcalls: Upcalls::Exactly(COUNT.into()),
        })
        .to_vec())
}

/// Addresses that h1 asks for, and h3 has.
pub(crate) const ARP_ADDRESSES: u8 = 50;

fn arp() -> anyhow::Result<()> {
    let before = network::delivered("p3")?;
    let packets = (0..ARP_ADDRESSES).map(|number| {
        let to = IpAddr::from([10, 9, 0, 128 + number]);
        packet(Traffic::Probe, to, 30_000 + u16::from(number))
    });
    send(H1, packets)?;
    // A question, and the packet itself once it is answered.
    network::await_delivery("p3", before + 2 * u64::from(ARP_ADDRESSES))
}

/// Packets of a part of a flood.
const FLOOD_PART: u16 = 2000;
/// Parts of a flood.
pub(crate) const FLOOD_PARTS: u16 = 4;

/// Sends a part of a flood at once.
pub(crate) fn flood_part(part: u16) -> anyhow::Result<()> {
    let numbers = part * FLOOD_PART..(part + 1) * FLOOD_PART;
    send(H1, numbers.map(|number| packet(Traffic::Flood, sink::FLOOD, number)))
}

/// Sends a packet from the host that came last.
pub(crate) fn send_from_new_port(number: u16) -> anyhow::Result<()> {
    send(H7, [packet(Traffic::Probe, sink::NEW_PORT, number)])
}

/// How long a probe is given until the next one.
const PROBE: Duration = Duration::from_millis(500);

/// Sends what has not been sent before, until `seen` has something.
pub(crate) fn probe<T>(
    next: &mut u16,
    what: &str,
    mut seen: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    wait::until(what, LIMIT, || {
        send(H1, [packet(Traffic::Probe, sink::PROBES, *next)])?;
        *next += 1;
        let sent = Instant::now();
        while sent.elapsed() < PROBE {
            if let Some(seen) = seen()? {
                return Ok(Some(seen));
            }
            wait::pause(Duration::from_millis(5));
        }
        Ok(None)
    })
}
