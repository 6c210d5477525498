//! A mock server, models that ask it, and someone who counts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use vivremotion::base::clock::{Clock, SystemClock};
use vivremotion::base::secret::Secret;
use vivremotion::budget::{Account, EventPurse, Limits, Wallet};
use vivremotion::event::cost::Attempt;
use vivremotion::event::ids::{EventId, StageKey};
use vivremotion::event::money::Money;
use vivremotion::model::config::{ModelEntry, ModelsConfig, ProviderConfig, SingleModel};
use vivremotion::model::mock::{Running, Summary};
use vivremotion::model::price::{Price, PriceBook};
use vivremotion::model::{Call, ChatRequest, EmbedRequest, Message, Meter, Model, Role};
use vivremotion::route::build::build;

/// The key of every provider here; no error may show it.
pub const KEY: &str = "sk-never-to-be-seen";

pub fn money(text: &str) -> Money {
    text.parse().unwrap()
}

#[derive(Default)]
pub struct Counted(Mutex<Vec<Attempt>>);

impl Meter for Counted {
    fn record(&self, attempt: Attempt) {
        self.0.lock().unwrap().push(attempt);
    }
}

impl Counted {
    pub fn attempts(&self) -> Vec<Attempt> {
        self.0.lock().unwrap().clone()
    }

    /// The one attempt there is.
    #[track_caller]
    pub fn only(&self) -> Attempt {
        let attempts = self.attempts();
        assert_eq!(attempts.len(), 1, "{attempts:?}");
        attempts.into_iter().next().unwrap()
    }
}

/// Settings with providers at addresses, and prices for `mock/any` names that are used.
pub struct Settings(pub ModelsConfig);

impl Settings {
    pub fn new() -> Self {
        Settings(ModelsConfig::default())
    }

    pub fn provider(mut self, name: &str, base_url: &str, max_in_flight: Option<usize>) -> Self {
        let provider = ProviderConfig {
            dialect: Some("openai".into()),
            base_url: Some(base_url.into()),
            api_key: Some(Secret::new(KEY)),
            account: Some("team-a".into()),
            max_in_flight,
            simulated: None,
        };
        self.0.providers.insert(name.into(), provider);
        self
    }

    pub fn simulated(mut self) -> Self {
        self.0.providers.insert("simulated".into(), ProviderConfig::default());
        self
    }

    /// A model of its own name.
    pub fn model(self, full_name: &str) -> Self {
        self.named(full_name, SingleModel::parse(full_name).unwrap())
    }

    pub fn named(mut self, name: &str, model: SingleModel) -> Self {
        self.0.models.insert(name.into(), ModelEntry::Single(model));
        self
    }

    pub fn route(mut self, name: &str, members: &[&str]) -> Self {
        let members = members.iter().map(|member| (*member).to_owned()).collect();
        self.0.models.insert(name.into(), ModelEntry::FirstHealthy(members));
        self
    }

    /// 0.40 in, 0.10 from the cache, 1.60 out, per million, for each of these.
    pub fn priced(mut self, full_names: &[&str]) -> Self {
        let price = Price {
            from: 0,
            input: money("0.40"),
            cache_read: Some(money("0.10")),
            output: Some(money("1.60")),
            ..Price::default()
        };
        let entries = full_names.iter().map(|name| ((*name).to_owned(), vec![price.clone()]));
        self.0.prices = PriceBook::new(entries, Some("book-1".into()));
        self
    }

    pub fn build(self) -> HashMap<Arc<str>, Arc<dyn Model>> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        build(&self.0, &clock, 7).unwrap()
    }
}

/// Models that ask the server under the provider's name `mock`, priced.
pub fn models_of(server: &Running, names: &[&str]) -> HashMap<Arc<str>, Arc<dyn Model>> {
    let settings = Settings::new().provider("mock", &server.base_url, None).priced(names);
    names.iter().fold(settings, |settings, name| settings.model(name)).build()
}

/// One event's side of a call.
pub struct Caller {
    pub counted: Arc<Counted>,
    pub purse: Arc<EventPurse>,
    account: Arc<Mutex<Account>>,
}

impl Caller {
    /// Without any limit.
    pub fn new() -> Self {
        Caller::with(
            Limits::default(),
            Arc::new(Mutex::new(Account::total("none", money("0"), money("0")))),
        )
    }

    /// With a limit.
    pub fn limited(limit: &str) -> Self {
        let account = Arc::new(Mutex::new(Account::total("total", money(limit), money("0"))));
        let limits = Limits { per_event: None, accounts: vec![account.clone()] };
        Caller::with(limits, account)
    }

    fn with(limits: Limits, account: Arc<Mutex<Account>>) -> Self {
        let wallet = Arc::new(Wallet::new(limits, "USD".into(), Arc::new(SystemClock)));
        Caller { counted: Arc::default(), purse: Arc::new(wallet.event()), account }
    }

    /// What is spent, and what is set aside.
    pub fn money(&self) -> (Money, Money) {
        let account = self.account.lock().unwrap();
        (account.spent(), account.held())
    }

    pub fn call(&self, attempt: u32, within: Duration) -> Call {
        Call {
            key: StageKey {
                event: EventId::new("c", "tickets", 0, 17, 0),
                stage: "answer".into(),
                item: Some(3),
            },
            attempt,
            deadline: Instant::now() + within,
            tenant: "default".into(),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
            meter: self.counted.clone(),
            purse: self.purse.clone(),
            journal: Arc::default(),
            halt: Arc::default(),
        }
    }
}

pub const LONG: Duration = Duration::from_secs(20);

pub fn ask(text: &str) -> ChatRequest {
    let system = Message { role: Role::System, text: "Answer the ticket.".into() };
    let user = Message { role: Role::User, text: text.into() };
    ChatRequest { model: "any".into(), messages: vec![system, user], max_tokens: 100, schema: None }
}

pub fn embed(texts: &[&str]) -> EmbedRequest {
    EmbedRequest {
        model: "any".into(),
        texts: texts.iter().map(|text| (*text).to_owned()).collect(),
    }
}

/// Waits until the server says so.
pub async fn until(server: &Running, ready: impl Fn(&Summary) -> bool) {
    let wait = tokio::time::timeout(LONG, server.ledger.until(ready));
    wait.await.expect("the server never got there");
}
