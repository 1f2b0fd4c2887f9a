//! Which threads' events are wanted.

use std::convert::Infallible;
use std::str::FromStr;

use hashbrown::HashSet;

use crate::event::Comm;

/// The names of the threads whose events are read, as of upcall_cost.py's `--handler-filter`.
#[derive(Clone, Debug, Default)]
pub struct HandlerFilter {
    names: HashSet<Comm, foldhash::fast::FixedState>,
}

impl HandlerFilter {
    /// Whether a thread of this name is wanted.
    #[must_use]
    pub fn contains(&self, comm: Comm) -> bool {
        self.names.contains(&comm)
    }
}

impl FromIterator<Comm> for HandlerFilter {
    fn from_iter<I: IntoIterator<Item = Comm>>(names: I) -> Self {
        Self { names: names.into_iter().collect() }
    }
}

impl FromStr for HandlerFilter {
    type Err = Infallible;

    /// Reads names with commas between them, such as `handler1,handler2`.
    fn from_str(names: &str) -> Result<Self, Infallible> {
        Ok(names.split(',').map(|name| Comm::from_bytes(name.as_bytes())).collect())
    }
}
