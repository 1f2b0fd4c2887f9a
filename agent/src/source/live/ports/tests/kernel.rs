//! A kernel for tests: it has datapaths, answers dumps, announces changes, and loses datagrams.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use netlink_packet_core::{
    DefaultNla, Emitable, NLA_F_NESTED, NLM_F_DUMP_INTR, NLM_F_MULTIPART, NLMSG_DONE, NLMSG_ERROR,
};
use rustix::io::Errno;

use super::super::family::GroupId;
use super::super::link::{Link, Received};
use super::super::message::{Content, Portid, attributes, messages, text};

const PORTID: u32 = 77;
const CONTROLLER: u16 = 16;

/// Interface index of a datapath, and port number.
type PortKey = (i32, u32);

#[derive(Debug, Default)]
pub(super) struct FakeKernel {
    /// Ids of the families, while the module is loaded.
    pub(super) families: Option<(u16, u16)>,
    pub(super) groups: Vec<u32>,
    pub(super) datapaths: BTreeMap<i32, String>,
    pub(super) ports: BTreeMap<PortKey, String>,
    pub(super) queue: VecDeque<Item>,
    /// What goes wrong with the next dumps of ports, one each.
    pub(super) faults: VecDeque<Fault>,
    pub(super) dumps: usize,
}

/// What a reader of the socket gets.
#[derive(Debug)]
pub(super) enum Item {
    Datagram(Vec<u8>),
    Loss,
}

#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// A datagram of the answer does not arrive.
    Loss,
    /// The kernel says that the dump is not consistent, and leaves the last port out.
    Interrupted,
    /// A port is added meanwhile: it is announced, but not dumped.
    Added(PortKey, String),
    /// The datapath is deleted after it was listed.
    Deleted,
    /// The answer has no end.
    Unfinished,
    /// The kernel refuses.
    Refused(Errno),
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let attribute = DefaultNla::new(kind, value.to_vec());
    let mut bytes = vec![0; attribute.buffer_len()];
    attribute.emit(&mut bytes);
    bytes
}

fn string(kind: u16, value: &str) -> Vec<u8> {
    attribute(kind, &[value.as_bytes(), &[0]].concat())
}

pub(super) fn message(kind: u16, flags: u16, seq: u32, portid: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (16 + payload.len() as u32).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(seq.to_ne_bytes());
    bytes.extend(portid.to_ne_bytes());
    bytes.extend(payload);
    bytes
}

fn generic(command: u8, body: &[u8]) -> Vec<u8> {
    [&[command, 1, 0, 0], body].concat()
}

fn datapath(command: u8, ifindex: i32, name: &str) -> Vec<u8> {
    generic(command, &[ifindex.to_ne_bytes().to_vec(), string(1, name)].concat())
}

fn port(command: u8, (datapath, number): PortKey, name: &str) -> Vec<u8> {
    let number = attribute(1, &number.to_ne_bytes());
    let body = [datapath.to_ne_bytes().to_vec(), number, string(3, name)];
    generic(command, &body.concat())
}

fn family(command: u8, id: u16, name: &str, group: u32) -> Vec<u8> {
    let group_name = if id == CONTROLLER { "notify" } else { name };
    let group = [attribute(2, &group.to_ne_bytes()), string(1, group_name)].concat();
    let groups = attribute(7 | NLA_F_NESTED, &attribute(1 | NLA_F_NESTED, &group));
    // A kernel may know attributes that this module does not.
    let newer = attribute(99, b"?");
    generic(command, &[newer, attribute(1, &id.to_ne_bytes()), string(2, name), groups].concat())
}

impl FakeKernel {
    pub(super) fn new() -> Self {
        Self { families: Some((35, 36)), ..Self::default() }
    }

    fn push(&mut self, bytes: Vec<u8>) {
        self.queue.push_back(Item::Datagram(bytes));
    }

    /// Announces to a group, if the socket is in it.
    fn announce(&mut self, group: u32, family: u16, payload: &[u8]) {
        if self.groups.contains(&group) {
            self.push(message(family, 0, 5, 1234, payload));
        }
    }

    pub(super) fn add_datapath(&mut self, ifindex: i32, name: &str) {
        let (family, _) = self.families.unwrap();
        self.datapaths.insert(ifindex, name.into());
        self.ports.insert((ifindex, 0), name.into());
        self.announce(u32::from(family), family, &datapath(1, ifindex, name));
    }

    pub(super) fn delete_datapath(&mut self, ifindex: i32) {
        let (family, _) = self.families.unwrap();
        let name = self.datapaths.remove(&ifindex).unwrap();
        self.ports.retain(|key, _| key.0 != ifindex);
        self.announce(u32::from(family), family, &datapath(2, ifindex, &name));
    }

    pub(super) fn set_port(&mut self, key: PortKey, name: &str) {
        let (_, family) = self.families.unwrap();
        self.ports.insert(key, name.into());
        self.announce(u32::from(family), family, &port(1, key, name));
    }

    pub(super) fn remove_port(&mut self, key: PortKey) {
        let (_, family) = self.families.unwrap();
        let name = self.ports.remove(&key).unwrap();
        self.announce(u32::from(family), family, &port(2, key, &name));
    }

