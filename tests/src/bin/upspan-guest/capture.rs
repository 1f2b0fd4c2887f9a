//! Agents that are known to capture, as a packet has been seen to come out of each.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::agent::{Agent, Ended};
use crate::report::Report;
use crate::traces::Traces;
use crate::traffic;
use crate::truth::Events;

/// Numbers probes, so that each is new.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    next: u16,
}

impl Probes {
    /// The port of the next one.
    pub(crate) fn next_port(&self) -> u16 {
        traffic::FIRST_PORT + self.next
    }

    /// Sends probes until `seen` has something.
    pub(crate) fn until<T>(
        &mut self,
        what: &str,
        seen: impl FnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        traffic::probe(&mut self.next, what, seen)
    }

    /// Sends probes until one that is sent from now on has arrived as a trace. Returns its start,
    /// in nanoseconds since 1970.
    pub(crate) fn traced(&mut self, traces: &mut Traces) -> anyhow::Result<u64> {
        let first = self.next_port();
        self.until("a trace", || {
            let trace = traces.to(crate::network::sink::PROBES, first).next();
            Ok(trace.and_then(|trace| trace.root()).map(|root| root.start_time_unix_nano))
        })
    }
}

/// `upspan run`, into a backend.
pub(crate) struct Running {
    pub(crate) agent: Agent,
    pub(crate) traces: Traces,
}

impl Running {
    /// Starts it, and waits until it captures.
    pub(crate) fn start(upspan: &Path, more: &[&str], probes: &mut Probes) -> anyhow::Result<Self> {
        let mut traces = Traces::start();
        let endpoint = traces.endpoint();
        let arguments = [&["run", "--endpoint", &endpoint], more].concat();
        let mut agent = Agent::start(upspan, &arguments)?;
        let first = probes.next_port();
        probes.until("a trace of a new agent", || {
            agent.must_run()?;
            Ok(traces.to(crate::network::sink::PROBES, first).next().map(drop))
        })?;
        Ok(Self { agent, traces })
    }

    /// Probes become complete traces, which is a check of this name.
    pub(crate) fn await_complete(
        &mut self,
        probes: &mut Probes,
        name: &str,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let first = probes.next_port();
        let seen = probes.until(name, || {
            self.agent.must_run()?;
            let mut found = self.traces.to(crate::network::sink::PROBES, first);
            Ok(found.any(|trace| trace.is_complete()).then_some(()))
        });
        let detail = seen.as_ref().err().map_or("a complete trace".to_owned(), ToString::to_string);
        report.check(name, seen.is_ok(), detail);
        seen
    }

    /// Ends it. Its traces stay.
    pub(crate) fn stop(self, report: &mut Report) -> anyhow::Result<(Traces, Ended)> {
        let ended = self.agent.stop()?;
        report.check("run ends well", ended.is_well(), said(&ended));
        Ok((self.traces, ended))
    }
}

/// `upspan record`, into a file.
#[derive(Debug)]
pub(crate) struct Recorder {
    agent: Agent,
    path: PathBuf,
}

impl Recorder {
    /// Starts it, and waits until it captures.
    pub(crate) fn start(
        upspan: &Path,
        path: &Path,
        more: &[&str],
        probes: &mut Probes,
    ) -> anyhow::Result<Self> {
        let name = path.to_str().context("the folder for recordings has a strange name")?;
        let arguments = [&["record", "-q", "-w", name], more].concat();
        let mut agent = Agent::start(upspan, &arguments)?;
        probes.until("a recorded event", || {
            agent.must_run()?;
            Ok((Events::so_far(path) > 0).then_some(()))
        })?;
        Ok(Self { agent, path: path.to_owned() })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.agent.pid()
    }

    /// Ends it, and reads what it has recorded.
    pub(crate) fn stop(self, report: &mut Report) -> anyhow::Result<Events> {
        let ended = self.agent.stop()?;
        report.check("record ends well", ended.is_well(), said(&ended));
        Events::read(&self.path)
    }
}

fn said(ended: &Ended) -> String {
    format!("{} {}", ended.status, ended.said.join(" | "))
}
