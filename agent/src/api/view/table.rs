//! Upcalls as lines of a table.

use std::time::{Duration, UNIX_EPOCH};

use humantime::format_rfc3339_micros;
use upspan_proto::v1;

use super::{event_kind, short};
use crate::phases::PhaseKind;
use crate::report::terminal::{cut, plain};

/// Phases with a column of their own, and its heading.
const PHASES: [(PhaseKind, &str); 5] = [
    (PhaseKind::KernelToVswitchd, "TO_OVS"),
    (PhaseKind::Lookup, "LOOKUP"),
    (PhaseKind::Translate, "TRANSL"),
    (PhaseKind::BatchWait, "WAIT"),
    (PhaseKind::ExecuteToKernel, "TO_KERN"),
];

/// Columns of everything but the packet, and of what is missing, which comes last.
const FIXED: usize = 104;

/// Columns of the packet: the fewest and the most.
const PACKET: (usize, usize) = (24, 64);

/// One line for each upcall.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    packet: usize,
}

impl Table {
    /// A table for a terminal of so many columns; a narrow one breaks its lines.
    #[must_use]
    pub const fn new(width: usize) -> Self {
        let packet = width.saturating_sub(FIXED);
        let packet = if packet < PACKET.0 { PACKET.0 } else { packet };
        Self { packet: if packet > PACKET.1 { PACKET.1 } else { packet } }
    }

    /// The heading.
    #[must_use]
    pub fn heading(&self) -> String {
        let mut line = format!(
            "{:<15} {:<18} {:<width$} {:>7}",
            "TIME (UTC)",
            "PORT",
            "PACKET",
            "TOTAL",
            width = self.packet
        );
        for (_, heading) in PHASES {
            line += &format!(" {heading:>7}");
        }
        line + "  BATCH MATCH    MISSING"
    }

    /// An upcall.
    #[must_use]
    pub fn line(&self, upcall: &v1::Upcall) -> String {
        let time = format_rfc3339_micros(UNIX_EPOCH + Duration::from_nanos(upcall.start_unix_ns));
        // Of 2026-11-24T23:59:59.999999Z, the part between T and Z.
        let time = time.to_string();
        let time = time.split_once('T').map_or(&*time, |(_, time)| time).trim_end_matches('Z');
        let port = plain(format!("{}/{}", upcall.datapath, port(upcall)).into());
        let packet = upcall.packet.as_ref().map_or("", |packet| &packet.summary);
        let packet = plain(packet.into());
        let mut line = format!(
            "{time:<15} {:<18} {:<width$} {:>7}",
            cut(&port, 18),
            cut(&packet, self.packet),
            short(upcall.duration_ns),
            width = self.packet,
        );
        for (kind, _) in PHASES {
            let phase = upcall.phases.iter().find(|phase| phase.name == kind.name());
            line += &match phase {
                Some(phase) => format!(" {:>7}", short(phase.duration_ns)),
                None => format!(" {:>7}", "-"),
            };
        }
        let batch = upcall.batch.map_or_else(
            || "-".to_owned(),
            |batch| format!("{}/{}", u64::from(batch.index) + 1, batch.size),
        );
        let matched = crate::api::message::method(upcall.match_method());
        let matched = matched.map_or("-", |method| method.name());
        line += &format!("  {batch:>5} {matched:<8} {}", missing(upcall));
        line.trim_end().to_owned()
    }
}

/// The name of the port, else its number.
pub(super) fn port(upcall: &v1::Upcall) -> String {
    match (&*upcall.port_name, upcall.port_number) {
        ("", Some(number)) => number.to_string(),
        ("", None) => "any port".to_owned(),
        (name, _) => name.to_owned(),
    }
}

/// The events that it lacks, or why it failed.
fn missing(upcall: &v1::Upcall) -> String {
    if let Some(failure) = &upcall.failure {
        return format!("not delivered: {}", plain((&failure.message).into()));
    }
    let missing = upcall.missing.iter().filter_map(|missing| {
        Some(format!("{} ({})", event_kind(missing.kind())?, plain((&missing.reason).into())))
    });
    missing.collect::<Vec<_>>().join(", ")
}
