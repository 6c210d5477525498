//! The weather of a seed: how the calls of producers turn out, and which of them are somebody's last.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use vivremotion::stream::memory::{Class, Luck, Meets, Step, Weather};

use super::draws::Draws;

/// What the world hears of it.
#[derive(Default)]
pub struct News {
    /// Instances that died in a call and are still to be buried.
    pub dead: Mutex<Vec<String>>,
    /// Somebody died.
    pub died: Notify,
    /// Fair weather from now on.
    pub calm: Mutex<bool>,
}

/// See the module.
pub struct Sky {
    pub draws: Draws,
    pub news: Arc<News>,
    /// A call in so many goes wrong.
    pub storm: u64,
    /// A call in so many that go wrong kills.
    pub deadly: u64,
    pub names: bool,
    pub together: u64,
    pub latency: Duration,
}

impl Sky {
    fn class(&mut self) -> Class {
        self.draws.pick(&[Class::Retriable, Class::Retriable, Class::Abortable, Class::Fatal])
    }

    fn luck(&mut self, step: Step) -> Luck {
        let late = self.draws.pick(&[5, 100, 500, 2_000, 9_000]);
        let late = self.draws.up_to(Duration::from_millis(late));
        match (step, self.draws.below(4)) {
            (Step::Commit | Step::Abort, 0) => Luck::Late(self.class(), late),
            (Step::Commit | Step::Abort, 1) => {
                // A slow end shows by its time alone.
                Luck::Twice(late, self.draws.one_in(2))
            }
            (Step::SendOffsets, 0) => Luck::Late(Class::Retriable, late),
            // Until the reports are in, the client knows nothing of what became of a record.
            (Step::Produce, _) => Luck::Lost(Class::Fatal),
            (Step::Await, 0 | 1) => Luck::Lost(Class::Fatal),
            (Step::Await, _) => Luck::Unanswered(Class::Fatal),
            (Step::Decide | Step::Init, _) => Luck::Lost(Class::Retriable),
            (Step::SendOffsets, 1) => Luck::Lost(Class::Abortable),
            (_, 2) => Luck::Unanswered(self.class()),
            _ => Luck::Lost(self.class()),
        }
    }
}

impl Weather for Sky {
    fn meets(&mut self, instance: &str, step: Step) -> Meets {
        let takes = self.draws.up_to(self.latency);
        if *self.news.calm.lock().unwrap() || !self.draws.one_in(self.storm) {
            return Meets { takes, luck: Luck::Passes };
        }
        if self.draws.one_in(self.deadly) {
            self.news.dead.lock().unwrap().push(instance.to_owned());
            self.news.died.notify_one();
            let luck = if self.draws.one_in(2) { Luck::Dies } else { Luck::DiesAfter };
            return Meets { takes, luck };
        }
        let luck = self.luck(step);
        // What is sent twice without trouble took as long as a request may; now and then anything does.
        let takes = match luck {
            Luck::Twice(_, false) => Duration::from_secs(9),
            _ if self.draws.one_in(20) => Duration::from_secs(self.draws.pick(&[3, 9, 20])),
            _ => takes,
        };
        Meets { takes, luck }
    }

    fn names_the_bad(&mut self) -> bool {
        self.names
    }

    fn together(&mut self) -> usize {
        1 + self.draws.below(self.together) as usize
    }
}
