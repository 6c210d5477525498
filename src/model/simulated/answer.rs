//! What a simulated model says: for a JSON schema a valid instance, otherwise one marked sentence that quotes the end of
//! the prompt. A function of the messages, the schema and the ceiling, and of nothing else.

use serde_json::Value;

use super::behaviour::Behaviour;
use super::{first_word, instance};
use crate::model::{Message, Role, tokens};

/// Every simulated text starts with it.
pub const MARK: &str = "[simulated]";
/// Words of the prompt that are quoted.
const QUOTED: usize = 14;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The text.
    pub text: String,
    /// `stop` or `length`.
    pub finish_reason: &'static str,
    /// Tokens of the text, as counted here.
    pub tokens: u64,
}

/// Digest of the messages: what all choices are drawn from.
pub fn digest(messages: &[Message]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for message in messages {
        let role: &[u8] = match message.role {
            Role::System => b"s",
            Role::User => b"u",
            Role::Assistant => b"a",
        };
        hasher.update(role);
        hasher.update(&(message.text.len() as u64).to_le_bytes());
        hasher.update(message.text.as_bytes());
    }
    first_word(&hasher)
}

/// Answers.
pub fn say(
    messages: &[Message],
    schema: Option<&Value>,
    max_tokens: u32,
    behaviour: &Behaviour,
) -> Said {
    let digest = digest(messages);
    let last = messages.iter().rev().find(|message| message.role == Role::User).or(messages.last());
    let asked = last.map_or("", |message| message.text.as_str());
    let text = match (&behaviour.answer, schema) {
        (Some(answer), _) => answer.clone(),
        (None, Some(schema)) => instance::of(schema, asked, digest).to_string(),
        (None, None) => sentence(asked, digest, max_tokens),
    };
    fit(text, max_tokens)
}

/// Cuts what does not fit the ceiling.
fn fit(mut text: String, max_tokens: u32) -> Said {
    let most = usize::try_from(max_tokens).unwrap_or(usize::MAX).saturating_mul(4);
    let finish_reason = if text.len() > most { "length" } else { "stop" };
    text.truncate(text.floor_char_boundary(most));
    Said { finish_reason, tokens: tokens::of_text(&text), text }
}

/// A sentence that fits the ceiling, if the mark alone does.
fn sentence(asked: &str, digest: u64, max_tokens: u32) -> String {
    let sign = format!("({:04x})", digest & 0xffff);
    let most = usize::try_from(max_tokens).unwrap_or(usize::MAX).saturating_mul(4);
    let mut text = MARK.to_owned();
    if text.len() + 1 + sign.len() <= most {
        let mut quote = String::new();
        for word in words(last_paragraph(asked)).take(QUOTED) {
            if text.len() + " Re:".len() + quote.len() + 1 + word.len() + 1 + sign.len() > most {
                break;
            }
            quote.push(' ');
            quote.push_str(word);
        }
        if !quote.is_empty() {
            text.push_str(" Re:");
            text.push_str(&quote);
        }
        text.push(' ');
        text.push_str(&sign);
    }
    text
}

/// The last paragraph that has words: there, in most prompts, is what the user wrote.
pub(super) fn last_paragraph(text: &str) -> &str {
    text.rsplit("\n\n").map(str::trim).find(|part| words(part).next().is_some()).unwrap_or("")
}

/// Words as they stand, without what is no text.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
        .filter(|word| word.chars().any(char::is_alphanumeric) && word.len() <= 40)
}
