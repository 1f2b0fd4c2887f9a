//! Records out of the ring buffer, in order, with losses where they happened.

use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::OwnedFd;
use std::time::Duration;

use aya::maps::{MapData, MapError, RingBuf};
use rustix::event::{Timespec, epoll};

use super::losses::Losses;
use super::programs::{Programs, ProgramsError};
use super::record::LiveRecord;
use super::ring::{DamagedRing, Ring};
use super::threads::Threads;
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
    /// Records that are not whole yet: programs are still writing them.
    Unfinished,
    /// More, perhaps, than was to be taken at a time.
    Perhaps,
}

/// Why nothing can be taken any more.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The counts of lost records cannot be read.
    #[error("cannot read how many events were lost: {0}")]
    Losses(#[from] MapError),
    /// See [`DamagedRing`].
    #[error(transparent)]
    Damaged(#[from] DamagedRing),
}

/// See the module.
#[expect(missing_debug_implementations, reason = "aya's maps have none")]
pub struct Capture {
    ring: Ring,
    threads: Threads,
    is_malformed_told: bool,
    doorbell: RingBuf<MapData>,
    /// Tells when a program wakes us up.
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
        let doorbell = programs.take_doorbell()?;
        Ok(Self {
            ring: programs.ring()?,
            threads: Threads::default(),
            is_malformed_told: false,
            wakeups: wakeups(&doorbell).map_err(ProgramsError::Wakeups)?,
            doorbell,
            losses: Losses::new(programs.take_lost()?),
        })
    }

    /// Takes what is there: `most` records, or some thousand.
    ///
    /// # Errors
    ///
    /// See [`CaptureError`].
    pub fn drain(
        &mut self,
        most: usize,
        mut take: impl FnMut(FromRing<'_>),
    ) -> Result<Left, CaptureError> {
        let most = most.min(Self::MOST);
        // Counted before the records are taken, as losses are from before the latest of them.
        self.losses.count(|kind, count| {
            if let Some(kind) = kind {
                take(FromRing::Lost(kind, count));
            }
        })?;
        for _ in 0..most {
            let Some(record) = self.ring.take()? else {
                return Ok(if self.ring.is_empty() { Left::Nothing } else { Left::Unfinished });
            };
            match LiveRecord::parse(&record, &mut self.threads) {
                Ok((head, record)) => {
                    if head.lost_before() > 0 {
                        take(FromRing::Gap);
                    }
                    take(FromRing::Record(record));
                }
                Err(malformed) => {
                    // One says enough: what is wrong with it is wrong with others.
                    if !mem::replace(&mut self.is_malformed_told, true) {
                        tracing::error!("{malformed}; this is a defect of upspan");
                    }
                    take(FromRing::Gap);
                }
            }
        }
        Ok(Left::Perhaps)
    }

    /// Waits until a program says that much was written, or for so long. Returns whether one did
    /// since the last time.
    pub fn wait(&mut self, most: Duration) -> bool {
        let mut events = [MaybeUninit::uninit()];
        let timeout = Timespec::try_from(most).ok();
        let woken = epoll::wait(&self.wakeups, &mut events, timeout.as_ref());
        // What is left there would wake us up again.
        while self.doorbell.next().is_some() {}
        // Interrupted by a signal, it has waited long enough, too.
        woken.is_ok_and(|(events, _)| !events.is_empty())
    }

    /// Waits for the next record, or for so long. Returns whether there is one.
    ///
    /// That costs a program a wake-up, so it is for when nothing happens.
    pub fn wait_for_next(&mut self, most: Duration) -> bool {
        let has_come = !self.ring.wait_for_next() || self.wait(most);
        self.ring.stop_waiting();
        has_come
    }
}

fn wakeups(doorbell: &RingBuf<MapData>) -> io::Result<OwnedFd> {
    let wakeups = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&wakeups, doorbell, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
    Ok(wakeups)
}
