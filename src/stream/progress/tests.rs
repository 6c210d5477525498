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
    let journal = prop::option::of(0..=i32::MAX);
    (shape, base, any::<(u64, u64, i64)>(), journal).prop_map(
        |((span, unfinished), base, (nonce, sequence, journal_low), journal)| Progress {
            base,
            high: base + span,
            incomplete: unfinished.into_iter().map(|at| base + at).collect(),
            nonce,
            sequence,
            journal_low,
            journal,
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
        version in 0..4_u8,
        kind in 0..3_u8,
        body in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut raw = vec![version, kind];
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
        let (nonce, sequence, journal_low, journal) = (u64::MAX, u64::MAX, -1, Some(i32::MAX));
        let high = base + span;
        let progress = Progress { base, high, incomplete, nonce, sequence, journal_low, journal };
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
        journal: Some(200),
    };
    assert!(progress.encode().len() < 40);
}

#[test]
fn empty_metadata_means_that_nothing_above_the_base_is_done() {
    let nothing = Progress {
        base: 42,
        high: 42,
        incomplete: Vec::new(),
        nonce: 0,
        sequence: 0,
        journal_low: Progress::NO_JOURNAL,
        journal: None,
    };
    assert_eq!(Progress::known_by_offset(42), nothing);
    assert_eq!(Progress::decode(42, ""), Ok(nothing));
}

#[test]
fn an_offset_of_another_partition_of_the_journal_means_nothing() {
    let told = |journal: Option<i32>, journal_low: i64, by: i32| {
        let mut progress = Progress { journal, journal_low, ..Progress::starting_at(0) };
        progress.told_by(by, 3);
        (progress.journal, progress.journal_low)
    };
    assert_eq!(told(None, 90, 3), (None, 90), "its own number");
    assert_eq!(told(None, 90, 1), (Some(1), 0));
    assert_eq!(told(Some(1), 90, 1), (Some(1), 90));
    assert_eq!(told(Some(1), 90, 3), (None, 0));
    assert_eq!(told(None, Progress::NO_JOURNAL, 1), (Some(1), Progress::NO_JOURNAL));
}

#[test]
fn a_map_is_sound_only_if_its_offsets_ascend_within_its_bounds() {
    let map = |base, high, incomplete: &[i64]| {
        Progress { base, high, incomplete: incomplete.to_vec(), ..Progress::default() }.is_sound()
    };
    assert!(map(5, 5, &[]) && map(5, 6, &[5]) && map(5, 9, &[5, 6, 8]));
    assert!(!map(5, 4, &[]), "the end before the base");
    assert!(!map(5, 9, &[6, 6]), "twice the same");
    assert!(!map(5, 9, &[7, 6]), "descending");
    assert!(!map(5, 9, &[4, 6]), "below the base");
    assert!(!map(5, 9, &[6, 9]), "at the end");
}

/// Texts that each version wrote. They must be readable for ever: add lines for later versions, never change one.
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
        journal: None,
    };
    let bitmap = Progress { high: 26, incomplete: vec![10, 12, 14, 16, 18, 20], ..gaps.clone() };
    let second = Progress { journal: Some(300), ..gaps.clone() };
    let elsewhere = Progress { nonce: 1, sequence: 1, ..Progress::known_by_offset(5) };
    let known = [
        (fresh, "vm.AQAAAAAAAAAAAQEAAId6Fp0"),
        (elsewhere, "vm.AQAAAAAAAAAAAQEA____________Afe101Q"),
        (gaps, "vm.AQABAgMEBQYHCIEB3gdNAAHLBGVol80"),
        (bitmap, "vm.AQEBAgMEBQYHCIEBEE1VBUucfrw"),
        (second, "vm.AgABAgMEBQYHCIEB3gdNrAIAAcsEW4u--A"),
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
    assert_eq!(said(&framed(0, vec![3, 9, 9])), ProgressError::Newer(3));
    assert_eq!(said("vm.***"), ProgressError::Corrupted("it is not base64url"));
    assert_eq!(said("vm."), ProgressError::Corrupted("it is too short"));
    assert_eq!(said(&framed(0, vec![1])), ProgressError::Corrupted("it ends early"));
    let long = format!("vm.{}", "A".repeat(100_000));
    assert_eq!(said(&long), ProgressError::Corrupted("it is too long"));
    let longest = format!("vm.{}", "A".repeat(64 * 1024));
    assert_eq!(said(&longest), ProgressError::Corrupted("the checksum does not fit"));
    assert_eq!(said(&format!("{longest}A")), ProgressError::Corrupted("it is too long"));
    for no_version in [vec![], vec![0]] {
        let refused = ProgressError::Corrupted("there is no such version");
        assert_eq!(said(&framed(0, no_version)), refused);
    }
    let text = Progress { sequence: 9, ..Progress::starting_at(0) }.encode();
    assert_eq!(
        said(&text[..text.len() - 8]),
        ProgressError::Corrupted("the checksum does not fit")
    );
}

