use super::*;
use crate::event::ids::AttemptId;
use crate::event::usage::Usage;

const IN: &str = "in";

fn event(offset: i64) -> EventId {
    EventId::new("c", IN, 0, offset, 0)
}

fn entry(offset: i64, what: What) -> Entry {
    let place = Place { topic: IN.into(), partition: 0, offset: Some(offset) };
    Entry { place, event: Some(event(offset)), run: 7, what }
}

fn outcome(attempt: u128, amount: i128) -> What {
    let attempt = Attempt {
        id: AttemptId::from_draw(attempt),
        stage: "answer".into(),
        item: None,
        number: 0,
        operation: "chat",
        provider: "p".into(),
        account: "p".into(),
        request_model: "m".into(),
        response_model: None,
        provider_request_id: None,
        batch_id: None,
        usage: Usage::default(),
        amount: Some(Money(amount)),
        lines: Vec::new(),
        price_status: "priced",
        catalogue: None,
        outcome: "ok".into(),
        finish_reason: None,
        started_at: 0,
        duration_us: 0,
        ttfc_us: None,
        decision: None,
    };
    What::Outcome(Outcome { attempt: Some(Box::new(attempt)), answer: None })
}

/// Offsets below 5 were done before it took over; what was journaled by then it knows.
fn takeover(known: Vec<Entry>) -> Takeover {
    let mut takeover = Takeover::new(0, Progress::starting_at(5));
    let mut memory = Memory::default();
    known.into_iter().for_each(|entry| memory.take(entry, |offset| offset < 5));
    takeover.restored(&memory, 10);
    takeover
}

fn told(takeover: &mut Takeover, done: i64, last: bool) -> Vec<(i64, i128)> {
    let untold = takeover.untold(&Progress::starting_at(done), last);
    untold.iter().map(|it| (it.offset, (it.attempt.amount.unwrap() - it.charged).0)).collect()
}

#[test]
fn an_outcome_that_came_late_is_told_once_its_event_is_done_and_once_only() {
    let mut takeover = takeover(Vec::new());
    takeover.hear(entry(6, outcome(1, 40)));
    assert_eq!(told(&mut takeover, 6, true), []);
    assert_eq!(told(&mut takeover, 7, false), [(6, 40)]);
    assert_eq!(told(&mut takeover, 7, true), []);
    takeover.hear(entry(6, outcome(1, 40)));
    assert_eq!(told(&mut takeover, 7, true), []);
}

#[test]
fn what_the_journal_told_before_is_in_the_cost_events_of_its_event() {
    let mut takeover = takeover(vec![entry(6, outcome(1, 40))]);
    takeover.hear(entry(6, outcome(1, 40)));
    assert_eq!(told(&mut takeover, 7, true), []);
}

#[test]
fn what_was_done_before_is_its_former_owners_to_tell() {
    let mut takeover = takeover(Vec::new());
    takeover.hear(entry(4, outcome(1, 40)));
    assert_eq!(told(&mut takeover, 7, true), []);
}

#[test]
fn a_charge_at_the_ceiling_is_settled_by_the_difference() {
    let mut takeover = takeover(vec![entry(6, What::intent(1, 100))]);
    takeover.hear(entry(6, outcome(1, 40)));
    assert_eq!(told(&mut takeover, 7, false), [(6, -60)]);
}

#[test]
fn an_intent_that_came_late_is_charged_at_its_ceiling_at_the_last_look() {
    let mut known = takeover(vec![entry(6, What::intent(1, 100))]);
    // It was charged with its event already.
    known.hear(entry(6, What::intent(1, 100)));
    assert_eq!(told(&mut known, 7, true), []);
    let mut unknown = takeover(Vec::new());
    unknown.hear(entry(6, What::intent(1, 100)));
    assert_eq!(told(&mut unknown, 7, false), []);
    assert_eq!(told(&mut unknown, 7, true), [(6, 100)]);
}
