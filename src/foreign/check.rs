//! Checks of a foreign kernel on a device: results against the truth, guards, repeatability, workgroup memory, limits.

use super::case::{Files, Loaded, Problem};
use super::compare::{Expected, OutputReport, compare};
use super::expr::Names;
use super::fill::Draw;
use super::interface::{Access, Variable};
use super::manifest::{Case, Grid, Manifest, Tolerance, Truth};
use super::poison;
use crate::gpu::program::{Bound, Memory, Program, ProgramText, Slot};
use crate::gpu::{Adapter, Device};
use crate::kernels::reflect::Shader;
use crate::kernels::shader::Assembled;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A kernel file with its shaders, on a device.
pub struct Workbench {
    /// The kernel file.
    pub manifest: Manifest,
    /// The kernel and its candidates.
    pub loaded: Vec<Loaded>,
    pub(super) truth: Option<Loaded>,
    pub(super) device: Arc<Device>,
    default_limits: Option<Arc<Device>>,
    timeout: Duration,
    pub(super) files: Files,
    /// What is wrong with a build with some constants, once it was checked.
    pub(super) verdicts: BTreeMap<(usize, String), Option<String>>,
    /// Truths that were computed, by case, seed, draw and the values of sizes and constants.
    pub(super) known: BTreeMap<(String, u64, bool, String), BTreeMap<String, Expected>>,
}

/// One case of one build.
#[derive(Clone, Debug, serde::Serialize)]
pub struct CaseReport {
    /// The build.
    pub build: String,
    /// The case.
    pub case: String,
    /// Workgroups.
    pub grid: [u32; 3],
    /// The outputs on the contents as written.
    pub outputs: Vec<OutputReport>,
    /// What is wrong.
    pub failures: Vec<String>,
    /// What else was seen.
    pub notes: Vec<String>,
    /// Seconds.
    pub seconds: f64,
}

impl CaseReport {
    /// True if nothing is wrong.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

/// What to check.
#[derive(Clone, Copy, Debug)]
pub struct Checks {
    /// Seed of the random contents.
    pub seed: u64,
    /// Run without naga's checks as well, once all others have passed.
    pub unclamped: bool,
    /// The result alone, once.
    pub brief: bool,
}

/// A compiled build for a case, with its buffers on the device.
pub struct Prepared {
    program: Program,
    bound: Bound,
    problem: Problem,
    memories: Vec<Memory>,
}

impl Prepared {
    /// Workgroups of the launch.
    pub fn grid(&self) -> [u32; 3] {
        self.problem.grid
    }

    /// Runs the launch `times` times in one pass.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub fn run(&self, times: u32, timeout: Duration) -> Result<crate::exec::Timed> {
        self.program.run(&self.bound, times, timeout)
    }

    fn read(&self) -> Result<Vec<Vec<u8>>> {
        let read = |(at, memory): (usize, &Memory)| match self.problem.interface.variables[at].access {
            Access::ReadWrite => memory.read(),
            _ => Ok(Vec::new()),
        };
        self.memories.iter().enumerate().map(read).collect()
    }
}

impl Workbench {
    /// Reads the shaders of `manifest` and opens the adapter.
    ///
    /// # Errors
    /// What is wrong with a shader; an adapter that cannot be opened.
    pub fn open(manifest: Manifest, adapter: &Adapter, timeout: Duration) -> Result<Workbench> {
        let loaded = manifest.builds.iter().map(|build| Loaded::read(&manifest, build)).collect::<Result<Vec<_>>>()?;
        let truth = match &manifest.truth {
            Truth::Shader(build) => Some(Loaded::read(&manifest, build)?),
            _ => None,
        };
        let half = loaded.iter().chain(&truth).any(|l| super::interface::uses_half(&l.shader));
        let device = Device::open_foreign(adapter, false, half)?;
        let default_limits = Device::open_foreign(adapter, true, half).ok();
        Ok(Workbench {
            manifest,
            loaded,
            truth,
            device,
            default_limits,
            timeout,
            files: Files::new(),
            known: BTreeMap::new(),
            verdicts: BTreeMap::new(),
        })
    }

    /// The longest time of a launch.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Build `at` in `case`.
    ///
    /// # Errors
    /// As [`Problem::new`]; a grid that the device does not allow.
    pub fn problem(&self, at: usize, case: &Case, constants: &Names) -> Result<Problem> {
        self.fitting(&self.loaded[at], case, constants)
    }

