//! Subscribe, dump, follow: the conversation with the kernel.

use std::collections::VecDeque;
use std::io;

use rustix::io::Errno;

use crate::ports::Ports;

use super::MonitorError;
use super::family::{
    CONTROLLER, CONTROLLER_GROUP, CONTROLLER_NAME, Family, FamilyChange, family_change, get_family,
};
use super::link::{Link, Received};
use super::message::{Content, Generic, Message, Request, Sequence, messages};
use super::mirror::{Dump, Mirror, UnknownDatapath};
use super::openvswitch::{
    DATAPATH_FAMILY, DatapathChange, PortChange, VPORT_FAMILY, datapath_change, dump_datapaths,
    dump_ports, port_change,
};

/// How often an update dumps, or asks for a family, before it leaves the rest to the next one.
const TRIES: usize = 5;

/// What an update of the ports found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Announcements that were applied.
    pub announced: u64,
    /// How often everything was dumped: at first, after a loss, and when asked for.
    pub dumps: u64,
    /// How often the kernel could not announce something, because nobody read the socket.
    pub losses: u64,
    /// Messages that cannot be understood. More than none means that the kernel's interface has
    /// changed, and that ports may be missing.
    pub unreadable: u64,
}

/// The families of Open vSwitch, while the kernel has them.
#[derive(Debug)]
struct Families {
    datapath: Family,
    vport: Family,
}

/// What a message says.
#[derive(Clone, Debug)]
enum News {
    Family(FamilyChange),
    Datapath(DatapathChange),
    Port(PortChange),
    Unreadable,
}

/// How the kernel answered.
#[derive(Debug)]
enum Answer {
    Whole,
    /// With gaps: datagrams were lost, or what was dumped changed meanwhile.
    Torn,
    Refused(io::Error),
    /// There is no end of it. The kernel makes answers while it takes the request, and while they
    /// are read; so nothing will come.
    Unfinished,
}

/// Keeps a port table like the kernel's.
#[derive(Debug)]
pub(super) struct Engine<L> {
    pub(super) link: L,
    buffer: Vec<u8>,
    sequence: Sequence,
    families: Option<Families>,
    /// Announcements that came while an answer was awaited.
    pending: VecDeque<News>,
    mirror: Mirror,
    /// The families may have come, or come again under other numbers.
    wants_families: bool,
    wants_dump: bool,
    changes: Changes,
}

impl<L: Link> Engine<L> {
    /// Subscribes to what the kernel announces. Before the first dump, so that nothing is missed
    /// in between.
    pub(super) fn start(link: L) -> Result<Self, MonitorError> {
        let mut engine = Self::new(link);
        let controller = engine
            .family(CONTROLLER_NAME)?
            .ok_or(MonitorError::NoAnswer { action: "look up the generic netlink controller" })?;
        engine.join(&controller, CONTROLLER_GROUP)?;
        engine.find_families()?;
        if engine.families.is_none() {
            return Err(MonitorError::NoOpenvswitch);
        }
        Ok(engine)
    }

    fn new(link: L) -> Self {
        Self {
            link,
            buffer: Vec::new(),
            sequence: Sequence(0),
            families: None,
            pending: VecDeque::new(),
            mirror: Mirror::default(),
            wants_families: false,
            wants_dump: true,
            changes: Changes::default(),
        }
    }

    /// How many datapaths there are.
    pub(super) fn datapaths(&self) -> usize {
        self.mirror.len()
    }

    /// Lets the next update dump everything.
    pub(super) fn want_dump(&mut self) {
        self.wants_dump = true;
    }

    /// Brings a port table up to date.
    pub(super) fn update(&mut self, ports: &mut Ports) -> Result<Changes, MonitorError> {
        self.drain()?;
        self.apply_pending(ports);
        for _ in 0..TRIES {
            if self.wants_families {
                self.find_families()?;
            }
            if self.families.is_none() {
                self.mirror.clear(ports);
                break;
            }
            if !self.wants_dump {
                break;
            }
            let is_whole = self.dump(ports)?;
            // The kernel walks its lists without a lock: while ports come and go, it can skip
            // one. So a dump counts only if nothing happened meanwhile.
            self.wants_dump = !is_whole || !self.pending.is_empty();
            self.apply_pending(ports);
        }
        Ok(std::mem::take(&mut self.changes))
    }

