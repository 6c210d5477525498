//! Every shipped pipeline.
