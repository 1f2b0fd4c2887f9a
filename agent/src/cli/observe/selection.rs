//! Which upcalls to show: flags.

use std::num::ParseIntError;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use clap::ValueEnum;
use upspan::api::FlowPrefix;
use upspan_proto::v1;

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Selection")]
pub(super) struct SelectionArgs {
    /// Go on with the upcalls that come, until Ctrl-C
    #[arg(short, long)]
    follow: bool,

    /// Of those that upspan keeps, show the latest N that pass [default: 20 if nothing else is
    /// said]
    #[arg(short = 'n', long, value_name = "N")]
    last: Option<u64>,

    /// Show those that started since: 5m ago, or at 2026-11-24T10:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Time>,

    /// Show those that started until
    #[arg(long, value_name = "TIME")]
    until: Option<Time>,

    /// Only upcalls of this port, by name or number; repeatable
    #[arg(long, value_name = "PORT")]
    port: Vec<String>,

    /// Only upcalls handled by this thread; repeatable
    #[arg(long, value_name = "NAME")]
    thread: Vec<String>,

    /// Only upcalls of this datapath; repeatable
    #[arg(long, value_name = "NAME")]
    datapath: Vec<String>,

    /// Only packets like 'tcp 10.0.0.0/8 > 10.1.2.3:80', with any part left out; <> for either
    /// direction; repeatable
    #[arg(long, value_name = "FLOW")]
    flow: Vec<FlowPrefix>,

    /// Only upcalls that took at least this long, such as 10ms
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    min_duration: Option<Duration>,

    /// Only upcalls with all of their events, that lack some, or that were not delivered
    #[arg(long, value_enum, value_name = "WHICH")]
    completeness: Option<Completeness>,

    /// Only upcalls whose kernel side was found like this; repeatable
    #[arg(long = "match", value_enum, value_name = "METHOD")]
    methods: Vec<Method>,

    /// Only the upcall that became this trace; repeatable
    #[arg(long, value_name = "ID", value_parser = trace_id)]
    trace_id: Vec<TraceId>,

    /// Get these fields of upspan.v1.Upcall only, with commas between them
    #[arg(long, value_name = "FIELDS", value_delimiter = ',')]
    fields: Vec<String>,
}

/// Upcalls that are shown to people who say nothing.
const LAST: u64 = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Completeness {
    Complete,
    Incomplete,
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Method {
    Exact,
    Bytes,
    Checksum,
    Vlan,
    Prefix,
}

/// An instant: so long ago, or by the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Time {
    Ago(Duration),
    At(SystemTime),
}

impl std::str::FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ago = humantime::parse_duration(text).map(Self::Ago);
        ago.or_else(|_| humantime::parse_rfc3339_weak(text).map(Self::At)).map_err(|_| {
            "give how long ago, such as 5m, or a time in UTC, such as 2026-11-24T10:00:00Z"
                .to_owned()
        })
    }
}

impl Time {
    fn unix_ns(self) -> u64 {
        let at = match self {
            Self::Ago(ago) => SystemTime::now().checked_sub(ago).unwrap_or(UNIX_EPOCH),
            Self::At(at) => at,
        };
        let since_epoch = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The bytes of a trace's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TraceId([u8; 16]);

fn trace_id(text: &str) -> Result<TraceId, String> {
    let id = || -> Result<u128, ParseIntError> { u128::from_str_radix(text, 16) };
    match id() {
        // Some backends leave out zeros at the beginning.
        Ok(id) if text.len() <= 32 && !text.starts_with('+') => Ok(TraceId(id.to_be_bytes())),
        _ => Err("a trace id is up to 32 hexadecimal digits".to_owned()),
    }
}

impl SelectionArgs {
    /// What to ask for.
    pub(super) fn request(&self) -> anyhow::Result<v1::GetUpcallsRequest> {
        let (since, until) = (self.since.map(Time::unix_ns), self.until.map(Time::unix_ns));
        if let (Some(since), Some(until)) = (since, until)
            && since > until
        {
            bail!("--since is after --until: nothing can be between them");
        }
        let says_nothing = since.is_none() && until.is_none() && !self.follow;
        Ok(v1::GetUpcallsRequest {
            last: self.last.or(says_nothing.then_some(LAST)),
            since_unix_ns: since,
            until_unix_ns: until,
            follow: self.follow,
            filter: Some(self.filter()?),
            field_mask: Some(prost_types::FieldMask { paths: self.fields.clone() }),
        })
    }

    fn filter(&self) -> anyhow::Result<v1::UpcallFilter> {
        let min_duration = self.min_duration.unwrap_or_default().as_nanos();
        let completeness = match self.completeness {
            None => v1::Completeness::Unspecified,
            Some(Completeness::Complete) => v1::Completeness::Complete,
            Some(Completeness::Incomplete) => v1::Completeness::Incomplete,
            Some(Completeness::Failed) => v1::Completeness::Failed,
        };
        let method = |method: &Method| match method {
            Method::Exact => v1::MatchMethod::Exact,
            Method::Bytes => v1::MatchMethod::Bytes,
            Method::Checksum => v1::MatchMethod::Checksum,
            Method::Vlan => v1::MatchMethod::Vlan,
            Method::Prefix => v1::MatchMethod::Prefix,
        };
        Ok(v1::UpcallFilter {
            datapaths: self.datapath.clone(),
            ports: self.port.clone(),
            threads: self.thread.clone(),
            flows: self.flow.iter().map(Into::into).collect(),
            min_duration_ns: min_duration.try_into().context("--min-duration is too long")?,
            completeness: completeness.into(),
            match_methods: self.methods.iter().map(|wanted| method(wanted).into()).collect(),
            trace_ids: self.trace_id.iter().map(|TraceId(bytes)| bytes.to_vec()).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!("5m".parse(), Ok(Time::Ago(Duration::from_secs(300))));
        let at = UNIX_EPOCH + Duration::from_secs(10);
        assert_eq!("1970-01-01T00:00:10Z".parse(), Ok(Time::At(at)));
        assert_eq!("1970-01-01 00:00:10".parse(), Ok(Time::At(at)));
        assert_eq!(Time::At(at).unix_ns(), 10_000_000_000);
        assert!("yesterday".parse::<Time>().is_err());
    }

    #[test]
    fn trace_ids() {
        let id = trace_id("4bf92f3577b34da6a3ce929d0e0e4736").unwrap();
        assert_eq!(id.0[..2], [0x4b, 0xf9]);
        assert_eq!(trace_id("1").unwrap().0[15], 1);
        for wrong in ["", "+1", "xyz", "4bf92f3577b34da6a3ce929d0e0e47361"] {
            trace_id(wrong).unwrap_err();
        }
    }
}
