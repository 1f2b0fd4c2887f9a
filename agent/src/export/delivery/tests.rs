use std::sync::Mutex;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;
use tonic::{Code, Status};

use super::*;
use crate::export::failure::{Failure, FailureReason, Retry};
use crate::export::retry::Backoff;

type Answer = Result<ExportTraceServiceResponse, Failure>;

/// Gives prepared answers, the last one forever, and notes when it was asked.
struct Script {
    answers: Mutex<Vec<Answer>>,
    asked: Mutex<Vec<Instant>>,
}

impl Transport for Script {
    async fn export(&self, request: Bytes) -> Answer {
        assert_eq!(request, "request");
        self.asked.lock().unwrap().push(Instant::now());
        let mut answers = self.answers.lock().unwrap();
        if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() }
    }
}

fn delivery(answers: impl Into<Vec<Answer>>, max_elapsed: Duration) -> Delivery<Script> {
    let script = Script { answers: Mutex::new(answers.into()), asked: Mutex::default() };
    let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10)).unwrap();
    Delivery::new(script, RetryPolicy::new(backoff, max_elapsed))
}

async fn deliver(delivery: &Delivery<Script>) {
    let ticket = delivery.account().accept(10);
    delivery.deliver(Bytes::from_static(b"request"), ticket).await;
}

fn asked(delivery: &Delivery<Script>) -> usize {
    delivery.transport.asked.lock().unwrap().len()
}

fn status(code: Code) -> Answer {
    Err(Failure::from(Status::new(code, "no")))
}

fn partial(rejected_spans: i64, error_message: &str) -> Answer {
    let partial = ExportTracePartialSuccess { rejected_spans, error_message: error_message.into() };
    Ok(ExportTraceServiceResponse { partial_success: Some(partial) })
}

const OK: Answer = Ok(ExportTraceServiceResponse { partial_success: None });
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn what_heals_is_retried() {
    let delivery = delivery([status(Code::Unavailable), status(Code::Unavailable), OK], 5 * MINUTE);
    deliver(&delivery).await;
    let totals = delivery.account().totals();
    assert_eq!((totals.delivered, totals.retries, totals.failed()), (10, 2, 0));
    assert_eq!(delivery.problems().list()[0].count, 2);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_heal_is_tried_once() {
    let delivery = delivery([status(Code::Unimplemented)], 5 * MINUTE);
    deliver(&delivery).await;
    assert_eq!(asked(&delivery), 1);
    assert_eq!(delivery.account().totals().failed["UNIMPLEMENTED"], 10);
}

#[tokio::test(start_paused = true)]
async fn the_backends_delay_is_honoured() {
    let failure = Failure {
        reason: FailureReason::Status(Code::ResourceExhausted),
        retry: Retry::After(Duration::from_secs(42)),
        message: String::new(),
    };
    let delivery = delivery([Err(failure), OK], MINUTE);
    deliver(&delivery).await;
    let asked = delivery.transport.asked.lock().unwrap().clone();
    assert_eq!(asked[1] - asked[0], Duration::from_secs(42));
}

#[tokio::test(start_paused = true)]
async fn retries_end_with_their_time() {
    let delivery = delivery([status(Code::Unavailable)], MINUTE);
    let started = Instant::now();
    deliver(&delivery).await;
    assert!(started.elapsed() < MINUTE);
    assert!(asked(&delivery) > 2);
    assert_eq!(delivery.account().totals().failed["UNAVAILABLE"], 10);
}

#[tokio::test(start_paused = true)]
async fn a_dead_backend_costs_the_time_once_and_not_for_each_batch() {
    let delivery = delivery([status(Code::Unavailable)], MINUTE);
    deliver(&delivery).await;
    tokio::time::advance(MINUTE).await;
    let before = asked(&delivery);
    deliver(&delivery).await;
    assert_eq!(asked(&delivery), before + 1);

    // Once it is back, there is time again.
    delivery.transport.answers.lock().unwrap().splice(.., [OK, status(Code::Unavailable), OK]);
    deliver(&delivery).await;
    deliver(&delivery).await;
    assert_eq!(asked(&delivery), before + 4);
    assert_eq!(delivery.account().totals().delivered, 20);
}

#[tokio::test(start_paused = true)]
async fn partial_success_is_counted_and_never_resent() {
    let delivery = delivery([partial(3, "bad ids")], MINUTE);
    deliver(&delivery).await;
    assert_eq!(asked(&delivery), 1);
    let totals = delivery.account().totals();
    assert_eq!((totals.delivered, totals.rejected, totals.requests), (7, 3, 1));
    assert_eq!(delivery.problems().list()[0].message, "bad ids");
}

#[tokio::test(start_paused = true)]
async fn a_warning_rejects_nothing_and_nonsense_is_bounded() {
    let delivery = delivery([partial(0, ""), partial(0, "soon full"), partial(-5, "")], MINUTE);
    for _ in 0..3 {
        deliver(&delivery).await;
    }
    let totals = delivery.account().totals();
    assert_eq!((totals.delivered, totals.rejected, totals.pending()), (30, 0, 0));
    assert_eq!(delivery.problems().list().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_cut_short_counts_as_shutdown() {
    let delivery = delivery([status(Code::Unavailable)], 5 * MINUTE);
    tokio::time::timeout(Duration::from_millis(1), deliver(&delivery)).await.ok();
    assert_eq!(delivery.account().totals().pending(), 0);
}
