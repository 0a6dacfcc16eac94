//! The paper's story in three runs that train at once: honest, attacked, attacked and defended.

use super::{Generator, Images, Observer, Round, Session, Start, Trained, resume};
use crate::config::sweep::Cell;
use crate::config::{Draft, Plan, Sweep};
use crate::exec::{CpuEngine, Purpose};
use crate::fed::attack::OnImages;
use crate::fed::attack::image::Patch;
use crate::fed::detector::IsolationForest;
use crate::kernels::rng::Stream;
use crate::report::html::demo::{BEGIN, Chapter, Story};
use crate::report::outputs::{self, OutputKind, output};
use crate::report::picture::encode_png_by;
use crate::report::strip::{Panel, Window, strip, tiles};
use crate::report::{Summary, layout, metrics};
use crate::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// The built-in sweep with the runs of the demo.
const SWEEP: &str = "demo";
/// The page and the pictures, in the directory of the demo.
const PAGE: &str = "index.html";
const SAMPLES: &str = "samples.png";
const POISON: &str = "trigger.png";
/// Mark of the pictures.
const PICTURE: &str = "fedgan demo";
/// Images per generator in the pictures.
const SHOWN: usize = 4;

/// The runs of the demo and their directory.
#[derive(Debug)]
pub struct Demo {
    cells: Vec<Cell>,
    directory: PathBuf,
    tuned: bool,
}

impl Demo {
    /// The demo in `directory`: a new or empty one, or that of the same demo, whose finished runs are kept. `set` assigns keys in all
    /// runs.
    ///
    /// # Errors
    /// Invalid keys; a directory with anything else in it.
    pub fn new(directory: &Path, set: &[String], device: Option<&str>) -> Result<Demo> {
        let mut sweep = Sweep::builtin(SWEEP).ok_or_else(|| Error::internal("no sweep of the demo"))??;
        sweep.override_with(set, device).map_err(of_the_demo)?;
        let demo = Demo {
            cells: first_seed(sweep.cells().map_err(of_the_demo)?),
            directory: directory.to_path_buf(),
            tuned: true,
        };
        patch(&demo.attacked()?.plan)?;
        demo.check()?;
        Ok(demo)
    }

    /// Whether runs use the adapter's tuning file if there is one.
    pub fn tuned(self, tuned: bool) -> Demo {
        Demo { tuned, ..self }
    }

