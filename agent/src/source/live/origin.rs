//! Where a live recording comes from: host, kernel, and the version of Open vSwitch.
//!
//! The version is asked for as `ovs-appctl version` does, at the control socket of the running
//! vswitchd. Running its program with `--version` would tell the same, but a capture runs as root,
//! and the program may be any container's.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use rustix::system::uname;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::usdt::process::{Pid, Procfs};
use super::{CaptureOptions, clock};
use crate::source::recording::Header;
use crate::trace::host_name;

/// How long vswitchd may take to answer. It does so at once, unless its main thread is stuck.
const PATIENCE: Duration = Duration::from_millis(500);

/// Where vswitchd makes its control socket, seen from its own root directory: by Debian, by
/// containers of OVN-Kubernetes and Kube-OVN, and by `make install`.
const DIRECTORIES: [&str; 3] =
    ["run/openvswitch", "var/run/openvswitch", "usr/local/var/run/openvswitch"];

/// The request of unixctl, which is JSON-RPC (OVS's lib/unixctl.c).
const REQUEST: &[u8] = br#"{"id":0,"method":"version","params":[]}"#;

/// Longest answer that is read, in bytes.
const MAX_ANSWER: usize = 4096;

/// The header of a recording that begins now. What cannot be known is left empty.
pub async fn header(options: &CaptureOptions) -> Header {
    Header {
        host_name: host_name().unwrap_or_default(),
        kernel_release: uname().release().to_string_lossy().into_owned(),
        ovs_version: ovs_version(options.pid).await.unwrap_or_default(),
        anchor: Some(clock::anchor().into()),
        packet_snaplen: options.packet_limit,
        key_snaplen: options.key_limit,
    }
}

/// The version of the first vswitchd that tells it.
async fn ovs_version(only: Option<NonZeroU32>) -> Option<String> {
    let pids = match only {
        Some(pid) => vec![Pid(pid.get())],
        None => {
            let found = Procfs::default().vswitchds().ok()?;
            found.readable.iter().map(|vswitchd| vswitchd.id().pid).collect()
        }
    };
    for pid in pids {
        for path in sockets(pid).unwrap_or_default() {
            if let Ok(Some(version)) = timeout(PATIENCE, ask(path)).await {
                return Some(version);
            }
        }
    }
    None
}

/// Where the control socket of this process may be.
fn sockets(pid: Pid) -> Option<Vec<PathBuf>> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let own = pid_in_its_namespace(&status)?;
    let path = |directory| format!("/proc/{pid}/root/{directory}/ovs-vswitchd.{own}.ctl").into();
    Some(DIRECTORIES.map(path).to_vec())
}

/// The last number of the line `NSpid:`, by which a container's process knows itself.
fn pid_in_its_namespace(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_ascii_whitespace().next_back()?.parse().ok()
}

async fn ask(path: PathBuf) -> Option<String> {
    let mut stream = UnixStream::connect(path).await.ok()?;
    stream.write_all(REQUEST).await.ok()?;
    let mut answer = Vec::with_capacity(MAX_ANSWER);
    // The connection stays open: the answer ends where its JSON does.
    while answer.len() < MAX_ANSWER && stream.read_buf(&mut answer).await.ok()? > 0 {
        if let Some(version) = version(&answer) {
            return Some(version);
        }
    }
    None
}

/// The version in an answer such as `{"result": "ovs-vswitchd (Open vSwitch) 3.5.0\n", …}`; `None`
/// also while it is not whole.
fn version(answer: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Answer {
        result: Option<String>,
    }
    const MAX_VERSION: usize = 64;
    let text = serde_json::from_slice::<Answer>(answer).ok()?.result?;
    let version = text.lines().next()?.rsplit_once(") ")?.1;
    // Any process may have made that socket.
    let is_version = version.len() <= MAX_VERSION
        && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+~_".contains(&byte));
    is_version.then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    #[test]
    fn only_a_whole_answer_has_a_version() {
        let answer =
            br#"{"id":0,"error":null,"result":"ovs-vswitchd (Open vSwitch) 3.5.0\nDPDK\n"}"#;
        assert_eq!(version(answer).as_deref(), Some("3.5.0"));
        for len in 0..answer.len() {
            assert_eq!(version(&answer[..len]), None);
        }
        for other in [
            r#"{"result":null,"error":"no such command"}"#,
            r#"{"result":"(x) 3.5.0\u001b[31m"}"#,
            r#"{"result":""}"#,
            "[]",
        ] {
            assert_eq!(version(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_container_s_process_has_a_number_of_its_own() {
        assert_eq!(pid_in_its_namespace("Name:\tx\nNSpid:\t4711\t23\n"), Some(23));
        assert_eq!(pid_in_its_namespace("NSpid:\t4711\n"), Some(4711));
        assert_eq!(pid_in_its_namespace("Name:\tx\n"), None);
    }

    #[tokio::test]
    async fn an_answer_may_come_in_pieces() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ctl");
        let listener = UnixListener::bind(&path).unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; REQUEST.len()];
            stream.read_exact(&mut request).await.unwrap();
            assert_eq!(request, REQUEST);
            for piece in [r#"{"result":"a (b) "#, r#"2.17.9"}"#] {
                stream.write_all(piece.as_bytes()).await.unwrap();
            }
            stream
        };
        let (version, _stream) = tokio::join!(ask(path), serve);
        assert_eq!(version.as_deref(), Some("2.17.9"));
    }
}
