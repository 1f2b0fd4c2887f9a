//! Each event as a line of a table, as it comes.

use std::io::{self, BufWriter, StdoutLock, Write};

use anyhow::Context;
use upspan::event::Event;
use upspan::pipeline::Consumer;
use upspan::ports::Ports;
use upspan::report::event_line::{EventLine, HEADER};
use upspan::upcall::{FailedUpcall, Unmatched, Upcall};

use super::stdout::CANNOT_WRITE;

/// Prints events to standard output, unless it is quiet.
pub(super) struct LiveTable {
    out: Option<BufWriter<StdoutLock<'static>>>,
    error: Option<io::Error>,
}

impl LiveTable {
    pub(super) fn new(quiet: bool) -> Self {
        let mut table = Self { out: None, error: None };
        if !quiet {
            table.out = Some(BufWriter::new(io::stdout().lock()));
            table.write(|out| writeln!(out, "{HEADER}"));
        }
        table
    }

    /// Ends the table.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        self.write(Write::flush);
        self.error.map_or(Ok(()), Err).context(CANNOT_WRITE)
    }

    fn write(&mut self, print: impl FnOnce(&mut BufWriter<StdoutLock<'static>>) -> io::Result<()>) {
        if let Some(out) = &mut self.out
            && let Err(error) = print(out)
        {
            self.out = None;
            self.error = Some(error);
        }
    }
}

impl Consumer for LiveTable {
    fn event(&mut self, event: &Event<'_>, ports: &Ports) {
        self.write(|out| writeln!(out, "{}", EventLine::new(event, ports)));
    }

    fn upcall(&mut self, _: &Upcall<'_>, _: &Ports) {}

    fn failed(&mut self, _: &FailedUpcall<'_>, _: &Ports) {}

    fn unmatched(&mut self, _: &Unmatched) {}

    fn settled(&mut self) {
        self.write(Write::flush);
    }

    fn is_closed(&self) -> bool {
        self.error.is_some()
    }
}
