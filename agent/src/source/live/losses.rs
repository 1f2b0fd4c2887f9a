//! How many records of each kind the ring buffer had no room for.

use aya::maps::{Array, MapData, MapError};
use upspan_ebpf::record::kind;

use crate::event::EventKind;

/// The kernel's counts.
#[expect(missing_debug_implementations, reason = "aya's maps have none")]
pub struct Losses {
    counters: Array<MapData, u64>,
    /// Those that were told, by kind of record.
    counted: [u64; kind::COUNT as usize],
}

impl Losses {
    /// With the map `LOST` of the programs.
    #[must_use]
    pub fn new(counters: Array<MapData, u64>) -> Self {
        Self { counters, counted: [0; kind::COUNT as usize] }
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
}
