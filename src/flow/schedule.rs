//! Which stage may start, as a function of which have ended. Pure: no clock, no I/O; the run door feeds it.
//!
//! A stage is ready when every stage it needs or wants has settled. It runs if all it needs are done, else it is
//! skipped. After [`Schedule::halt`] nothing new starts.

/// The edges of a plan, computed once.
#[derive(Debug, Clone)]
pub struct Graph {
    needs: Vec<Vec<usize>>,
    inputs: Vec<usize>,
    dependents: Vec<Vec<usize>>,
}

impl Graph {
    /// From the needs and wants of each stage, by index. Indexes outside are a defect of the plan.
    pub fn new(edges: impl IntoIterator<Item = (Vec<usize>, Vec<usize>)>) -> Self {
        let edges: Vec<_> = edges.into_iter().collect();
        let mut dependents = vec![Vec::new(); edges.len()];
        for (stage, (needs, wants)) in edges.iter().enumerate() {
            for input in needs.iter().chain(wants) {
                dependents[*input].push(stage);
            }
        }
        let inputs = edges.iter().map(|(needs, wants)| needs.len() + wants.len()).collect();
        Graph { needs: edges.into_iter().map(|(needs, _)| needs).collect(), inputs, dependents }
    }

    /// Number of stages.
    pub fn len(&self) -> usize {
        self.needs.len()
    }

    /// Whether there is no stage.
    pub fn is_empty(&self) -> bool {
        self.needs.is_empty()
    }
}

/// How a stage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It has a value (its own, or one that stood in).
    Done,
    /// It did not run.
    Skipped,
    /// It failed, and that does not fail the event.
    Failed,
}

/// What to do with a stage that became ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Evaluate its `when`, run it, then [`Schedule::settle`] it.
    Run(usize),
    /// It is settled already: something it needs is not there.
    Skip {
        /// The stage.
        stage: usize,
        /// The stage it needed.
        because: usize,
    },
}

/// One event's walk through a graph.
#[derive(Debug)]
pub struct Schedule<'g> {
    graph: &'g Graph,
    waiting: Vec<usize>,
    ends: Vec<Option<End>>,
    running: usize,
    halted: bool,
}

impl<'g> Schedule<'g> {
    /// At the start, with the steps of the stages that need nothing.
    pub fn start(graph: &'g Graph) -> (Self, Vec<Step>) {
        let mut schedule = Schedule {
            graph,
            waiting: graph.inputs.clone(),
            ends: vec![None; graph.len()],
            running: 0,
            halted: false,
        };
        let roots = (0..graph.len()).filter(|stage| graph.inputs[*stage] == 0);
        let mut steps = Vec::new();
        for stage in roots {
            schedule.ready(stage, &mut steps);
        }
        (schedule, steps)
    }

    /// A running stage ended: the steps that this makes possible.
    pub fn settle(&mut self, stage: usize, end: End) -> Vec<Step> {
        debug_assert!(self.ends[stage].is_none() && self.running > 0);
        self.running -= 1;
        let mut steps = Vec::new();
        self.ended(stage, end, &mut steps);
        steps
    }

    /// The event failed: nothing new starts.
    pub fn halt(&mut self) {
        self.halted = true;
    }

    /// Stages that run now.
    pub fn running(&self) -> usize {
        self.running
    }

    /// How a stage ended, if it did.
    pub fn end(&self, stage: usize) -> Option<End> {
        self.ends[stage]
    }

    fn ended(&mut self, stage: usize, end: End, steps: &mut Vec<Step>) {
        self.ends[stage] = Some(end);
        for dependent in &self.graph.dependents[stage] {
            self.waiting[*dependent] -= 1;
            if self.waiting[*dependent] == 0 {
                self.ready(*dependent, steps);
            }
        }
    }

    fn ready(&mut self, stage: usize, steps: &mut Vec<Step>) {
        let missing =
            self.graph.needs[stage].iter().find(|need| self.ends[**need] != Some(End::Done));
        match missing {
            _ if self.halted => {}
            Some(&because) => {
                steps.push(Step::Skip { stage, because });
                self.ended(stage, End::Skipped, steps);
            }
            None => {
                self.running += 1;
                steps.push(Step::Run(stage));
            }
        }
    }
}

#[cfg(test)]
mod tests;
