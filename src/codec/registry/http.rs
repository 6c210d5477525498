//! A registry over HTTP: anything that speaks Confluent's interface, through `schema_registry_converter`.
//!
//! Only its calls are used, not its decoders: those keep failures in their cache and can't bound what they decode. An id
//! or subject counts as unknown when the registry says so in its own words; a bare 404 (a wrong path, a proxy) is a
//! registry that does not answer.

use std::time::Duration;

use async_trait::async_trait;
use schema_registry_converter::async_impl::schema_registry::{
    SrSettings, get_all_subjects, get_all_versions, get_referenced_schema, get_schema_by_id,
    get_schema_by_subject_and_version, is_compatible_schema, perform_sr_call, post_schema,
};
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::{
    RawError, RegisteredReference, RegisteredSchema, SchemaType, SrCall, SuppliedSchema,
};

use super::bounded::Bounded;
use super::embedded::incompatible;
use super::{CodecError, Registry, Schema, Verdict, Version, Which};
use crate::base::secret::Secret;
use crate::codec::avro::Layout;

/// A call that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Schemas that one schema may refer to, all told.
const MAX_REFERENCES: usize = 32;

/// How to reach a registry.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses, tried in order.
    pub urls: Vec<String>,
    /// Who asks.
    pub access: Access,
    /// Certificates of authorities beside those of the system, as PEM.
    pub authorities: Option<String>,
    /// Our own certificate and its key, as PEM.
    pub identity: Option<(String, Secret)>,
}

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    #[default]
    Open,
    /// HTTP basic authentication.
    Basic {
        /// User, or key.
        username: String,
        /// Password, or secret of the key.
        password: Secret,
    },
    /// A bearer token.
    Bearer(Secret),
}

/// A registry over HTTP.
pub struct Http {
    settings: SrSettings,
}

impl Http {
    /// Makes the client; nothing is asked yet.
    pub fn new(config: &Config) -> Result<Self, CodecError> {
        let unfit = |why: String| CodecError::permanent("registry-setting", why);
        let Some((first, others)) = config.urls.split_first() else {
            return Err(unfit("the registry has no address".to_owned()));
        };
        let trimmed = |url: &String| url.trim_end_matches('/').to_owned();
        let mut builder = SrSettings::new_builder(trimmed(first));
        others.iter().for_each(|url| {
            builder.add_url(trimmed(url));
        });
        match &config.access {
            Access::Open => {}
            Access::Basic { username, password } => {
                builder.set_basic_authorization(username, Some(password.expose()));
            }
            Access::Bearer(token) => {
                builder.set_token_authorization(token.expose());
            }
        }
        let mut client = reqwest::Client::builder()
            // A registry that sends us elsewhere would get our password there.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(TIMEOUT)
            .tcp_nodelay(true);
        if let Some(pem) = &config.authorities {
            let authorities = reqwest::Certificate::from_pem_bundle(pem.as_bytes())
                .map_err(|_| unfit("the registry's `ca` is not PEM".to_owned()))?;
            client = client.tls_certs_merge(authorities);
        }
        if let Some((certificate, key)) = &config.identity {
            let pem = format!("{certificate}\n{}", key.expose());
            let identity = reqwest::Identity::from_pem(pem.as_bytes()).map_err(|_| {
                unfit("the registry's `certificate` and `key` are not PEM".to_owned())
            })?;
            client = client.identity(identity);
        }
        builder.set_timeout(TIMEOUT).with_middleware(Bounded);
        let settings = builder.build_with(client).map_err(|error| {
            unfit(format!("the registry's settings do not fit: {}", error.error))
        })?;
        Ok(Http { settings })
    }

    /// Fetches what a schema refers to, once each.
    async fn complete(&self, found: RegisteredSchema) -> Result<Schema, CodecError> {
        if found.schema_type != SchemaType::Avro {
            return Err(CodecError::permanent(
                "unusable-schema",
                format!("schema {} is not Avro", found.id),
            ));
        }
        let mut open: Vec<RegisteredReference> = found.references;
        let mut fetched: Vec<(String, u32)> = Vec::new();
        let mut references = Vec::new();
        while let Some(reference) = open.pop() {
            let key = (reference.subject.clone(), reference.version);
            if fetched.contains(&key) {
                continue;
            }
            if fetched.len() == MAX_REFERENCES {
                return Err(CodecError::permanent(
                    "unusable-schema",
                    format!("schema {} refers to more than {MAX_REFERENCES} others", found.id),
                ));
            }
            let there =
                get_referenced_schema(&self.settings, &reference).await.map_err(|e| failed(&e))?;
            fetched.push(key);
            references.push(there.schema);
            open.extend(there.references);
        }
        Ok(Schema { text: found.schema, references })
    }
}

