//! Flags of the commands that read a recording.

use std::num::NonZeroU64;

use upspan::source::input::Input;
use upspan::source::recording::{HandlerFilter, Options, Recording};

/// How to read a recording.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Recording")]
pub(super) struct Args {
    /// Stop at the first malformed line, instead of leaving it out
    #[arg(long)]
    strict: bool,

    /// Stop after so many events; 0 reads all of them
    #[arg(short, long, value_name = "EVENTS", default_value_t = 0)]
    stop: u64,

    /// Leave out events of other threads, except for dp_upcalls; names with commas between them
    #[arg(long, value_name = "HANDLERS")]
    handler_filter: Option<HandlerFilter>,
}

impl Args {
    fn options(&self) -> Options {
        Options {
            strict: self.strict,
            stop_after: NonZeroU64::new(self.stop),
            handlers: self.handler_filter.clone(),
        }
    }

    /// Opens a recording.
    pub(super) fn open(&self, input: &Input) -> anyhow::Result<Recording> {
        Ok(Recording::open(input, self.options())?)
    }
}

/// Says what of a recording could not be used, to standard error.
pub(super) fn warn(recording: &Recording, input: &str) {
    let malformed = recording.counts().malformed();
    for line in recording.malformed() {
        eprintln!("upspan: {input}: {line}");
    }
    let kept = recording.malformed().len() as u64;
    if malformed > kept {
        eprintln!("upspan: {input}: … and {} more", malformed - kept);
    }
    if malformed > 0 {
        eprintln!(
            "upspan: {malformed} malformed lines were left out (--strict stops at the first)"
        );
    }
    if let Some(damage) = recording.damage() {
        eprintln!("upspan: {input}: {damage}; what comes before it was used");
    }
    if recording.counts().event_lines() == 0 {
        eprintln!(
            "upspan: {input}: no event in it; it should be what upcall_cost.py writes with \
             --write-events"
        );
    } else if !recording.has_port_map() {
        eprintln!(
            "upspan: {input}: no dp_port_map in it, so no dp_upcall could be used: the line \
             `dp_port_map = {{...}}` should be the first"
        );
    }
    let lost = recording.counts().sum().miss;
    if lost > 0 {
        eprintln!(
            "upspan: {input}: {lost} events were lost while recording; joins that this makes \
             uncertain were left out. Record with more --buffer-page-count."
        );
    }
}
