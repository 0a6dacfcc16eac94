//! `fedgan bench NAME.kernel.toml --watch`: at every save of a file the kernel is validated, then timed against its last good version.

use super::compiler::Compiler;
use super::rows::rows_text;
use crate::cli::bench::device::Subject;
use crate::cli::bench::{BenchArgs, Desk};
use crate::foreign::bench::Contender;
use crate::foreign::case::Loaded;
use crate::foreign::expr::Names;
use crate::foreign::history::{self, Version};
use crate::foreign::{Checks, Manifest, Only, PATIENCE, SEED, Workbench};
use crate::gpu::Adapter;
use crate::kernels::shader::Source;
use crate::{Error, Result, input};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often files are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// What the files contain; `None` for one that cannot be read at the moment.
type Contents = Vec<Option<String>>;

fn contents(files: &[PathBuf]) -> Contents {
    files.iter().map(|path| input::read_text(path, input::SHADER).ok()).collect()
}

/// Watches until `--watch=N` versions were seen, or for ever; the exit code is 1 if the last version is wrong.
pub(super) fn run(
    args: &BenchArgs,
    desk: &Desk,
    subject: &Subject,
    adapter: &Adapter,
    compiler: Option<&Compiler>,
) -> Result<u8> {
    let [path] = &args.targets[..] else {
        return Err(Error::input(format!("--watch takes one kernel file, {} are given", args.targets.len())));
    };
    let path = Path::new(path);
    if history::file(path).exists() {
        history::load(path)?;
    }
    let (path, case) = (path.to_path_buf(), args.case.clone());
    let mut watcher = Watcher { path: path.clone(), adapter, good: None, kept: None, desk, case, compiler };
    // The files of the first version are known before it runs: none may be saved unseen.
    let mut files = Manifest::read(&path).map(|manifest| manifest.shader_files()).unwrap_or_default();
    files.push(path.clone());
    let mut versions = 0;
    loop {
        let before = contents(&files);
        let start = Instant::now();
        let failure = watcher.version(&mut files, start)?;
        versions += 1;
        if args.watch.is_some_and(|most| most > 0 && versions >= most) {
            return Ok(u8::from(failure));
        }
        // A file that was saved while the last version ran is another one than then.
        let seen = if files.len() == before.len() { before } else { contents(&files) };
        desk.say(&format!("waiting for a change of {} ({})", path.display(), subject.reason));
        while contents(&files) == seen {
            std::thread::sleep(LOOK);
        }
        // Editors write in several steps.
        std::thread::sleep(LOOK);
    }
}

struct Watcher<'a> {
    path: PathBuf,
    adapter: &'a Adapter,
    /// The text of the last version that passed.
    good: Option<String>,
    /// The last workbench, which keeps the device open.
    kept: Option<Workbench>,
    desk: &'a Desk,
    case: Vec<String>,
    compiler: Option<&'a Compiler>,
}

impl Watcher<'_> {
    /// Checks and times what the files contain now; true if it is wrong.
    fn version(&mut self, files: &mut Vec<PathBuf>, start: Instant) -> Result<bool> {
        let outcome = self.validated(files);
        let took = 1e3 * start.elapsed().as_secs_f64();
        let (bench, failure) = match outcome {
            Ok((bench, None)) => (Some(bench), None),
            Ok((bench, Some(what))) => (Some(bench), Some(what)),
            Err(Error::Input(what)) => (None, Some(what)),
            Err(error) => return Err(error),
        };
        let adapter = self.adapter.facts.name.clone();
        // A version that cannot be parsed is kept as well: what its files contain.
        let raw = || contents(files).into_iter().flatten().collect::<String>();
        let text = bench.as_ref().map_or_else(raw, |b| b.loaded[0].wgsl.text().to_string());
        let mut version = Version { failure, case: None, seconds: None, ratio: None, adapter, text };
        match &version.failure {
            Some(what) => self.desk.print(format!("FAIL in {took:.0} ms: {what}\n"))?,
            None => self.desk.print(format!("pass in {took:.0} ms\n"))?,
        }
        if let (Some(mut bench), None) = (bench, &version.failure) {
            self.time(&mut bench, &mut version)?;
            self.good = Some(version.text.clone());
            self.kept = Some(bench);
        }
        let failed = version.failure.is_some();
        history::append(&self.path, &version)?;
        Ok(failed)
    }

    /// Reads everything anew and runs the cases of `validate`.
    fn validated(&self, files: &mut Vec<PathBuf>) -> Result<(Workbench, Option<String>)> {
        let manifest = Manifest::read(&self.path)?;
        *files = manifest.shader_files();
        files.push(self.path.clone());
        let mut bench = Workbench::open(manifest, self.adapter, PATIENCE)?;
        let cases: Vec<_> = bench.manifest.select(Only::Validate, &[])?.into_iter().cloned().collect();
        let checks = Checks { seed: SEED, unclamped: false, brief: false };
        for case in cases {
            let report = bench.check(0, &case, &Names::new(), checks)?;
            if let Some(what) = report.failures.first() {
                let what = format!("{}: {what}", case.name);
                return Ok((bench, Some(what)));
            }
        }
        Ok((bench, None))
    }

    /// Times the kernel, and against its last good version if there is one with the same interface.
    fn time(&self, bench: &mut Workbench, version: &mut Version) -> Result<()> {
        let mut contenders = vec![Contender { name: "this version".into(), build: 0, constants: Names::new() }];
        if let Some(good) = self.good.as_ref().filter(|good| **good != version.text) {
            let build = bench.loaded[0].build.clone();
            if let Ok(old) = Loaded::of(&bench.manifest, &build, &[Source::new("the last good version", good.as_str())])
            {
                bench.loaded.push(old);
                let before =
                    Contender { name: "before".into(), build: bench.loaded.len() - 1, constants: Names::new() };
                contenders.insert(0, before);
            }
        }
        let cases = bench.manifest.timed(&self.case)?;
        for case in &cases {
            let mut rows = bench.bench(case, &contenders, (SEED, true), &self.desk.budget, None)?;
            self.desk.print(rows_text(&rows))?;
            if let Some(compiler) = self.compiler {
                self.desk.print(compiler.compile(bench, case, &contenders, &mut rows)?)?;
            }
            if let Some(timed) = rows.last().and_then(|row| row.timed.as_ref()) {
                version.case = Some(case.name.clone());
                version.seconds = Some(timed.summary.median);
                version.ratio = rows.last().and_then(|row| row.comparison).map(|c| c.ratio);
            }
        }
        Ok(())
    }
}
