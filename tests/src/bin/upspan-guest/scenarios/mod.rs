//! What is tried.

mod lossless;

use std::path::Path;

use clap::ValueEnum;

use crate::report::Report;

/// Something to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Traffic of every kind, of which nothing may be lost.
    Lossless,
}

impl Scenario {
    fn name(self) -> &'static str {
        match self {
            Self::Lossless => "lossless",
        }
    }

    /// Tries it. What goes wrong on the way fails it, too.
    pub(crate) fn run(self, upspan: &Path, report: &mut Report) {
        report.begin(self.name());
        let outcome = match self {
            Self::Lossless => lossless::run(upspan, report),
        };
        if let Err(error) = outcome {
            report.check("runs", false, format_args!("{error:#}"));
        }
    }
}
