//! Spans of applications: the receiver, and the join with upcalls, as `upspan run` uses them.

use tracing::info;
use upspan::export::{ConfigError, Invalid, SpanSender};
use upspan::join::{JoinConfig, JoinOptions, Joiner, SharedIndex};
use upspan::listen::ListenError;
use upspan::receiver::{Listening, ReceiveOptions, ReceiverConfig, SpanReceiver};
use upspan::replay::Outlet;

#[derive(Clone, Debug, clap::Args)]
pub(super) struct AppTraceArgs {
    #[command(flatten)]
    receive: ReceiveOptions,

    #[command(flatten)]
    join: JoinOptions,
}

impl AppTraceArgs {
    /// The receiver, if one is wanted. It needs an endpoint to forward to.
    pub(super) fn resolve(
        &self,
        has_endpoint: bool,
    ) -> Result<Option<ReceiverConfig>, ConfigError> {
        let config = ReceiverConfig::resolve(&self.receive)?;
        if config.is_some() && !has_endpoint {
            return Err(ConfigError::new("--receive", Invalid::Needs("--endpoint, to forward to")));
        }
        if config.is_none() && self.join.app_spans {
            return Err(ConfigError::new("--app-spans", Invalid::Needs("--receive")));
        }
        Ok(config)
    }

    /// Begins to receive, and to forward to `sender`.
    pub(super) fn receive(
        &self,
        listening: Option<Listening>,
        sender: Option<&SpanSender>,
    ) -> Result<Option<Receiving>, ListenError> {
        let Some((listening, sender)) = listening.zip(sender) else { return Ok(None) };
        let index = self.join.index();
        let receiver = listening.serve(sender.clone(), index.clone())?;
        info!(address = %receiver.address(), "receiving spans of applications");
        Ok(Some(Receiving { receiver, index, config: self.join.config() }))
    }
}

/// A receiver at work, and what is needed to join.
pub(super) struct Receiving {
    receiver: SpanReceiver,
    index: SharedIndex,
    config: JoinConfig,
}

impl Receiving {
    /// What upcalls wait in.
    pub(super) fn joiner(&self) -> Joiner {
        Joiner::new(self.config, self.index.clone())
    }

    /// Receives no more, lets all upcalls go that wait, and says what there was.
    pub(super) fn end(self, outlet: &mut Outlet) {
        let received = self.receiver.blocking_stop();
        outlet.end_joining();
        info!("received from applications: {received}");
        let counts = self.index.counts();
        info!(
            indexed = counts.indexed,
            duplicates = counts.duplicates,
            evicted = counts.evicted,
            "index of application spans"
        );
        if let Some(totals) = outlet.join_totals() {
            info!(
                upcalls = totals.upcalls,
                linked = totals.linked,
                ambiguous = totals.ambiguous,
                early = totals.early,
                app_spans = totals.app_spans,
                "upcalls and application spans"
            );
        }
    }
}
