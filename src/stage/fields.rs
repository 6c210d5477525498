//! Names with texts, in the author's order: headers.

use serde::de::{Deserialize, Deserializer};

use crate::base::template::{Template, TemplateError};
use crate::base::yaml::{Spanned, Text, Tree, TreeValue, refuse};

use super::desk::Desk;

/// As written.
#[derive(Clone, Debug, Default)]
pub struct Fields(pub Vec<(Spanned<String>, Text)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let TreeValue::Map(entries) = Tree::deserialize(deserializer)?.value else {
            let expected = "expected names with texts, such as `{ name: text }`";
            return Err(refuse("wrong-type", expected.to_owned(), None));
        };
        let field = |(name, tree): (Spanned<String>, Tree)| match Text::try_from(tree) {
            Ok(text) => Ok((name, text)),
            Err(expected) => {
                Err(refuse("wrong-type", format!("`{}`: {expected}", name.value), None))
            }
        };
        entries.into_iter().map(field).collect::<Result<_, _>>().map(Fields)
    }
}

impl Fields {
    /// Compiles every text.
    pub fn check(&self, desk: &mut dyn Desk) -> Option<Templates> {
        let compiled: Vec<_> = self
            .0
            .iter()
            .map(|(name, text)| desk.template(text).map(|template| (name.value.clone(), template)))
            .collect();
        compiled.into_iter().collect::<Option<Vec<_>>>().map(Templates)
    }
}

/// Compiled.
#[derive(Clone, Debug, Default)]
pub struct Templates(Vec<(String, Template)>);

impl Templates {
    /// The texts for one event.
    pub fn render(&self, scope: &minijinja::Value) -> Result<Vec<(String, String)>, TemplateError> {
        let field = |(name, template): &(String, Template)| {
            template.render(scope).map(|text| (name.clone(), text))
        };
        self.0.iter().map(field).collect()
    }
}
