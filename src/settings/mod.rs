//! Settings: connections, providers, models, prices and topics, by name.
