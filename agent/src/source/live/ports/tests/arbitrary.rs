use std::io;

use proptest::prelude::*;

use crate::ports::Ports;

use super::super::engine::Engine;
use super::super::family::{GroupId, family_change};
use super::super::link::{Link, Received};
use super::super::message::{Content, FamilyId, Generic, Portid, attributes, messages};
use super::super::openvswitch::{datapath_change, port_change};
use super::kernel::{FakeKernel, Item};

fn decode(datagram: &[u8]) {
    for message in messages(datagram) {
        if let Content::Generic(generic) = message.content {
            for command in 0..6 {
                let generic = Generic { command, ..generic };
                family_change(generic);
                datapath_change(generic);
                port_change(generic);
            }
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        decode(&bytes);
        for command in 0..6 {
            let generic = Generic { family: FamilyId(35), command, body: &bytes };
            family_change(generic);
            datapath_change(generic);
            port_change(generic);
        }
    }

    #[test]
    fn attributes_are_within_their_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let found: usize = attributes(&bytes).map(|(_, value)| value.len() + 4).sum();
        prop_assert!(found <= bytes.len());
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn damaged_messages_do_no_harm(
        which in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let datagrams = super::transcripts::datagrams();
        let mut datagram = which.get(&datagrams).clone();
        let place = place.index(datagram.len());
        datagram[place] = byte;
        decode(&datagram);
        datagram.truncate(cut.index(datagram.len()));
        decode(&datagram);
        // An engine takes them, too.
        let mut engine = Engine::start(FakeKernel::new()).unwrap();
        engine.link.queue.push_back(Item::Datagram(datagram));
        engine.update(&mut Ports::default()).unwrap();
    }
}

/// A kernel that answers with anything.
struct Noise(Vec<Vec<u8>>);

impl Link for Noise {
    fn portid(&self) -> Portid {
        Portid(0)
    }

    fn join(&mut self, _: GroupId) -> io::Result<()> {
        Ok(())
    }

    fn send(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn receive(&mut self, buffer: &mut Vec<u8>) -> io::Result<Received> {
        Ok(match self.0.pop() {
            Some(bytes) => {
                *buffer = bytes;
                Received::Datagram
            }
            None => Received::Nothing,
        })
    }
}

proptest! {
    #[test]
    fn noise_ends_in_an_error(
        noise in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..100), 0..10),
    ) {
        prop_assert!(Engine::start(Noise(noise)).is_err());
    }
}
