#![doc = include_str!("README.md")]

pub mod app;
pub mod base;
pub mod budget;
pub mod cli;
pub mod codec;
pub mod context;
pub mod event;
pub mod flow;
pub mod journal;
pub mod model;
pub mod pipeline;
pub mod route;
pub mod settings;
pub mod stage;
pub mod stream;
pub mod telemetry;
