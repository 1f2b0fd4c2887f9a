//! Trace and span ids.

use opentelemetry::trace::{SpanId, TraceId};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};

/// Makes the ids of traces and spans: all bits random, as W3C Trace Context Level 2 asks for where
/// the `random` flag is set, and never zero, which would be invalid.
///
/// Ids must be unlikely to collide, not hard to guess, so a fast generator does. Its algorithm is
/// named here because a seed must give the same ids with every release.
#[derive(Clone, Debug)]
pub struct IdGenerator {
    rng: Xoshiro256PlusPlus,
}

impl IdGenerator {
    /// Seeded by the operating system.
    #[must_use]
    pub fn random() -> Self {
        Self { rng: rand::make_rng() }
    }

    /// Gives the same ids in every run with the same seed: for tests and comparisons only.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self { rng: Xoshiro256PlusPlus::seed_from_u64(seed) }
    }

    /// A new trace id.
    pub fn trace_id(&mut self) -> TraceId {
        loop {
            let id = self.rng.random::<u128>();
            if id != 0 {
                return TraceId::from(id);
            }
        }
    }

    /// A new span id.
    pub fn span_id(&mut self) -> SpanId {
        loop {
            let id = self.rng.next_u64();
            if id != 0 {
                return SpanId::from(id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn ids(mut generator: IdGenerator) -> Vec<(TraceId, SpanId)> {
        (0..1_000).map(|_| (generator.trace_id(), generator.span_id())).collect()
    }

    #[test]
    fn a_seed_reproduces_the_ids() {
        assert_eq!(ids(IdGenerator::seeded(7)), ids(IdGenerator::seeded(7)));
        assert_ne!(ids(IdGenerator::seeded(7)), ids(IdGenerator::seeded(8)));
    }

    #[test]
    fn random_ids_differ_and_are_valid() {
        let (first, second) = (ids(IdGenerator::random()), ids(IdGenerator::random()));
        assert!(
            first.iter().all(|&(trace, span)| trace != TraceId::INVALID && span != SpanId::INVALID)
        );
        let distinct: HashSet<_> = first.iter().chain(&second).collect();
        assert_eq!(distinct.len(), first.len() + second.len());
    }
}