    /// The names of the runs, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.cells.iter().map(|cell| cell.name.as_str())
    }

    /// The page.
    pub fn page(&self) -> PathBuf {
        self.directory.join(PAGE)
    }

    fn run(&self, cell: &Cell) -> PathBuf {
        self.directory.join(&cell.name)
    }

    /// Rejects a directory with anything but the runs and the page of this demo.
    fn check(&self) -> Result<()> {
        let entries = match fs::read_dir(&self.directory) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(Error::file(&self.directory, format!("cannot read this directory: {e}"))),
            Ok(entries) => entries,
        };
        let own: Vec<&str> = self.names().chain([PAGE, SAMPLES, POISON]).collect();
        for entry in entries {
            let name = entry.map_err(|e| Error::file(&self.directory, e))?.file_name();
            if !own.iter().any(|own| name == *own) {
                let what = format!("holds {name:?}, which is not of a demo; choose another --out");
                return Err(Error::file(&self.directory, what));
            }
        }
        for (file, kind) in self.files() {
            outputs::check(&[output("--out", Some(&self.directory.join(file)), kind)], &[])?;
        }
        self.cells.iter().try_for_each(|cell| same(&self.run(cell), &cell.plan))
    }

    fn files(&self) -> [(&'static str, OutputKind); 3] {
        let picture = OutputKind::Png(PICTURE);
        [(PAGE, OutputKind::Text(BEGIN)), (SAMPLES, picture), (POISON, picture)]
    }

    /// Trains the unfinished runs at once, each with one of the `observers`; `false` if an observer stopped its run.
    ///
    /// # Errors
    /// The first error of the runs, in their order.
    pub fn train(&self, observers: &mut [&mut (dyn Observer + Send)]) -> Result<bool> {
        fs::create_dir_all(&self.directory).map_err(|e| Error::output(&self.directory, e))?;
        let failed = AtomicBool::new(false);
        let ends: Vec<Result<bool>> = std::thread::scope(|scope| {
            let threads: Vec<_> = self
                .cells
                .iter()
                .zip(observers)
                .map(|(cell, observer)| {
                    let mut observer = UntilFailure { inner: &mut **observer, failed: &failed };
                    scope.spawn(move || {
                        let end = self.train_one(cell, &mut observer);
                        observer.failed.fetch_or(end.is_err(), Ordering::Relaxed);
                        end
                    })
                })
                .collect();
            let ended = |thread: std::thread::ScopedJoinHandle<'_, Result<bool>>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().map(ended).collect()
        });
        ends.into_iter().try_fold(true, |all, end| end.map(|end| all && end))
    }

    fn train_one(&self, cell: &Cell, observer: &mut dyn Observer) -> Result<bool> {
        let dir = self.run(cell);
        if dir.join(layout::SUMMARY).exists() {
            return Ok(true);
        }
        let session = match dir.join(layout::PLAN).exists() {
            // With this plan, not the stored one: `check` has compared them, and the device may be another.
            true => Session::again(cell.plan.clone(), &dir)?,
            false => Session::new(cell.plan.clone()).directory(&dir),
        };
        let trained = session.tuned(self.tuned).train(observer).map_err(|error| error.within(&cell.name))?;
        Ok(matches!(trained, Trained::Finished(_)))
    }

    /// Writes the pictures and the page of the finished runs.
    ///
    /// # Errors
    /// Unfinished runs, files that cannot be read or written.
    pub fn tell(&self) -> Result<()> {
        let plan = &self.attacked()?.plan;
        let size = plan.model.image_size;
        let place = patch(plan)?.window(size);
        let side = place.height;
        let window = Window::around((place.top, place.left), side, size);
        let images: Vec<Vec<f32>> =
            self.cells.iter().map(|cell| samples(&self.run(cell), plan)).collect::<Result<_>>()?;
        let panels: Vec<Panel> = self.names().zip(&images).map(|(label, images)| Panel { label, images }).collect();
        let poison = poison(plan)?;
        let clean = [("before", &poison[0]), ("after", &poison[1])].map(|(label, images)| Panel { label, images });
        let shape = (size as usize, plan.model.channels as usize, window);
        let chapters = self.cells.iter().zip(&images).map(|(cell, images)| self.chapter(cell, picture(images, shape)?));
        let story = Story {
            chapters: chapters.collect::<Result<_>>()?,
            poison: [picture(&poison[0], shape)?, picture(&poison[1], shape)?],
            sides: [side, size],
            clients: [plan.attack.malicious.len(), plan.federation.clients as usize],
            warmup: self.cells.iter().find_map(|cell| cell.plan.detection.warmup()),
        };
        let strips = [labelled(&panels, shape)?, labelled(&clean, shape)?];
        let contents = [story.page().into_bytes()].into_iter().chain(strips);
        for ((file, kind), bytes) in self.files().into_iter().zip(contents) {
            outputs::write(&self.directory.join(file), kind, &bytes)?;
        }
        Ok(())
    }

    /// The first cell with an attack.
    fn attacked(&self) -> Result<&Cell> {
        let attacked = self.cells.iter().find(|cell| !cell.plan.attack.malicious.is_empty());
        attacked.ok_or_else(|| Error::internal("the demo has an attack"))
    }

    fn chapter(&self, cell: &Cell, samples: Vec<u8>) -> Result<Chapter> {
        let dir = self.run(cell);
        Ok(Chapter {
            name: cell.name.clone(),
            directory: dir.display().to_string(),
            summary: Summary::read(&dir)?,
            records: metrics::read_jsonl(&dir.join("metrics.jsonl"))?,
            samples,
        })
    }
}