    pub(super) fn fitting(&self, loaded: &Loaded, case: &Case, constants: &Names) -> Result<Problem> {
        let problem = Problem::new(&self.manifest, loaded, case, constants)?;
        let ([x, y, z], most, bytes) = self.device.workgroup_limits();
        let threads = problem.interface.workgroup;
        let fits = threads.iter().zip([x, y, z]).all(|(have, most)| *have <= most);
        if !fits || threads.iter().map(|t| u64::from(*t)).product::<u64>() > u64::from(most) {
            let [a, b, c] = threads;
            let what =
                format!("a workgroup of {a} x {b} x {c} threads; this device allows {x} x {y} x {z}, {most} in all");
            return Err(Error::input(format!("{}: {what}\nin case `{}`", loaded.wgsl.name(), case.name)));
        }
        let groups = self.device.max_groups();
        if let Some(variable) = problem.interface.variables.iter().find(|v| v.group >= groups) {
            let (name, group) = (&variable.name, variable.group);
            let what = format!("`{name}` is in bind group {group}; this device has groups 0 to {}", groups - 1);
            return Err(Error::input(format!("{}: {what}", loaded.wgsl.name())));
        }
        let own = problem.interface.workgroup_bytes;
        if own > bytes {
            let what = format!("{own} bytes of workgroup memory; this device allows {bytes}");
            return Err(Error::input(format!("{}: {what}\nin case `{}`", loaded.wgsl.name(), case.name)));
        }
        let limit = self.device.max_workgroups();
        if problem.grid.iter().all(|groups| *groups <= limit) {
            return Ok(problem);
        }
        let key = match &loaded.build.grid {
            Grid::Workgroups(_) => "workgroups",
            Grid::Threads(_) => "threads",
        };
        let [x, y, z] = problem.grid;
        let what = format!("a grid of {x} x {y} x {z} workgroups; this device allows {limit} along each axis");
        Err(self.manifest.fail_in(&loaded.build, &[key], what).and(&format!("in case `{}`", case.name)))
    }

    /// The outputs of a problem: written variables that are compared.
    pub(super) fn outputs(&self, problem: &Problem) -> Vec<usize> {
        let compared = |at: &usize| {
            let variable = &problem.interface.variables[*at];
            let scratch = self.manifest.bindings.get(&variable.name).is_some_and(|b| b.scratch);
            variable.access == Access::ReadWrite && !scratch
        };
        (0..problem.interface.variables.len()).filter(compared).collect()
    }

    /// Compiles `loaded` for a problem with these contents.
    ///
    /// # Errors
    /// As [`Program::new`] and [`Memory::new`].
    fn prepare(
        &self,
        device: &Arc<Device>,
        (wgsl, entry): (&Assembled, &str),
        problem: &Problem,
        contents: &[Vec<u8>],
        checked: bool,
    ) -> Result<Prepared> {
        let slots: Vec<Slot> = problem.interface.variables.iter().map(Variable::slot).collect();
        let text = ProgramText { wgsl, entry, constants: &problem.keys, checked };
        let program = Program::new(device, text, &slots)?;
        let names = problem.interface.variables.iter().map(|v| v.name.as_str());
        let memories =
            names.zip(contents).map(|(name, bytes)| Memory::new(device, name, bytes)).collect::<Result<Vec<_>>>()?;
        let seen: Vec<(&Memory, u64)> =
            memories.iter().enumerate().map(|(at, memory)| (memory, problem.bound(at))).collect();
        let bound = program.bind(&seen, problem.grid)?;
        Ok(Prepared { program, bound, problem: problem.clone(), memories })
    }

    /// Compiles a problem, runs it once and reads what it wrote; empty for variables that it only reads.
    pub(super) fn once(
        &self,
        device: &Arc<Device>,
        text: (&Assembled, &str),
        problem: &Problem,
        contents: &[Vec<u8>],
        checked: bool,
    ) -> Result<Vec<Vec<u8>>> {
        let prepared = self.prepare(device, text, problem, contents, checked)?;
        prepared.run(1, self.timeout)?;
        prepared.read()
    }

    /// Compiles build `at` for timing, with the contents that `seed` gives on the device.
    ///
    /// # Errors
    /// As [`Problem::new`], [`Program::new`] and [`Memory::new`].
    pub fn prepared(
        &mut self,
        at: usize,
        case: &Case,
        constants: &Names,
        seed: u64,
        checked: bool,
    ) -> Result<Prepared> {
        let problem = self.problem(at, case, constants)?;
        let contents =
            problem.contents(&self.manifest, &self.loaded[at].build, case, (seed, Draw::AsWritten), &mut self.files)?;
        let loaded = &self.loaded[at];
        self.prepare(&self.device, (&loaded.wgsl, &loaded.entry), &problem, &contents, checked)
    }

