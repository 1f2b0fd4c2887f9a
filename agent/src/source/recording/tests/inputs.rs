//! Where recordings come from.

use std::io::{self, Write};
use std::path::Path;

use flate2::write::GzEncoder;
use tempfile::tempdir;

use super::writer::{EventText, PORT_MAP};
use super::*;

const TINY: &str = "tiny-56.events.zst";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zst(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// Gives one byte at a time.
pub(super) struct Trickle<R>(pub(super) R);

impl<R: Read> Read for Trickle<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(1);
        self.0.read(&mut buffer[..len])
    }
}

#[test]
fn compression_is_found_by_magic_numbers() {
    let plain = decompressed(TINY);
    let expected = read(plain.clone());
    assert_eq!(expected.counts.sum().valid, 56);
    let middle = plain.len() / 2;
    let (first, second) = plain.split_at(middle);
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..], &zst(&plain)].concat();
    for bytes in [
        gzip(&plain),
        zst(&plain),
        [gzip(first), gzip(second)].concat(),
        [zst(first), zst(second)].concat(),
        skippable,
    ] {
        assert_eq!(read(bytes.clone()), expected);
        let trickle = read_with(Trickle(Cursor::new(bytes)), Options::default()).unwrap();
        assert_eq!(trickle, expected);
    }
    assert_eq!(read_with(Trickle(Cursor::new(plain)), Options::default()).unwrap(), expected);
}

#[test]
fn of_cut_compressed_data_all_that_is_there_is_used() {
    let plain = decompressed("small-335.events.zst");
    for whole in [gzip(&plain), zst(&plain)] {
        for len in [5, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
            let cut = whole[..len].to_vec();
            let outcome = read(cut.clone());
            assert!(outcome.is_damaged, "{len}");
            let counts = outcome.counts;
            assert_eq!(counts.sum().total + counts.malformed_events(), counts.event_lines());
            assert!(counts.malformed() <= 1, "{len}");

            let strict = Options { strict: true, ..Options::default() };
            let error = read_with(Cursor::new(cut), strict).unwrap_err();
            assert!(
                matches!(
                    error,
                    RecordingError::Damaged { .. }
                        | RecordingError::Malformed {
                            malformed: MalformedLine { fault: LineFault::Cut, .. },
                            ..
                        }
                ),
                "{error}"
            );
        }
    }
    let cut = gzip(&plain);
    let cut = read(cut[..cut.len() - 1].to_vec());
    assert_eq!(cut.counts.sum().total, 335, "only the checksum is cut");
}

#[test]
fn garbage_behind_compressed_data_is_damage() {
    let plain = decompressed(TINY);
    for whole in [gzip(&plain), zst(&plain)] {
        let outcome = read([&whole[..], b"garbage"].concat());
        assert!(outcome.is_damaged);
        assert_eq!(outcome.counts.sum().valid, 56);
    }
}

#[test]
fn paths_that_cannot_be_read_are_named() {
    let dir = tempdir().unwrap();
    let open = |path: &Path| {
        Recording::open(&Input::from(path), Options::default()).map(|_| ()).unwrap_err().to_string()
    };
    let shown = dir.path().display();
    assert_eq!(open(dir.path()), format!("{shown} is a directory: name a file in it"));
    let missing = open(&dir.path().join("missing.zst"));
    assert!(missing.starts_with(&format!("cannot open {shown}/missing.zst: ")), "{missing}");
}

#[test]
fn a_dash_means_standard_input() {
    assert_eq!("-".parse(), Ok(Input::Stdin));
    assert_eq!("./-".parse(), Ok(Input::Path("./-".into())));
    assert_eq!(Input::Stdin.to_string(), "standard input");
}

#[test]
fn an_empty_file_has_no_records() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let recording = Recording::open(&Input::from(file.path()), Options::default()).unwrap();
    assert_eq!(recording.progress().total, Some(0));
    let outcome = drain(recording).unwrap();
    assert_eq!(outcome.counts, Counts::default());
}

#[test]
fn of_what_is_no_regular_file_nothing_is_known_before() {
    let device = Path::new("/dev/null");
    let recording = Recording::open(&Input::from(device), Options::default()).unwrap();
    assert_eq!(recording.progress().total, None);
    assert_eq!(recording.declared_losses(), None);
    assert_eq!(drain(recording).unwrap().counts, Counts::default());
}

#[test]
fn losses_of_a_file_are_known_before_it_is_read() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("recording");
    let put = EventText::new(EventKind::OpFlowPut).line();
    for repeat in [0, 1, 1000] {
        let events = put.repeat(repeat);
        for (end, expected) in [("", None), ("event_miss = {1: 23, 2: 5}\n", Some((23, 5)))] {
            let plain = format!("{PORT_MAP}{events}{end}").into_bytes();
            for bytes in [plain.clone(), gzip(&plain), zst(&plain)] {
                std::fs::write(&path, &bytes).unwrap();
                let input = Input::from(path.as_path());
                let recording = Recording::open(&input, Options::default()).unwrap();
                let declared = recording.declared_losses().unwrap();
                let (dp, put) = expected.unwrap_or_default();
                assert_eq!(declared[EventKind::DpUpcall], dp);
                assert_eq!(declared[EventKind::OpFlowPut], put);
                assert_eq!(declared.is_zero(), expected.is_none());
                let outcome = drain(recording).unwrap();
                assert_eq!(outcome.counts.event_lines(), repeat as u64);
                assert_eq!(outcome.lost.len(), if expected.is_some() { 2 } else { 0 });
            }
        }
    }
    let cut = zst(format!("{PORT_MAP}{put}").as_bytes());
    std::fs::write(&path, &cut[..cut.len() - 3]).unwrap();
    let recording = Recording::open(&Input::from(path.as_path()), Options::default()).unwrap();
    assert_eq!(recording.declared_losses(), None, "the end is missing");
    assert!(drain(recording).unwrap().is_damaged);

    let pipe = Recording::from_reader(PORT_MAP.as_bytes(), Options::default()).unwrap();
    assert_eq!(pipe.declared_losses(), None);
}

#[test]
fn progress_is_in_bytes_of_the_file() {
    let path = fixture("medium-10686.events.zst");
    let len = std::fs::metadata(&path).unwrap().len();
    let mut recording = Recording::open(&path.as_path().into(), Options::default()).unwrap();
    let mut before = recording.progress();
    assert_eq!(before.total, Some(len));
    while recording.next().unwrap().is_some() {
        let progress = recording.progress();
        assert!(before.read <= progress.read && progress.read <= len);
        before = progress;
    }
    assert_eq!(recording.progress().read, len);
}

#[test]
fn it_can_move_to_another_thread() {
    fn movable<T: Send>() {}
    movable::<Recording>();
}
