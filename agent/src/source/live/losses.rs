//! Which records the ring buffer had no room for: how many of each kind, and about where.

use aya::maps::{Array, MapData, MapError};
use upspan_ebpf::record::{Head, kind};

use crate::event::EventKind;

/// The kernel's counts, and what the records' numbers say.
#[expect(missing_debug_implementations, reason = "aya's maps have none")]
pub struct Losses {
    counters: Array<MapData, u64>,
    /// By kind of record.
    counted: [u64; kind::COUNT as usize],
    /// Records found missing by their numbers.
    located: u64,
    /// The next number of each CPU.
    next: Vec<Option<u32>>,
}

impl Losses {
    /// With the map `LOST` of the programs.
    #[must_use]
    pub fn new(counters: Array<MapData, u64>) -> Self {
        Self { counters, counted: [0; kind::COUNT as usize], located: 0, next: Vec::new() }
    }

    /// Reads the kernel's counts; `found` gets what has come, by kind. `None` stands for reports of
    /// failures, which are no events.
    ///
    /// # Errors
    ///
    /// The map cannot be read.
    pub fn count(&mut self, mut found: impl FnMut(Option<EventKind>, u64)) -> Result<(), MapError> {
        for (kind, counted) in (0..).zip(&mut self.counted) {
            let now = self.counters.get(&kind, 0)?;
            if now > *counted {
                found(EventKind::from_code(kind.into()), now - *counted);
                *counted = now;
            }
        }
        Ok(())
    }

    /// Whether records are missing right before this one, from its CPU.
    ///
    /// A program that interrupts another one takes its number first and may be done later, so that
    /// numbers can also be out of order: what is left out is lost only if the kernel says so.
    pub fn precede(&mut self, head: &Head) -> bool {
        let cpu = usize::from(head.cpu);
        if cpu >= self.next.len() {
            self.next.resize(cpu + 1, None);
        }
        let expected = self.next[cpu].unwrap_or(head.seq());
        let left_out = head.seq().wrapping_sub(expected);
        if left_out > u32::MAX / 2 {
            return false;
        }
        self.next[cpu] = Some(head.seq().wrapping_add(1));
        if left_out == 0 {
            return false;
        }
        let unlocated = self.counted.iter().sum::<u64>().saturating_sub(self.located);
        self.located += u64::from(left_out).min(unlocated);
        unlocated > 0
    }
}
