//! Ctrl-C, and other requests to end.

use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command as AsyncCommand};
use upspan_tests::backend::Reply;

use super::*;

fn spawn(command: Command) -> Child {
    let mut command = AsyncCommand::from(command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, signal: &str) {
    // The shell's own kill: a package of that name may be missing.
    let kill = format!("kill -{signal} {}", child.id().unwrap());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

#[tokio::test]
async fn delivers_what_was_read() {
    for name in ["INT", "TERM"] {
        let mut backend = Backend::start(|_| Reply::Accept);
        let mut command = replay_to(&backend, recording("medium-10686"));
        command.arg("--loop");
        let child = spawn(command);
        let mut taken = vec![backend.taken().await];
        signal(&child, name);
        let run = Run::from(child.wait_with_output().await.unwrap()).exits(130).says_nothing();
        taken.extend(backend.rest());
        let totals = run.json();
        let received = all_spans(&taken).len();
        assert!(received > 0);
        assert_eq!(totals["endpoint"]["delivered"], received);
        assert_eq!(
            (&totals["spans"], &totals["endpoint"]["failed"]),
            (&received.into(), &json("{}"))
        );
    }
}

#[tokio::test]
async fn gives_up_a_backend_that_hangs() {
    let mut backend = Backend::start(|_| Reply::Hold);
    let child = spawn(replay_to(&backend, recording("tiny-56")));
    backend.taken().await;
    // Everything is read and under way.
    signal(&child, "INT");
    let run = Run::from(child.wait_with_output().await.unwrap()).exits(130);
    assert_eq!(run.json()["endpoint"]["failed"], json(r#"{"shutdown": 72}"#));
}

#[tokio::test]
async fn ends_while_it_waits_for_input() {
    let mut backend = Backend::start(|_| Reply::Accept);
    let mut command = replay_for_people("-");
    command.args(["--endpoint", &url(&backend), "--batch-spans", "1"]).stdin(Stdio::piped());
    let mut child = spawn(command);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(text("tiny-56.events.zst").as_bytes()).await.unwrap();
    backend.taken().await;
    signal(&child, "INT");
    let run = Run::from(child.wait_with_output().await.unwrap()).exits(130);
    assert!(run.stdout.starts_with("interrupted while it waited for input"), "{run:?}");
    drop(stdin);
}
