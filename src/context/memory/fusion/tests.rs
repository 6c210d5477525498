use super::*;

#[test]
fn a_passage_that_both_sides_know_beats_the_first_of_one() {
    let fused = fuse(&[vec!['a', 'b'], vec!['c', 'b']]);
    let order: String = fused.iter().map(|(item, _)| *item).collect();
    assert_eq!(order, "bac");
    assert_eq!(fused[1].1, 1.0 / 60.0);
}

#[test]
fn equals_stand_in_the_order_of_their_keys() {
    let order = |rankings: &[Vec<u8>]| -> Vec<u8> {
        fuse(rankings).into_iter().map(|(item, _)| item).collect()
    };
    assert_eq!(order(&[vec![9, 4], vec![4, 9]]), [4, 9]);
    assert_eq!(order(&[vec![7], vec![3]]), [3, 7]);
    assert!(order(&[vec![], vec![]]).is_empty());
}

#[test]
fn a_deeper_answer_reads_deeper() {
    assert_eq!(depth(5), 50);
    assert_eq!(depth(100), 400);
    assert_eq!(depth(5_000), 5_000);
}
