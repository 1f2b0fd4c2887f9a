//! The phases of an upcall: the intervals that become spans, waterfall bars and statistics.

use serde::Serialize;

use crate::event::{EventHead, MonotonicNs};
use crate::upcall::Upcall;

/// The phases, in the order in which they start. The root (`upcall`) is not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseKind {
    /// `dp_upcall` → `recv_upcall`: waiting in the netlink socket and being read.
    KernelToVswitchd,
    /// `recv_upcall` → `op_flow_put`, or `op_flow_execute` where no flow was put: translation and
    /// waiting for the rest of the batch.
    Lookup,
    /// Within [`PhaseKind::Lookup`]: until the thread goes on to the batch's next upcall or first
    /// operation.
    Translate,
    /// Within [`PhaseKind::Lookup`]: from the end of the translation to its own put or execute.
    BatchWait,
    /// `op_flow_execute` → `ovs_pkt_exec`.
    ExecuteToKernel,
}

impl PhaseKind {
    /// All phases, in the order in which they start.
    pub const ALL: [Self; 5] = [
        Self::KernelToVswitchd,
        Self::Lookup,
        Self::Translate,
        Self::BatchWait,
        Self::ExecuteToKernel,
    ];

    /// The span's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::KernelToVswitchd => "kernel_to_vswitchd",
            Self::Lookup => "lookup",
            Self::Translate => "translate",
            Self::BatchWait => "batch_wait",
            Self::ExecuteToKernel => "execute_to_kernel",
        }
    }

    /// The phase that holds this one; `None` for those right below the root.
    #[must_use]
    pub const fn parent(self) -> Option<Self> {
        match self {
            Self::Translate | Self::BatchWait => Some(Self::Lookup),
            Self::KernelToVswitchd | Self::Lookup | Self::ExecuteToKernel => None,
        }
    }
}

/// A phase both of whose ends were observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase {
    /// Which one.
    pub kind: PhaseKind,
    /// When it started.
    pub start: MonotonicNs,
    /// When it ended; not before `start` (a step back of the clock across CPUs makes it empty).
    pub end: MonotonicNs,
}

impl Phase {
    fn between(kind: PhaseKind, start: &EventHead, end: &EventHead) -> Self {
        Self { kind, start: start.ts, end: end.ts.max(start.ts) }
    }

    /// Duration in nanoseconds.
    #[must_use]
    pub fn duration_ns(&self) -> u64 {
        self.end.0 - self.start.0
    }
}

impl Upcall<'_> {
    /// The phase of this kind, if both of its ends were observed.
    #[must_use]
    pub fn phase(&self, kind: PhaseKind) -> Option<Phase> {
        let operation = || self.flow_put.as_ref().or(self.flow_execute.as_ref());
        let (start, end) = match kind {
            PhaseKind::KernelToVswitchd => (&self.kernel.as_ref()?.head, &self.recv),
            PhaseKind::Lookup => (&self.recv, operation()?),
            PhaseKind::Translate => (&self.recv, self.translated.as_ref()?),
            PhaseKind::BatchWait => (self.translated.as_ref()?, operation()?),
            PhaseKind::ExecuteToKernel => {
                (self.flow_execute.as_ref()?, self.packet_execute.as_ref()?)
            }
        };
        Some(Phase::between(kind, start, end))
    }

    /// The phases that were observed, in the order of [`PhaseKind::ALL`].
    pub fn phases(&self) -> impl Iterator<Item = Phase> + '_ {
        PhaseKind::ALL.into_iter().filter_map(|kind| self.phase(kind))
    }

    /// Nanoseconds from the `dp_upcall` to the packet's execution in the kernel, less the lookup:
    /// what the upcall costs beyond vswitchd's own work. upcall_cost.py's "upcall overhead" is this
    /// value for the upcalls that have a flow put.
    #[must_use]
    pub fn overhead_ns(&self) -> Option<i64> {
        let total = self.packet_execute?.ts.since(self.kernel.as_ref()?.head.ts);
        let operation = self.flow_put.or(self.flow_execute)?;
        Some(total.saturating_sub(operation.ts.since(self.recv.ts)))
    }

    /// Nanoseconds from the first to the last event that was found.
    #[must_use]
    pub fn duration_ns(&self) -> u64 {
        self.last().ts.0.saturating_sub(self.first().ts.0)
    }
}
