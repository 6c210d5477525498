//! Dialects: pure translations between our requests and the wire of a family of providers.
