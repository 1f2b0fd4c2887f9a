//! A `dp_port_map = {...}` line that grows port by port.

use std::io::{self, Write};

use crate::source::recording::{DatapathPorts, Port};

use super::lines::MAX_LINE;
use super::repr;

const START: &[u8] = b"dp_port_map = {";

/// Collects ports that come one after the other into one line, for the script takes only the first
/// one of a recording; into several, where it would be longer than [`MAX_LINE`], or where a
/// datapath comes back, which in a dict of Python would hide what came before.
#[derive(Debug, Default)]
pub(super) struct PortMapLine {
    /// The line so far, but for what closes the dicts; empty if there is none.
    text: Vec<u8>,
    /// The datapaths in it. The dict of the last one is open.
    datapaths: Vec<Vec<u8>>,
    /// Whether the last datapath has a port.
    has_port: bool,
    entry: Vec<u8>,
}

impl PortMapLine {
    /// What closes both dicts, and the line.
    const END_LEN: usize = b"}}\n".len();

    /// Adds these; without any, there is an empty map.
    pub(super) fn add(
        &mut self,
        out: &mut impl Write,
        datapaths: &[DatapathPorts],
    ) -> io::Result<()> {
        if self.text.is_empty() {
            self.text.extend_from_slice(START);
        }
        for DatapathPorts { datapath, ports } in datapaths {
            self.open(out, datapath)?;
            for port in ports {
                self.port(out, datapath, port)?;
            }
        }
        Ok(())
    }

    /// Makes `datapath` the one whose dict is open.
    fn open(&mut self, out: &mut impl Write, datapath: &[u8]) -> io::Result<()> {
        if self.datapaths.last().is_some_and(|last| last == datapath) {
            return Ok(());
        }
        self.entry.clear();
        repr::string(&mut self.entry, datapath);
        self.entry.extend_from_slice(b": {");
        let is_full = self.text.len() + b"}, ".len() + self.entry.len() + Self::END_LEN > MAX_LINE;
        if is_full || self.datapaths.iter().any(|known| known == datapath) {
            self.write(out)?;
            self.text.extend_from_slice(START);
        }
        if !self.datapaths.is_empty() {
            self.text.extend_from_slice(b"}, ");
        }
        self.text.extend_from_slice(&self.entry);
        self.datapaths.push(datapath.to_vec());
        self.has_port = false;
        Ok(())
    }

    fn port(&mut self, out: &mut impl Write, datapath: &[u8], port: &Port) -> io::Result<()> {
        /// `, ` before it; `: ` and the number behind its name.
        const AROUND_NAME: usize = 2 + 2 + 10;
        let mut name = std::mem::take(&mut self.entry);
        name.clear();
        repr::string(&mut name, &port.name);
        if self.text.len() + name.len() + AROUND_NAME + Self::END_LEN > MAX_LINE {
            self.write(out)?;
            self.text.extend_from_slice(START);
            self.open(out, datapath)?;
        }
        if self.has_port {
            self.text.extend_from_slice(b", ");
        }
        self.text.extend_from_slice(&name);
        self.entry = name;
        self.has_port = true;
        write!(self.text, ": {}", port.number.0)
    }

    /// Writes the line, if there is one.
    pub(super) fn write(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.text.is_empty() {
            return Ok(());
        }
        if !self.datapaths.is_empty() {
            self.text.push(b'}');
        }
        self.text.extend_from_slice(b"}\n");
        let written = out.write_all(&self.text);
        self.text.clear();
        self.datapaths.clear();
        written
    }
}
