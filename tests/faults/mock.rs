//! The mock models as a process, and what their own ledger says.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::checker::Call;
use crate::fleet::product;
use crate::services::{Kept, free_port, http_get, until};

/// Nano-units for one token in, one token out: 1 and 2 USD per million, as the settings of a job have it.
pub const PRICES: (i128, i128) = (1_000, 2_000);

/// A running `mock-models`.
pub struct Mock {
    kept: Kept,
    port: u16,
}

impl Mock {
    /// Starts it.
    pub fn start(dir: &Path, name: &str, arguments: &[String]) -> Mock {
        let port = free_port();
        let mut command = product(dir);
        command.args(["mock-models", "--keep", "1000000"]);
        command.args(["--listen", &format!("127.0.0.1:{port}")]).args(arguments);
        let mut kept = Kept::start(&command, &dir.join(name)).unwrap();
        let up = until(Duration::from_secs(60), || match kept.ended() {
            Some(status) => Ok(Err(format!("mock-models ended with {status}"))),
            None => http_get(port, "/").map(|_| Ok(())),
        });
        if let Err(reason) = up.and_then(|inner| inner) {
            panic!("{reason}\n{}", kept.last_words());
        }
        Mock { kept, port }
    }

    /// The `base_url` of a provider.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// A sum of the ledger: `calls`, `open` …
    pub fn sum(&self, name: &str) -> u64 {
        let page = http_get(self.port, "/ledger/summary").unwrap().1;
        let page: Value = serde_json::from_str(&page).unwrap();
        page[name].as_u64().unwrap_or_else(|| panic!("no `{name}`: {}", self.kept.last_words()))
    }

    /// Open calls of one instance.
    pub fn open_of(&self, instance: usize) -> usize {
        let open = |call: &Call| call.instance == instance && call.end.is_none();
        self.calls().into_iter().filter(open).count()
    }

    /// Every call, by its start.
    pub fn calls(&self) -> Vec<Call> {
        let page = http_get(self.port, "/ledger").unwrap().1;
        let page: Value = serde_json::from_str(&page).unwrap();
        page["entries"].as_array().unwrap().iter().filter_map(call).collect()
    }

    /// What it says to a prompt at once, whatever its usual latency is.
    pub fn says(&self, prompt: &str) -> String {
        let body = json!({
            "model": "quiet+slow-0ms+rate-0",
            "max_tokens": 1024,
            "messages": [{ "role": "user", "content": prompt }],
        })
        .to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        write!(
            stream,
            "POST /v1/chat/completions HTTP/1.0\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let (_, reply) = reply.split_once("\r\n\r\n").unwrap();
        let reply: Value = serde_json::from_str(reply).unwrap();
        reply["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
    }
}

/// The prompts of the jobs begin with `Order N STAGE:`, the model's name ends with `+i` and the instance.
fn call(entry: &Value) -> Option<Call> {
    let mut words = entry["prompt"].as_str()?.split_whitespace().skip(1);
    let n = words.next()?.parse().ok()?;
    let stage = words.next()?.trim_end_matches(':').to_owned();
    let (_, instance) = entry["model"].as_str()?.rsplit_once("+i")?;
    let count = |name: &str| i128::from(entry[name].as_u64().unwrap_or(0));
    let price = count("prompt_tokens") * PRICES.0 + count("completion_tokens") * PRICES.1;
    Some(Call {
        n,
        stage,
        instance: instance.parse().ok()?,
        start: entry["start"].as_i64()?,
        end: entry["end"].as_i64(),
        status: entry["status"].as_u64().and_then(|code| u16::try_from(code).ok()),
        delivered: entry["delivered"] == true,
        price,
    })
}
