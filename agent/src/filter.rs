//! Which upcalls a user wants to see.

use std::time::Duration;

use crate::ports::{PortNo, Ports};
use crate::upcall::Upcall;

/// Lets upcalls pass that meet all conditions; an empty list is no condition.
#[derive(Clone, Debug, Default)]
pub struct UpcallFilter {
    /// Names or numbers of ports.
    pub ports: Vec<String>,
    /// Names of handler threads.
    pub threads: Vec<String>,
    /// Names of datapaths, with or without the prefix `system@`.
    pub datapaths: Vec<String>,
    /// Shortest duration from the first to the last event.
    pub min_duration: Duration,
}

impl UpcallFilter {
    /// Whether this upcall passes.
    #[must_use]
    pub fn passes(&self, upcall: &Upcall<'_>, ports: &Ports) -> bool {
        let any = |list: &[String], test: &dyn Fn(&str) -> bool| {
            list.is_empty() || list.iter().any(|wanted| test(wanted))
        };
        let port = upcall.port();
        let is_port = |wanted: &str| {
            port.is_some_and(|port| {
                ports.name(upcall.datapath, port) == Some(wanted)
                    || wanted.parse().is_ok_and(|number| PortNo(number) == port)
            })
        };
        let is_datapath = |wanted: &str| {
            let wanted = wanted.strip_prefix("system@").unwrap_or(wanted);
            ports.datapath_name(upcall.datapath) == wanted
        };
        u128::from(upcall.duration_ns()) >= self.min_duration.as_nanos()
            && any(&self.ports, &is_port)
            && any(&self.threads, &|wanted| upcall.recv.comm.as_bytes() == wanted.as_bytes())
            && any(&self.datapaths, &is_datapath)
    }
}
