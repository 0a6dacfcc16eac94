//! `fedgan eval`: metrics without training.

use super::outputs::{self, Kind, output};
use super::run::images::Images;
use super::sample::{named, sampler};
use crate::config::{self, Overrides, Plan};
use crate::data::{FolderOptions, SIZES, first_side, folder};
use crate::exec::Purpose;
use crate::gpu::GpuOptions;
use crate::kernels::rng::Stream;
use crate::metric::{ImageSet, Judge, Metric, RESIZE, Value};
use crate::model::infer_generator;
use crate::report::layout;
use crate::report::metrics::read_jsonl;
use crate::report::rates::Rates;
use crate::report::summary::{DetectorSummary, Digests, Summary};
use crate::{Error, Result};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const JSON: &str = "fedgan eval --json";

/// Arguments of `fedgan eval`.
#[derive(Debug, clap::Args)]
pub struct EvalArgs {
    /// A run directory: its plan gives seed, samples and real images, its generator is sampled.
    #[arg(required_unless_present_any = ["real", "fake"], conflicts_with_all = ["real", "fake"])]
    pub run: Option<PathBuf>,
    /// A folder of real images instead, with --fake.
    #[arg(long, value_name = "DIR", requires = "fake")]
    pub real: Option<PathBuf>,
    /// The folder of generated images.
    #[arg(long, value_name = "DIR", requires = "real")]
    pub fake: Option<PathBuf>,
    /// Both folders at this size: 16, 32, 64, 128 or 256 [default: the first generated image's, rounded down to one of these].
    #[arg(long, value_name = "S", conflicts_with = "run")]
    pub size: Option<usize>,
    /// Metrics [default: all; leakage for runs only].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub metrics: Vec<Metric>,
    /// Generated images of a run's evaluation [default: the plan's].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=65536), conflicts_with = "real")]
    pub samples: Option<u32>,
    /// Seed of subsets and halves; a run has its own [default: 1].
    #[arg(long, value_name = "N", conflicts_with = "run")]
    pub seed: Option<u64>,
    /// Device that samples a run's generator: auto, gpu, gpu:N, cpu, reference, or part of an adapter's name [default:
    /// FEDGAN_DEVICE, or auto]; of no effect on folders, which are judged on the host.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Where a run's images are now, as data.path=FOLDER; other keys of `data` are taken as well. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE", conflicts_with = "real")]
    pub set: Vec<String>,
    /// Measures a run against images that are not its own (others, more, fewer, or dealt in another way), and says so.
    #[arg(long, conflicts_with = "real")]
    pub other_images: bool,
    /// Leave out images of the folders that cannot be read.
    #[arg(long, conflicts_with = "run")]
    pub skip_bad: bool,
    /// Also write the values as JSON; earlier values are replaced, another file is not.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Answer {
    written_by: &'static str,
    version: &'static str,
    real: String,
    fake: String,
    size: usize,
    channels: usize,
    values: Vec<Value>,
    /// Real images against real ones.
    floors: Vec<Value>,
    /// Metrics that there are too few images for, with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<String>,
    /// What the run's detector did, where it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    detector: Option<DetectorSummary>,
    /// The same in words.
    #[serde(skip)]
    detected: Option<String>,
}

/// Measures and prints.
///
/// # Errors
/// A run directory without plan or generator, folders without images, too few images for a metric, a failed write.
pub fn run(args: EvalArgs) -> Result<()> {
    outputs::check(&[output("--json", args.json.as_deref(), Kind::Json(JSON))], &[])?;
    let answer = match (&args.run, &args.real, &args.fake) {
        (Some(dir), ..) => of_run(dir, &args)?,
        (None, Some(real), Some(fake)) => of_folders(real, fake, &args)?,
        _ => return Err(Error::input("expected a run directory, or --real DIR and --fake DIR")),
    };
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&answer).map_err(|e| Error::internal(format!("values: {e}")))?;
        outputs::write(path, Kind::Json(JSON), format!("{text}\n").as_bytes())?;
    }
    super::print(text(&answer))
}

