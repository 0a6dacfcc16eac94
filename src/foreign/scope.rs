//! Which variables a kernel file must name, what a kernel must write, and when whole numbers make its results exact.

use super::case::{Loaded, Problem};
use super::check::Workbench;
use super::expr::Names;
use super::fill::Draw;
use super::interface::{Access, Scalar};
use super::manifest::{Case, Fill, Tolerance, Truth};
use crate::{Error, Result};

/// Products of integers from -3 to 3 whose sum is exact in 32 bits.
const MOST_EXACT: u64 = (1 << 24) / 9;

impl Workbench {
    /// The variables that the truth or the kernel itself writes and that this build does not.
    pub(super) fn missing(&self, problem: &Problem, case: &Case) -> Result<Vec<String>> {
        let own: Vec<&str> =
            self.outputs(problem).iter().map(|at| problem.interface.variables[*at].name.as_str()).collect();
        let written = |other: &Problem| -> Vec<String> {
            self.outputs(other).iter().map(|at| other.interface.variables[*at].name.clone()).collect()
        };
        let mut wanted = written(&self.fitting(&self.loaded[0], case, &Names::new())?);
        match (&self.manifest.truth, &self.truth) {
            (Truth::Shader(_), Some(truth)) => wanted.extend(written(&self.fitting(truth, case, &Names::new())?)),
            (Truth::File(path), _) => {
                let file = self.files.get(&self.manifest.file(path, &case.name));
                let unfilled = self
                    .manifest
                    .bindings
                    .iter()
                    .filter(|(name, b)| b.fill.is_none() && !b.scratch && !case.fills.contains_key(*name));
                wanted.extend(
                    unfilled
                        .map(|(name, _)| name.clone())
                        .filter(|name| file.is_some_and(|file| file.tensors.contains_key(name))),
                );
            }
            _ => {}
        }
        wanted.retain(|name| !own.contains(&name.as_str()));
        wanted.sort();
        wanted.dedup();
        Ok(wanted)
    }

    /// Whether all outputs are sums of products of inputs, with random inputs that whole numbers can replace, so that the results are exact.
    pub(super) fn exact_on_integers(&mut self, at: usize, case: &Case, problem: &Problem) -> Result<bool> {
        if self.truth.is_none() {
            return Ok(false);
        }
        let mut sums = false;
        for at in self.outputs(problem) {
            match self.tolerance(problem, at)? {
                Tolerance::Sum(terms) => {
                    let half = problem.leaves(at).first().is_some_and(|(_, s)| *s == Scalar::F16);
                    if half || self.terms(problem, at, &terms)? > MOST_EXACT {
                        return Ok(false);
                    }
                    sums = true;
                }
                Tolerance::Exact => {}
                Tolerance::Near { .. } => return Ok(false),
            }
        }
        let build = self.loaded[at].build.clone();
        let contents = problem.contents(&self.manifest, &build, case, (0, Draw::Integers), &mut self.files)?;
        for (at, variable) in problem.interface.variables.iter().enumerate() {
            let name = &variable.name;
            let fill = case.fills.get(name).or(self.manifest.bindings.get(name).and_then(|b| b.fill.as_ref()));
            // The range of a uniform fill may be what the kernel relies on.
            let ranged = fill.is_some_and(Fill::is_ranged);
            let empty = variable.access == Access::ReadWrite && fill.is_none();
            let whole = || problem.values(at, &contents[at]).iter().all(|v| v.fract() == 0.0);
            if ranged || !empty && !whole() {
                return Ok(false);
            }
        }
        Ok(sums)
    }

    /// Refuses variables of the file that no shader has, and outputs without a tolerance.
    pub(super) fn declared(&self, problem: &Problem) -> Result<()> {
        let manifest = &self.manifest;
        let truth_names = |name: &String| {
            let own = |loaded: &Loaded| {
                loaded.shader.module().global_variables.iter().any(|(_, g)| g.name.as_ref() == Some(name))
            };
            self.loaded.iter().chain(&self.truth).any(own)
        };
        let unknown = |name: &String| {
            let known: Vec<&str> = problem.interface.variables.iter().map(|v| v.name.as_str()).collect();
            let what = || format!("the entry point uses no variable `{name}`; there are: {}", known.join(", "));
            (problem.find(name).is_none() && !truth_names(name)).then(what)
        };
        for name in manifest.bindings.keys() {
            if let Some(what) = unknown(name) {
                return Err(manifest.fail(&["bindings", name], what));
            }
        }
        for loaded in self.loaded.iter().chain(&self.truth) {
            for name in loaded.build.values.keys() {
                if let Some(what) = unknown(name) {
                    return Err(manifest.fail_in(&loaded.build, &["values", name], what));
                }
            }
        }
        let outputs = self.outputs(problem);
        if outputs.is_empty() {
            return Err(Error::file(manifest.path(), "the kernel writes no variable that could be compared"));
        }
        for at in outputs {
            let name = problem.interface.variables[at].name.as_str();
            let float = problem.leaves(at).first().is_some_and(|(_, scalar)| scalar.is_float());
            if self.given(problem, at).is_none() && float && !matches!(manifest.truth, Truth::Kernel { .. }) {
                let what = "no tolerance for an output of floats: expected \"exact\", { abs = A, rel = R }, { ulp = N } or \
                            { sum = K } here or for the whole file";
                return Err(manifest.fail(&["bindings", name, "tolerance"], what));
            }
        }
        Ok(())
    }

    /// What a run without run-time checks did wrong, if anything.
    pub(super) fn unclamped(
        &self,
        problem: &Problem,
        after: &[Vec<u8>],
        differs: &dyn Fn(&[Vec<u8>]) -> Option<String>,
    ) -> Option<String> {
        let damaged = after.iter().enumerate().filter(|(_, bytes)| !bytes.is_empty());
        let mut damaged = damaged.filter(|(at, bytes)| problem.guard_damage(*at, bytes).is_some());
        let behind = damaged
            .next()
            .map(|(at, _)| format!("it writes behind the end of `{}`", problem.interface.variables[at].name));
        differs(after).or(behind)
    }
}
