//! Every metric, in one place. OpenTelemetry's words where it has some; dots become underscores on the Prometheus page.

/// Events that ended, by pipeline and outcome.
pub const EVENTS: &str = "vivremotion.events";
/// From admission to the end of the last stage, seconds, by pipeline.
pub const EVENT_DURATION: &str = "vivremotion.event.duration";
/// The part of it that was no open call: the engine's own, seconds, by pipeline.
pub const EVENT_OVERHEAD: &str = "vivremotion.event.overhead";
/// From the record's timestamp to admission, seconds, by pipeline.
pub const EVENT_QUEUE: &str = "vivremotion.event.queue";
/// Stage runs, seconds, by pipeline, stage and status.
pub const STAGE_DURATION: &str = "vivremotion.stage.duration";
/// Events that run now, by group.
pub const IN_FLIGHT: &str = "vivremotion.events.in_flight";
/// Partitions held, by group.
pub const PARTITIONS: &str = "vivremotion.partitions";
/// Partitions that stand still since the start, their progress being unreadable, by group.
pub const STOPPED: &str = "vivremotion.partitions.stopped";
/// Commits, by group and outcome.
pub const COMMITS: &str = "vivremotion.commits";
/// Time of a commit, seconds, by group.
pub const COMMIT_DURATION: &str = "vivremotion.commit.duration";
/// Events in a commit, by group.
pub const COMMIT_EVENTS: &str = "vivremotion.commit.events";
/// Output records, by group.
pub const OUTPUTS: &str = "vivremotion.outputs";
/// Services that are down now.
pub const OUTAGES: &str = "vivremotion.outages";
/// Money, in nano-units of the currency, by pipeline, provider and model.
pub const COST: &str = "vivremotion.cost.nano";
/// Attempts whose price is not known, by pipeline, provider and model.
pub const UNPRICED: &str = "vivremotion.calls.unpriced";
/// Duration of a call to a model, seconds.
pub const OPERATION_DURATION: &str = "gen_ai.client.operation.duration";
/// Tokens of a call.
pub const TOKEN_USAGE: &str = "gen_ai.client.token.usage";

/// Labels.
pub mod label {
    /// The pipeline.
    pub const PIPELINE: &str = "gen_ai.workflow.name";
    /// The consumer group.
    pub const GROUP: &str = "messaging.consumer.group.name";
    /// The stage.
    pub const STAGE: &str = "vivremotion.stage";
    /// How something ended.
    pub const OUTCOME: &str = "outcome";
    /// chat, embeddings, …
    pub const OPERATION: &str = "gen_ai.operation.name";
    /// Vendor.
    pub const PROVIDER: &str = "gen_ai.provider.name";
    /// Model asked for.
    pub const REQUEST_MODEL: &str = "gen_ai.request.model";
    /// input, output, …
    pub const TOKEN_TYPE: &str = "gen_ai.token.type";
    /// Why a call failed.
    pub const ERROR: &str = "error.type";
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// Name, kind, unit and description of every metric.
pub const METRICS: &[(&str, Kind, &str, &str)] = &[
    (EVENTS, Kind::Counter, "{event}", "events that ended"),
    (EVENT_DURATION, Kind::Histogram, "s", "from admission to the end of the last stage"),
    (EVENT_OVERHEAD, Kind::Histogram, "s", "the part of an event's duration with no open call"),
    (EVENT_QUEUE, Kind::Histogram, "s", "from the record's timestamp to admission"),
    (STAGE_DURATION, Kind::Histogram, "s", "stage runs"),
    (IN_FLIGHT, Kind::Gauge, "{event}", "events that run now"),
    (PARTITIONS, Kind::Gauge, "{partition}", "partitions held"),
    (STOPPED, Kind::Counter, "{partition}", "partitions whose progress could not be read"),
    (COMMITS, Kind::Counter, "{commit}", "commits"),
    (COMMIT_DURATION, Kind::Histogram, "s", "time of a commit"),
    (COMMIT_EVENTS, Kind::Counter, "{event}", "events in commits"),
    (OUTPUTS, Kind::Counter, "{record}", "output records"),
    (OUTAGES, Kind::Gauge, "{service}", "services that are down now"),
    (COST, Kind::Counter, "nano", "money in nano-units of the currency"),
    (UNPRICED, Kind::Counter, "{call}", "attempts whose price is not known"),
    (OPERATION_DURATION, Kind::Histogram, "s", "duration of a call to a model"),
    (TOKEN_USAGE, Kind::Counter, "{token}", "tokens of calls to models"),
];