    /// Looks the families up, and subscribes to them if they are there.
    fn find_families(&mut self) -> Result<(), MonitorError> {
        self.families = None;
        if let Some(datapath) = self.family(DATAPATH_FAMILY)?
            && let Some(vport) = self.family(VPORT_FAMILY)?
        {
            self.join(&datapath, DATAPATH_FAMILY)?;
            self.join(&vport, VPORT_FAMILY)?;
            self.families = Some(Families { datapath, vport });
            self.wants_dump = true;
        }
        self.wants_families = false;
        Ok(())
    }

    /// Looks a family up; `None` if the kernel has none of this name.
    fn family(&mut self, name: &str) -> Result<Option<Family>, MonitorError> {
        const ACTION: &str = "look up a generic netlink family";
        for _ in 0..TRIES {
            let mut found = None;
            let answer = self.ask(ACTION, &get_family(name), |news| {
                if let News::Family(FamilyChange::Here(family)) = news {
                    found = Some(family);
                }
            })?;
            match answer {
                Answer::Whole | Answer::Torn if found.is_some() => return Ok(found),
                Answer::Refused(error) if is(&error, Errno::NOENT) => return Ok(None),
                Answer::Refused(error) => return Err(MonitorError::new(ACTION, error)),
                Answer::Whole | Answer::Torn | Answer::Unfinished => {}
            }
        }
        Err(MonitorError::NoAnswer { action: ACTION })
    }

    fn join(&mut self, family: &Family, group: &'static str) -> Result<(), MonitorError> {
        let id = family.group(group).ok_or(MonitorError::NoGroup(group))?;
        let action = "subscribe to changes of the kernel's ports";
        self.link.join(id).map_err(|error| MonitorError::new(action, error))
    }

    /// Dumps everything, and carries it over if nothing of it is missing.
    fn dump(&mut self, ports: &mut Ports) -> Result<bool, MonitorError> {
        const ACTION: &str = "list the kernel's datapaths and ports";
        let Some(Families { datapath, vport }) = &self.families else { return Ok(false) };
        let (datapath, vport) = (datapath.id, vport.id);
        self.changes.dumps += 1;

        let (mut dump, mut unreadable) = (Dump::default(), 0);
        let answer = self.ask(ACTION, &dump_datapaths(datapath), |news| match news {
            News::Datapath(DatapathChange::Here(datapath)) => dump.datapaths.push(datapath),
            _ => unreadable += 1,
        })?;
        if !self.is_whole(answer, ACTION)? {
            return Ok(false);
        }
        for index in 0..dump.datapaths.len() {
            let request = dump_ports(vport, dump.datapaths[index].ifindex);
            let answer = self.ask(ACTION, &request, |news| match news {
                News::Port(PortChange::Here(port)) => dump.ports.push(port),
                _ => unreadable += 1,
            })?;
            if !self.is_whole(answer, ACTION)? {
                return Ok(false);
            }
        }
        self.changes.unreadable += unreadable;
        self.mirror.replace(dump, ports);
        Ok(true)
    }

    /// Whether an answer to a dump can be used. If not, it is to be asked for again.
    fn is_whole(&mut self, answer: Answer, action: &'static str) -> Result<bool, MonitorError> {
        match answer {
            Answer::Whole => Ok(true),
            Answer::Torn | Answer::Unfinished => Ok(false),
            // The family is gone, and perhaps its announcement was lost.
            Answer::Refused(error) if is(&error, Errno::NOENT) => {
                self.wants_families = true;
                Ok(false)
            }
            // The datapath was deleted since it was listed, or the dump before was left unread.
            Answer::Refused(error) if is(&error, Errno::NODEV) || is(&error, Errno::BUSY) => {
                Ok(false)
            }
            Answer::Refused(error) => Err(MonitorError::new(action, error)),
        }
    }

