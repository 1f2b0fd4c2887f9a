//! What is tried.

mod faults;
mod judge;
mod lossless;
mod overload;
mod socket_overflow;

use std::path::Path;

use clap::ValueEnum;

use crate::report::Report;

/// Where to try it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// The program.
    pub(crate) upspan: &'a Path,
    /// Folder for recordings.
    pub(crate) out: &'a Path,
}

/// Something to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Traffic of every kind, of which nothing may be lost.
    Lossless,
    /// A flood, of which much is lost.
    Overload,
    /// A vswitchd that does not read.
    SocketOverflow,
    /// What comes and goes.
    Faults,
}

impl Scenario {
    fn name(self) -> &'static str {
        match self {
            Self::Lossless => "lossless",
            Self::Overload => "overload",
            Self::SocketOverflow => "socket-overflow",
            Self::Faults => "faults",
        }
    }

    /// Tries it. What goes wrong on the way fails it, too.
    pub(crate) fn run(self, place: &Place<'_>, report: &mut Report) {
        report.begin(self.name());
        let outcome = match self {
            Self::Lossless => lossless::run(place, report),
            Self::Overload => overload::run(place, report),
            Self::SocketOverflow => socket_overflow::run(place, report),
            Self::Faults => faults::run(place, report),
        };
        if let Err(error) = outcome {
            report.check("runs", false, format_args!("{error:#}"));
        }
    }
}
