//! Prompts: one text, or turns with their roles. A prompt's digest is its version; it covers the templates, not what
//! is rendered into them.

use std::sync::Arc;

use serde::de::{Deserialize, Deserializer};

use crate::base::nearest::suggestion;
use crate::base::template::{Template, TemplateError};
use crate::base::yaml::{Spanned, Text, Tree, TreeValue, place, refuse};
use crate::model::{Message, Role};

use super::desk::Desk;

const ROLES: [&str; 3] = ["system", "user", "assistant"];
const EXPECTED: &str = "expected a text, `{ file: path }`, or a list of roles such as \
    `[ { system: … }, { user: … } ]`";

/// A prompt as written.
#[derive(Clone, Debug)]
pub enum Prompt {
    /// One text: what the user says.
    Text(Text),
    /// Turns: role and text.
    Turns(Vec<(Spanned<String>, Text)>),
}

impl<'de> Deserialize<'de> for Prompt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tree = Tree::deserialize(deserializer)?;
        let TreeValue::List(items) = tree.value else {
            return Text::try_from(tree).map(Prompt::Text).map_err(|_| wrong());
        };
        let turn = |item: Tree| match item.value {
            TreeValue::Map(entries) => match <[_; 1]>::try_from(entries) {
                Ok([(role, text)]) => Text::try_from(text).map(|text| (role, text)).ok(),
                Err(_) => None,
            },
            TreeValue::Leaf(_) | TreeValue::List(_) => None,
        };
        let turns: Option<Vec<_>> = items.into_iter().map(turn).collect();
        turns.map(Prompt::Turns).ok_or_else(wrong)
    }
}

fn wrong<E: serde::de::Error>() -> E {
    refuse("wrong-type", EXPECTED.to_owned(), None)
}

impl Prompt {
    /// Compiles every turn. Without a turn of the user there is no question.
    pub fn check(&self, desk: &mut dyn Desk) -> Option<Turns> {
        let turns = match self {
            Prompt::Text(text) => vec![(Role::User, desk.template(text)?)],
            Prompt::Turns(turns) => {
                let checked: Vec<_> = turns.iter().map(|turn| check_turn(turn, desk)).collect();
                let turns = checked.into_iter().collect::<Option<Vec<_>>>()?;
                if !turns.iter().any(|(role, _)| *role == Role::User) {
                    let place = self.first_place();
                    let message = "the prompt has no `user` turn".to_owned();
                    let help = "add one, such as `{ user: \"{{ event.input.text }}\" }`".to_owned();
                    desk.error(place, "prompt-without-user", message, Some(help));
                    return None;
                }
                turns
            }
        };
        Some(Turns::new(turns))
    }

    fn first_place(&self) -> crate::base::diagnostic::Place {
        match self {
            Prompt::Text(text) => text.place(),
            Prompt::Turns(turns) => turns.first().map(|(role, _)| place(role)).unwrap_or_default(),
        }
    }
}

fn check_turn(turn: &(Spanned<String>, Text), desk: &mut dyn Desk) -> Option<(Role, Template)> {
    let (role, text) = turn;
    let known = match role.value.as_str() {
        "system" => Some(Role::System),
        "user" => Some(Role::User),
        "assistant" => Some(Role::Assistant),
        other => {
            let message = format!("`{other}` is not a role of a prompt");
            let help = suggestion(other, "roles are", ROLES);
            desk.error(place(role), "unknown-role", message, help);
            None
        }
    };
    let template = desk.template(text);
    Some((known?, template?))
}

/// A checked prompt.
#[derive(Clone, Debug)]
pub struct Turns {
    turns: Arc<[(Role, Template)]>,
    digest: Arc<str>,
}

impl Turns {
    fn new(turns: Vec<(Role, Template)>) -> Self {
        let mut hasher = blake3::Hasher::new();
        for (role, template) in &turns {
            // A length before each part: no two lists of parts give the same bytes.
            for part in [name(*role), template.source()] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part.as_bytes());
            }
        }
        Turns { turns: turns.into(), digest: hasher.finalize().to_hex().as_str().into() }
    }

    /// BLAKE3 of roles and templates, in hexadecimal.
    pub fn digest(&self) -> &Arc<str> {
        &self.digest
    }

    /// The texts as they are written.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.turns.iter().map(|(_, template)| template.source())
    }

    /// The messages for one event.
    pub fn render(&self, scope: &minijinja::Value) -> Result<Vec<Message>, TemplateError> {
        let message = |(role, template): &(Role, Template)| {
            template.render(scope).map(|text| Message { role: *role, text })
        };
        self.turns.iter().map(message).collect()
    }
}

fn name(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}
