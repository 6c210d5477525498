//! Simulation under a seed: the real corridor and the real commit cycle, on a log by Kafka's rules, in weather that loses,
//! delays and doubles what producers send, with instances that die between any two of their actions.

mod checker;
mod draws;
mod line;
mod sky;
mod world;

use line::Bench;
use world::{Ended, run};

/// Seeds of one of the four tests below.
const EACH: u64 = 500;

#[track_caller]
fn well(seed: u64, ended: &Ended) {
    assert!(
        ended.wrong.is_empty(),
        "seed {seed}:\n{}\nits story:\n{}\nreplay it: tests/simulate/replay {seed}\n",
        ended.wrong.join("\n"),
        ended.story.join("\n"),
    );
}

#[track_caller]
fn live_through(seeds: impl Iterator<Item = u64>) {
    let bench = Bench::new();
    for seed in seeds {
        well(seed, &run(&bench, seed));
    }
}

// Four, so that they run side by side.

#[test]
fn worlds_come_to_rest_with_everything_once_1() {
    live_through(0..EACH);
}

#[test]
fn worlds_come_to_rest_with_everything_once_2() {
    live_through(EACH..2 * EACH);
}

#[test]
fn worlds_come_to_rest_with_everything_once_3() {
    live_through(2 * EACH..3 * EACH);
}

#[test]
fn worlds_come_to_rest_with_everything_once_4() {
    live_through(3 * EACH..4 * EACH);
}

#[test]
fn a_seed_is_the_same_story_each_time() {
    let bench = Bench::new();
    for seed in 0..20 {
        let first = run(&bench, seed);
        // Another bench, another thread's hash seeds: nothing may depend on them.
        let again = std::thread::spawn(move || run(&Bench::new(), seed)).join().unwrap();
        assert_eq!(first, again, "seed {seed}");
    }
}

/// One that was asked to stop gave its partitions up after its drain and settled its last commit for long after that: the
/// call it was cut off from was taken for one that was paid again without a reason.
#[test]
fn a_call_that_a_stop_cuts_off_may_be_asked_again() {
    live_through(std::iter::once(232_335));
}

/// What `tests/simulate/many` and `tests/simulate/replay` run: `SIMULATE=FROM..TO`; nothing when it is not set.
#[test]
fn as_many_as_asked() {
    let Ok(asked) = std::env::var("SIMULATE") else { return };
    let (from, to) = asked.split_once("..").expect("SIMULATE=FROM..TO");
    let (from, to): (u64, u64) = (from.parse().unwrap(), to.parse().unwrap());
    let bench = Bench::new();
    let mut failed = Vec::new();
    for seed in from..to {
        let ended = run(&bench, seed);
        if to == from + 1 {
            println!("{}", ended.story.join("\n"));
        }
        if !ended.wrong.is_empty() {
            println!("seed {seed}: {}", ended.wrong[0]);
            failed.push(seed);
        }
        if (seed - from + 1).is_multiple_of(10_000) {
            println!("{} seeds, {} failed", seed - from + 1, failed.len());
        }
    }
    println!("{} seeds, {} failed", to - from, failed.len());
    assert!(failed.is_empty(), "replay each: tests/simulate/replay SEED, of {failed:?}");
}
