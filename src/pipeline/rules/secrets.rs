//! Secrets and references have no place in a pipeline file: it is read by many and travels far.

use crate::base::secret::{From, looks_inline, references};
use crate::base::yaml::Tree;
use crate::pipeline::desk::Bench;

/// Looks at every text of the file.
pub(in crate::pipeline) fn inline(tree: &Tree, bench: &mut Bench<'_>) {
    tree.texts(&mut |text, place| {
        if let Some(what) = looks_inline(text) {
            let message = format!("this looks like {what}, written out");
            let help = "take it out of the file and out of its history, and change it at its issuer; settings \
                        name secrets by `${env:NAME}`";
            bench.error(place, "inline-secret", message, Some(help.into()));
        }
        let named = references(text).into_iter().any(|found| !matches!(found.from, From::Unknown(_)));
        if named {
            let message = "references such as `${env:NAME}` are read in settings, not in a pipeline";
            bench.error(place, "reference-in-pipeline", message, None);
        }
    });
}

/// Looks at every file that was included.
pub(in crate::pipeline) fn included(bench: &mut Bench<'_>) {
    let suspects: Vec<(String, &str)> = bench
        .includes
        .iter()
        .filter_map(|(path, text)| looks_inline(text).map(|what| (path.clone(), what)))
        .collect();
    for (path, what) in suspects {
        let message = format!("`{path}` seems to hold {what}, written out");
        let help = "take it out of the file and out of its history, and change it at its issuer"
            .to_owned();
        bench.error(Default::default(), "inline-secret", message, Some(help));
    }
}
