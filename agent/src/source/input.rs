//! Byte streams to read from: a file or standard input, plain or compressed.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

/// What the command line names as input: a path, or `-` for standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Standard input.
    Stdin,
    /// A file, FIFO or device.
    Path(PathBuf),
}

impl From<&OsStr> for Input {
    fn from(argument: &OsStr) -> Self {
        if argument == "-" { Self::Stdin } else { Self::Path(argument.into()) }
    }
}

impl From<&Path> for Input {
    fn from(path: &Path) -> Self {
        path.as_os_str().into()
    }
}

impl FromStr for Input {
    type Err = Infallible;

    fn from_str(argument: &str) -> Result<Self, Infallible> {
        Ok(OsStr::new(argument).into())
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

/// Why an input cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The path names a directory.
    #[error("{0} is a directory: name a file in it")]
    Directory(Input),
    /// The system refuses to open the path, or to read its first bytes.
    #[error("cannot open {input}: {error}")]
    Open {
        /// What was to be opened.
        input: Input,
        /// What the system says.
        error: io::Error,
    },
}

/// How the bytes of an input are compressed, by the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952), of one or more members.
    Gzip,
    /// Zstandard (RFC 8878), of one or more frames.
    Zstd,
}

impl Compression {
    /// How many bytes [`Compression::detect`] wants to see.
    pub(super) const MAGIC_LEN: u64 = 4;

    /// Tells by the magic numbers at the start of a stream.
    #[must_use]
    pub const fn detect(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // The second is a skippable frame, with which pzstd begins its files.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    fn decode(
        self,
        raw: impl Read + Send + 'static,
        buffer_len: usize,
    ) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::None => Box::new(raw),
            Self::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(buffer_len, raw))),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(
                BufReader::with_capacity(buffer_len, raw),
            )?),
        })
    }
}

/// How far an input is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes taken from the input so far; of a compressed one, compressed bytes.
    pub read: u64,
    /// Bytes that the input has; unknown for a pipe.
    pub total: Option<u64>,
}

/// The decompressed bytes of an input, buffered.
pub(super) struct Stream {
    reader: BufReader<Box<dyn Read + Send>>,
    start: Vec<u8>,
    compression: Compression,
    read: Arc<AtomicU64>,
    total: Option<u64>,
}

impl Stream {
    /// Bytes read from the system, and decompressed, at a time.
    const BUFFER_LEN: usize = 256 * 1024;

    /// Decompressed bytes that [`Stream::start`] gives, if there are as many.
    const START_LEN: usize = 32;

    /// Finds out the compression of `raw` and decompresses it. `total` is the length of `raw` in
    /// bytes, where known.
    pub(super) fn new(mut raw: impl Read + Send + 'static, total: Option<u64>) -> io::Result<Self> {
        let mut start = Vec::new();
        raw.by_ref().take(Compression::MAGIC_LEN).read_to_end(&mut start)?;
        let compression = Compression::detect(&start);
        Self::of(compression, Cursor::new(start).chain(raw), total)
    }

    /// Decompresses `raw`.
    pub(super) fn of(
        compression: Compression,
        raw: impl Read + Send + 'static,
        total: Option<u64>,
    ) -> io::Result<Self> {
        let read = Arc::new(AtomicU64::new(0));
        let raw = Counted { inner: raw, count: Arc::clone(&read) };
        let mut decoded = compression.decode(raw, Self::BUFFER_LEN)?;
        let mut start = Vec::with_capacity(Self::START_LEN);
        let failure = decoded.by_ref().take(Self::START_LEN as u64).read_to_end(&mut start).err();
        let whole = Cursor::new(start.clone()).chain(Failing(failure)).chain(decoded);
        Ok(Self {
            reader: BufReader::with_capacity(Self::BUFFER_LEN, Box::new(whole)),
            start,
            compression,
            read,
            total,
        })
    }

    /// The first decompressed bytes, which are read all the same.
    pub(super) fn start(&self) -> &[u8] {
        &self.start
    }

    pub(super) const fn compression(&self) -> Compression {
        self.compression
    }

    pub(super) fn progress(&self) -> Progress {
        Progress { read: self.read.load(Ordering::Relaxed), total: self.total }
    }

    /// As [`BufRead::fill_buf`], but a read that a signal interrupts is tried again.
    pub(super) fn fill(&mut self) -> io::Result<&[u8]> {
        // Two calls, as the borrow checker wants: the second finds the buffer filled.
        while let Err(error) = self.reader.fill_buf() {
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        Ok(self.reader.buffer())
    }

    /// What is buffered, without reading.
    pub(super) fn buffered(&self) -> &[u8] {
        self.reader.buffer()
    }

    pub(super) fn consume(&mut self, len: usize) {
        self.reader.consume(len);
    }
}

/// Opens what `input` names, for reading from its first byte.
pub(super) fn open(input: &Input) -> Result<Opened, InputError> {
    let refused = |error| InputError::Open { input: input.clone(), error };
    match input {
        Input::Stdin => Ok(Opened::Pipe(Box::new(io::stdin()))),
        Input::Path(path) => {
            let file = File::open(path).map_err(refused)?;
            let metadata = file.metadata().map_err(refused)?;
            if metadata.is_dir() {
                return Err(InputError::Directory(input.clone()));
            }
            if metadata.is_file() {
                return Ok(Opened::File { file, len: metadata.len() });
            }
            Ok(Opened::Pipe(Box::new(file)))
        }
    }
}

/// An opened input.
pub(super) enum Opened {
    /// A regular file: its length in bytes is known, and it can be read twice.
    File { file: File, len: u64 },
    /// Anything else.
    Pipe(Box<dyn Read + Send>),
}

/// Gives an error at its place in a stream, once.
struct Failing(Option<io::Error>);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// Counts the bytes that are read.
struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buffer)?;
        self.count.fetch_add(len as u64, Ordering::Relaxed);
        Ok(len)
    }
}
