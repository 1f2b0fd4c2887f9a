//! Memory does not depend on the length of a recording.

use upspan_tests::backend::Reply;

use super::*;

/// This makes forty times as many spans as the queue holds.
const TIMES: usize = 50;

/// The most memory that a process ever had, in KiB; `None` once it is gone.
fn peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[tokio::test]
async fn stays_below_64_mb() {
    let mut backend = Backend::start(|_| Reply::Accept);
    let mut command = replay_to(&backend, recording("medium-10686"));
    command.arg(format!("--loop={TIMES}")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = tokio::process::Command::from(command).spawn().unwrap();
    let pid = child.id().unwrap();
    let end = tokio::spawn(child.wait_with_output());
    let (mut most, mut received) = (0, 0);
    while received < TIMES * 12_888 {
        let request = backend.taken().await.request;
        let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        received += scopes.map(|scope| scope.spans.len()).sum::<usize>();
        most = most.max(peak(pid).unwrap_or(0));
    }
    let run = Run::from(end.await.unwrap().unwrap()).exits(0);
    assert_eq!(run.json()["endpoint"]["delivered"], TIMES * 12_888);
    assert!((1..64_000).contains(&most), "{most} KiB");
}
