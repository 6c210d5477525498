use std::collections::BTreeSet;

use serde::de::DeserializeOwned;

use super::*;
use crate::base::yaml::words;
use crate::pipeline::spec;
use crate::stage;

/// The table has exactly the keys that the type reads.
#[track_caller]
fn check<T: DeserializeOwned>(keys: Keys) {
    let listed: BTreeSet<&str> = keys.iter().map(|(name, ..)| name.trim_end_matches('!')).collect();
    assert_eq!(listed, words::<T>().iter().copied().collect());
}

#[test]
fn the_table_has_the_keys_that_are_read() {
    check::<spec::SourceSpec>(SOURCE);
    check::<spec::BudgetSpec>(BUDGET);
    check::<spec::TopicSink>(SINK);
    check::<spec::Common>(COMMON);
    check::<spec::EachSpec>(EACH);
    check::<spec::RetrySpec>(RETRY);
    check::<stage::generate::Params>(GENERATE);
    check::<stage::extract::Params>(EXTRACT);
    check::<stage::embed::Params>(EMBED);
    check::<stage::retrieve::Params>(RETRIEVE);
    check::<stage::remember::Params>(REMEMBER);
    check::<stage::forget::Params>(FORGET);
    check::<stage::call::Params>(CALL);
    check::<stage::publish::Params>(PUBLISH);
    let kinds: Vec<&str> = KINDS.iter().map(|(kind, ..)| *kind).collect();
    assert_eq!(kinds, stage::StageSpec::KINDS);
    let file: Vec<&str> = FILE.iter().map(|(name, ..)| name.trim_end_matches('!')).collect();
    assert_eq!(file, spec::KEYS);
}
