//! The truth of a kernel's outputs: tensors of a file, another shader, or a kernel of the catalogue.

use super::case::{Problem, magnitudes, tensor_values};
use super::check::Workbench;
use super::compare::{Expected, sum_bound, ulp};
use super::expr::{Expr, Names};
use super::fill::Draw;
use super::interface::{Access, Scalar};
use super::manifest::{Case, Tolerance, Truth};
use crate::check::params_by_name;
use crate::kernels::{Elem, Inputs, find};
use crate::{Error, Result};
use std::collections::BTreeMap;

impl Workbench {
    /// Whether there is a truth for `case`: a case that is only timed may have none in a file.
    pub fn has_truth(&self, case: &Case) -> bool {
        match &self.manifest.truth {
            Truth::File(path) => self.manifest.file(path, &case.name).exists(),
            _ => true,
        }
    }

    /// The truth of every output.
    pub(super) fn expected(
        &mut self,
        problem: &Problem,
        case: &Case,
        seed: u64,
        draw: Draw,
    ) -> Result<BTreeMap<String, Expected>> {
        let key = (case.name.clone(), seed, draw == Draw::Integers, format!("{:?}", problem.names));
        if let Some(known) = self.known.get(&key) {
            let fits = |at: &usize| {
                let name = &problem.interface.variables[*at].name;
                known.get(name).is_some_and(|e| e.values.len() == problem.leaves(*at).len())
            };
            if self.outputs(problem).iter().all(fits) {
                return Ok(known.clone());
            }
        }
        let values = match self.manifest.truth.clone() {
            Truth::File(path) => self.of_file(problem, case, &path)?,
            Truth::Shader(_) => self.of_shader(problem, case, seed, draw)?,
            Truth::Kernel { name, params, bindings } => {
                self.of_kernel(problem, case, seed, &name, &params, &bindings)?
            }
        };
        self.known.insert(key, values.clone());
        Ok(values)
    }

    /// Bounds by the tolerance of output `at`; `magnitude` are the sums of the terms' magnitudes, if they are known.
    fn bounds(
        &self,
        problem: &Problem,
        at: usize,
        values: &[f64],
        magnitude: Option<(&[f64], f64)>,
    ) -> Result<Vec<f64>> {
        let leaves = problem.leaves(at);
        let scalar = |i: usize| leaves[i].1;
        Ok(match self.tolerance(problem, at)? {
            Tolerance::Exact => vec![0.0; values.len()],
            Tolerance::Near { abs, rel, ulp: steps } => {
                let allowed = |(i, v): (usize, &f64)| {
                    let last = if steps > 0.0 && scalar(i).is_float() { steps * ulp(scalar(i), *v) } else { 0.0 };
                    abs + rel * v.abs() + last
                };
                values.iter().enumerate().map(allowed).collect()
            }
            Tolerance::Sum(terms) => {
                let terms = self.terms(problem, at, &terms)?;
                let name = problem.interface.variables[at].name.as_str();
                let (magnitude, sides) = magnitude.ok_or_else(|| {
                    let what = "a kernel of the catalogue has bounds of its own: leave it out, or give abs, rel or ulp";
                    self.manifest.fail(&["bindings", name, "tolerance"], what)
                })?;
                // Sums of products of inputs grow when the inputs lose their signs.
                let shrinks = |(m, v): (&f64, &f64)| m.abs() < v.abs() * 0.999;
                if magnitude.iter().zip(values).any(shrinks) {
                    let what = "`sum` needs a truth that only adds products of inputs; this one subtracts, or uses other functions: \
                                expected abs, rel or ulp";
                    return Err(self.manifest.fail(&["bindings", name, "tolerance"], what));
                }
                magnitude.iter().enumerate().map(|(i, m)| sum_bound(scalar(i), terms, m.abs(), sides)).collect()
            }
        })
    }

    fn of_file(&mut self, problem: &Problem, case: &Case, path: &str) -> Result<BTreeMap<String, Expected>> {
        let path = self.manifest.file(path, &case.name);
        let mut out = BTreeMap::new();
        for at in self.outputs(problem) {
            let name = problem.interface.variables[at].name.clone();
            let (count, shape) = (problem.leaves(at).len(), problem.shape(&self.manifest, &name)?);
            let values = tensor_values(&mut self.files, &path, &name, count, &shape)?;
            let magnitude = match self.tolerance(problem, at)? {
                Tolerance::Sum(_) => {
                    Some(tensor_values(&mut self.files, &path, &format!("{name}.magnitude"), count, &shape)?)
                }
                _ => None,
            };
            let bounds = self.bounds(problem, at, &values, magnitude.as_deref().map(|m| (m, 1.0)))?;
            out.insert(name, Expected { values, bounds });
        }
        Ok(out)
    }

