use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;

use super::{Progress, ProgressError};

/// Every state that rule A lets come to be: any pattern in a short span, few unfinished offsets in a long one.
fn admitted() -> impl Strategy<Value = Progress> {
    // The largest cost a hundred times what the small ones do.
    let span = prop_oneof![99 => 0..=300_i64, 1 => 0..=Progress::DENSE_SPAN];
    let dense = (span, 0.0..=1.0_f64, any::<u64>()).prop_map(|(span, share, mut seed)| {
        let mut unfinished = Vec::new();
        for at in 0..span {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if ((seed >> 33) as f64) < share * f64::from(1_u32 << 31) {
                unfinished.push(at);
            }
        }
        (span, unfinished)
    });
    let sparse = (Progress::DENSE_SPAN..=Progress::SPARSE_SPAN).prop_flat_map(|span| {
        let few = prop_oneof![99 => Just(20), 1 => Just(Progress::SPARSE_OFFSETS)];
        let offsets = few.prop_flat_map(move |few| prop::collection::btree_set(0..span, 0..=few));
        (Just(span), offsets.prop_map(Vec::from_iter))
    });
    let shape = prop_oneof![dense, sparse];
    let base = prop_oneof![Just(0), 0..1_000_000_i64, Just(i64::MAX - Progress::SPARSE_SPAN)];
    (shape, base, any::<(u64, u64, i64)>()).prop_map(
        |((span, unfinished), base, (nonce, sequence, journal_low))| Progress {
            base,
            high: base + span,
            incomplete: unfinished.into_iter().map(|at| base + at).collect(),
            nonce,
            sequence,
            journal_low,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(10_000), ..ProptestConfig::default() })]

    #[test]
    fn what_rule_a_admits_fits_and_comes_back_as_it_was(progress in admitted()) {
        prop_assert!(Progress::fits(progress.high - progress.base, progress.incomplete.len()));
        let text = progress.encode();
        prop_assert!(text.len() <= Progress::MAX_TEXT, "{} bytes", text.len());
        prop_assert_eq!(Progress::decode(progress.base, &text), Ok(progress));
    }

    #[test]
    fn a_single_flipped_bit_is_detected(progress in admitted(), at in any::<prop::sample::Index>()) {
        let text = progress.encode();
        let bit = at.index(text.len() * 8);
        let mut bytes = text.into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        // What is not UTF-8 any more never reaches the decoder: a log refuses it before.
        if let Ok(text) = String::from_utf8(bytes) {
            prop_assert!(Progress::decode(progress.base, &text).is_err());
        }
    }

    #[test]
    fn metadata_moved_to_another_offset_is_refused(progress in admitted(), by in 1..1_000_i64) {
        let text = progress.encode();
        let moved = Progress::decode(progress.base - by, &text);
        prop_assert!(matches!(moved, Err(ProgressError::Corrupted(_))), "{:?}", moved);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(10_000), ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(base in any::<i64>(), text in "(vm\\.)?\\PC{0,60}") {
        let _ = Progress::decode(base, &text);
    }

    #[test]
    fn any_bytes_under_a_right_checksum_are_read_or_refused(
        base in any::<i64>(),
        kind in 0..3_u8,
        body in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut raw = vec![1, kind];
        raw.extend(body);
        if let Ok(progress) = Progress::decode(base, &framed(base, raw)) {
            prop_assert!(progress.is_sound());
        }
    }

    #[test]
    fn done_means_the_same_after_the_text(
        base in 0..50_i64,
        open in prop::collection::btree_set(0..200_i64, 0..50),
        high in 200..300_i64,
    ) {
        let open: BTreeSet<i64> = open.into_iter().filter(|o| *o >= base).collect();
        let incomplete = Vec::from_iter(open.iter().copied());
        let progress = Progress { base, high, incomplete, ..Progress::default() };
        let read = Progress::decode(base, &progress.encode()).unwrap();
        for offset in 0..310 {
            let done = offset < base || (offset < high && !open.contains(&offset));
            prop_assert_eq!(read.is_done(offset), done, "offset {}", offset);
        }
    }
}

