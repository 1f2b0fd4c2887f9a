//! Writes the compact format.

use std::fmt;
use std::io::{self, Write};

use upspan_proto::recording::v1::record::Body;
use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, compress_bound};

use crate::event::{EventKind, MonotonicNs};
use crate::source::recording::{
    ClockAnchor, DatapathPorts, FLUSH_AGE, Header, RecordedEvent, RecordedFailure,
};

use super::{MAGIC, MAX_RECORD_LEN, encode};

/// Decompressed bytes of a frame after which it ends.
const FRAME_LEN: usize = 1024 * 1024;

/// Ports in a record; more of a datapath go to further ones.
const PORTS_PER_RECORD: usize = 256;

/// zstd's own default: a good ratio at some hundred MB/s.
const LEVEL: i32 = 3;

/// Writes a recording in the compact format. Buffers are allocated once: an event costs a copy, and
/// its share of the compression.
///
/// What is written stays in memory until its frame ends: at 1 MiB, or by [`CompactWriter::flush`],
/// [`CompactWriter::flush_due`] or [`CompactWriter::finish`]. A writer that is dropped without
/// [`CompactWriter::finish`] leaves a recording without end, of which the last frame is missing.
///
/// ```
/// use upspan::event::{EventKind, MonotonicNs};
/// use upspan::source::recording::{CompactWriter, Header, Options, RecordedEvent, Recording};
///
/// let mut writer = CompactWriter::new(Vec::new(), &Header::default())?;
/// let put = RecordedEvent { ts: MonotonicNs(7), ..RecordedEvent::of(EventKind::OpFlowPut) };
/// writer.event(&put)?;
/// let bytes = writer.finish()?;
///
/// let mut recording = Recording::from_reader(std::io::Cursor::new(bytes), Options::default())?;
/// while recording.next()?.is_some() {}
/// assert_eq!(recording.counts().of(EventKind::OpFlowPut).valid, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct CompactWriter<W> {
    out: W,
    compressor: Compressor<'static>,
    /// Records of the frame that is not written yet.
    records: Vec<u8>,
    /// A frame as it is written.
    frame: Vec<u8>,
    /// For one event.
    scratch: Vec<u8>,
    /// When the frame began, once that is known.
    begun: Option<MonotonicNs>,
    events: u64,
}

impl<W> fmt::Debug for CompactWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompactWriter").field("events", &self.events).finish_non_exhaustive()
    }
}

impl<W: Write> CompactWriter<W> {
    /// Begins a recording that comes from there.
    ///
    /// # Errors
    ///
    /// If there is no memory to compress with.
    pub fn new(out: W, header: &Header) -> io::Result<Self> {
        let mut compressor = Compressor::new(LEVEL)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        let mut records = Vec::with_capacity(FRAME_LEN + FRAME_LEN / 8);
        records.extend_from_slice(MAGIC);
        encode::record(&mut records, encode::header(header));
        Ok(Self {
            out,
            compressor,
            records,
            frame: Vec::with_capacity(compress_bound(FRAME_LEN + FRAME_LEN / 8)),
            scratch: Vec::with_capacity(4096),
            begun: None,
            events: 0,
        })
    }

    /// Adds ports to those known. They come ahead of the events that name them.
    ///
    /// # Errors
    ///
    /// What the output reports; this holds for the other methods, too. There is no going on then.
    pub fn ports(&mut self, datapaths: &[DatapathPorts]) -> io::Result<()> {
        for DatapathPorts { datapath, ports } in datapaths {
            if ports.is_empty() {
                self.record(encode::ports(datapath, &[]))?;
            }
            for ports in ports.chunks(PORTS_PER_RECORD) {
                self.record(encode::ports(datapath, ports))?;
            }
        }
        Ok(())
    }

    /// Adds an event.
    ///
    /// # Errors
    ///
    /// What the output reports, or if the event has more bytes than a record may have
    /// ([`MAX_RECORD_LEN`]); then it is left out.
    pub fn event(&mut self, event: &RecordedEvent<'_>) -> io::Result<()> {
        let before = self.records.len();
        encode::event(&mut self.records, &mut self.scratch, event);
        self.check(before)?;
        self.events += 1;
        self.begun.get_or_insert(event.ts);
        self.end_full_frame()
    }

    /// Says that events were lost at about this place.
    ///
    /// # Errors
    ///
    /// What the output reports.
    pub fn lost(&mut self, kind: EventKind, count: u64) -> io::Result<()> {
        self.record(encode::lost(kind, count))
    }

    /// Adds an upcall that the kernel could not deliver, after its `dp_upcall`.
    ///
    /// # Errors
    ///
    /// What the output reports.
    pub fn failed(&mut self, failure: &RecordedFailure) -> io::Result<()> {
        self.begun.get_or_insert(failure.ts);
        self.record(encode::failed(failure))
    }

    /// Says that events are missing at this place.
    ///
    /// # Errors
    ///
    /// What the output reports.
    pub fn gap(&mut self) -> io::Result<()> {
        self.record(encode::gap())
    }

    /// Adds a new measurement of the clocks.
    ///
    /// # Errors
    ///
    /// What the output reports.
    pub fn anchor(&mut self, anchor: ClockAnchor) -> io::Result<()> {
        self.record(encode::anchor(anchor))
    }

    fn record(&mut self, body: Body) -> io::Result<()> {
        let before = self.records.len();
        encode::record(&mut self.records, body);
        self.check(before)?;
        self.end_full_frame()
    }

    /// Takes back a record, begun there, that no reader would take.
    fn check(&mut self, before: usize) -> io::Result<()> {
        if self.records.len() - before <= MAX_RECORD_LEN {
            return Ok(());
        }
        self.records.truncate(before);
        let message = format!("an item is longer than the {MAX_RECORD_LEN} bytes of a record");
        Err(io::Error::new(io::ErrorKind::InvalidInput, message))
    }

    fn end_full_frame(&mut self) -> io::Result<()> {
        if self.records.len() < FRAME_LEN { Ok(()) } else { self.end_frame() }
    }

    fn end_frame(&mut self) -> io::Result<()> {
        if self.records.is_empty() {
            return Ok(());
        }
        self.frame.clear();
        self.frame.reserve(compress_bound(self.records.len()));
        self.compressor.compress_to_buffer(&self.records, &mut self.frame)?;
        self.records.clear();
        self.begun = None;
        self.out.write_all(&self.frame)
    }

    /// Ends the frame and hands it to the system: what was written so far can be read, whatever
    /// happens next. Small frames compress badly, so not for each event.
    ///
    /// # Errors
    ///
    /// What the output reports.
    pub fn flush(&mut self) -> io::Result<()> {
        self.end_frame()?;
        self.out.flush()
    }

    /// As [`CompactWriter::flush`], if the frame's first event was a second or more before `now`.
    /// A live recorder calls this several times a second, for it costs nothing otherwise.
    ///
    /// # Errors
    ///
    /// What the output reports.
    pub fn flush_due(&mut self, now: MonotonicNs) -> io::Result<()> {
        match self.begun {
            Some(begun) if now.since(begun) >= FLUSH_AGE => self.flush(),
            _ => Ok(()),
        }
    }

    /// Ends the recording, and gives the output back.
    ///
    /// # Errors
    ///
    /// What the output reports.
    pub fn finish(mut self) -> io::Result<W> {
        encode::record(&mut self.records, encode::end(self.events));
        self.flush()?;
        Ok(self.out)
    }
}
