//! Which upcalls become traces.

use opentelemetry::trace::TraceId;

/// Name of the sampler: `OTEL_TRACES_SAMPLER` of the OpenTelemetry SDK configuration.
pub const SAMPLER_VARIABLE: &str = "OTEL_TRACES_SAMPLER";
/// The sampler's argument: `OTEL_TRACES_SAMPLER_ARG`.
pub const SAMPLER_ARG_VARIABLE: &str = "OTEL_TRACES_SAMPLER_ARG";

/// Keeps a fixed share of traces, chosen by trace id: the specification's `TraceIdRatioBased`.
///
/// The decision depends on the id alone and is the one that the OpenTelemetry SDKs for Rust and Go
/// make (the low 8 bytes, less their last bit, against the ratio of 2⁶³), so that several processes
/// with one ratio agree on a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RatioSampler {
    /// Ids whose 63 bits are below this are kept; 2⁶³ keeps all.
    bound: u64,
}

impl Default for RatioSampler {
    fn default() -> Self {
        Self::ALWAYS_ON
    }
}

impl RatioSampler {
    /// Keeps every trace.
    pub const ALWAYS_ON: Self = Self { bound: 1 << 63 };
    /// Keeps none.
    pub const ALWAYS_OFF: Self = Self { bound: 0 };

    /// Keeps this share of all traces, from 0.0 to 1.0.
    ///
    /// # Errors
    /// [`SamplerError::Ratio`] for numbers outside of that range.
    pub fn new(ratio: f64) -> Result<Self, SamplerError> {
        if !(0.0..=1.0).contains(&ratio) {
            return Err(SamplerError::Ratio(ratio.to_string()));
        }
        // From 0 to 2^63 by the check above, so the cast loses nothing but a fraction.
        let bound = (ratio * (1_u64 << 63) as f64) as u64;
        Ok(Self { bound })
    }

    /// Whether the trace with this id is kept.
    #[must_use]
    pub fn samples(&self, trace_id: TraceId) -> bool {
        let [.., a, b, c, d, e, f, g, h] = trace_id.to_bytes();
        u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1 < self.bound
    }
}

/// Decides which upcalls become traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampler {
    /// For traces that begin here.
    root: RatioSampler,
    /// Whether a trace that began elsewhere is kept as its sender says.
    is_parent_based: bool,
}

impl Default for Sampler {
    /// Keeps every trace, but those that their senders do not record.
    fn default() -> Self {
        Self::parent_based(RatioSampler::ALWAYS_ON)
    }
}

impl Sampler {
    /// Follows the trace context that the packet carries; where there is none, this sampler.
    #[must_use]
    pub const fn parent_based(root: RatioSampler) -> Self {
        Self { root, is_parent_based: true }
    }

    /// Decides by the trace id alone, whatever the packet carries.
    #[must_use]
    pub const fn by_id(sampler: RatioSampler) -> Self {
        Self { root: sampler, is_parent_based: false }
    }

    /// The sampler that `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG` ask for,
    /// `parentbased_always_on` if they are unset or empty. `variable` looks one up.
    ///
    /// # Errors
    /// A name or an argument that is not understood. The specification wants a warning and the
    /// default then, rather than an end.
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Result<Self, SamplerError> {
        let set = |name| variable(name).filter(|value| !value.trim().is_empty());
        let Some(name) = set(SAMPLER_VARIABLE) else {
            return Ok(Self::default());
        };
        let lower = name.trim().to_ascii_lowercase();
        let (kind, is_parent_based) = match lower.strip_prefix("parentbased_") {
            Some(root) => (root, true),
            None => (&*lower, false),
        };
        let root = match kind {
            "always_on" => RatioSampler::ALWAYS_ON,
            "always_off" => RatioSampler::ALWAYS_OFF,
            "traceidratio" => match set(SAMPLER_ARG_VARIABLE) {
                None => RatioSampler::ALWAYS_ON,
                Some(ratio) => RatioSampler::new(
                    ratio.trim().parse().map_err(|_| SamplerError::Ratio(ratio))?,
                )?,
            },
            _ => return Err(SamplerError::Unknown(name)),
        };
        Ok(Self { root, is_parent_based })
    }

    /// Whether the trace with this id is kept. `parent` is what the sender of the packet says of
    /// it; `None` if there is no context, or it leaves that open.
    #[must_use]
    pub fn samples(&self, trace_id: TraceId, parent: Option<bool>) -> bool {
        match parent {
            Some(sampled) if self.is_parent_based => sampled,
            _ => self.root.samples(trace_id),
        }
    }
}

