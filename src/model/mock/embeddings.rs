//! `POST /v1/embeddings` of the mock server.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ledger::Ending;
use super::reply;
use super::server::Server;
use crate::model::simulated::behaviour::Fault;
use crate::model::simulated::embedding;
use crate::model::{EmbedRequest, tokens};

#[derive(Deserialize)]
struct Asked {
    model: String,
    input: Value,
    dimensions: Option<u32>,
}

#[derive(Serialize)]
struct Body<'a> {
    object: &'static str,
    model: &'a str,
    data: Vec<Vector>,
    usage: Used,
}

#[derive(Serialize)]
struct Vector {
    object: &'static str,
    index: usize,
    embedding: Vec<f32>,
}

#[derive(Serialize)]
struct Used {
    prompt_tokens: u64,
    total_tokens: u64,
}

/// Longest vector that is made.
const MOST_DIMENSIONS: u32 = 8192;

pub(super) async fn post(
    State(server): State<Server>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let asked: Asked = match serde_json::from_slice(&body) {
        Ok(asked) => asked,
        Err(error) => return reply::error(400, "invalid_request_error", &error.to_string()),
    };
    let texts = match asked.input {
        Value::String(text) => Some(vec![text]),
        Value::Array(texts) => {
            texts.into_iter().map(|text| text.as_str().map(str::to_owned)).collect()
        }
        _ => None,
    };
    let Some(texts) = texts else {
        return reply::error(
            400,
            "invalid_request_error",
            "`input` is no text and no list of texts",
        );
    };
    let prompt = texts.join("\n");
    let usual = server.behaviour.by_name(&asked.model);
    let behaviour = server.script.apply(usual, &asked.model, &prompt);
    let line = server.begin("embeddings", &asked.model, prompt, &headers, &body);

    let drawn = behaviour.draw(server.draw(&line));
    if !server.wait(drawn.latency, drawn.fault).await {
        return reply::broken(Fault::Cut, Vec::new(), line);
    }
    let dimensions = asked.dimensions.or(server.dimensions).unwrap_or(embedding::DIMENSIONS);
    let vector = |(index, text): (usize, &String)| Vector {
        object: "embedding",
        index,
        embedding: embedding::vector(text, dimensions.min(MOST_DIMENSIONS)),
    };
    let data = texts.iter().enumerate().map(vector).collect();
    let tokens =
        tokens::of_embed(&EmbedRequest { model: asked.model.as_str().into(), texts }).input_likely;
    let usage = Used { prompt_tokens: tokens, total_tokens: tokens };
    let body = Body { object: "list", model: &asked.model, data, usage };
    // Texts and numbers: this can't fail.
    let body = serde_json::to_vec(&body).unwrap_or_default();
    if let Some(fault) = drawn.fault {
        return reply::broken(fault, body, line);
    }
    line.used(|entry| entry.prompt_tokens = tokens);
    line.end(Ending { status: Some(200), delivered: true });
    reply::json(200, body)
}
