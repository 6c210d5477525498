//! The Kafka member of the log, beyond what every member's suite asks.

use std::sync::Arc;

use futures::FutureExt;
use vivremotion::stream::Log;

use crate::services::Need;
use crate::story::{Story, World};

mod bench;
mod faults;
mod members;

use bench::log_at;

/// The suite that every member of the room passes.
#[macro_use]
#[path = "../it/conformance/log.rs"]
mod conformance;

macro_rules! stories_of {
    ($($name:ident),* $(,)?) => {
        vec![$(Story {
            name: concat!("on_kafka_", stringify!($name)),
            needs: &[Need::Kafka],
            run: |world| conforms(world, stringify!($name)).boxed_local(),
        }),*]
    };
}

/// This file's stories.
pub fn stories() -> Vec<Story> {
    let mut stories = own_stories();
    stories.extend(behaviours!(stories_of));
    stories
}

async fn conforms(world: &World, name: &str) {
    let brokers = world.kafka().brokers();
    let open = move || {
        let log: Arc<dyn Log> = Arc::new(log_at(&brokers));
        async { log }.boxed()
    };
    let bench = conformance::Bench { open: Arc::new(open), prefix: world.name("suite") };
    let (_, behaviour) = conformance::suite().into_iter().find(|(own, _)| *own == name).unwrap();
    behaviour(bench).await;
}

fn own_stories() -> Vec<Story> {
    vec![
        Story {
            name: "a_first_start_reads_from_the_beginning_and_commits_whole",
            needs: &[Need::Kafka],
            run: |world| members::first_start(world).boxed_local(),
        },
        Story {
            name: "a_first_start_at_the_end_commits_its_base_before_the_first_record",
            needs: &[Need::Kafka],
            run: |world| members::first_start_at_the_end(world).boxed_local(),
        },
        Story {
            name: "a_restart_resumes_the_done_map",
            needs: &[Need::Kafka],
            run: |world| members::restart(world).boxed_local(),
        },
        Story {
            name: "a_zombie_is_fenced_and_writes_nothing",
            needs: &[Need::Kafka],
            run: |world| faults::zombie(world).boxed_local(),
        },
        Story {
            name: "a_batch_with_an_oversized_output_is_aborted_and_the_output_named",
            needs: &[Need::Kafka],
            run: |world| faults::oversized(world).boxed_local(),
        },
        Story {
            name: "a_batch_for_a_missing_topic_names_the_output_and_makes_no_topic",
            needs: &[Need::Kafka],
            run: |world| faults::missing_topic(world).boxed_local(),
        },
        Story {
            name: "a_second_member_takes_over_what_the_first_has_drained_and_committed",
            needs: &[Need::Kafka],
            run: |world| members::hand_over(world).boxed_local(),
        },
        Story {
            name: "reading_goes_on_while_a_member_looks_at_its_group",
            needs: &[Need::Kafka],
            run: |world| members::watched(world).boxed_local(),
        },
        Story {
            name: "a_batch_of_a_partition_that_was_given_up_is_stale",
            needs: &[Need::Kafka],
            run: |world| faults::given_up(world).boxed_local(),
        },
        Story {
            name: "a_paused_partition_is_silent_while_others_flow",
            needs: &[Need::Kafka],
            run: |world| members::paused(world).boxed_local(),
        },
        Story {
            name: "progress_that_cannot_be_read_stops_its_partition_alone",
            needs: &[Need::Kafka],
            run: |world| faults::corrupt(world).boxed_local(),
        },
        Story {
            name: "at_least_once_writes_outputs_then_progress",
            needs: &[Need::Kafka],
            run: |world| members::at_least_once(world).boxed_local(),
        },
        Story {
            name: "a_follower_passes_over_aborted_records_and_knows_when_it_has_caught_up",
            needs: &[Need::Kafka],
            run: |world| members::follow(world).boxed_local(),
        },
        Story {
            name: "the_probe_finds_that_a_real_broker_keeps_its_promises",
            needs: &[Need::Kafka],
            run: |world| members::probed(world).boxed_local(),
        },
        Story {
            name: "commits_in_doubt_while_the_broker_is_killed_are_decided_right",
            needs: &[Need::OwnKafka],
            run: |world| faults::killed_broker(world).boxed_local(),
        },
        Story {
            name: "a_session_that_ends_loses_its_partitions_and_gets_them_back",
            needs: &[Need::OwnKafka],
            run: |world| faults::ended_session(world).boxed_local(),
        },
        Story {
            name: "a_partition_that_a_rebalance_left_without_an_owner_gets_one",
            needs: &[Need::Kafka],
            run: |world| faults::orphaned(world).boxed_local(),
        },
        Story {
            name: "a_frozen_broker_is_waited_for",
            needs: &[Need::OwnKafka],
            run: |world| faults::frozen_broker(world).boxed_local(),
        },
    ]
}