/// The metrics asked for, or all that can be had of so many images; then also which cannot, and why.
fn chosen(asked: &[Metric], trigger: bool, references: usize, images: usize) -> (Vec<Metric>, Vec<String>) {
    if !asked.is_empty() {
        return (asked.to_vec(), Vec::new());
    }
    let all = Metric::ALL.into_iter().filter(|m| trigger || *m != Metric::Leakage);
    let (can, cannot): (Vec<Metric>, Vec<Metric>) = all.partition(|m| references.min(images) >= m.least());
    let why = |m: &Metric| {
        format!(
            "{}: at least {} images on each side are needed, there are {references} real and {images} generated",
            m.name(),
            m.least()
        )
    };
    let left_out = cannot.iter().map(why).collect();
    (can, left_out)
}

fn of_run(dir: &Path, args: &EvalArgs) -> Result<Answer> {
    let plan =
        config::load(Some(&dir.join("plan.toml")), &Overrides { set: of_data(&args.set)?, ..Default::default() })?;
    let images = Images::load(&plan)?;
    let note = same_images(dir, &images.digests(&plan)?, args.other_images)?;
    let n = args.samples.unwrap_or(plan.evaluation.samples) as usize;
    let (metrics, left_out) = chosen(&args.metrics, true, images.references(), n);
    let judge = images.judge(&plan, &metrics, n)?;
    let path = dir.join("generator.safetensors");
    let (weights, source) = (named(&path, true)?, path.display().to_string());
    let architecture = infer_generator(&weights, &source)?;
    let (size, channels) = (architecture.image_size as usize, architecture.channels as usize);
    if (size, channels) != (plan.model.image_size as usize, plan.model.channels as usize) {
        let what = format!("makes {size} x {size} x {channels} images, which is not what plan.toml says");
        return Err(Error::file(&path, what));
    }
    let rates = rates(dir, &plan)?;
    let (mut engine, _) = crate::gpu::open(args.device.as_deref().unwrap_or("auto"), GpuOptions::default())?;
    let engine = engine.as_mut();
    let sampler = sampler(engine, architecture, &weights, &source, (plan.seed, Stream::EVALUATION))?;
    let mut gathering = judge.gather(n)?;
    sampler.seeded_batches(engine, n, Purpose::Evaluation, |images| {
        gathering.add(&ImageSet::new(images, size, channels));
        Ok(())
    })?;
    let values = gathering.values()?;
    let real = match images.held_out {
        0 => "training images (none are held out)".to_string(),
        n => format!("{n} held-out images"),
    };
    let real = note.map_or(real.clone(), |note| format!("{real} ({note})"));
    let answer = answer(&judge, values, [size, channels], real, source);
    Ok(Answer { left_out, detector: rates.as_ref().map(Into::into), detected: rates.map(|r| r.describe()), ..answer })
}

/// The assignments, all of which must be of the table `data`.
fn of_data(set: &[String]) -> Result<Vec<String>> {
    for assignment in set {
        let key = assignment.split('=').next().unwrap_or_default().trim();
        if key != "data" && !key.starts_with("data.") {
            return Err(Error::input(format!(
                "--set {key}: eval takes keys of data only, such as data.path=FOLDER; all else is the run's own"
            )));
        }
    }
    Ok(set.to_vec())
}

/// Holds images and trigger against those of the run in `dir`; what is to be said of them, if anything is.
///
/// # Errors
/// When they are others, unless `others` allows them: a split drawn anew would measure with images of the training.
fn same_images(dir: &Path, now: &Digests, others: bool) -> Result<Option<String>> {
    let path = dir.join(layout::SUMMARY);
    let known = if path.exists() { Summary::read(dir)?.digests } else { None };
    let changed = match known {
        None => {
            let what = "the run has kept no digest of its images, so that these may be others";
            super::tell(&format!("warning: {}: {what}", dir.display()));
            return Ok(Some("not known to be the run's images".into()));
        }
        Some(was) => was.changed(now),
    };
    match changed {
        None => Ok(None),
        Some(what) if others => {
            super::tell(&format!("warning: {}: {what} not the run's", dir.display()));
            Ok(Some(format!("{what} NOT the run's")))
        }
        Some(what) => Err(Error::file(
            dir,
            format!(
                "{what} not what the run has used: training images could be taken for held-out ones. Restore them, or say \
                 where they are now with --set data.path=PATH; --other-images measures all the same"
            ),
        )),
    }
}

