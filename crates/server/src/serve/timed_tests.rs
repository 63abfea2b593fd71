use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

fn pair() -> (Timed<DuplexStream>, Phase, DuplexStream) {
    let (ours, theirs) = duplex(64);
    let phase = Phase::new();
    (Timed::new(ours, phase.clone(), &Limits::default()), phase, theirs)
}

async fn read(stream: &mut Timed<DuplexStream>) -> io::Result<usize> {
    stream.read(&mut [0; 16]).await
}

// IN-02
#[tokio::test(start_paused = true)]
async fn a_head_must_come_within_ten_seconds_however_it_trickles() {
    let (mut stream, _, mut client) = pair();
    let start = Instant::now();
    let trickle = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(3)).await;
            if client.write_all(b"a").await.is_err() {
                return;
            }
        }
    });
    let error = loop {
        match read(&mut stream).await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(start.elapsed().as_secs(), 10);
    trickle.abort();
}

// IN-02
#[tokio::test(start_paused = true)]
async fn between_requests_there_is_more_time_and_in_work_the_handler_decides() {
    let (mut stream, phase, mut client) = pair();
    client.write_all(b"request").await.expect("room");
    read(&mut stream).await.expect("bytes");
    phase.busy();
    let waited = tokio::time::timeout(Duration::from_secs(600), read(&mut stream)).await;
    assert!(waited.is_err(), "a busy connection is left alone");
    phase.answered(false);
    let start = Instant::now();
    assert_eq!(read(&mut stream).await.expect_err("idle").kind(), io::ErrorKind::TimedOut);
    assert_eq!(start.elapsed().as_secs(), 75);
}

#[tokio::test(start_paused = true)]
async fn every_request_begins_a_new_wait() {
    let (mut stream, phase, mut client) = pair();
    let start = Instant::now();
    for _ in 0..5 {
        client.write_all(b"request").await.expect("room");
        read(&mut stream).await.expect("bytes");
        phase.busy();
        phase.answered(false);
        assert!(tokio::time::timeout(Duration::from_secs(60), read(&mut stream)).await.is_err());
    }
    client.write_all(b"requ").await.expect("room");
    read(&mut stream).await.expect("bytes");
    assert!(read(&mut stream).await.is_err(), "the head of the last one does not come");
    assert_eq!(start.elapsed().as_secs(), 310);
}

// IN-02
#[tokio::test(start_paused = true)]
async fn an_unread_answer_is_given_up() {
    let (mut stream, _, _client) = pair();
    let start = Instant::now();
    let error = stream.write_all(&[0; 1000]).await.expect_err("nobody reads");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_refused_client_may_finish_its_sentence() {
    let (mut stream, phase, mut client) = pair();
    phase.answered(true);
    let sender = tokio::spawn(async move {
        for _ in 0..100 {
            client.write_all(&[0; 100]).await.expect("somebody reads");
        }
        client
    });
    let start = Instant::now();
    stream.shutdown().await.expect("closed");
    assert_eq!(start.elapsed(), LINGER, "then it is over, although the client did not close");
    sender.await.expect("all was taken");
}
