//! A batch on its way: attempts, waits, and the one end that it is owed.

use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use tokio::time::{Instant, sleep};

use super::account::{Account, Ticket};
use super::client::Transport;
use super::problems::Problems;
use super::retry::{Outage, RetryPolicy};

/// Delivers batches to one backend; shared by all batches under way.
pub(crate) struct Delivery<T> {
    transport: T,
    policy: RetryPolicy,
    outage: Outage,
    account: Arc<Account>,
    problems: Problems,
}

impl<T: Transport> Delivery<T> {
    pub(crate) fn new(transport: T, policy: RetryPolicy) -> Self {
        Self {
            transport,
            policy,
            outage: Outage::default(),
            account: Arc::default(),
            problems: Problems::default(),
        }
    }

    pub(crate) const fn account(&self) -> &Arc<Account> {
        &self.account
    }

    pub(crate) const fn problems(&self) -> &Problems {
        &self.problems
    }

    /// Sends `request` until the backend has taken it, refuses it for good, or the time to retry is
    /// over. Dropped in between, the ticket counts the spans as failed by shutdown.
    pub(crate) async fn deliver(&self, request: Bytes, ticket: Ticket) {
        let started = Instant::now();
        let mut retries = 0;
        loop {
            let failure = match self.transport.export(request.clone()).await {
                Ok(response) => {
                    self.outage.is_over();
                    return self.settle(response, ticket);
                }
                Err(failure) => failure,
            };
            self.problems.failure(&failure);
            let elapsed = started.elapsed().max(self.outage.goes_on());
            let Some(delay) = self.policy.next(failure.retry, retries, elapsed) else {
                return ticket.failed(failure.reason);
            };
            sleep(delay).await;
            retries = retries.saturating_add(1);
            ticket.retried();
        }
    }

    /// Partial success is an end as well: what was rejected would be rejected again, and what was
    /// taken would be there twice.
    fn settle(&self, response: ExportTraceServiceResponse, ticket: Ticket) {
        let Some(partial) = response.partial_success else { return ticket.delivered(0) };
        let rejected = u64::try_from(partial.rejected_spans).unwrap_or(0);
        match partial.error_message.as_str() {
            "" if rejected == 0 => {}
            "" => self.problems.partial_success(rejected, "spans rejected, no reason given"),
            message => self.problems.partial_success(rejected, message),
        }
        ticket.delivered(rejected);
    }
}

#[cfg(test)]
mod tests;
