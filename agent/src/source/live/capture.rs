//! Records out of the ring buffer, in order, with losses where they happened.

use std::os::fd::AsFd;
use std::time::Duration;

use aya::maps::{MapData, MapError, RingBuf};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

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

/// See the module.
#[expect(missing_debug_implementations, reason = "aya's maps have none")]
pub struct Capture {
    ring: RingBuf<MapData>,
    losses: Losses,
}

impl Capture {
    /// Most records taken at a time, so that whoever takes them gets to other work.
    const MOST: usize = 16_384;

    /// Of these programs; only once.
    ///
    /// # Errors
    ///
    /// Their maps cannot be used.
    pub fn new(programs: &mut Programs) -> Result<Self, ProgramsError> {
        Ok(Self { ring: programs.take_ring()?, losses: Losses::new(programs.take_lost()?) })
    }

    /// Takes what is there: `most` records, or some thousand. Returns how many it was.
    ///
    /// # Errors
    ///
    /// The kernel's counts of losses cannot be read.
    pub fn drain(
        &mut self,
        most: usize,
        mut take: impl FnMut(FromRing<'_>),
    ) -> Result<usize, MapError> {
        let most = most.min(Self::MOST);
        // Counted before the records are taken, as losses are from before the latest of them.
        self.losses.count(|kind, count| {
            if let Some(kind) = kind {
                take(FromRing::Lost(kind, count));
            }
        })?;
        for taken in 0..most {
            let Some(record) = self.ring.next() else { return Ok(taken) };
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
        Ok(most)
    }

    /// Waits until much of the ring is full, or for so long.
    pub fn wait(&self, most: Duration) {
        let mut ring = [PollFd::from_borrowed_fd(self.ring.as_fd(), PollFlags::IN)];
        let timeout = Timespec::try_from(most).ok();
        // Interrupted by a signal, it has waited long enough, too.
        let _ready = poll(&mut ring, timeout.as_ref());
    }
}
