//! Who looks on while modules run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jaxnet_tensor::{Aval, Tree, tree};

use super::Scope;

/// Takes note of each use of a module.
pub(crate) struct Observer {
    /// How many floating-point operations there were so far.
    pub flops: Arc<AtomicU64>,
    pub uses: Vec<Use>,
    depth: usize,
    /// How many rehearsals are going on, in which nothing is computed.
    rehearsals: usize,
}

impl Observer {
    /// With what counts operations.
    pub fn new(flops: Arc<AtomicU64>) -> Self {
        Observer { flops, uses: Vec::new(), depth: 0, rehearsals: 0 }
    }
}

/// A use of a module.
pub(crate) struct Use {
    pub place: usize,
    /// What it is called, if it has no place of its own or is the whole.
    pub name: Option<String>,
    pub depth: usize,
    pub outputs: Vec<Aval>,
    /// If they could be told apart from those around.
    pub flops: Option<u64>,
}

impl Scope<'_> {
    /// Runs a module, while an observer, if there is one, takes note.
    #[track_caller]
    pub(super) fn observed<T: Tree>(&mut self, place: usize, name: Option<&str>, f: impl FnOnce(&mut Self) -> T) -> T {
        // Plain functions have no name that says anything.
        let says = |observer: &&mut Observer| name != Some("function") || observer.depth == 0;
        let Some(observer) = self.run.observer.as_mut().filter(says) else { return f(self) };
        let before = observer.flops.load(Ordering::Relaxed);
        let (at, depth, name) = (observer.uses.len(), observer.depth, name.map(String::from));
        observer.uses.push(Use { place, name, depth, outputs: Vec::new(), flops: None });
        observer.depth += 1;
        let y = f(self);
        let outputs = tree::flatten(&y).0.iter().map(|leaf| leaf.aval().clone()).collect();
        let observer = self.run.observer.as_mut().expect("it stays");
        observer.depth = depth;
        let flops = observer.flops.load(Ordering::Relaxed) - before;
        let seen = &mut observer.uses[at];
        seen.outputs = outputs;
        seen.flops = (observer.rehearsals == 0).then_some(flops);
        y
    }

    /// Whether what comes is a rehearsal.
    pub(super) fn rehearse_observed(&mut self, starts: bool) {
        if let Some(observer) = &mut self.run.observer {
            observer.rehearsals = if starts { observer.rehearsals + 1 } else { observer.rehearsals - 1 };
        }
    }
}
