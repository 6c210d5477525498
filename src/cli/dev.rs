//! `dev`: the tour. `run` with a sender and a viewer around it; no door knows of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::run::{failure, print_warnings};
use super::tail::render;
use super::{Common, Failure, Format, Outcome, print, runtime, show, signals};
use crate::app::engine::{Engine, Order, start};
use crate::app::known::known;
use crate::app::samples::{fill, output};
use crate::pipeline::load::{Loaded, load};
use crate::pipeline::samples::{Sample, Samples, read_events};
use crate::settings::{LogSettings, Settings};
use crate::stream::{Follower, From, StreamError, header};

/// Between two looks whether everything is answered.
const LOOK: Duration = Duration::from_millis(50);

/// Try it: simulated models, sample events, one file, no network.
///
/// Loads the pipelines, fills the sample memory, sends the sample events once, and shows each result with its stages,
/// latency and cost. Then it keeps running: `vivremotion send` and `vivremotion tail` work against it from a second
/// terminal. With --settings it makes the same tour on Kafka, or with real models.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  vivremotion dev\n  vivremotion dev --fresh --once\n  vivremotion send tickets '{\"input\": {\"text\": \"Where is my invoice?\"}}' --wait"
)]
pub struct Args {
    /// Folder of the pipelines and of samples.yaml
    #[arg(default_value = "pipelines")]
    pub folder: PathBuf,
    /// Start over: forget the events, results and memory of earlier tours (embedded log only)
    #[arg(long)]
    pub fresh: bool,
    /// End, with exit code 0, when the samples are answered
    #[arg(long)]
    pub once: bool,
    /// Send these events instead of the samples: one JSON object a line with topic, key, value, headers
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// Events sent per second; all at once when not given
    #[arg(long, value_name = "N")]
    pub rate: Option<f64>,
    /// How results are shown
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// What most verbs take.
    #[command(flatten)]
    pub common: Common,
}

/// Runs the verb.
pub fn run(args: Args) -> Outcome {
    let began = Instant::now();
    let settings = Arc::new(args.common.open()?);
    print_warnings(&settings.warnings);
    if args.fresh {
        start_over(&settings)?;
    }
    let files = vec![args.folder.clone()];
    let loaded = load(&files, &known(&settings)).map_err(|wrong| print::wrong(&wrong))?;
    let list = args.folder.join("samples.yaml");
    // Who brings events needs no list of others.
    let samples = match args.events.is_some() && !list.exists() {
        true => Samples::default(),
        false => Samples::load(&list).map_err(|wrong| print::wrong(&wrong))?,
    };
    let events = events(&args, &samples)?;
    runtime()?.block_on(tour(&args, settings, loaded, samples, events, began))
}

/// Removes the embedded file; a log that is a cluster is not ours to empty.
fn start_over(settings: &Settings) -> Outcome {
    let LogSettings::Local(local) = &settings.log else {
        let usage = "`--fresh` empties the embedded log only; on Kafka use new topics or a new `group_prefix`";
        return Err(Failure::Usage(usage.to_owned()));
    };
    for ending in ["", "-wal", "-shm"] {
        let mut path = local.path.clone().into_os_string();
        path.push(ending);
        match std::fs::remove_file(Path::new(&path)) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let path = Path::new(&path).display().to_string();
                return Err(Failure::Runtime(format!("can't remove `{path}`: {error}")));
            }
        }
    }
    Ok(())
}

fn events(args: &Args, samples: &Samples) -> Result<Vec<Sample>, Failure> {
    let files = match &args.events {
        Some(file) => std::slice::from_ref(file),
        None => samples.events.as_slice(),
    };
    let mut events = Vec::new();
    for file in files {
        events.extend(read_events(file).map_err(Failure::Usage)?);
    }
    Ok(events)
}

async fn tour(
    args: &Args,
    settings: Arc<Settings>,
    loaded: Loaded,
    samples: Samples,
    events: Vec<Sample>,
    began: Instant,
) -> Outcome {
    let stop = signals::stop().map_err(|error| Failure::Runtime(error.to_string()))?;
    let order = Order {
        files: vec![args.folder.clone()],
        create: true,
        bounded: false,
        serve: false,
        apart: false,
    };
    let engine = start(settings, loaded, &order, None).await.map_err(|e| failure(&e))?;
    welcome(&engine);
    let passages = fill(&engine.collections, &samples).await.map_err(Failure::Runtime)?;
    print::note(format!("{passages} sample passages in memory"));
    let mut viewer = Viewer::open(&engine, args.format, began).await?;
    let (leave, left) = watch::channel(false);
    let work = engine.work(left);
    let watch = async {
        let outcome = watch_on(args, &engine, &events, &mut viewer, stop).await;
        leave.send_replace(true);
        outcome
    };
    let (worked, watched) = tokio::join!(work, watch);
    worked.map_err(|error| failure(&error))?;
    watched
}

fn welcome(engine: &Engine) {
    if engine.settings.open {
        print::note(
            "no settings file: every model is simulated and free, everything is in one file",
        );
    }
    for plan in &engine.plans {
        let sink = plan.sink.as_ref().map_or("nowhere", |sink| &*sink.topic);
        let stages: Vec<&str> = plan.stages.iter().map(|stage| &*stage.name).collect();
        print::note(format!(
            "{}: {} → {} → {sink}",
            plan.name,
            plan.source.topic,
            stages.join(", ")
        ));
    }
}

