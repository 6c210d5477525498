//! `registry`: embedded, or a registry over HTTP.

use serde::Deserialize;

use super::desk::Desk;
use crate::base::secret::Secret;
use crate::base::yaml::{Spanned, Text, Tree};
use crate::codec::registry::http::{Access, Config};

/// Where schemas are.
#[derive(Clone, Debug)]
pub enum RegistrySettings {
    /// In the local file.
    Embedded,
    /// In a registry.
    Http(Box<Config>),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RegistrySpec {
    Embedded,
    Http(Box<HttpSpec>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HttpSpec {
    url: Spanned<String>,
    username: Option<Spanned<String>>,
    password: Option<Spanned<String>>,
    token: Option<Spanned<String>>,
    ca: Option<Text>,
    certificate: Option<Text>,
    key: Option<Text>,
}

pub(super) fn read(
    desk: &mut Desk<'_>,
    key: &Spanned<String>,
    tree: &Tree,
) -> Option<RegistrySettings> {
    let spec = match desk.under(key, tree)? {
        RegistrySpec::Embedded => return Some(RegistrySettings::Embedded),
        RegistrySpec::Http(spec) => spec,
    };
    let access = access(desk, &spec);
    let authorities = spec.ca.as_ref().and_then(|text| desk.text(text));
    let identity = match (&spec.certificate, &spec.key) {
        (Some(certificate), Some(key)) => {
            Some((desk.text(certificate)?, Secret::new(desk.text(key)?)))
        }
        (None, None) => None,
        (Some(alone), None) | (None, Some(alone)) => {
            let message = "`certificate` and `key` belong together";
            desk.error(alone.place(), "missing-key", message, Some("give both, or neither"));
            None
        }
    };
    let urls = vec![desk.url(&spec.url)?];
    Some(RegistrySettings::Http(Box::new(Config { urls, access: access?, authorities, identity })))
}

fn access(desk: &mut Desk<'_>, spec: &HttpSpec) -> Option<Access> {
    match (&spec.username, &spec.password, &spec.token) {
        (None, None, None) => Some(Access::Open),
        (None, None, Some(token)) => Some(Access::Bearer(Secret::new(token.value.as_str()))),
        (Some(user), Some(password), None) => Some(Access::Basic {
            username: user.value.clone(),
            password: Secret::new(password.value.as_str()),
        }),
        (_, _, Some(token)) => {
            let message = "`token` stands beside `username` or `password`";
            desk.error(token.place(), "bad-value", message, Some("give one or the other"));
            None
        }
        (Some(alone), None, None) | (None, Some(alone), None) => {
            let message = "`username` and `password` belong together";
            desk.error(alone.place(), "missing-key", message, Some("give both"));
            None
        }
    }
}
