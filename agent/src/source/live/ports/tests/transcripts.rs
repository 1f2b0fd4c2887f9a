//! Conversations with the kernels of Debian 12 (Linux 6.1, OVS 3.1.0) and 13 (Linux 6.12, OVS
//! 3.5.0), written down line by line:
//!
//! - `# COMMAND`: what was done before
//! - `portid N`, `join GROUP`, `send BYTES`: what this side did
//! - `recv BYTES`, `nothing`, `loss`: what it received
//! - `update`, `dump`: what its user called
//! - `expect DATAPATH: NUMBER NAME TYPE IFINDEX, …`: the table after that, a line a datapath

use std::collections::VecDeque;
use std::io;

use crate::ports::Ports;

use super::super::engine::Engine;
use super::super::family::GroupId;
use super::super::link::{Link, Received};
use super::super::message::Portid;
use super::listing;

/// Plays the kernel's part, and checks the other.
struct Transcript {
    portid: Portid,
    lines: VecDeque<&'static str>,
}

impl Transcript {
    fn new(text: &'static str) -> Self {
        let mut lines: VecDeque<_> =
            text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        let portid = lines.pop_front().unwrap().strip_prefix("portid ").unwrap().parse().unwrap();
        Self { portid: Portid(portid), lines }
    }

    fn next(&mut self) -> &'static str {
        self.lines.pop_front().expect("the transcript ends")
    }
}

impl Link for Transcript {
    fn portid(&self) -> Portid {
        self.portid
    }

    fn join(&mut self, group: GroupId) -> io::Result<()> {
        assert_eq!(self.next(), format!("join {}", group.0));
        Ok(())
    }

    fn send(&mut self, request: &[u8]) -> io::Result<()> {
        let bytes: String = request.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(self.next(), format!("send {bytes}"));
        Ok(())
    }

    fn receive(&mut self, buffer: &mut Vec<u8>) -> io::Result<Received> {
        Ok(match self.next() {
            "nothing" => Received::Nothing,
            "loss" => Received::Loss,
            line => {
                *buffer = bytes(line.strip_prefix("recv ").expect(line));
                Received::Datagram
            }
        })
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

/// The datagrams of a transcript.
pub(super) fn datagrams() -> Vec<Vec<u8>> {
    let lines = TRIXIE.lines().chain(BOOKWORM.lines());
    lines.filter_map(|line| line.strip_prefix("recv ")).map(bytes).collect()
}

const BOOKWORM: &str = include_str!("bookworm.transcript");
const TRIXIE: &str = include_str!("trixie.transcript");

/// Returns how often everything was dumped.
fn play(text: &'static str) -> u64 {
    let mut ports = Ports::default();
    let mut engine = Engine::start(Transcript::new(text)).unwrap();
    let mut dumps = 0;
    while let Some(line) = engine.link.lines.pop_front() {
        match line {
            "dump" => engine.want_dump(),
            "update" => {
                let changes = engine.update(&mut ports).unwrap();
                assert_eq!(changes.unreadable, 0);
                dumps += changes.dumps;
                let expected: Vec<_> = std::iter::from_fn(|| {
                    engine.link.lines.pop_front_if(|line| line.starts_with("expect "))
                })
                .map(|line| line.strip_prefix("expect ").unwrap())
                .collect();
                assert_eq!(listing(&ports), expected);
                assert_eq!(engine.datapaths(), expected.len());
            }
            line => panic!("{line}"),
        }
    }
    dumps
}

#[test]
fn the_ports_of_linux_6_1_are_followed() {
    assert_eq!(play(BOOKWORM), 3);
}

#[test]
fn the_ports_of_linux_6_12_are_followed() {
    assert_eq!(play(TRIXIE), 3);
}
