//! Which upcalls become traces: flags of the commands that send them.

use std::time::Duration;

use anyhow::Context;
use upspan::filter::UpcallFilter;
use upspan::trace::{ContextMode, IdGenerator, RatioSampler, Sampler, Tracer, TracerConfig};

use super::session;

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Traces")]
pub(super) struct TraceArgs {
    /// Only upcalls of this port, by name or number; repeatable
    #[arg(long, value_name = "PORT")]
    port: Vec<String>,

    /// Only upcalls handled by this thread; repeatable
    #[arg(long, value_name = "NAME")]
    thread: Vec<String>,

    /// Only upcalls of this datapath; repeatable
    #[arg(long, value_name = "NAME")]
    datapath: Vec<String>,

    /// Only upcalls that took at least this long, such as 10ms
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    min_duration: Option<Duration>,

    /// Share of upcalls that become traces, from 0 to 1; where the packet carries a trace context,
    /// its sampled flag decides [env: OTEL_TRACES_SAMPLER_ARG, with
    /// OTEL_TRACES_SAMPLER=parentbased_traceidratio] [default: 1]
    #[arg(long, value_name = "RATIO", value_parser = ratio)]
    sample: Option<RatioSampler>,

    /// What becomes of the trace context that a packet carries (traceparent, B3, TCP option 25)
    #[arg(long, value_name = "MODE", value_enum, default_value_t)]
    context_mode: ContextMode,

    /// Make the same ids each time
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

fn ratio(ratio: &str) -> Result<RatioSampler, String> {
    let number = ratio.parse().map_err(|_| format!("'{ratio}' is no number"))?;
    RatioSampler::new(number).map_err(|error| error.to_string())
}

impl TraceArgs {
    /// Makes traces as wanted.
    pub(super) fn tracer(&self) -> anyhow::Result<Tracer> {
        let sampler = match self.sample {
            Some(ratio) => Sampler::parent_based(ratio),
            None => Sampler::from_env(session::variable)
                .context("cannot use OTEL_TRACES_SAMPLER or its _ARG")?,
        };
        let ids = self.seed.map_or_else(IdGenerator::random, IdGenerator::seeded);
        let context = self.context_mode;
        Ok(Tracer::new(TracerConfig { ids, sampler, context, ..TracerConfig::default() }))
    }

    /// Lets upcalls pass that are wanted.
    pub(super) fn filter(&self) -> UpcallFilter {
        UpcallFilter {
            ports: self.port.clone(),
            threads: self.thread.clone(),
            datapaths: self.datapath.clone(),
            min_duration: self.min_duration.unwrap_or_default(),
        }
    }
}
