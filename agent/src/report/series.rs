//! The four latencies of upcall_cost.py, each as a series in the order of the `dp_upcall`s.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::event::Ordinal;
use crate::upcall::Upcall;

/// The latencies that upcall_cost.py prints, in its order. Only upcalls whose `dp_upcall` was found
/// have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Latency {
    /// `dp_upcall` → `recv_upcall`.
    KernelToVswitchd,
    /// `op_flow_execute` → `ovs_pkt_exec`.
    VswitchdToKernel,
    /// `dp_upcall` → `ovs_pkt_exec`, less `recv_upcall` → `op_flow_put`; of upcalls with a flow put.
    TimeMinusLookup,
    /// `dp_upcall` → `ovs_pkt_exec`.
    KernelToKernelExec,
}

impl Latency {
    /// All of them, in the order of printing.
    pub const ALL: [Self; 4] = [
        Self::KernelToVswitchd,
        Self::VswitchdToKernel,
        Self::TimeMinusLookup,
        Self::KernelToKernelExec,
    ];

    /// The name used in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::KernelToVswitchd => "kernel_to_vswitchd",
            Self::VswitchdToKernel => "vswitchd_to_kernel",
            Self::TimeMinusLookup => "time_minus_lookup",
            Self::KernelToKernelExec => "kernel_to_kernel_exec",
        }
    }

    /// The heading of its histogram.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::KernelToVswitchd => "Kernel upcall action to vswitchd receive (microseconds)",
            Self::VswitchdToKernel => "vswitchd execute to kernel receive (microseconds)",
            Self::TimeMinusLookup => "Upcall overhead (total time minus lookup) (microseconds)",
            Self::KernelToKernelExec => "Kernel upcall to kernel packet execute (microseconds)",
        }
    }

    /// Nanoseconds; negative where the clocks of two CPUs disagree.
    pub(crate) fn of(self, upcall: &Upcall<'_>) -> Option<i64> {
        let dp = upcall.kernel.as_ref()?.head.ts;
        let recv = upcall.recv.ts;
        match self {
            Self::KernelToVswitchd => Some(recv.since(dp)),
            Self::VswitchdToKernel => {
                Some(upcall.packet_execute?.ts.since(upcall.flow_execute?.ts))
            }
            Self::TimeMinusLookup => {
                let total = upcall.packet_execute?.ts.since(dp);
                Some(total.saturating_sub(upcall.flow_put?.ts.since(recv)))
            }
            Self::KernelToKernelExec => Some(upcall.packet_execute?.ts.since(dp)),
        }
    }
}

/// Nanoseconds as microseconds, the unit of upcall_cost.py.
pub(super) fn microseconds(ns: i64) -> f64 {
    ns as f64 / 1000.0
}

/// One upcall's latencies, with what puts them in order.
#[derive(Clone, Copy, Debug)]
struct Row {
    dp: Ordinal,
    recv: Ordinal,
    latencies: [i64; Latency::ALL.len()],
    observed: [bool; Latency::ALL.len()],
}

/// Collects latencies of upcalls, which come in the order of their completion.
#[derive(Debug, Default)]
pub(super) struct LatencyRows(Vec<Row>);

impl LatencyRows {
    /// Takes an upcall; one without kernel side has no latencies.
    pub(super) fn push(&mut self, upcall: &Upcall<'_>) {
        let Some(kernel) = &upcall.kernel else { return };
        let latencies = Latency::ALL.map(|latency| latency.of(upcall));
        self.0.push(Row {
            dp: kernel.head.ordinal,
            recv: upcall.recv.ordinal,
            latencies: latencies.map(Option::unwrap_or_default),
            observed: latencies.map(|latency| latency.is_some()),
        });
    }

    /// The series, and how many `dp_upcall`s they come from.
    pub(super) fn finish(mut self) -> (LatencySeries, u64) {
        self.0.sort_unstable_by_key(|row| (row.dp, row.recv));
        let shared = self.0.windows(2).filter(|pair| pair[0].dp == pair[1].dp).count();
        let series = |latency: Latency| {
            let index = latency as usize;
            let observed = self.0.iter().filter(|row| row.observed[index]);
            observed.map(|row| row.latencies[index]).collect()
        };
        (LatencySeries(Latency::ALL.map(series)), (self.0.len() - shared) as u64)
    }
}

/// The four series, in nanoseconds, each ordered by the `dp_upcall`s' ordinals; upcalls that share
/// one (segments of a GSO packet) by their `recv_upcall`s'. It serialises in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LatencySeries([Vec<i64>; Latency::ALL.len()]);

impl LatencySeries {
    pub(super) fn get(&self, latency: Latency) -> &[i64] {
        &self.0[latency as usize]
    }
}

impl Serialize for LatencySeries {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Microseconds<'a>(&'a [i64]);
        impl Serialize for Microseconds<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(self.0.iter().map(|&ns| microseconds(ns)))
            }
        }
        let mut map = serializer.serialize_map(Some(Latency::ALL.len()))?;
        for latency in Latency::ALL {
            map.serialize_entry(latency.name(), &Microseconds(self.get(latency)))?;
        }
        map.end()
    }
}
