//! The dialect room's conformance suite: what goes over the wire and how it is understood (`wire`), the same over real
//! HTTP against the mock server (`served`), what an attempt leaves behind (`attempts`), and how routes choose (`routes`).

#![cfg(test)]

mod attempts;
mod routes;
mod served;
mod wire;
mod world;