/// Why there is no sampler.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SamplerError {
    /// Not a number from 0 to 1.
    #[error("the sampling ratio `{0}` is not a number from 0.0 (no trace) to 1.0 (every trace)")]
    Ratio(String),
    /// Not a sampler that exists here.
    #[error(
        "OTEL_TRACES_SAMPLER=`{0}` is not known here; use always_on, always_off or traceidratio, \
         each with or without the prefix parentbased_"
    )]
    Unknown(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::ids::IdGenerator;

    fn from_env(sampler: &str, argument: &str) -> Result<Sampler, SamplerError> {
        Sampler::from_env(|name| match name {
            SAMPLER_VARIABLE => Some(sampler.to_owned()),
            SAMPLER_ARG_VARIABLE => Some(argument.to_owned()),
            _ => None,
        })
    }

    #[test]
    fn ratio_is_validated() {
        for wrong in [-0.1, 1.000_001, f64::NAN, f64::INFINITY] {
            assert_eq!(RatioSampler::new(wrong), Err(SamplerError::Ratio(wrong.to_string())));
        }
        assert_eq!(RatioSampler::new(1.0), Ok(RatioSampler::ALWAYS_ON));
        assert_eq!(RatioSampler::new(0.0), Ok(RatioSampler::ALWAYS_OFF));
    }

    #[test]
    fn environment_names_the_sampler() {
        let (on, off) = (RatioSampler::ALWAYS_ON, RatioSampler::ALWAYS_OFF);
        let quarter = RatioSampler::new(0.25).expect("valid ratio");
        assert_eq!(Sampler::from_env(|_| None), Ok(Sampler::parent_based(on)));
        assert_eq!(from_env("", ""), Ok(Sampler::parent_based(on)));
        assert_eq!(from_env("always_on", ""), Ok(Sampler::by_id(on)));
        assert_eq!(from_env("always_off", "1"), Ok(Sampler::by_id(off)));
        assert_eq!(from_env("ParentBased_Always_On", ""), Ok(Sampler::parent_based(on)));
        assert_eq!(from_env("parentbased_always_off", ""), Ok(Sampler::parent_based(off)));
        assert_eq!(from_env("traceidratio", ""), Ok(Sampler::by_id(on)));
        assert_eq!(from_env("traceidratio", "0.25"), Ok(Sampler::by_id(quarter)));
        let parent_based = Ok(Sampler::parent_based(quarter));
        assert_eq!(from_env("parentbased_traceidratio", " 0.25 "), parent_based);
        assert_eq!(from_env("traceidratio", "2"), Err(SamplerError::Ratio("2".to_owned())));
        assert_eq!(from_env("traceidratio", "half"), Err(SamplerError::Ratio("half".to_owned())));
        assert_eq!(from_env("xray", ""), Err(SamplerError::Unknown("xray".to_owned())));
        let twice = "parentbased_parentbased_always_on";
        assert_eq!(from_env(twice, ""), Err(SamplerError::Unknown(twice.to_owned())));
    }

    #[test]
    fn only_a_parent_based_sampler_follows_the_sender() {
        let id = TraceId::from(7);
        for root in [RatioSampler::ALWAYS_ON, RatioSampler::ALWAYS_OFF] {
            let sampler = Sampler::parent_based(root);
            assert!(sampler.samples(id, Some(true)) && !sampler.samples(id, Some(false)));
            assert_eq!(sampler.samples(id, None), root.samples(id));
            for parent in [Some(true), Some(false), None] {
                assert_eq!(Sampler::by_id(root).samples(id, parent), root.samples(id));
            }
        }
    }

    #[test]
    fn the_low_bytes_decide() {
        let half = RatioSampler::new(0.5).expect("valid ratio");
        assert!(half.samples(TraceId::from(0xffff_ffff_ffff_ffff_7fff_ffff_ffff_ffff)));
        assert!(!half.samples(TraceId::from(0x0000_0000_0000_0000_8000_0000_0000_0000)));
        assert!(RatioSampler::ALWAYS_ON.samples(TraceId::from(u128::MAX)));
        assert!(!RatioSampler::ALWAYS_OFF.samples(TraceId::from(1 << 64)));
    }

    #[test]
    fn a_smaller_ratio_keeps_a_subset_of_about_its_share() {
        let mut ids = IdGenerator::seeded(1);
        let ids: Vec<_> = (0..10_000).map(|_| ids.trace_id()).collect();
        let kept = |ratio| {
            let sampler = RatioSampler::new(ratio).expect("valid ratio");
            ids.iter().filter(move |id| sampler.samples(**id)).collect::<Vec<_>>()
        };
        let (tenth, third) = (kept(0.1), kept(1.0 / 3.0));
        assert!(tenth.iter().all(|id| third.contains(id)));
        assert!((900..1_100).contains(&tenth.len()), "{}", tenth.len());
        assert!((3_100..3_570).contains(&third.len()), "{}", third.len());
    }
}
