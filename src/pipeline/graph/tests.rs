use super::*;

fn graph(needs: &[&[usize]], wants: &[&[usize]]) -> Graph {
    let own = |edges: &[&[usize]]| edges.iter().map(|inputs| inputs.to_vec()).collect();
    Graph { needs: own(needs), wants: own(wants) }
}

#[test]
fn inputs_come_first_and_ties_keep_the_authors_order() {
    let graph = graph(&[&[2], &[], &[], &[0, 1]], &[&[], &[], &[], &[]]);
    assert_eq!(graph.order(), (vec![1, 2, 0, 3], vec![]));
}

#[test]
fn each_cycle_is_named_once() {
    let two = graph(&[&[1], &[0], &[0], &[3]], &[&[], &[], &[], &[]]);
    let (order, cycles) = two.order();
    assert_eq!(order.len(), 4);
    assert_eq!(cycles, [vec![0, 1], vec![3]]);
}

#[test]
fn a_wanted_stage_is_seen_without_its_inputs() {
    // 0 ← needed by 1 ← wanted by 2 ← needed by 3
    let graph = graph(&[&[], &[0], &[], &[2]], &[&[], &[], &[1], &[]]);
    let visible = graph.visible(&graph.order().0);
    assert_eq!(visible[1], BTreeSet::from([0]));
    assert_eq!(visible[2], BTreeSet::from([1]));
    assert_eq!(visible[3], BTreeSet::from([1, 2]));
}

#[test]
fn a_skip_goes_on_through_needs_alone() {
    let graph = graph(&[&[], &[0], &[], &[1]], &[&[], &[], &[1], &[]]);
    assert_eq!(graph.skipped_with(0), BTreeSet::from([0, 1, 3]));
}
