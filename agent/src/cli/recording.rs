//! Flags of the commands that read a recording.

use std::num::NonZeroU64;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::bail;
use upspan::source::input::Input;
use upspan::source::recording::{HandlerFilter, Options, Recording};

use super::stderr::say;

/// How to read a recording. Not `Args`: clap wants other names for what is flattened into those.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Recording")]
pub(super) struct ReadArgs {
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

/// Whether `output` would overwrite what is read.
pub(super) fn is_same_file(input: &Input, output: &Path) -> bool {
    let Input::Path(input) = input else { return false };
    match (input.metadata(), output.metadata()) {
        (Ok(a), Ok(b)) => a.is_file() && (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

impl ReadArgs {
    /// After how many events to stop.
    #[cfg(all(feature = "live", target_os = "linux"))]
    pub(super) const fn events(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.stop)
    }

    /// Which threads' events are wanted.
    #[cfg(all(feature = "live", target_os = "linux"))]
    pub(super) fn handlers(&self) -> Option<HandlerFilter> {
        self.handler_filter.clone()
    }

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

    /// Says what of a recording could not be used, to standard error.
    ///
    /// # Errors
    ///
    /// If it is no recording at all.
    pub(super) fn review(&self, recording: &Recording, input: &Input) -> anyhow::Result<()> {
        // In strict mode, the one malformed line is the error.
        if !self.strict {
            warn_of_malformed(recording, input);
        }
        if let Some(damage) = recording.damage() {
            say(format_args!("upspan: {input}: {damage}; what comes before it was used"));
        }
        let counts = recording.counts();
        if counts.unrelated() > 0 {
            let lines = lines(counts.unrelated());
            say(format_args!(
                "upspan: {input}: {lines} that upcall_cost.py does not write were left out"
            ));
        }
        match (recording.has_port_map(), counts.event_lines()) {
            (false, 0) => bail!(
                "{input} is no recording: give a file that upcall_cost.py has written with \
                 --write-events"
            ),
            (_, 0) => say(format_args!("upspan: {input}: no event in it")),
            (false, _) => say(format_args!(
                "upspan: {input}: no dp_port_map in it, so no dp_upcall could be used: the line \
                 `dp_port_map = {{...}}` should be the first"
            )),
            (true, _) => {}
        }
        let lost = counts.sum().miss;
        if lost > 0 {
            say(format_args!(
                "upspan: {input}: {lost} events were lost while recording; joins that this makes \
                 uncertain were left out. Record with more --buffer-page-count."
            ));
        }
        Ok(())
    }
}

fn warn_of_malformed(recording: &Recording, input: &Input) {
    let malformed = recording.counts().malformed();
    for line in recording.malformed() {
        say(format_args!("upspan: {input}: {line}"));
    }
    let kept = recording.malformed().len() as u64;
    if malformed > kept {
        say(format_args!("upspan: {input}: … and {} more", malformed - kept));
    }
    if malformed > 0 {
        let lines = lines(malformed);
        say(format_args!(
            "upspan: {input}: {lines} could not be read (--strict stops at the first)"
        ));
    }
}

fn lines(count: u64) -> String {
    if count == 1 { "1 line".to_owned() } else { format!("{count} lines") }
}