    fn of_shader(
        &mut self,
        problem: &Problem,
        case: &Case,
        seed: u64,
        draw: Draw,
    ) -> Result<BTreeMap<String, Expected>> {
        let loaded = self.truth.as_ref().ok_or_else(|| Error::internal("a truth that was not read"))?;
        let truth = self.fitting(loaded, case, &Names::new())?;
        let contents = truth.contents(&self.manifest, &loaded.build, case, (seed, draw), &mut self.files)?;
        let run = |contents: &[Vec<u8>]| self.once(&self.device, (&loaded.wgsl, &loaded.entry), &truth, contents, true);
        let after = run(&contents)?;
        let needs = |at: &usize| Ok(matches!(self.tolerance(problem, *at)?, Tolerance::Sum(_)));
        let sums = self.outputs(problem).iter().map(needs).collect::<Result<Vec<bool>>>()?.contains(&true)
            && draw == Draw::AsWritten;
        let magnitudes = match sums {
            true => {
                let mut positive = contents.clone();
                (0..positive.len()).for_each(|at| magnitudes(&truth, at, &mut positive[at]));
                Some(run(&positive)?)
            }
            false => None,
        };
        let mut out = BTreeMap::new();
        for at in self.outputs(problem) {
            let name = problem.interface.variables[at].name.clone();
            let place = truth.find(&name).filter(|i| truth.interface.variables[*i].access == Access::ReadWrite);
            let Some(place) = place else {
                let what = format!("{} does not write `{name}`", loaded.wgsl.name());
                return Err(self.manifest.fail(&["truth", "shader"], what));
            };
            if let Some(what) = self.unwritten(&truth, case, place, (&contents[place], &after[place])) {
                return Err(self.manifest.fail(&["truth", "shader"], format!("{}: {what}", loaded.wgsl.name())));
            }
            let values = truth.values(place, &after[place]);
            let wanted = problem.leaves(at).len();
            if values.len() != wanted {
                let what =
                    format!("{}: `{name}` has {} numbers, the kernel's {wanted}", loaded.wgsl.name(), values.len());
                return Err(self.manifest.fail(&["truth", "shader"], what));
            }
            let bounds = match draw {
                Draw::Integers => vec![0.0; values.len()],
                Draw::AsWritten => {
                    let magnitude = magnitudes.as_ref().map(|all| truth.values(place, &all[place]));
                    self.bounds(problem, at, &values, magnitude.as_deref().map(|m| (m, 2.0)))?
                }
            };
            out.insert(name, Expected { values, bounds });
        }
        Ok(out)
    }

    fn of_kernel(
        &mut self,
        problem: &Problem,
        case: &Case,
        seed: u64,
        name: &str,
        params: &BTreeMap<String, Expr>,
        bindings: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, Expected>> {
        let kernel = find(name).ok_or_else(|| {
            self.manifest.fail(&["truth", "kernel"], format!("no kernel `{name}`; `fedgan kernels` lists them"))
        })?;
        if let Some(other) = bindings.keys().find(|key| kernel.bindings().iter().all(|b| b.name != key.as_str())) {
            let known: Vec<&str> = kernel.bindings().iter().map(|b| b.name).collect();
            let what = format!("`{name}` has no binding `{other}`; there are: {}", known.join(", "));
            return Err(self.manifest.fail(&["truth", "bindings", other], what));
        }
        let mut pairs = Vec::new();
        for (param, expr) in params {
            let value = expr.value(&problem.names);
            pairs.push((param.as_str(), value.map_err(|what| self.manifest.fail(&["truth", "params", param], what))?));
        }
        let at_params = |e: Error| self.manifest.fail(&["truth", "params"], e);
        let words = params_by_name(kernel, &pairs).map_err(at_params)?;
        let extents = kernel.extents(&words).map_err(|what| self.manifest.fail(&["truth", "params"], what))?;
        // The contents are those of the first build: all have the same variables.
        let build = self.loaded[0].build.clone();
        let contents = problem.contents(&self.manifest, &build, case, (seed, Draw::AsWritten), &mut self.files)?;
        let mut operands = Vec::new();
        for (binding, extent) in kernel.bindings().iter().zip(&extents) {
            let variable = bindings.get(binding.name).map_or(binding.name, String::as_str);
            let at = problem.find(variable).ok_or_else(|| {
                let known: Vec<&str> = problem.interface.variables.iter().map(|v| v.name.as_str()).collect();
                let what = format!(
                    "`{name}` needs `{}`, and there is no variable `{variable}`; there are: {}",
                    binding.name,
                    known.join(", ")
                );
                self.manifest.fail(&["truth", "bindings", binding.name], what)
            })?;
            let wanted = if binding.elem == Elem::F32 { Scalar::F32 } else { Scalar::U32 };
            if let Some((_, other)) = problem.leaves(at).iter().find(|(_, scalar)| *scalar != wanted) {
                let (has, is) = (wanted.name(), other.name());
                let what = format!("`{name}` has numbers of type {has} in `{}`, `{variable}` has {is}", binding.name);
                return Err(self.manifest.fail(&["truth", "bindings", binding.name], what));
            }
            let length = problem.bytes(at) / 4;
            if length != *extent {
                let what = format!("`{name}` has {extent} numbers in `{}`, `{variable}` has {length}", binding.name);
                return Err(self.manifest.fail(&["truth", "bindings", binding.name], what));
            }
            let (words, _) = contents[at][..4 * length].as_chunks::<4>();
            operands.push((at, words.iter().map(|w| u32::from_le_bytes(*w)).collect::<Vec<u32>>()));
        }
        let inputs = Inputs(operands.iter().map(|(_, words)| words.as_slice()).collect());
        let mut out = BTreeMap::new();
        for (slot, (at, _)) in operands.iter().enumerate() {
            if kernel.bindings()[slot].access != crate::kernels::Access::ReadWrite {
                continue;
            }
            let whole = kernel.whole(&words, &inputs, slot, extents[slot]);
            let old = problem.values(*at, &contents[*at]);
            let values: Vec<f64> =
                whole.iter().zip(&old).map(|(e, old)| e.as_ref().map_or(*old, |e| e.value)).collect();
            let variable = problem.interface.variables[*at].name.clone();
            let given = self.given(problem, *at).is_some();
            let bounds = match given {
                true => self.bounds(problem, *at, &values, None)?,
                false => whole.iter().map(|e| e.as_ref().map_or(0.0, |e| e.bound)).collect(),
            };
            out.insert(variable, Expected { values, bounds });
        }
        Ok(out)
    }
}