/// An error in the words of a user who knows of no sweep, with what helps against too few rounds.
fn of_the_demo(error: Error) -> Error {
    let Error::Input(text) = error else { return error };
    let text = text.replace(&format!("sweep `{SWEEP}`"), "the runs of the demo");
    let text = text.replace("the axis `run` of the sweep sets this key", "the demo's runs differ in this key");
    let rounds = IsolationForest::default().warmup + 2;
    let hint = match text.contains("detection.warmup") {
        true => format!("\na demo needs {rounds} rounds, so that its detector gives a verdict: --set rounds={rounds}"),
        false => String::new(),
    };
    Error::Input(format!("{text}{hint}"))
}

/// The sweep has several seeds; the demo runs the first.
fn first_seed(mut cells: Vec<Cell>) -> Vec<Cell> {
    let seed = cells.first().map(|cell| cell.seed);
    cells.retain(|cell| Some(cell.seed) == seed);
    cells
}

/// Size, channels and the window of the trigger.
type Framed = (usize, usize, Window);

/// Images with their windows, as PNG.
fn picture(images: &[f32], (size, channels, window): Framed) -> Result<Vec<u8>> {
    encode_png_by(&tiles(images, size, channels, window)?, PICTURE)
}

/// Several sets of images with their labels, as PNG.
fn labelled(panels: &[Panel], (size, channels, window): Framed) -> Result<Vec<u8>> {
    encode_png_by(&strip(panels, size, channels, window)?, PICTURE)
}

/// Stops a run after another one has failed.
struct UntilFailure<'a> {
    inner: &'a mut (dyn Observer + Send),
    failed: &'a AtomicBool,
}

impl Observer for UntilFailure<'_> {
    fn note(&mut self, line: &str) {
        self.inner.note(line);
    }

    fn warning(&mut self, text: &str) {
        self.inner.warning(text);
    }

    fn directory(&mut self, path: &Path) -> Result<()> {
        self.inner.directory(path)
    }

    fn begin(&mut self, start: &Start) {
        self.inner.begin(start);
    }

    fn round(&mut self, round: &Round) {
        self.inner.round(round);
    }

    fn end(&mut self) {
        self.inner.end();
    }

    fn stop(&mut self) -> bool {
        self.inner.stop() || self.failed.load(Ordering::Relaxed)
    }
}

/// The patch of the plan's attack, around which the pictures show a window.
fn patch(plan: &Plan) -> Result<&Patch> {
    match &plan.attack.image {
        OnImages::Patch(patch) => Ok(patch),
        other => {
            let kind = other.name();
            Err(Error::input(format!(
                "attack.image.kind = {kind:?}: must be \"patch\", which the demo's pages enlarge"
            )))
        }
    }
}

/// Rejects a run directory with another experiment.
fn same(dir: &Path, plan: &Plan) -> Result<()> {
    let path = dir.join(layout::PLAN);
    if !path.exists() {
        return Ok(());
    }
    let stored = Draft::read(Some(&path)).and_then(Draft::plan)?;
    match resume::may_continue(&stored, plan)? {
        true => Ok(()),
        false => Err(Error::file(dir, "is a run of a demo with other keys or another version; choose another --out")),
    }
}

/// The first images of a run's generator. They are drawn on the CPU, so that they do not depend on an adapter.
fn samples(dir: &Path, plan: &Plan) -> Result<Vec<f32>> {
    let mut engine = CpuEngine::new();
    let generator = Generator::load(&dir.join("generator.safetensors"))?;
    let sampler = generator.sampler(&mut engine, (plan.seed, Stream::SAMPLE))?;
    sampler.seeded(&mut engine, SHOWN, Purpose::Evaluation)
}

/// Real images without and with the trigger.
fn poison(plan: &Plan) -> Result<[Vec<f32>; 2]> {
    let (size, channels) = (plan.model.image_size as usize, plan.model.channels as usize);
    let clean = Images::load(plan)?.shown(SHOWN, plan.seed);
    let mut poisoned = clean.clone();
    let trigger = plan.attack.trigger(size as u32, channels as u32)?;
    poisoned.chunks_exact_mut(size * size * channels).for_each(|image| trigger.paste(image));
    Ok([clean, poisoned])
}