    /// Checks build `at` on `case`. What is wrong with the kernel is in the report.
    ///
    /// # Errors
    /// What is wrong with the kernel file or the device; a launch that does not end.
    pub fn check(&mut self, at: usize, case: &Case, constants: &Names, checks: Checks) -> Result<CaseReport> {
        let start = Instant::now();
        let problem = self.problem(at, case, constants)?;
        let mut report = CaseReport {
            build: self.loaded[at].build.name.clone(),
            case: case.name.clone(),
            grid: problem.grid,
            outputs: Vec::new(),
            failures: Vec::new(),
            notes: Vec::new(),
            seconds: 0.0,
        };
        self.declared(&problem)?;
        let draws: &[Draw] = match !checks.brief && self.exact_on_integers(at, case, &problem)? {
            true => &[Draw::Integers, Draw::AsWritten],
            false => &[Draw::AsWritten],
        };
        for draw in draws {
            self.one_draw(at, case, &problem, checks, *draw, &mut report)?;
            if !report.passed() {
                break;
            }
        }
        report.seconds = start.elapsed().as_secs_f64();
        Ok(report)
    }

    /// The tolerance that the file gives for output `at`: its binding's, or for floats that of the file.
    pub(super) fn given(&self, problem: &Problem, at: usize) -> Option<Tolerance> {
        let own = self.manifest.bindings.get(&problem.interface.variables[at].name).and_then(|b| b.tolerance.clone());
        let float = problem.leaves(at).iter().any(|(_, scalar)| scalar.is_float());
        own.or_else(|| self.manifest.tolerance.clone().filter(|_| float))
    }

    pub(super) fn tolerance(&self, problem: &Problem, at: usize) -> Result<Tolerance> {
        Ok(self.given(problem, at).unwrap_or(Tolerance::Exact))
    }

    pub(super) fn terms(&self, problem: &Problem, at: usize, terms: &super::expr::Expr) -> Result<u64> {
        let name = problem.interface.variables[at].name.as_str();
        terms
            .whole(&problem.names, 1, 1 << 40)
            .map_err(|what| self.manifest.fail(&["bindings", name, "tolerance"], what))
    }

    fn one_draw(
        &mut self,
        at: usize,
        case: &Case,
        problem: &Problem,
        checks: Checks,
        draw: Draw,
        report: &mut CaseReport,
    ) -> Result<()> {
        let build = &self.loaded[at].build;
        let contents = problem.contents(&self.manifest, build, case, (checks.seed, draw), &mut self.files)?;
        let expected = self.expected(problem, case, checks.seed, draw)?;
        // A factor in the shader that is not whole, such as a ninth, makes sums of whole numbers inexact: the other draw decides.
        if draw == Draw::Integers && expected.values().flat_map(|e| &e.values).any(|v| v.fract() != 0.0) {
            return Ok(());
        }
        let loaded = &self.loaded[at];
        let run = |device, wgsl, checked| self.once(device, (wgsl, &loaded.entry), problem, &contents, checked);
        let after = run(&self.device, &loaded.wgsl, true)?;
        let kind = if draw == Draw::Integers { " (whole numbers as inputs)" } else { "" };
        let mut fail = |what: String| report.failures.push(format!("{what}{kind}"));
        for name in self.missing(problem, case)? {
            fail(format!("does not write `{name}`"));
        }
        for (at, bytes) in after.iter().enumerate().filter(|(_, bytes)| !bytes.is_empty()) {
            if let Some(byte) = problem.guard_damage(at, bytes) {
                let name = &problem.interface.variables[at].name;
                fail(format!("writes behind the end of `{name}`: byte {byte} from there has changed"));
            }
        }
        let outputs = self.outputs(problem);
        let mut compared = Vec::new();
        for at in &outputs {
            let name = &problem.interface.variables[*at].name;
            let truth = expected.get(name).ok_or_else(|| {
                let what = format!(
                    "the truth does not give `{name}`, which the kernel writes: `scratch = true` leaves it out"
                );
                self.manifest.fail(&["bindings", name], what)
            })?;
            let found = problem.values(*at, &after[*at]);
            let output = compare(name, &found, truth, |i| problem.element(&self.manifest, *at, i));
            let unwritten = self.unwritten(problem, case, *at, (&contents[*at], &after[*at]));
            match (output.failure(), &unwritten) {
                (Some(what), None) => fail(what),
                (Some(what), Some(unwritten)) => fail(format!("{what}; {unwritten}")),
                (None, Some(unwritten)) => fail(unwritten.clone()),
                (None, None) => {}
            }
            compared.push(output);
        }
        report.outputs = compared;
        if checks.brief || !report.failures.is_empty() {
            return Ok(());
        }
        if !self.manifest.repeatable {
            report.notes.push("`repeatable = false`: later runs were not compared with the first".into());
            return Ok(());
        }
        let differs = |other: &[Vec<u8>]| {
            outputs.iter().find_map(|at| {
                let (a, b) = (problem.values(*at, &after[*at]), problem.values(*at, &other[*at]));
                let i = a.iter().zip(&b).position(|(a, b)| a.to_bits() != b.to_bits())?;
                Some(format!("{} is {} and was {}", problem.element(&self.manifest, *at, i), b[i], a[i]))
            })
        };
        if let Some(what) = differs(&run(&self.device, &loaded.wgsl, true)?) {
            report.failures.push(format!("a second run gives other bits: {what}: a race between invocations"));
        }
        if problem.interface.workgroup_bytes > 0 {
            let filled = poison::fill_workgroup(&loaded.shader, &loaded.wgsl, &loaded.entry, &problem.constants);
            match filled {
                Ok(wgsl) => {
                    if let Some(what) =
                        differs(&self.once(&self.device, (&wgsl, &loaded.entry), problem, &contents, true)?)
                    {
                        let what = format!("reads workgroup memory that it has not written: with NaN in it, {what}");
                        report.failures.push(what);
                    }
                }
                Err(why) => report.notes.push(format!("workgroup memory was not filled with NaN: {why}")),
            }
        }
        match &self.default_limits {
            None => report.notes.push("not run with WebGPU's default limits: the adapter does not offer them".into()),
            Some(device) => match run(device, &loaded.wgsl, true) {
                Ok(other) => {
                    if let Some(what) = differs(&other) {
                        report.failures.push(format!("with WebGPU's default limits {what}"));
                    }
                }
                Err(Error::Verdict(what)) => return Err(Error::Verdict(what)),
                Err(why) => report.notes.push(format!("needs more than WebGPU's default limits: {why}")),
            },
        }
        if checks.unclamped
            && report.failures.is_empty()
            && let Some(what) = self.unclamped(problem, &run(&self.device, &loaded.wgsl, false)?, &differs)
        {
            report.failures.push(format!("without run-time checks {what}: an index outside its array"));
        }
        Ok(())
    }