/// What the detector did over the run, from its `metrics.jsonl`; `None` for a run without detection, and, with a warning, where
/// that file is missing: plan and generator are enough for the rest.
fn rates(dir: &Path, plan: &Plan) -> Result<Option<Rates>> {
    let Some(warmup) = plan.detection.warmup() else { return Ok(None) };
    let path = dir.join("metrics.jsonl");
    if !path.exists() {
        super::tell(&format!("warning: {}: missing, so there are no rates of the detector", path.display()));
        return Ok(None);
    }
    let records = read_jsonl(&path)?;
    Ok(Some(Rates::of(&records, warmup, plan.attack.start_round)))
}

fn of_folders(real: &Path, fake: &Path, args: &EvalArgs) -> Result<Answer> {
    let size = match args.size {
        Some(size) => size,
        None => {
            let side = first_side(fake)? as usize;
            SIZES.into_iter().rev().find(|s| *s <= side).unwrap_or(SIZES[0])
        }
    };
    let load = |path: &Path| -> Result<ImageSet> {
        let options = FolderOptions { follow_links: true, skip_bad: args.skip_bad };
        let (set, skipped) = folder(path, size, 3, options)?;
        if !skipped.is_empty() {
            super::tell(&format!("warning: {}: left out: {}", path.display(), skipped.join(", ")));
        }
        Ok(ImageSet::from_bytes(&set.pixels, size, 3))
    };
    let (references, images) = (load(real)?, load(fake)?);
    let (metrics, left_out) = chosen(&args.metrics, false, references.len(), images.len());
    if metrics.contains(&Metric::Leakage) {
        return Err(Error::input("--metrics leakage: folders say nothing of a trigger; evaluate a run directory"));
    }
    let judge = Judge::new(&metrics, references, None, args.seed.unwrap_or(1), images.len())?;
    let (values, shape) = (judge.values(&images)?, [images.size, images.channels]);
    let answer = answer(&judge, values, shape, real.display().to_string(), fake.display().to_string());
    Ok(Answer { left_out, ..answer })
}

fn answer(judge: &Judge, values: Vec<Value>, [size, channels]: [usize; 2], real: String, source: String) -> Answer {
    let (version, floors, left_out) = (env!("CARGO_PKG_VERSION"), judge.floors().to_vec(), Vec::new());
    Answer {
        written_by: JSON,
        version,
        real,
        fake: source,
        size,
        channels,
        values,
        floors,
        left_out,
        detector: None,
        detected: None,
    }
}

