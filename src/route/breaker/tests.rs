use proptest::prelude::*;

use super::*;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn call(breaker: &mut Breaker, verdict: Verdict, now: Duration) {
    let pass = breaker.enter(now).expect("a healthy breaker lets a call through");
    breaker.leave(pass, verdict, now);
}

fn opened() -> Breaker {
    let mut breaker = Breaker::default();
    for _ in 0..20 {
        call(&mut breaker, Verdict::Failure, at(0));
    }
    breaker
}

#[test]
fn it_opens_at_half_of_twenty_calls_and_not_before() {
    let mut breaker = Breaker::default();
    for n in 0..19 {
        call(&mut breaker, Verdict::Failure, at(n % 30));
        assert!(breaker.is_healthy(at(n % 30)));
    }
    call(&mut breaker, Verdict::Success, at(29));
    assert!(breaker.enter(at(29)).is_none());

    let mut lucky = Breaker::default();
    for _ in 0..11 {
        call(&mut lucky, Verdict::Success, at(0));
    }
    for _ in 0..10 {
        call(&mut lucky, Verdict::Failure, at(0));
    }
    assert!(lucky.is_healthy(at(0)));
    call(&mut lucky, Verdict::Failure, at(0));
    assert!(!lucky.is_healthy(at(0)));
}

#[test]
fn what_is_older_than_thirty_seconds_is_forgotten() {
    let mut breaker = Breaker::default();
    for _ in 0..19 {
        call(&mut breaker, Verdict::Failure, at(0));
    }
    call(&mut breaker, Verdict::Failure, at(30));
    assert!(breaker.is_healthy(at(30)));
}

#[test]
fn too_many_requests_do_not_count() {
    let mut breaker = Breaker::default();
    for _ in 0..100 {
        call(&mut breaker, Verdict::Neutral, at(0));
    }
    assert!(breaker.is_healthy(at(0)));
}

#[test]
fn the_pause_doubles_up_to_two_minutes_and_starts_over_once_it_closed() {
    let mut breaker = opened();
    let mut now = at(0);
    for pause in [15, 30, 60, 120, 120] {
        let until = breaker.opens_again().unwrap();
        assert_eq!(until - now, at(pause));
        assert!(breaker.enter(until - Duration::from_millis(1)).is_none());
        now = until;
        call(&mut breaker, Verdict::Failure, now);
    }
    now = breaker.opens_again().unwrap();
    for _ in 0..3 {
        call(&mut breaker, Verdict::Success, now);
    }
    for _ in 0..20 {
        call(&mut breaker, Verdict::Failure, now);
    }
    assert_eq!(breaker.opens_again().unwrap() - now, at(15));
}

#[test]
fn half_open_lets_three_probes_through_at_a_time() {
    let mut breaker = opened();
    let mut passes: Vec<Pass> = (0..3).map(|_| breaker.enter(at(15)).unwrap()).collect();
    assert!(!breaker.is_healthy(at(15)) && breaker.enter(at(15)).is_none());
    breaker.leave(passes.pop().unwrap(), Verdict::Neutral, at(15));
    let again = breaker.enter(at(15)).expect("a probe that says nothing gives its place back");
    for pass in passes.into_iter().chain([again]) {
        breaker.leave(pass, Verdict::Success, at(16));
    }
    let many: Vec<Pass> = (0..10).map(|_| breaker.enter(at(16)).unwrap()).collect();
    assert_eq!(many.len(), 10);
}

#[test]
fn calls_that_began_before_it_opened_say_nothing_after() {
    let mut breaker = Breaker::default();
    let late = breaker.enter(at(0)).unwrap();
    for _ in 0..20 {
        call(&mut breaker, Verdict::Failure, at(0));
    }
    let probe = breaker.enter(at(15)).unwrap();
    breaker.leave(late, Verdict::Failure, at(15));
    assert!(breaker.is_healthy(at(15)), "the late failure must not open it again");
    breaker.leave(probe, Verdict::Success, at(15));
}

proptest! {
    /// Whatever happens, it never stays shut for good: two minutes after the last call it lets one through.
    #[test]
    fn it_always_lets_a_call_through_in_the_end(
        steps in proptest::collection::vec((0u64..20_000, 0u8..4), 1..400)
    ) {
        let mut breaker = Breaker::default();
        let mut now = Duration::ZERO;
        let mut out: Vec<Pass> = Vec::new();
        for (passed, what) in steps {
            now += Duration::from_millis(passed);
            match what {
                0 => out.extend(breaker.enter(now)),
                1 => if let Some(pass) = out.pop() { breaker.leave(pass, Verdict::Success, now) },
                2 => if let Some(pass) = out.pop() { breaker.leave(pass, Verdict::Failure, now) },
                _ => if !out.is_empty() { breaker.leave(out.remove(0), Verdict::Neutral, now) },
            }
        }
        for pass in out {
            breaker.leave(pass, Verdict::Neutral, now);
        }
        prop_assert!(breaker.enter(now + LONGEST_PAUSE).is_some());
    }
}