    /// The numbers of an output without a fill that a launch has not written, if there are any.
    pub(super) fn unwritten(
        &self,
        problem: &Problem,
        case: &Case,
        at: usize,
        (before, after): (&[u8], &[u8]),
    ) -> Option<String> {
        let name = &problem.interface.variables[at].name;
        let filled =
            self.manifest.bindings.get(name).is_some_and(|b| b.fill.is_some()) || case.fills.contains_key(name);
        // The reference of a catalogue kernel says itself which numbers are written.
        let filled = filled || matches!(self.manifest.truth, Truth::Kernel { .. });
        let leaves = problem.leaves(at);
        let same = |i: &usize| {
            let (offset, scalar) = leaves[*i];
            let range = offset..offset + scalar.bytes();
            before[range.clone()] == after[range]
        };
        let first = (0..leaves.len()).find(same).filter(|_| !filled)?;
        let count = (0..leaves.len()).filter(same).count();
        let first = problem.element(&self.manifest, at, first);
        Some(format!(
            "{count} of {} numbers were not written, the first is {first} (if that is right, `{name}` needs a `fill`)",
            leaves.len()
        ))
    }

    /// The values of build `at`'s `override` constants in `case`.
    ///
    /// # Errors
    /// A constant without a value.
    pub fn constants(&self, at: usize, case: &Case) -> Result<Vec<(String, f64)>> {
        self.problem(at, case, &Names::new()).map(|problem| problem.constants)
    }

    /// The resolved module of build `at` for the writers of all backends.
    ///
    /// # Errors
    /// A constant without a value.
    pub fn resolved(&self, at: usize, case: &Case, constants: &Names) -> Result<Shader> {
        let problem = self.problem(at, case, constants)?;
        let loaded = &self.loaded[at];
        loaded.shader.resolved(&loaded.entry, &problem.constants).map_err(Error::input)
    }

    /// Replaces build `at` by other texts.
    ///
    /// # Errors
    /// What is wrong with the texts.
    pub fn replace(&mut self, at: usize, sources: &[crate::kernels::shader::Source]) -> Result<()> {
        let build = self.loaded[at].build.clone();
        self.loaded[at] = Loaded::of(&self.manifest, &build, sources)?;
        self.verdicts.clear();
        Ok(())
    }

    /// The kernel file's path.
    pub fn path(&self) -> &Path {
        self.manifest.path()
    }
}
