//! Stories against real services: Apache Kafka, a schema registry, Qdrant, and the product's own binary. What can't be
//! had on this machine is shown as ignored, with the reason; with `CI=true` that is a failure.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that can't go on ends with the reason"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "other processes have clocks and environments of their own"
)]

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

mod absent;
mod audit;
mod client;
mod kafka;
mod load;
mod measured;
mod observed;
mod parts;
mod product;
mod python;
mod qdrant;
mod readme;
mod registry;
mod services;
mod shipped;
mod story;

use services::{BRIEF, Missing, Services};
use story::{Story, World};

/// Every story, in reading order.
fn stories() -> Vec<Story> {
    [
        parts::stories(),
        readme::stories(),
        kafka::stories(),
        registry::stories(),
        qdrant::stories(),
        load::stories(),
        audit::stories(),
        measured::stories(),
        python::stories(),
        shipped::stories(),
        absent::stories(),
        observed::stories(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let services = Arc::new(Services::new(BRIEF));
    let trials = stories().into_iter().map(|story| trial(story, Arc::clone(&services))).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Before the process ends, or their directories would stay.
    drop(services);
    conclusion.exit_code()
}

fn trial(story: Story, services: Arc<Services>) -> Trial {
    Trial::ignorable_test(story.name, move || match services.ensure(story.needs) {
        Ok(()) => World::new(&story, services).play(story.run),
        Err(Missing::Part(reason)) if std::env::var("CI").as_deref() != Ok("true") => {
            Ok(Completion::ignored_with(reason))
        }
        Err(missing) => Err(Failed::from(missing.to_string())),
    })
}
