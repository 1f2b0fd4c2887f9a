//! `upspan convert`.

use super::*;

fn convert(input: impl AsRef<Path>, output: impl AsRef<Path>) -> Command {
    let mut command = upspan();
    command.arg("convert").arg(input.as_ref()).arg(output.as_ref());
    command
}

#[test]
fn to_the_compact_format_and_back_changes_no_byte() {
    let dir = tempfile::tempdir().unwrap();
    let (compact, script) = (dir.path().join("compact"), dir.path().join("script"));
    Run::of(&mut convert(recording("mix-4319"), &compact)).exits(0).says_nothing();
    let bytes = std::fs::read(&compact).unwrap();
    assert!(zstd::decode_all(&bytes[..]).unwrap().starts_with(b"upspan.recording.v1\n"));
    let mut back = convert(&compact, &script);
    Run::of(back.args(["--record-format", "script"])).exits(0).says_nothing();
    assert!(std::fs::read_to_string(&script).unwrap() == text("mix-4319.events.zst"));

    let of = |file: &Path| Run::of(report(file).args(["--format", "json"])).exits(0).stdout;
    assert_eq!(of(&compact), of(&script));
}

#[test]
fn from_a_pipe_to_a_pipe() {
    let text = text("small-335.events.zst");
    let converted = |format, input: &[u8]| {
        let mut command = convert("-", "-");
        command.args(["--record-format", format]).stdin(Stdio::piped());
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            scope.spawn(move || stdin.write_all(input).unwrap());
            child.wait_with_output().unwrap()
        });
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    let compact = converted("compact", text.as_bytes());
    assert!(compact.len() < text.len() / 20);
    assert!(converted("script", &compact) == text.as_bytes());
    assert!(converted("compact", &compact) == compact);
}

#[test]
fn a_malformed_line_is_left_out_or_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad");
    std::fs::write(&path, text("tiny-56.events.zst") + "event = {nonsense\n").unwrap();
    let out = dir.path().join("out");
    Run::of(&mut convert(&path, &out)).exits(0).says("1 line could not be read");
    assert_eq!(Run::of(report(&out).args(["--format", "json"])).exits(0).json()["upcalls"], 12);
    Run::of(convert(&path, &out).arg("--strict")).exits(1).says("column 10: a string expected");
}

#[test]
fn what_cannot_be_converted_overwrites_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    std::fs::write(&out, "precious").unwrap();
    let none = dir.path().join("none");
    std::fs::write(&none, "nothing of a recording\n").unwrap();
    Run::of(&mut convert(&none, &out)).exits(1).says("is no recording");
    Run::of(&mut convert(dir.path().join("missing"), &out)).exits(1).says("cannot open");
    Run::of(&mut convert(&out, &out)).exits(1).says("is the recording itself");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "precious");
}

#[test]
fn what_takes_no_more_is_an_error() {
    let full = Run::of(&mut convert(recording("tiny-56"), "/dev/full")).exits(1);
    full.says("cannot write to /dev/full: No space left on device");
    let nowhere = Run::of(&mut convert(recording("tiny-56"), "/nonexistent/out")).exits(1);
    nowhere.says("cannot create /nonexistent/out: No such file or directory");
}
