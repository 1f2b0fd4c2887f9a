//! What the programs tell of a thread now and then, for the records in between
//! (`upspan_ebpf::record::Introduction`).

use hashbrown::HashMap;
use upspan_ebpf::record::{DatapathName, Introduction};

use crate::event::{Comm, MonotonicNs, Pid, Tid};

/// Most threads that are remembered.
const MOST: usize = 8_192;

/// For how long a thread is remembered at least, in nanoseconds. The programs tell of one again
/// after a second.
const KEEP: u64 = 3_000_000_000;

/// See the module.
#[derive(Debug, Default)]
pub struct Threads {
    known: HashMap<Tid, Thread>,
}

/// A thread.
#[derive(Clone, Debug)]
pub struct Thread {
    /// Its process.
    pub pid: Pid,
    /// Its name.
    pub comm: Comm,
    since: MonotonicNs,
    datapath: Option<(u64, DatapathName)>,
}

impl Threads {
    /// A thread is told of, perhaps again: each CPU tells of it on its own, also where another one
    /// has named its datapath.
    pub fn introduce(&mut self, tid: Tid, at: MonotonicNs, introduction: &Introduction) {
        if self.known.len() >= MOST {
            self.known.retain(|_, thread| at.0.saturating_sub(thread.since.0) < KEEP);
        }
        if self.known.len() >= MOST {
            // A recv_upcall makes no sense without its datapath, other events do without a name.
            self.known.retain(|_, thread| thread.datapath.is_some());
        }
        let pid = Pid(introduction.pid);
        let before = self.known.get(&tid).filter(|before| before.pid == pid);
        let datapath = before.and_then(|before| before.datapath);
        let comm = Comm::from_bytes(&introduction.comm);
        self.known.insert(tid, Thread { pid, comm, since: at, datapath });
    }

    /// vswitchd's name of a datapath is told of, which is at `address` of the thread's process.
    pub fn name_datapath(&mut self, tid: Tid, address: u64, name: DatapathName) {
        if let Some(thread) = self.known.get_mut(&tid) {
            thread.datapath = Some((address, name));
        }
    }

    /// What is known of a thread.
    #[must_use]
    pub fn get(&self, tid: Tid) -> Option<&Thread> {
        self.known.get(&tid)
    }
}

impl Thread {
    /// The name of a datapath that is at `address`, without its padding.
    #[must_use]
    pub fn datapath(&self, address: u64) -> Option<&[u8]> {
        let (known, name) = self.datapath.as_ref()?;
        if *known == address { name.split(|&byte| byte == 0).next() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn introduction(pid: u32, name: &[u8]) -> Introduction {
        let mut introduction = Introduction { pid, ..Introduction::default() };
        introduction.comm[..name.len()].copy_from_slice(name);
        introduction
    }

    #[test]
    fn a_name_is_that_of_its_address_only() {
        let mut threads = Threads::default();
        let mut name = [0; 32];
        name[..3].copy_from_slice(b"dp1");
        threads.introduce(Tid(1), MonotonicNs(0), &introduction(7, b"handler1"));
        threads.name_datapath(Tid(1), 0x1000, name);
        let thread = threads.get(Tid(1)).expect("it was introduced");
        assert_eq!((thread.pid, thread.comm), (Pid(7), Comm::from_bytes(b"handler1")));
        assert_eq!(thread.datapath(0x1000), Some(&b"dp1"[..]));
        assert_eq!(thread.datapath(0x2000), None);
        // Told of by another CPU, which does not know yet what it will need.
        threads.introduce(Tid(1), MonotonicNs(1), &introduction(7, b"handler1"));
        let datapath =
            |threads: &Threads| threads.get(Tid(1))?.datapath(0x1000).map(<[u8]>::to_vec);
        assert_eq!(datapath(&threads).as_deref(), Some(&b"dp1"[..]));
        // A thread of another process.
        threads.introduce(Tid(1), MonotonicNs(2), &introduction(8, b"handler1"));
        assert_eq!(datapath(&threads), None);
        assert!(threads.get(Tid(2)).is_none());
    }

    #[test]
    fn those_of_long_ago_are_forgotten_first() {
        let mut threads = Threads::default();
        let tids = (0..).map(Tid);
        for tid in tids.clone().take(MOST / 2) {
            threads.introduce(tid, MonotonicNs(0), &introduction(7, b"old"));
        }
        for tid in tids.clone().skip(MOST / 2).take(MOST) {
            threads.introduce(tid, MonotonicNs(KEEP), &introduction(7, b"new"));
        }
        assert!(threads.get(Tid(0)).is_none());
        assert!(threads.get(Tid(MOST as u32)).is_some());
        for tid in tids.skip(2 * MOST).take(MOST) {
            threads.introduce(tid, MonotonicNs(KEEP), &introduction(7, b"many"));
            assert!(threads.known.len() <= MOST);
        }
    }
}