#[async_trait]
impl Registry for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    async fn schema(&self, id: u32) -> Result<Option<Schema>, CodecError> {
        match known(get_schema_by_id(id, &self.settings).await)? {
            Some(found) => self.complete(found).await.map(Some),
            None => Ok(None),
        }
    }

    async fn find(&self, subject: &str, which: Which<'_>) -> Result<Option<Version>, CodecError> {
        valid(subject)?;
        let number = match which {
            Which::Latest => None,
            Which::Number(number) => Some(number),
            Which::Text(text) => {
                let body = serde_json::json!({ "schema": text }).to_string();
                let call = SrCall::PostForVersion(subject, &body);
                return match known(perform_sr_call(&self.settings, call).await)? {
                    Some(raw) => {
                        let id = raw.id.ok_or_else(|| {
                            CodecError::unavailable("the registry's answer has no id")
                        })?;
                        let schema = Schema { text: text.to_owned(), references: Vec::new() };
                        Ok(Some(Version { number: raw.version.unwrap_or(0), id, schema }))
                    }
                    None => Ok(None),
                };
            }
        };
        let found = get_schema_by_subject_and_version(&self.settings, subject, number).await;
        match known(found)? {
            Some(found) => Ok(Some(Version {
                number: found.version.unwrap_or(0),
                id: found.id,
                schema: self.complete(found).await?,
            })),
            None => Ok(None),
        }
    }

    async fn versions(&self, subject: &str) -> Result<Vec<u32>, CodecError> {
        valid(subject)?;
        let found = get_all_versions(&self.settings, subject.to_owned()).await;
        Ok(known(found)?.unwrap_or_default())
    }

    async fn subjects(&self) -> Result<Vec<String>, CodecError> {
        let mut subjects = get_all_subjects(&self.settings).await.map_err(|e| failed(&e))?;
        subjects.sort();
        Ok(subjects)
    }

    async fn register(&self, subject: &str, schema: &str) -> Result<u32, CodecError> {
        valid(subject)?;
        Layout::parse(schema, &[])?;
        match post_schema(&self.settings, subject.to_owned(), supplied(schema)).await {
            Ok(registered) => Ok(registered.id),
            Err(error) => Err(match answer(&error) {
                Some((409, why)) => incompatible(subject, &why),
                Some((422, why)) => CodecError::permanent(
                    "unusable-schema",
                    format!("the registry refuses the schema: {why}"),
                ),
                _ => failed(&error),
            }),
        }
    }

    async fn check(&self, subject: &str, schema: &str) -> Result<Verdict, CodecError> {
        valid(subject)?;
        Layout::parse(schema, &[])?;
        if self.versions(subject).await?.is_empty() {
            return Ok(Verdict::Compatible);
        }
        let checked = is_compatible_schema(&self.settings, subject.to_owned(), supplied(schema));
        match checked.await.map_err(|error| failed(&error))? {
            true => Ok(Verdict::Compatible),
            false => Ok(Verdict::Incompatible("the registry's rule says so".to_owned())),
        }
    }
}

fn supplied(schema: &str) -> SuppliedSchema {
    SuppliedSchema::new(None, SchemaType::Avro, schema.to_owned())
}

/// A subject becomes a part of an address.
fn valid(subject: &str) -> Result<(), CodecError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':');
    match !subject.is_empty() && subject.len() <= 512 && subject.chars().all(fits) {
        true => Ok(()),
        false => Err(CodecError::permanent(
            "bad-subject",
            format!("`{subject}` is no subject; expected letters, digits and `. _ - :`"),
        )),
    }
}

/// `None` when the registry itself says that there is no such subject, version or schema.
fn known<T>(answered: Result<T, SRCError>) -> Result<Option<T>, CodecError> {
    match answered {
        Ok(found) => Ok(Some(found)),
        Err(error) => match answer(&error) {
            Some((404, _)) => Ok(None),
            _ => Err(failed(&error)),
        },
    }
}

/// Status and sentence of a registry that refused in its own words: its codes are the status and two digits more.
fn answer(error: &SRCError) -> Option<(u32, String)> {
    let raw = std::error::Error::source(error)?.downcast_ref::<RawError>()?;
    let status = if raw.error_code >= 10_000 { raw.error_code / 100 } else { raw.error_code };
    let why = raw.message.lines().next().unwrap_or_default().chars().take(300).collect();
    (status != 0 && raw.error_code != 404).then_some((status, why))
}

fn failed(error: &SRCError) -> CodecError {
    let why = match answer(error) {
        Some((status, why)) => format!("{status}, {why}"),
        None => std::error::Error::source(error)
            .map(|source| match source.downcast_ref::<RawError>() {
                // The body was not the registry's: its status is in the outer sentence.
                Some(_) => error.error.clone(),
                None => crate::base::chain::chain(source),
            })
            .unwrap_or_else(|| error.error.clone()),
    };
    CodecError::unavailable(format!("the schema registry does not answer as it should: {why}"))
}
