use std::sync::atomic::{AtomicI64, Ordering};

use proptest::prelude::*;

use super::*;
use crate::model::{Hold, Purse};

const NOON: i64 = 20_000 * DAY + DAY / 2;

fn money(text: &str) -> Money {
    text.parse().unwrap()
}

struct Held(AtomicI64);
impl Clock for Held {
    fn now(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
    fn draw(&self) -> u128 {
        0
    }
}

fn limits(per_event: &str, per_day: &str, total: &str) -> Limits {
    let limit = |text: &str| (!text.is_empty()).then(|| money(text));
    Limits { per_event: limit(per_event), per_day: limit(per_day), total: limit(total) }
}

fn budget(per_day: Option<Money>, limits: Limits) -> (Arc<Held>, PipelineBudget) {
    let clock = Arc::new(Held(AtomicI64::new(NOON)));
    let engine = EngineBudget::new(per_day, clock.clone());
    (clock, engine.pipeline(&"triage".into(), limits))
}

#[test]
fn a_call_that_passes_the_limit_of_its_event_is_refused_with_the_figures() {
    let (_, triage) = budget(None, limits("0.02", "", ""));
    let purse = triage.purse();
    let hold = purse.reserve(money("0.015")).unwrap();
    purse.settle(hold, money("0.012"));
    let over = purse.reserve(money("0.009")).unwrap_err();
    assert_eq!((over.limit, over.until), ("per_event", None));
    let expected =
        "a call of up to 0.009 would pass the limit of an event: 0.012 of 0.02 are spent";
    assert_eq!(over.message, expected);
    assert!(purse.reserve(money("0.008")).is_ok());
    assert!(triage.purse().reserve(money("0.02")).is_ok(), "another event has its own limit");
}

#[test]
fn a_day_that_is_spent_ends_at_the_next_utc_midnight() {
    let (clock, triage) = budget(None, limits("", "1", ""));
    triage.spent_before(NOON - DAY, money("5"));
    triage.spent_before(NOON - 1000, money("0.9"));
    let purse = triage.purse();
    let over = purse.reserve(money("0.2")).unwrap_err();
    assert_eq!((over.limit, over.until), ("per_day", Some(20_001 * DAY)));
    clock.0.store(20_001 * DAY, Ordering::Relaxed);
    assert!(purse.reserve(money("0.2")).is_ok());
}

#[test]
fn money_that_is_only_set_aside_comes_back_soon_not_at_midnight() {
    let (_, triage) = budget(None, limits("", "1", "2"));
    let (one, other) = (triage.purse(), triage.purse());
    let hold = one.reserve(money("0.9")).unwrap();
    let over = other.reserve(money("0.2")).unwrap_err();
    assert_eq!(over.until, Some(NOON + SOON), "{}", over.message);
    one.settle(hold, money("0.1"));
    assert!(other.reserve(money("0.2")).is_ok());
}

#[test]
fn a_total_that_is_spent_never_ends() {
    let (_, triage) = budget(None, limits("", "", "2"));
    triage.spent_before(NOON - 400 * DAY, money("1.99"));
    let over = triage.purse().reserve(money("0.02")).unwrap_err();
    assert_eq!((over.limit, over.until), ("total", None));
}

#[test]
fn the_engines_day_is_shared_by_all_pipelines() {
    let clock = Arc::new(Held(AtomicI64::new(NOON)));
    let engine = EngineBudget::new(Some(money("1")), clock);
    let (one, other) = (
        engine.pipeline(&"one".into(), Limits::default()).purse(),
        engine.pipeline(&"other".into(), Limits::default()).purse(),
    );
    let hold = one.reserve(money("0.8")).unwrap();
    one.settle(hold, money("0.8"));
    assert_eq!(other.reserve(money("0.3")).unwrap_err().limit, "engine.per_day");
    assert!(other.limited());
}

#[test]
fn a_refusal_holds_nothing() {
    let (_, triage) = budget(Some(money("1")), limits("", "5", "0.5"));
    assert_eq!(triage.purse().reserve(money("0.6")).unwrap_err().limit, "total");
    let book = triage.engine.book();
    assert_eq!(book.engine.held + book.pipelines["triage"].day.held, Money::ZERO);
}

#[test]
fn a_purse_that_is_dropped_gives_back_what_nobody_settled() {
    let (_, triage) = budget(None, limits("", "1", ""));
    let purse = triage.purse();
    let _never_settled = purse.reserve(money("1")).unwrap();
    drop(purse);
    assert!(triage.purse().reserve(money("1")).is_ok());
}

proptest! {
    /// Against a naive account of every call: no limit is passed by what is spent and held, and in the end nothing is
    /// held.
    #[test]
    fn no_limit_is_passed_and_nothing_leaks(
        steps in proptest::collection::vec((0usize..4, 0i128..40, 0u8..100, 0i64..DAY / 2), 1..300),
        limits in proptest::array::uniform4(proptest::option::of(20i128..200)),
    ) {
        let [per_event, per_day, total, engine_day] = limits.map(|limit| limit.map(Money));
        let (clock, triage) = budget(engine_day, Limits { per_event, per_day, total });
        let purses: Vec<_> = (0..4).map(|_| triage.purse()).collect();
        let mut open: Vec<(usize, Hold)> = Vec::new();
        let mut calls: Vec<(usize, i64, Money)> = Vec::new();
        let mut now = NOON;
        for (event, ceiling, what, passed) in steps {
            now += passed / 8;
            clock.0.store(now, Ordering::Relaxed);
            if what < 60 {
                if let Ok(hold) = purses[event].reserve(Money(ceiling)) {
                    open.push((event, hold));
                }
            } else if !open.is_empty() {
                let (event, hold) = open.remove(usize::from(what) % open.len());
                let spent = Money(hold.0.0 * i128::from(what) / 100);
                purses[event].settle(hold, spent);
                calls.push((event, now, spent));
            }
            let held = |which: Option<usize>| -> Money {
                open.iter().filter(|(event, _)| which.is_none_or(|one| one == *event)).map(|(_, hold)| hold.0).sum()
            };
            let spent = |keep: &dyn Fn(&(usize, i64, Money)) -> bool| -> Money {
                calls.iter().filter(|call| keep(call)).map(|(_, _, spent)| *spent).sum()
            };
            let today = |(_, at, _): &(usize, i64, Money)| at / DAY == now / DAY;
            let within = |sum: Money, limit: Option<Money>| limit.is_none_or(|limit| sum <= limit);
            prop_assert!(within(held(None) + spent(&today), per_day));
            prop_assert!(within(held(None) + spent(&today), engine_day));
            prop_assert!(within(held(None) + spent(&|_| true), total));
            for event in 0..4 {
                prop_assert!(within(held(Some(event)) + spent(&|call| call.0 == event), per_event));
            }
        }
        for (event, hold) in open {
            purses[event].settle(hold, Money::ZERO);
        }
        let book = triage.engine.book();
        let shared = &book.pipelines["triage"];
        prop_assert_eq!(book.engine.held, Money::ZERO);
        prop_assert_eq!((shared.day.held, shared.total.held), (Money::ZERO, Money::ZERO));
        prop_assert_eq!(shared.total.spent, calls.iter().map(|(_, _, spent)| *spent).sum());
    }
}
