use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::Instant;

use super::*;

const PAUSES: Backoff = Backoff { base: Duration::from_secs(1), most: Duration::from_secs(8) };
const LATE: u64 = u64::MAX;

fn name(text: &str) -> Arc<str> {
    text.into()
}

/// Asks until the service is up, as an event would; each question is counted.
async fn ask(outages: Outages, up_at: Instant, questions: Arc<AtomicUsize>) {
    let mut patience = outages.patience();
    loop {
        questions.fetch_add(1, Ordering::Relaxed);
        if Instant::now() >= up_at {
            patience.answered();
            return;
        }
        patience.turn(&name("vendor"), &"nobody listens", &PAUSES, LATE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_asks_at_a_time_with_growing_pauses_and_all_go_on_when_it_is_answered() {
    let outages = Outages::default();
    let (began, questions) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let up_at = began + Duration::from_secs(60);
    let all: Vec<_> = (0..1_000)
        .map(|n| ask(outages.of(&name(&format!("p{}", n % 2))), up_at, Arc::clone(&questions)))
        .map(tokio::spawn)
        .collect();
    tokio::time::sleep(Duration::from_secs(30)).await;
    // Everybody found out once; then one asked after 1, 3, 7, 15 and 23 seconds.
    assert_eq!(questions.load(Ordering::Relaxed), 1_005);
    let told: Vec<String> = outages.list().iter().map(ToString::to_string).collect();
    assert_eq!(told, ["waiting for vendor, which pauses p0, p1: nobody listens"]);
    futures::future::join_all(all).await;
    assert_eq!(began.elapsed(), Duration::from_secs(63), "at the first question after it was up");
    assert_eq!(questions.load(Ordering::Relaxed), 1_000 + 10 + 999, "and nobody asked twice");
    assert!(!outages.any());
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_hands_its_turn_to_the_next() {
    let outages = Outages::default();
    let questions = Arc::new(AtomicUsize::new(0));
    let up_at = Instant::now() + Duration::from_secs(20);
    let first = tokio::spawn(ask(outages.clone(), up_at, Arc::clone(&questions)));
    let second = tokio::spawn(ask(outages.clone(), up_at, Arc::clone(&questions)));
    tokio::time::sleep(Duration::from_secs(5)).await;
    first.abort();
    second.await.unwrap();
    assert!(!outages.any());
}

#[tokio::test(start_paused = true)]
async fn an_event_that_failed_elsewhere_stops_waiting_for_its_turn() {
    let outages = Outages::default();
    let (mut asking, mut waiting) = (outages.patience(), outages.patience());
    asking.turn(&name("vendor"), &"down", &PAUSES, LATE).await;
    let halt = Halt::default();
    let service = name("vendor");
    let stop = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        halt.set();
    };
    let began = Instant::now();
    tokio::join!(waiting.turn_unless(&halt, &service, &"down", &PAUSES, LATE), stop);
    assert!(began.elapsed() <= Duration::from_secs(60) + LOOK);
    drop((asking, waiting));
    assert!(!outages.any());
}

#[tokio::test(start_paused = true)]
async fn an_outage_pauses_those_who_wait_for_it_and_the_engines_own_pauses_all() {
    let outages = Outages::default();
    let (one, other) = (name("one"), name("other"));
    let mut patience = outages.of(&one).patience();
    patience.turn(&name("vendor"), &"down", &PAUSES, LATE).await;
    assert!(outages.pauses(&one) && !outages.pauses(&other));
    // The next call of the same stage needs something else: the vendor has answered.
    patience.turn(&name("store"), &"down", &PAUSES, LATE).await;
    let down: Vec<Arc<str>> = outages.list().into_iter().map(|entry| entry.service).collect();
    assert_eq!(down, [name("store")]);
    patience.pause("per_day", &"spent", Duration::from_secs(1)).await;
    assert_eq!(outages.list()[0].service, name("budget `per_day` of one"));
    assert!(outages.pauses(&one) && !outages.pauses(&other));
    patience.pause_everybody("engine.per_day", &"spent", Duration::from_secs(1)).await;
    assert!(outages.pauses(&one) && outages.pauses(&other));
    patience.answered();
    assert!(!outages.any());
}
