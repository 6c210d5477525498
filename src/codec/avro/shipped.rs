//! The schemas that ship with the product: the files of `schemas/`.

/// Something to be answered.
pub const REQUEST: &str = include_str!("../../../schemas/request.avsc");
/// A reading of a device.
pub const SENSOR: &str = include_str!("../../../schemas/sensor.avsc");
/// What a pipeline decided.
pub const RESULT: &str = include_str!("../../../schemas/result.avsc");
/// What one attempt cost.
pub const COST: &str = include_str!("../../../schemas/cost.avsc");

/// All of them by name.
pub const ALL: [(&str, &str); 4] =
    [("request", REQUEST), ("sensor", SENSOR), ("result", RESULT), ("cost", COST)];

/// By name.
pub fn by_name(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
