//! Work inside of a network namespace.

use std::fs::File;
use std::os::fd::AsFd;
use std::thread;

use anyhow::{Context, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Runs `job` in a thread of its own that is in the namespace of this name.
pub(crate) fn within<T: Send>(
    name: &str,
    job: impl FnOnce() -> anyhow::Result<T> + Send,
) -> anyhow::Result<T> {
    let inside = || {
        let path = format!("/run/netns/{name}");
        let file = File::open(&path).with_context(|| path)?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .with_context(|| format!("cannot enter the namespace {name}"))?;
        job()
    };
    thread::scope(|scope| scope.spawn(inside).join())
        .map_err(|_| anyhow!("a thread in the namespace {name} has panicked"))?
}
