//! The exporter against backends that misbehave.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod faults;
mod flow;
mod security;

use std::time::Duration;

use upspan::export::{Backoff, ExportConfig, ExportOptions, Exporter, RetryPolicy, Totals};
use upspan_tests::spans::{envelope, spans};

/// Enough for what must happen, and reached only by tests that fail.
const LONG: Duration = Duration::from_secs(30);

fn options(endpoint: impl Into<String>) -> ExportOptions {
    ExportOptions { endpoint: Some(endpoint.into()), ..ExportOptions::default() }
}

fn config(options: &ExportOptions) -> ExportConfig {
    let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(20)).unwrap();
    let config = ExportConfig::resolve(options, &|_| None).unwrap().unwrap();
    let max_elapsed = config.retry().max_elapsed();
    config.with_retry(RetryPolicy::new(backoff, max_elapsed))
}

fn start(options: &ExportOptions) -> Exporter {
    Exporter::start(&config(options), envelope()).unwrap()
}

/// Exports ten spans, and says where they ended and what the first problem was.
async fn export(options: &ExportOptions) -> (Totals, String) {
    let exporter = start(options);
    exporter.sender().send(spans(0..10)).await.unwrap();
    let summary = exporter.shutdown(LONG).await;
    assert_eq!(summary.totals.pending(), 0);
    assert_eq!(summary.totals.accepted, 10);
    let problem = summary.problems.first();
    (summary.totals, problem.map_or_else(String::new, |problem| problem.message.clone()))
}
