//! Records out of the ring buffer, in order, with losses where they happened.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::time::Duration;

use aya::maps::{MapData, MapError, RingBuf};
use rustix::event::{Timespec, epoll};

use super::losses::Losses;
use super::programs::{Programs, ProgramsError};
use super::record::LiveRecord;
use crate::event::EventKind;

/// What comes out of the ring buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromRing<'a> {
    /// A record.
    Record(LiveRecord<'a>),
    /// Events are missing here, or a record was malformed.
    Gap,
    /// So many events of a kind were lost, somewhere.
    Lost(EventKind, u64),
}

/// What there is in the ring after records were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing: all that had been written before was taken.
    Nothing,
    /// More, perhaps, than was to be taken at a time.
    Perhaps,
}

/// See the module.
#[expect(missing_debug_implementations, reason = "aya's maps have none")]
pub struct Capture {
    ring: RingBuf<MapData>,
    /// Tells when a program wakes us up. Edge-triggered, as a ring that only has something in it
    /// is not worth it.
    wakeups: OwnedFd,
    losses: Losses,
}

impl Capture {
    /// Most records taken at a time, so that whoever takes them gets to other work.
    const MOST: usize = 2_048;

    /// Of these programs; only once.
    ///
    /// # Errors
    ///
    /// Their maps cannot be used.
    pub fn new(programs: &mut Programs) -> Result<Self, ProgramsError> {
        let ring = programs.take_ring()?;
        let wakeups = wakeups(&ring).map_err(ProgramsError::Wakeups)?;
        Ok(Self { ring, wakeups, losses: Losses::new(programs.take_lost()?) })
    }

    /// Takes what is there: `most` records, or some thousand.
    ///
    /// # Errors
    ///
    /// The kernel's counts of losses cannot be read.
    pub fn drain(
        &mut self,
        most: usize,
        mut take: impl FnMut(FromRing<'_>),
    ) -> Result<Left, MapError> {
        let most = most.min(Self::MOST);
        // Counted before the records are taken, as losses are from before the latest of them.
        self.losses.count(|kind, count| {
            if let Some(kind) = kind {
                take(FromRing::Lost(kind, count));
            }
        })?;
        for _ in 0..most {
            let Some(record) = self.ring.next() else { return Ok(Left::Nothing) };
            match LiveRecord::parse(&record) {
                Ok((head, record)) => {
                    if self.losses.precede(&head) {
                        take(FromRing::Gap);
                    }
                    take(FromRing::Record(record));
                }
                Err(malformed) => {
                    tracing::error!("{malformed}");
                    take(FromRing::Gap);
                }
            }
        }
        Ok(Left::Perhaps)
    }

    /// Waits until a program says that much is in the ring, or for so long. Returns whether one did
    /// since the last time.
    pub fn wait(&self, most: Duration) -> bool {
        let mut events = [MaybeUninit::uninit()];
        let timeout = Timespec::try_from(most).ok();
        let woken = epoll::wait(&self.wakeups, &mut events, timeout.as_ref());
        // Interrupted by a signal, it has waited long enough, too.
        woken.is_ok_and(|(events, _)| !events.is_empty())
    }
}

fn wakeups(ring: &RingBuf<MapData>) -> io::Result<OwnedFd> {
    let wakeups = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
    epoll::add(&wakeups, ring, epoll::EventData::new_u64(0), flags)?;
    Ok(wakeups)
}