/// The text of a body that stands after the nonce, at the offset 10.
fn body(kind: u8, rest: &[u8]) -> Result<Progress, ProgressError> {
    let raw = [&[1, kind][..], &[0; 8], rest].concat();
    Progress::decode(10, &framed(10, raw))
}

#[test]
fn the_partition_of_the_journal_is_read_up_to_the_largest_and_refused_beyond() {
    let journal = |text: &[u8]| {
        let raw = [&[2, 0][..], &[0; 8], &[1, 0, 0], text].concat();
        Progress::decode(10, &framed(10, raw)).map(|progress| progress.journal)
    };
    assert_eq!(journal(&[0]), Ok(Some(0)));
    assert_eq!(journal(&[0xff, 0xff, 0xff, 0xff, 7]), Ok(Some(i32::MAX)));
    let beyond = Err(ProgressError::Corrupted("the journal's partition is out of range"));
    assert_eq!(journal(&[0x80, 0x80, 0x80, 0x80, 8]), beyond);
    assert_eq!(journal(&[]), Err(ProgressError::Corrupted("it ends early")));
}

#[test]
fn a_body_is_read_to_the_edge_of_its_span_and_refused_beyond() {
    let read = |kind, rest: &[u8]| body(kind, rest).map(|progress| progress.incomplete);
    // Sequence, span, journal; then the payload.
    assert_eq!(read(0, &[1, 3, 0, 2]), Ok(vec![12]));
    let beyond = Err(ProgressError::Corrupted("an unfinished offset lies beyond the span"));
    assert_eq!(read(0, &[1, 3, 0, 3]), beyond);
    assert_eq!(read(0, &[1, 3, 0, 2, 0]), beyond);
    assert_eq!(read(1, &[1, 3, 0, 0b101]), Ok(vec![10, 12]));
    assert_eq!(read(1, &[1, 9, 0, 0b1000_0000, 1]), Ok(vec![17, 18]));
    let unfit = Err(ProgressError::Corrupted("the bitmap does not fit the span"));
    assert_eq!(read(1, &[1, 3, 0, 0b1000]), unfit);
    assert_eq!(read(1, &[1, 8, 0, 1, 0]), unfit);
    assert_eq!(read(1, &[1, 9, 0, 1]), unfit);
    let strange = Err(ProgressError::Corrupted("there is no such kind of payload"));
    assert_eq!(read(2, &[1, 3, 0]), strange);
}

#[test]
fn numbers_are_read_up_to_the_largest_and_refused_beyond() {
    let most = [&[0xff; 9][..], &[1]].concat();
    let said = |sequence: &[u8], rest: &[u8]| {
        body(0, &[sequence, rest].concat()).map(|progress| progress.sequence)
    };
    assert_eq!(said(&most, &[0, 0]), Ok(u64::MAX));
    assert_eq!(said(&[0x80, 1], &[0, 0]), Ok(128));
    let large = Err(ProgressError::Corrupted("a number is too large"));
    assert_eq!(said(&[&[0xff; 9][..], &[2]].concat(), &[0, 0]), large);
    assert_eq!(said(&[&[0xff; 9][..], &[0x81, 0]].concat(), &[0, 0]), large);
    assert_eq!(said(&[0x80], &[]), Err(ProgressError::Corrupted("it ends early")));
    let wide = Err(ProgressError::Corrupted("the span is out of range"));
    assert_eq!(said(&[1], &[&most[..], &[0]].concat()), wide);
    let to_the_end = [&[0xff; 8][..], &[0x7f, 0]].concat();
    assert_eq!(said(&[1], &to_the_end), wide, "from the base it goes beyond");
}

#[test]
fn a_number_is_written_in_as_few_bytes_as_it_takes() {
    for (sequence, bytes) in [(127, 1), (128, 2), ((1 << 14) - 1, 2), (1 << 14, 3), (u64::MAX, 10)]
    {
        let text = Progress { sequence, ..Progress::default() }.encode();
        assert_eq!(URL_SAFE_NO_PAD.decode(&text[3..]).unwrap().len(), 16 + bytes, "{sequence}");
    }
}

#[test]
fn the_smaller_form_is_written_and_gaps_when_they_are_the_same() {
    let kind = |span: i64, incomplete: Vec<i64>| {
        let text = Progress { high: span, incomplete, ..Progress::default() }.encode();
        URL_SAFE_NO_PAD.decode(&text[3..]).unwrap()[1]
    };
    assert_eq!(kind(16, vec![0, 5]), 0);
    assert_eq!(kind(16, vec![0, 5, 9]), 1);
    assert_eq!(kind(17, vec![0, 5, 9]), 0);
}

#[test]
fn a_refusal_names_its_reason() {
    let said = |error: ProgressError| error.to_string();
    assert!(said(ProgressError::Foreign).contains("another program"));
    let newer = said(ProgressError::Newer(9));
    assert!(newer.contains("version 9") && newer.contains("up to 2"), "{newer}");
    assert!(said(ProgressError::Corrupted("it ends early")).ends_with(": it ends early"));
}