    /// Sends a request, and reads its answer.
    fn ask(
        &mut self,
        action: &'static str,
        request: &Request,
        mut take: impl FnMut(News),
    ) -> Result<Answer, MonitorError> {
        let failed = |error| MonitorError::new(action, error);
        self.sequence = Sequence(self.sequence.0.wrapping_add(1));
        match self.link.send(&request.encode(self.sequence)) {
            // There is no room for the request now.
            Err(error) if is(&error, Errno::NOBUFS) => return Ok(Answer::Unfinished),
            sent => sent.map_err(failed)?,
        }
        let mut is_torn = false;
        let mut buffer = std::mem::take(&mut self.buffer);
        let answer = loop {
            match self.link.receive(&mut buffer).map_err(failed)? {
                Received::Nothing => break Answer::Unfinished,
                Received::Loss => {
                    self.note_loss();
                    is_torn = true;
                }
                Received::Datagram => {
                    let mut end = None;
                    for message in messages(&buffer) {
                        if message.requester != self.link.portid() {
                            self.keep(&message);
                        } else if message.sequence == self.sequence {
                            is_torn |= message.is_interrupted;
                            match message.content {
                                Content::End(outcome) => end = Some(outcome),
                                Content::Generic(generic) => {
                                    take(self.news(generic).unwrap_or(News::Unreadable));
                                    if !message.is_part {
                                        end = Some(Ok(()));
                                    }
                                }
                                Content::Other => {}
                            }
                        } // Else it answers an earlier request, which was given up.
                    }
                    match end {
                        None => {}
                        Some(Err(error)) => break Answer::Refused(error),
                        Some(Ok(())) if is_torn => break Answer::Torn,
                        Some(Ok(())) => break Answer::Whole,
                    }
                }
            }
        };
        self.buffer = buffer;
        Ok(answer)
    }

    /// Reads what the kernel announced.
    fn drain(&mut self) -> Result<(), MonitorError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        loop {
            let received = self.link.receive(&mut buffer).map_err(|error| {
                MonitorError::new("read what the kernel announces of its ports", error)
            })?;
            match received {
                Received::Nothing => break,
                Received::Loss => self.note_loss(),
                Received::Datagram => {
                    for message in messages(&buffer) {
                        if message.requester != self.link.portid() {
                            self.keep(&message);
                        }
                    }
                }
            }
        }
        self.buffer = buffer;
        Ok(())
    }

    fn note_loss(&mut self) {
        self.changes.losses += 1;
        self.wants_dump = true;
    }

    fn keep(&mut self, message: &Message<'_>) {
        if let Content::Generic(generic) = message.content
            && let Some(news) = self.news(generic)
        {
            self.pending.push_back(news);
        }
    }

    /// What a message says; `None` if it is about nothing of interest here.
    fn news(&self, message: Generic<'_>) -> Option<News> {
        if message.family == CONTROLLER {
            return family_change(message).map(News::Family);
        }
        let families = self.families.as_ref()?;
        if message.family == families.datapath.id {
            Some(datapath_change(message).map_or(News::Unreadable, News::Datapath))
        } else if message.family == families.vport.id {
            Some(port_change(message).map_or(News::Unreadable, News::Port))
        } else {
            None
        }
    }

    /// Carries announcements over, in their order.
    fn apply_pending(&mut self, ports: &mut Ports) {
        while let Some(news) = self.pending.pop_front() {
            match news {
                News::Unreadable => {
                    self.changes.unreadable += 1;
                    continue;
                }
                News::Family(change) => {
                    let (FamilyChange::Here(family) | FamilyChange::Gone(family)) = &change;
                    let names = [DATAPATH_FAMILY.as_bytes(), VPORT_FAMILY.as_bytes()];
                    if !names.contains(&family.name.as_slice()) {
                        continue;
                    }
                    match change {
                        FamilyChange::Here(_) => self.wants_families = true,
                        // Not looked for: that would make the kernel load the module again,
                        // which someone wants out of the way.
                        FamilyChange::Gone(_) => {
                            self.families = None;
                            self.wants_families = false;
                            self.mirror.clear(ports);
                        }
                    }
                }
                News::Datapath(change) => self.mirror.datapath(change, ports),
                News::Port(change) => {
                    if self.mirror.port(change, ports) == Err(UnknownDatapath) {
                        self.wants_dump = true;
                    }
                }
            }
            self.changes.announced += 1;
        }
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    Errno::from_io_error(error) == Some(errno)
}

#[cfg(test)]
mod tests {
    use super::super::link::KernelLink;
    use super::*;

    #[test]
    fn this_kernel_knows_its_controller_and_no_family_of_another_name() {
        let mut engine = Engine::new(KernelLink::open().unwrap());
        let controller = engine.family(CONTROLLER_NAME).unwrap().unwrap();
        assert_eq!(controller.id, CONTROLLER);
        assert!(controller.group(CONTROLLER_GROUP).is_some());
        engine.join(&controller, CONTROLLER_GROUP).unwrap();
        let error = engine.join(&controller, "other").unwrap_err();
        assert!(matches!(error, MonitorError::NoGroup("other")), "{error}");
        assert_eq!(engine.family("upspan_test").unwrap(), None);
    }
}
