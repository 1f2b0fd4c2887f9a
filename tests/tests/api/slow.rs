//! A client that does not read, and losses of the capture.

use upspan::event::EventKind;
use upspan::replay::Witness;
use upspan_proto::v1::{Lost, LostSource, ServerStatusRequest};

use super::*;

const FOLLOW: GetUpcallsRequest = GetUpcallsRequest {
    last: None,
    since_unix_ns: None,
    until_unix_ns: None,
    follow: true,
    filter: None,
    field_mask: None,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_is_told_what_it_has_missed() {
    let (served, recorder) = Served::new(512);
    let mut slow = served.client().await;
    let mut stream = slow.get_upcalls(FOLLOW).await.unwrap().into_inner();
    // Far more than the buffers on the way hold. If the pipeline waited for the client, which does
    // not read before it is done, this would never end.
    let fed = timeout(PATIENCE, feed(recorder, "medium-10686", 12)).await.unwrap();
    let (mut got, mut missed, mut next) = (0, 0, 0);
    while let Some(response) = timeout(PATIENCE, stream.message()).await.unwrap().unwrap() {
        match response.response.unwrap() {
            Response::Upcall(upcall) => {
                assert_eq!(upcall.sequence, next, "what is missing is told at its place");
                (got, next) = (got + 1, next + 1);
            }
            Response::Lost(lost) => {
                assert_eq!(lost.source(), LostSource::Client);
                (missed, next) = (missed + lost.count, next + lost.count);
            }
        }
    }
    assert!(missed > 0, "{got} of {fed} were taken");
    assert_eq!(got + missed, fed);
    let status = slow.server_status(ServerStatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.lost_by_clients, missed);
    assert_eq!((status.kept_upcalls, status.max_kept_upcalls), (512, 512));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_misses_nothing() {
    let (served, recorder) = Served::new(16_384);
    let mut client = served.client().await;
    let mut stream = client.get_upcalls(FOLLOW).await.unwrap().into_inner();
    let feeding = tokio::spawn(feed(recorder, "medium-10686", 3));
    let mut next = 0;
    while let Some(response) = timeout(PATIENCE, stream.message()).await.unwrap().unwrap() {
        let Some(Response::Upcall(upcall)) = response.response else { panic!("{response:?}") };
        assert_eq!(upcall.sequence, next);
        next += 1;
    }
    assert_eq!(next, feeding.await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn losses_of_the_capture_are_told() {
    let (served, mut recorder) = Served::new(16_384);
    let mut client = served.client().await;
    recorder.lost(EventKind::RecvUpcall, 5);
    let mut stream = client.get_upcalls(FOLLOW).await.unwrap().into_inner();
    // What was lost before is none of this client's business.
    recorder.lost(EventKind::RecvUpcall, 2);
    recorder.lost(EventKind::OvsPktExec, 1);
    let mut lost = [0; 6];
    while lost.iter().sum::<u64>() < 3 {
        let response = timeout(PATIENCE, stream.message()).await.unwrap().unwrap().unwrap();
        let Some(Response::Lost(Lost { source, count, kind })) = response.response else {
            panic!("{response:?}")
        };
        assert_eq!(source, i32::from(LostSource::Capture));
        lost[kind as usize] += count;
    }
    assert_eq!(lost, [0, 0, 2, 0, 0, 1]);
    drop(recorder);
    assert!(timeout(PATIENCE, stream.message()).await.unwrap().unwrap().is_none());
}
