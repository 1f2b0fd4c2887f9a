//! What is tried.

mod applications;
mod faults;
mod judge;
mod lossless;
mod module;
mod overload;
mod refusals;
mod script;
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
    /// A file system with Python, and the applications in `/job/apps`.
    pub(crate) root: Option<&'a Path>,
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
    /// The kernel's module goes and comes.
    Module,
    /// Nothing can be captured.
    Refusals,
    /// A recording for upcall_cost.py, which reads it outside.
    Script,
    /// Applications whose requests cause upcalls. It takes `--root`.
    Applications,
}

impl Scenario {
    /// Everything that can be tried there.
    pub(crate) fn all_in(place: &Place<'_>) -> Vec<Self> {
        let can_be = |scenario: &Self| *scenario != Self::Applications || place.root.is_some();
        Self::value_variants().iter().copied().filter(can_be).collect()
    }

    fn name(self) -> &'static str {
        match self {
            Self::Lossless => "lossless",
            Self::Overload => "overload",
            Self::SocketOverflow => "socket-overflow",
            Self::Faults => "faults",
            Self::Module => "module",
            Self::Refusals => "refusals",
            Self::Script => "script",
            Self::Applications => "applications",
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
            Self::Module => module::run(place, report),
            Self::Refusals => refusals::run(place, report),
            Self::Script => script::run(place, report),
            Self::Applications => applications::run(place, report),
        };
        if let Err(error) = outcome {
            report.check("runs", false, format_args!("{error:#}"));
        }
    }
}