async fn watch_on(
    args: &Args,
    engine: &Engine,
    events: &[Sample],
    viewer: &mut Viewer<'_>,
    mut stop: watch::Receiver<bool>,
) -> Outcome {
    let sources: BTreeSet<Arc<str>> = events.iter().map(|event| Arc::clone(&event.topic)).collect();
    let sent = match already_sent(engine, &sources).await? {
        true => {
            print::note("the samples were sent before; `--fresh` starts over");
            false
        }
        false => true,
    };
    let send = async {
        match sent {
            true => send(args, engine, events).await,
            false => Ok(()),
        }
    };
    let mut sending = std::pin::pin!(send);
    let (mut all_sent, mut told) = (false, false);
    loop {
        tokio::select! {
            outcome = &mut sending, if !all_sent => {
                outcome?;
                all_sent = true;
            }
            shown = viewer.next() => shown?,
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
        }
        if !told && all_sent && settled(engine, &sources).await? {
            viewer.drain().await?;
            told = true;
            if sent {
                viewer.sum_up(events.len());
            }
            if args.once {
                return Ok(());
            }
            print::note(
                "still running; from a second terminal: vivremotion send tickets '{\"input\": {\"text\": \"Where is my invoice?\"}}' --wait",
            );
        }
    }
}

fn stream(error: StreamError) -> Failure {
    Failure::Runtime(error.message)
}

async fn already_sent(engine: &Engine, sources: &BTreeSet<Arc<str>>) -> Result<bool, Failure> {
    for source in sources {
        let extents = engine.log.extents(source).await.map_err(stream)?;
        if extents.iter().any(|extent| extent.high > 0) {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn send(args: &Args, engine: &Engine, events: &[Sample]) -> Outcome {
    let pause =
        args.rate.filter(|rate| *rate > 0.0).map(|rate| Duration::from_secs_f64(1.0 / rate));
    let mut outputs = Vec::with_capacity(events.len());
    for event in events {
        let output = output(&engine.codecs, &event.topic, event).await;
        outputs.push(output.map_err(|error| Failure::Runtime(error.message))?);
    }
    match pause {
        None => engine.log.send(outputs).await.map(drop).map_err(stream),
        Some(pause) => {
            for output in outputs {
                engine.log.send(vec![output]).await.map_err(stream)?;
                sleep(pause).await;
            }
            Ok(())
        }
    }
}

/// Whether everything in those topics is committed.
async fn settled(engine: &Engine, sources: &BTreeSet<Arc<str>>) -> Result<bool, Failure> {
    for plan in engine.plans.iter().filter(|plan| sources.contains(&plan.source.topic)) {
        let topic = &plan.source.topic;
        let committed = engine.log.committed(&plan.group, topic).await.map_err(stream)?;
        for extent in engine.log.extents(topic).await.map_err(stream)? {
            let partition = extent.at.partition;
            let progress = committed.iter().find(|(of, _)| *of == partition);
            let done = progress.map_or(0, |(_, progress)| progress.base);
            if done < extent.high {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Shows what comes out.
struct Viewer<'e> {
    engine: &'e Engine,
    format: Format,
    began: Instant,
    followers: Vec<Box<dyn Follower>>,
    next: usize,
    results: usize,
    letters: usize,
    published: usize,
}

impl<'e> Viewer<'e> {
    async fn open(engine: &'e Engine, format: Format, began: Instant) -> Result<Self, Failure> {
        let mut topics = BTreeSet::new();
        for plan in &engine.plans {
            topics.extend(plan.sink.iter().map(|sink| Arc::clone(&sink.topic)));
            topics.extend(plan.sink.iter().filter_map(|sink| sink.failures.clone()));
            topics.insert(Arc::clone(&plan.dead_letters));
            topics.extend(plan.stages.iter().flat_map(|stage| stage.kind.facts().topics));
        }
        let mut followers = Vec::new();
        for topic in topics {
            followers.push(engine.log.follow(&topic, From::Latest).await.map_err(stream)?);
        }
        Ok(Viewer {
            engine,
            format,
            began,
            followers,
            next: 0,
            results: 0,
            letters: 0,
            published: 0,
        })
    }

    /// Shows what has come to the next topic in turn.
    async fn next(&mut self) -> Outcome {
        let slice = LOOK / u32::try_from(self.followers.len().max(1)).unwrap_or(1);
        let turn = self.next % self.followers.len().max(1);
        self.next += 1;
        let Some(follower) = self.followers.get_mut(turn) else {
            sleep(LOOK).await;
            return Ok(());
        };
        let records = follower.next(slice).await.map_err(stream)?;
        for record in records {
            let letter = header(&record.headers, "vivremotion.error.code").is_some();
            let result = header(&record.headers, "ce_type")
                .is_some_and(|kind| **kind == *b"vivremotion.result");
            if letter {
                self.letters += 1;
                if self.letters == 1 {
                    print::note(show::dead_letter(&record));
                }
                continue;
            }
            if result && self.results == 0 {
                print::note(format!(
                    "first result after {:.1} s",
                    self.began.elapsed().as_secs_f64()
                ));
            }
            self.results += usize::from(result);
            self.published += usize::from(!result);
            if result || self.format == Format::Text {
                print::line(render(&self.engine.codecs, &record, self.format).await)?;
            }
        }
        Ok(())
    }

    /// Shows what has come everywhere: until nothing more came for a while. (What was committed is seen by readers of a
    /// cluster a moment later.)
    async fn drain(&mut self) -> Outcome {
        let quiet = Duration::from_millis(500);
        let mut last = Instant::now();
        while last.elapsed() < quiet {
            let before = (self.results, self.published, self.letters);
            self.next().await?;
            if (self.results, self.published, self.letters) != before {
                last = Instant::now();
            }
        }
        Ok(())
    }

    fn sum_up(&self, sent: usize) {
        print::note(format!(
            "{sent} events: {} results, {} published, {} dead letters, after {:.1} s",
            self.results,
            self.published,
            self.letters,
            self.began.elapsed().as_secs_f64()
        ));
    }
}
