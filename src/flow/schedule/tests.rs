use proptest::prelude::*;

use super::{End, Graph, Schedule, Step};

fn graph(edges: &[(&[usize], &[usize])]) -> Graph {
    Graph::new(edges.iter().map(|(needs, wants)| (needs.to_vec(), wants.to_vec())))
}

#[test]
fn a_stage_starts_when_its_own_inputs_are_ready() {
    let graph = graph(&[(&[], &[]), (&[], &[]), (&[0], &[]), (&[1, 2], &[])]);
    let (mut schedule, first) = Schedule::start(&graph);
    assert_eq!(first, [Step::Run(0), Step::Run(1)]);
    assert_eq!(schedule.settle(0, End::Done), [Step::Run(2)]);
    assert_eq!(schedule.settle(2, End::Done), []);
    assert_eq!(schedule.settle(1, End::Done), [Step::Run(3)]);
}

#[test]
fn what_is_needed_and_skipped_skips_all_that_hangs_on_it() {
    let graph = graph(&[(&[], &[]), (&[0], &[]), (&[1], &[]), (&[], &[2])]);
    let (mut schedule, _) = Schedule::start(&graph);
    assert_eq!(
        schedule.settle(0, End::Skipped),
        [Step::Skip { stage: 1, because: 0 }, Step::Skip { stage: 2, because: 1 }, Step::Run(3)]
    );
}

#[test]
fn what_is_only_wanted_may_fail() {
    let graph = graph(&[(&[], &[]), (&[], &[0])]);
    let (mut schedule, _) = Schedule::start(&graph);
    assert_eq!(schedule.settle(0, End::Failed), [Step::Run(1)]);
}

#[test]
fn nothing_starts_after_a_halt() {
    let graph = graph(&[(&[], &[]), (&[0], &[])]);
    let (mut schedule, _) = Schedule::start(&graph);
    schedule.halt();
    assert_eq!(schedule.settle(0, End::Done), []);
    assert_eq!(schedule.running(), 0);
}

prop_compose! {
    fn any_graph()(seeds in prop::collection::vec(prop::collection::vec((0usize..64, any::<bool>()), 0..4), 1..12)) -> Vec<(Vec<usize>, Vec<usize>)> {
        seeds.into_iter().enumerate().map(|(stage, inputs)| {
            let (mut needs, mut wants) = (Vec::new(), Vec::new());
            for (seed, need) in inputs {
                if stage == 0 { continue; }
                let input = seed % stage;
                if needs.contains(&input) || wants.contains(&input) { continue; }
                if need { needs.push(input) } else { wants.push(input) }
            }
            (needs, wants)
        }).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// The oracle looks at the whole graph after every step; the schedule looks at edges only.
    #[test]
    fn every_stage_settles_once_and_only_after_its_inputs(edges in any_graph(), choices in prop::collection::vec(0u8..255, 64)) {
        let graph = Graph::new(edges.clone());
        let (mut schedule, mut steps) = Schedule::start(&graph);
        let mut ends: Vec<Option<End>> = vec![None; edges.len()];
        let mut running = Vec::new();
        let mut choice = choices.into_iter().cycle();
        loop {
            for step in steps.drain(..) {
                let stage = match step { Step::Run(stage) | Step::Skip { stage, .. } => stage };
                prop_assert!(ends[stage].is_none() && !running.contains(&stage));
                let (needs, wants) = &edges[stage];
                prop_assert!(needs.iter().chain(wants).all(|input| ends[*input].is_some()));
                let all_done = needs.iter().all(|need| ends[*need] == Some(End::Done));
                match step {
                    Step::Run(_) => { prop_assert!(all_done); running.push(stage); }
                    Step::Skip { because, .. } => {
                        prop_assert!(!all_done && needs.contains(&because));
                        ends[stage] = Some(End::Skipped);
                    }
                }
            }
            prop_assert_eq!(schedule.running(), running.len());
            if running.is_empty() { break; }
            let draw = choice.next().unwrap_or(0) as usize;
            let stage = running.swap_remove(draw % running.len());
            let end = [End::Done, End::Skipped, End::Failed][draw % 3];
            ends[stage] = Some(end);
            steps = schedule.settle(stage, end);
        }
        prop_assert!(ends.iter().all(Option::is_some));
    }
}
