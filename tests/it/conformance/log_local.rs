//! The log in one SQLite file: every member's suite, and what only a file on a disk can promise.

use std::path::Path;
use std::sync::Arc;

use futures::future::BoxFuture;
use vivremotion::base::clock::SystemClock;
use vivremotion::base::sqlite::Synchronous;
use vivremotion::stream::Log;
use vivremotion::stream::local::{Local, Settings};

use super::log::{Bench, behaviours};

async fn open(path: &Path) -> Local {
    let settings = Settings { path: path.to_owned(), synchronous: Synchronous::Full };
    Local::open(settings, Arc::new(SystemClock)).await.unwrap()
}

fn bench(path: &Path) -> Bench {
    let path = path.to_owned();
    let open = move || -> BoxFuture<'static, Arc<dyn Log>> {
        let path = path.clone();
        Box::pin(async move { Arc::new(open(&path).await) as Arc<dyn Log> })
    };
    Bench { open: Arc::new(open), prefix: "t".to_owned() }
}

macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        $(#[tokio::test]
        async fn $name() {
            let folder = tempfile::tempdir().unwrap();
            let suite = super::log::suite();
            let (_, behaviour) = suite.iter().find(|(name, _)| *name == stringify!($name)).unwrap();
            behaviour(bench(&folder.path().join("log.db"))).await;
        })*
    };
}
behaviours!(tests);