fn framed(base: i64, mut raw: Vec<u8>) -> String {
    let sum = crc32c::crc32c_append(crc32c::crc32c(&base.to_be_bytes()), &raw);
    raw.extend(sum.to_be_bytes());
    format!("vm.{}", URL_SAFE_NO_PAD.encode(raw))
}

#[test]
fn the_largest_states_of_both_kinds_fit() {
    let worst = |base: i64, span: i64, incomplete: Vec<i64>| {
        let (nonce, sequence, journal_low) = (u64::MAX, u64::MAX, -1);
        let progress =
            Progress { base, high: base + span, incomplete, nonce, sequence, journal_low };
        let text = progress.encode();
        assert_eq!(Progress::decode(base, &text), Ok(progress));
        assert!(text.len() <= Progress::MAX_TEXT, "{} bytes", text.len());
        text.len()
    };
    let every_second = (0..Progress::DENSE_SPAN).step_by(2).collect();
    assert!(worst(0, Progress::DENSE_SPAN, every_second) > 4_000);
    // As many gaps of four bytes as leave room for three bytes in all the others.
    let mut offsets = Vec::new();
    let mut next = 7;
    for index in 0..Progress::SPARSE_OFFSETS {
        let offset = next + if index < 7 { 1 << 21 } else { 1 << 14 };
        offsets.push(offset);
        next = offset + 1;
    }
    assert!(worst(7, Progress::SPARSE_SPAN, offsets) > 4_000);
}

#[test]
fn one_stuck_event_costs_a_few_bytes() {
    let progress = Progress {
        base: 1_000,
        high: 2_000_000,
        incomplete: vec![1_000],
        nonce: 7,
        sequence: 300,
        journal_low: 90_000,
    };
    assert!(progress.encode().len() < 40);
}

#[test]
fn empty_metadata_means_that_nothing_above_the_base_is_done() {
    assert_eq!(Progress::decode(42, ""), Ok(Progress::known_by_offset(42)));
}

/// Texts that version 1 wrote. They must be readable for ever: add lines for later versions, never change one.
#[test]
fn texts_of_every_version_so_far_are_readable() {
    let fresh = Progress { nonce: 1, sequence: 1, ..Progress::starting_at(5) };
    let gaps = Progress {
        base: 10,
        high: 1_000,
        incomplete: vec![10, 12, 600],
        nonce: 0x0102_0304_0506_0708,
        sequence: 129,
        journal_low: 77,
    };
    let bitmap = Progress { high: 26, incomplete: vec![10, 12, 14, 16, 18, 20], ..gaps.clone() };
    let known = [
        (fresh, "vm.AQAAAAAAAAAAAQEAAId6Fp0"),
        (gaps, "vm.AQABAgMEBQYHCIEB3gdNAAHLBGVol80"),
        (bitmap, "vm.AQEBAgMEBQYHCIEBEE1VBUucfrw"),
    ];
    for (progress, text) in known {
        assert_eq!(
            Progress::decode(progress.base, text),
            Ok(progress.clone()),
            "{}",
            progress.encode()
        );
    }
}

#[test]
fn a_refusal_says_whether_the_text_is_foreign_newer_or_damaged() {
    let said = |text: &str| Progress::decode(0, text).unwrap_err();
    assert_eq!(said("consumer-1"), ProgressError::Foreign);
    assert_eq!(said(&framed(0, vec![2, 9, 9])), ProgressError::Newer(2));
    assert_eq!(said("vm.***"), ProgressError::Corrupted("it is not base64url"));
    assert_eq!(said("vm."), ProgressError::Corrupted("it is too short"));
    assert_eq!(said(&framed(0, vec![1])), ProgressError::Corrupted("it ends early"));
    let long = format!("vm.{}", "A".repeat(100_000));
    assert_eq!(said(&long), ProgressError::Corrupted("it is too long"));
    let text = Progress { sequence: 9, ..Progress::starting_at(0) }.encode();
    assert_eq!(
        said(&text[..text.len() - 8]),
        ProgressError::Corrupted("the checksum does not fit")
    );
}
