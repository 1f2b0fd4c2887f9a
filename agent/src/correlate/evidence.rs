//! Where a source shows signs of lost events.

use std::collections::VecDeque;

use super::batch::Doubt;
use crate::event::Ordinal;

/// Signs of loss by position. Losses come in stretches that hit all threads: what lies near a sign
/// on one thread is in doubt on the others, too.
#[derive(Debug, Default)]
pub(super) struct Evidence(VecDeque<(Ordinal, Doubt)>);

impl Evidence {
    /// How far a sign reaches, in events before and after it.
    const REACH: u64 = 64;
    /// Signs kept. They are looked for a few batches back at most.
    const KEPT: usize = 256;

    pub(super) fn add(&mut self, at: Ordinal, doubt: Doubt) {
        // Signs close to each other reach as far as the outer ones do, but for a few events.
        if let Some((last, worst)) = self.0.back_mut()
            && last.0.abs_diff(at.0) < Self::REACH / 8
        {
            *worst = doubt.max(*worst);
            return;
        }
        if self.0.len() == Self::KEPT {
            self.0.pop_front();
        }
        self.0.push_back((at, doubt));
    }

    /// Whether there is a sign this bad near what lies from `first` to `last`.
    pub(super) fn is_near(&self, first: Ordinal, last: Ordinal, bad: Doubt) -> bool {
        let from = first.0.saturating_sub(Self::REACH);
        let to = last.0.saturating_add(Self::REACH);
        self.0.iter().any(|(at, doubt)| *doubt >= bad && (from..=to).contains(&at.0))
    }
}