    pub(super) fn unload(&mut self) {
        let (datapath, vport) = self.families.take().unwrap();
        self.datapaths.clear();
        self.ports.clear();
        self.groups.retain(|group| *group == u32::from(CONTROLLER));
        for (id, name) in [(datapath, "ovs_datapath"), (vport, "ovs_vport")] {
            self.announce(CONTROLLER.into(), CONTROLLER, &family(2, id, name, id.into()));
        }
    }

    pub(super) fn load(&mut self, datapath: u16, vport: u16) {
        self.families = Some((datapath, vport));
        for (id, name) in [(datapath, "ovs_datapath"), (vport, "ovs_vport")] {
            self.announce(CONTROLLER.into(), CONTROLLER, &family(1, id, name, id.into()));
        }
    }

    /// Loses what has not been read.
    pub(super) fn lose(&mut self) {
        self.queue.clear();
        self.queue.push_back(Item::Loss);
    }

    /// The table that a reader should have.
    pub(super) fn listing(&self) -> Vec<String> {
        let mut lines: Vec<_> = self
            .datapaths
            .iter()
            .map(|(ifindex, datapath)| {
                let ports = self.ports.iter().filter(|(key, _)| key.0 == *ifindex);
                let ports: Vec<_> = ports.map(|(key, name)| format!("{} {name}", key.1)).collect();
                format!("{datapath}: {}", ports.join(", "))
            })
            .collect();
        lines.sort();
        lines
    }

    fn error(&mut self, seq: u32, errno: Errno) {
        let code = (-errno.raw_os_error()).to_ne_bytes();
        self.push(message(NLMSG_ERROR, 0, seq, PORTID, &code));
    }

    fn done(&mut self, flags: u16, seq: u32) {
        self.push(message(NLMSG_DONE, flags, seq, PORTID, &[0; 4]));
    }

    fn find_family(&mut self, seq: u32, name: &str) {
        let id = match (name, self.families) {
            ("nlctrl", _) => CONTROLLER,
            ("ovs_datapath", Some((datapath, _))) => datapath,
            ("ovs_vport", Some((_, vport))) => vport,
            _ => return self.error(seq, Errno::NOENT),
        };
        self.push(message(CONTROLLER, 0, seq, PORTID, &family(1, id, name, id.into())));
    }

    fn dump_ports(&mut self, seq: u32, ifindex: i32) {
        let (_, family) = self.families.unwrap();
        let mut parts: Vec<_> = (self.ports.iter().filter(|(key, _)| key.0 == ifindex))
            .map(|(key, name)| port(3, *key, name))
            .collect();
        let mut flags = NLM_F_MULTIPART;
        match self.faults.pop_front() {
            None => {}
            Some(Fault::Loss) => {
                parts.pop();
                self.queue.push_back(Item::Loss);
            }
            Some(Fault::Interrupted) => {
                parts.pop();
                flags |= NLM_F_DUMP_INTR;
            }
            Some(Fault::Added(key, name)) => self.set_port(key, &name),
            Some(Fault::Deleted) => {
                self.delete_datapath(ifindex);
                return self.error(seq, Errno::NODEV);
            }
            Some(Fault::Unfinished) => return,
            Some(Fault::Refused(errno)) => return self.error(seq, errno),
        }
        // As many as fit go into one datagram.
        for two in parts.chunks(2) {
            let messages = two.iter().map(|part| message(family, flags, seq, PORTID, part));
            self.push(messages.collect::<Vec<_>>().concat());
        }
        self.done(flags, seq);
    }
}

impl Link for FakeKernel {
    fn portid(&self) -> Portid {
        Portid(PORTID)
    }

    fn join(&mut self, group: GroupId) -> io::Result<()> {
        self.groups.push(group.0);
        Ok(())
    }

    fn send(&mut self, request: &[u8]) -> io::Result<()> {
        let request = messages(request).next().unwrap();
        let seq = request.sequence.0;
        let Content::Generic(request) = request.content else { panic!("{request:?}") };
        if request.family.0 == CONTROLLER {
            let name = text(attributes(request.body).next().unwrap().1).unwrap();
            self.find_family(seq, str::from_utf8(name).unwrap());
            return Ok(());
        }
        let ifindex = i32::from_ne_bytes(*request.body.first_chunk().unwrap());
        match self.families {
            Some((family, _)) if request.family.0 == family => {
                self.dumps += 1;
                for (ifindex, name) in self.datapaths.clone() {
                    let part = datapath(3, ifindex, &name);
                    self.push(message(family, NLM_F_MULTIPART, seq, PORTID, &part));
                }
                self.done(NLM_F_MULTIPART, seq);
            }
            Some((_, family)) if request.family.0 == family => self.dump_ports(seq, ifindex),
            _ => self.error(seq, Errno::NOENT),
        }
        Ok(())
    }

    fn receive(&mut self, buffer: &mut Vec<u8>) -> io::Result<Received> {
        Ok(match self.queue.pop_front() {
            None => Received::Nothing,
            Some(Item::Loss) => Received::Loss,
            Some(Item::Datagram(bytes)) => {
                *buffer = bytes;
                Received::Datagram
            }
        })
    }
}