fn text(answer: &Answer) -> String {
    let Answer { real, fake, size, channels, .. } = answer;
    let rows: Vec<&Value> = answer.values.iter().chain(&answer.floors).collect();
    let width = rows.iter().map(|v| v.name.len()).max().unwrap_or(0);
    let mut out = format!(
        "{fake} against {real}, {size}x{size}x{channels}\nfeatures: EfficientNet-Lite0, resize {RESIZE}; floor_: halves of \
         the real images; half_: as many images as the floor has\n\n"
    );
    for v in rows {
        let std = v.std.map_or(String::new(), |s| format!(" +- {s:.6}"));
        let note = v.note.as_ref().map_or(String::new(), |n| format!("  ({n})"));
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{:width$}  {:.6}{std}{note}", v.name, v.value);
    }
    for why in &answer.left_out {
        let _ = writeln!(out, "left out  {why}");
    }
    if let Some(detected) = &answer.detected {
        let _ = writeln!(out, "detector  {detected}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: EvalArgs,
    }

    fn parse(line: &[&str]) -> Option<EvalArgs> {
        Line::try_parse_from([&["eval"], line].concat()).ok().map(|l| l.args)
    }

    #[test]
    fn takes_a_run_or_two_folders() {
        assert!(parse(&["runs/a", "--metrics", "kid,fd"]).is_some_and(|a| a.metrics == [Metric::Kid, Metric::Fd]));
        assert!(parse(&["--real", "a", "--fake", "b", "--size", "32"]).is_some());
        for bad in [&[][..], &["--real", "a"], &["runs/a", "--real", "a", "--fake", "b"], &["runs/a", "--size", "32"]] {
            assert!(parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn folders_are_measured_and_written() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for (folder, shade) in [("real", 40), ("fake", 150)] {
            std::fs::create_dir(at(folder)).unwrap();
            for i in 0..4u8 {
                let image = image::GrayImage::from_fn(20, 20, |x, y| image::Luma([shade + i * 9 + (x * y % 7) as u8]));
                image.save(at(folder).join(format!("{i}.png"))).unwrap();
            }
        }
        let args = |metrics: &str| {
            let (real, fake, json) = (at("real"), at("fake"), at("values.json"));
            let path = |p: &PathBuf| p.display().to_string();
            parse(&["--real", &path(&real), "--fake", &path(&fake), "--json", &path(&json), "--metrics", metrics])
                .unwrap()
        };
        run(args("sliced-wasserstein,ms-ssim")).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(at("values.json")).unwrap()).unwrap();
        assert_eq!((&json["size"], &json["values"][0]["name"]), (&16.into(), &"sliced_wasserstein_px16_n4_r4".into()));
        assert!(json["values"][0]["value"].as_f64() > json["floors"][0]["value"].as_f64());
        assert_eq!(run(args("leakage")).unwrap_err().exit_code(), 2);
        assert_eq!(run(args("prdc")).unwrap_err().exit_code(), 2);
        // What there are too few images for is left out where nothing is asked for, and the rest is given.
        let (real, fake) = (at("real"), at("fake"));
        let line = ["--real", real.to_str().unwrap(), "--fake", fake.to_str().unwrap(), "--device", "cpu"];
        let answer = of_folders(&real, &fake, &parse(&line).unwrap()).unwrap();
        assert!(
            answer.left_out.len() == 1 && answer.left_out[0].starts_with("prdc: at least 6"),
            "{:?}",
            answer.left_out
        );
        let out = text(&answer);
        assert!(
            out.contains("left out  prdc") && out.contains("\nkid_lite0_px16") && !out.contains("-0.000000"),
            "{out}"
        );
    }

    /// A finished run on a folder of pictures.
    fn trained(root: &Path) -> (PathBuf, PathBuf) {
        use crate::cli::run::Prepared;
        use crate::report::{ProgressMode, RunDir};
        let (data, run) = (root.join("data"), root.join("run"));
        std::fs::create_dir(&data).unwrap();
        for i in 0..40u8 {
            let image = image::GrayImage::from_fn(16, 16, |x, y| image::Luma([(x * 9 + y * 5) as u8 ^ i]));
            image.save(data.join(format!("{i:02}.png"))).unwrap();
        }
        let trigger = root.join("t.png");
        image::RgbImage::from_pixel(4, 4, image::Rgb([250, 0, 0])).save(&trigger).unwrap();
        let text = format!(
            "rounds=1;model={{ image_size = 16, width = 2, latent = 4 }};train={{ batch = 4, local_steps = 1 }};evaluation={{ \
             samples = 4, grid = 2 }};attack.malicious=1;attack.trigger.image={trigger:?};\
             data={{ kind = \"folder\", path = {data:?} }}"
        );
        let set = text.split(';').map(String::from).collect();
        let plan = config::load(None, &Overrides { set, device: Some("cpu".into()), ..Default::default() }).unwrap();
        let dir = RunDir::create(Some(&run), root, "x").unwrap();
        Prepared::new(plan, 0, &|_| ()).unwrap().train(&dir, ProgressMode::Quiet).unwrap();
        (data, run)
    }

    #[test]
    fn a_run_is_measured_against_its_own_images() {
        let root = tempfile::tempdir().unwrap();
        let (data, dir) = trained(root.path());
        let with = |more: &[&str]| {
            let line = [dir.to_str().unwrap(), "--metrics", "leakage,sliced-wasserstein", "--device", "cpu"];
            of_run(&dir, &parse(&[&line[..], more].concat()).unwrap())
        };
        let refused = |more: &[&str], what: &str| {
            let error = with(more).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains(what), "{what}: {error}");
        };
        let first = with(&[]).unwrap();
        assert!(!first.real.contains("NOT") && !first.real.contains("not known"), "{}", first.real);
        // One more, one less, one changed: each draws another split.
        std::fs::copy(data.join("03.png"), data.join("new.png")).unwrap();
        refused(&[], "the images are not what the run has used");
        let marked = with(&["--other-images"]).unwrap();
        assert!(marked.real.contains("the images are NOT the run's") && text(&marked).contains("NOT the run's"));
        std::fs::remove_file(data.join("new.png")).unwrap();
        let kept = std::fs::read(data.join("03.png")).unwrap();
        std::fs::remove_file(data.join("03.png")).unwrap();
        refused(&[], "the images are not what the run has used");
        std::fs::copy(data.join("04.png"), data.join("03.png")).unwrap();
        refused(&[], "the images are not what the run has used");
        std::fs::write(data.join("03.png"), kept).unwrap();
        // Elsewhere they are the same.
        let moved = root.path().join("moved");
        std::fs::rename(&data, &moved).unwrap();
        refused(&[], "set it in the experiment file or with --set data.path=PATH");
        let set = format!("data.path={}", moved.display());
        let again = with(&["--set", &set]).unwrap();
        assert_eq!(again.real, first.real);
        assert_eq!(serde_json::to_string(&again.values).unwrap(), serde_json::to_string(&first.values).unwrap());
        for key in ["train.lr=1", "seed=3", "model.width=4", "database=1", "attack.side=3"] {
            refused(&["--set", &set, "--set", key], "eval takes keys of data only");
        }
        refused(&["--set", &set, "--set", "data.held_out=0.5"], "the split into training and held-out images is not");
        // The trigger's picture.
        image::RgbImage::from_pixel(4, 4, image::Rgb([0, 0, 250])).save(root.path().join("t.png")).unwrap();
        refused(&["--set", &set], "the trigger's picture is not what the run has used");
        // A run of an earlier version.
        let old = Summary { digests: None, ..Summary::read(&dir).unwrap() };
        std::fs::write(dir.join(layout::SUMMARY), old.to_json().unwrap()).unwrap();
        assert!(with(&["--set", &set]).unwrap().real.contains("not known to be the run's images"));
    }

    #[test]
    fn a_run_with_detection_tells_its_rates() {
        use crate::cli::run::Prepared;
        use crate::report::{ProgressMode, RunDir};
        let temp = tempfile::tempdir().unwrap();
        let set = |kind: &str| {
            let text = format!(
                "rounds=2;model={{ image_size = 16, width = 2, latent = 4 }};train={{ batch = 8, local_steps = 1 }};\
                 evaluation={{ samples = 4, grid = 2, metrics = [\"leakage\"] }};data={{ kind = \"dermoscopy\", n = 40 }};attack.malicious=1;{kind}"
            );
            Overrides {
                set: text.split(';').map(String::from).collect(),
                device: Some("cpu".into()),
                ..Default::default()
            }
        };
        let published = "detection={ kind = \"isolation-forest-published\", warmup = 0 }";
        for (name, kind) in [("with", published), ("without", "detection.kind=none")] {
            let plan = config::load(None, &set(kind)).unwrap();
            let dir = RunDir::create(Some(&temp.path().join(name)), temp.path(), "x").unwrap();
            let done = Prepared::new(plan, 7, &|_| ()).unwrap().train(&dir, ProgressMode::Quiet).unwrap();
            let args = parse(&[dir.path().to_str().unwrap(), "--metrics", "leakage", "--device", "cpu"]).unwrap();
            let answer = of_run(dir.path(), &args).unwrap();
            assert_eq!(answer.detector, done.summary.detector);
            assert_eq!(
                (answer.detector.is_some(), text(&answer).contains("\ndetector  ")),
                (name == "with", name == "with")
            );
        }
    }
}
