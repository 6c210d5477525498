//! The graph of a pipeline's stages, pure: order, cycles, and what a stage can see.

use std::collections::BTreeSet;

/// Edges by index, in the author's order of stages.
#[derive(Clone, Debug, Default)]
pub(super) struct Graph {
    /// For each stage, the stages that must be done.
    pub(super) needs: Vec<Vec<usize>>,
    /// For each stage, the stages that are waited for.
    pub(super) wants: Vec<Vec<usize>>,
}

impl Graph {
    fn inputs(&self, stage: usize) -> impl Iterator<Item = usize> + '_ {
        let of = |edges: &'_ [Vec<usize>]| edges.get(stage).cloned().unwrap_or_default();
        of(&self.needs).into_iter().chain(of(&self.wants))
    }

    /// Every stage after its inputs, ties in the author's order; what stands in a cycle comes last and is named.
    pub(super) fn order(&self) -> (Vec<usize>, Vec<Vec<usize>>) {
        let count = self.needs.len();
        let mut done = vec![false; count];
        let mut order = Vec::with_capacity(count);
        let is_done = |done: &[bool], stage: usize| done.get(stage).copied().unwrap_or(true);
        loop {
            let ready = (0..count).find(|stage| {
                !is_done(&done, *stage) && self.inputs(*stage).all(|input| is_done(&done, input))
            });
            let Some(stage) = ready else { break };
            if let Some(flag) = done.get_mut(stage) {
                *flag = true;
            }
            order.push(stage);
        }
        let rest: Vec<usize> = (0..count).filter(|stage| !is_done(&done, *stage)).collect();
        let cycles = self.cycles(&rest);
        order.extend(rest);
        (order, cycles)
    }

    /// One cycle for each group of stages that wait for each other.
    fn cycles(&self, stuck: &[usize]) -> Vec<Vec<usize>> {
        let mut seen = BTreeSet::new();
        let mut cycles = Vec::new();
        for start in stuck {
            let mut path = vec![*start];
            while let Some(here) = path.last().copied() {
                // Of what is stuck, every stage has an input that is stuck: the walk must come back to itself.
                let Some(next) = self.inputs(here).find(|input| stuck.contains(input)) else {
                    break;
                };
                if let Some(from) = path.iter().position(|stage| *stage == next) {
                    let cycle = path.split_off(from);
                    if cycle.iter().all(|stage| !seen.contains(stage)) {
                        seen.extend(cycle.iter().copied());
                        cycles.push(cycle);
                    }
                    break;
                }
                path.push(next);
            }
        }
        cycles
    }

    /// For each stage, the stages that are certainly settled when it starts: what it needs, with all that those could
    /// see, and what it wants, alone, for a wanted stage may be skipped while its own inputs still run.
    pub(super) fn visible(&self, order: &[usize]) -> Vec<BTreeSet<usize>> {
        let mut visible = vec![BTreeSet::new(); self.needs.len()];
        for stage in order {
            let mut seen: BTreeSet<usize> = self.inputs(*stage).collect();
            for need in self.needs.get(*stage).into_iter().flatten() {
                seen.extend(visible.get(*need).cloned().unwrap_or_default());
            }
            if let Some(entry) = visible.get_mut(*stage) {
                *entry = seen;
            }
        }
        visible
    }

    /// The stages that need or want a stage: (dependent, needs it).
    pub(super) fn dependents(&self, stage: usize) -> Vec<(usize, bool)> {
        let of = |edges: &[Vec<usize>], needs: bool| -> Vec<(usize, bool)> {
            let found = edges.iter().enumerate().filter(|(_, inputs)| inputs.contains(&stage));
            found.map(|(dependent, _)| (dependent, needs)).collect()
        };
        let mut all = of(&self.needs, true);
        all.extend(of(&self.wants, false));
        all
    }

    /// Every stage that is skipped when this one is, itself included.
    pub(super) fn skipped_with(&self, stage: usize) -> BTreeSet<usize> {
        let mut skipped = BTreeSet::from([stage]);
        let mut open = vec![stage];
        while let Some(here) = open.pop() {
            for (dependent, needs) in self.dependents(here) {
                if needs && skipped.insert(dependent) {
                    open.push(dependent);
                }
            }
        }
        skipped
    }
}

#[cfg(test)]
mod tests;
