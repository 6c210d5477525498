//! What collections can do for the stages that ask them (S18).

use crate::base::diagnostic::Place;
use crate::pipeline::desk::Bench;
use crate::stage::Facts;

/// Looks at one stage's use of a collection.
pub(in crate::pipeline) fn collections(
    stage: &str,
    verb: &str,
    place: Place,
    facts: &[Facts],
    bench: &mut Bench<'_>,
) {
    for facts in facts.iter().filter(|_| verb == "retrieve") {
        let Some(name) = &facts.collection else { continue };
        let Some(collection) = bench.known.collections.get(name) else { continue };
        let (foreign, embedded) = (collection.foreign, collection.embedder.is_some());
        let floor = facts.settings.iter().any(|(key, _)| *key == "min_score");
        let help = format!("give collection `{name}` an `embedder` in the settings");
        match (foreign, embedded) {
            (true, false) => {
                let message = format!(
                    "stage `{stage}` asks collection `{name}`, which another tool writes, by meaning alone; \
                     it has no embedder"
                );
                bench.error(place, "no-embedder", message, Some(help));
            }
            (true, true) => {
                let message = format!(
                    "collection `{name}` is written by another tool: it is searched by meaning, not by words"
                );
                bench.found.note(&bench.file, place, "dense-only", &message);
            }
            (false, false) if floor => {
                let message = format!(
                    "`min_score` speaks of vectors, but collection `{name}` has no embedder: it says nothing"
                );
                bench.warning(place, "no-embedder", message, Some(help));
            }
            (false, _) => {}
        }
    }
}
