//! `fedgan eval`: metrics without training.

use super::console::Console;
use crate::metric::{Metric, Value};
use crate::report::ProgressMode;
use crate::report::outputs::{self, OutputKind, output};
use crate::session::evaluate::{self, Evaluation, FoldersOptions, RunOptions};
use crate::{Error, Result};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::PathBuf;

const JSON: &str = "fedgan eval --json";

/// Arguments of `fedgan eval`.
#[derive(Debug, clap::Args)]
pub struct EvalArgs {
    /// Run directory: its plan supplies seed, sample count and real images, its generator is sampled.
    #[arg(required_unless_present_any = ["real", "fake"], conflicts_with_all = ["real", "fake"])]
    pub run: Option<PathBuf>,
    /// Folder of real images, in place of a run directory; needs --fake.
    #[arg(long, value_name = "DIR", requires = "fake")]
    pub real: Option<PathBuf>,
    /// Folder of generated images.
    #[arg(long, value_name = "DIR", requires = "real")]
    pub fake: Option<PathBuf>,
    /// Resize the images of both folders to this size: 16, 32, 64, 128 or 256 [default: the size of the first generated image,
    /// rounded down to one of these].
    #[arg(long, value_name = "S", conflicts_with = "run")]
    pub size: Option<usize>,
    /// Metrics to compute [default: all; leakage for runs only].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub metrics: Vec<Metric>,
    /// Number of images to generate for a run [default: the plan's].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=65536), conflicts_with = "real")]
    pub samples: Option<u32>,
    /// Seed of random subsets and halves; a run uses its own [default: 1].
    #[arg(long, value_name = "N", conflicts_with = "run")]
    pub seed: Option<u64>,
    /// Device that samples a run's generator: auto, gpu, gpu:N, cpu, reference, or part of an adapter's name [default:
    /// FEDGAN_DEVICE, or auto]; ignored for folders, whose metrics are computed on the host.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Present location of a run's images, as data.path=FOLDER, or another extractor, as evaluation.extractor=FILE; accepts all
    /// keys of `data` (for a run) and those that begin with `evaluation.extractor`; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Evaluate a run against images other than its own (different, more, fewer, or split differently), with a warning.
    #[arg(long, conflicts_with = "real")]
    pub other_images: bool,
    /// Skip unreadable images in the folders.
    #[arg(long, conflicts_with = "run")]
    pub skip_bad: bool,
    /// Also write the values to this file as JSON; it may replace an earlier file of this option, but no other file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// The content of the `--json` file.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    written_by: &'static str,
    version: &'static str,
    #[serde(flatten)]
    measured: &'a Evaluation,
}

/// Computes and prints the metrics.
///
/// # Errors
/// A run directory without plan or generator, folders without images, too few images for a metric, a failed write.
pub fn run(args: EvalArgs) -> Result<()> {
    outputs::check(&[output("--json", args.json.as_deref(), OutputKind::Json(JSON))], &[])?;
    let measured = measure(&args)?;
    if let Some(path) = &args.json {
        let answer = Answer { written_by: JSON, version: env!("CARGO_PKG_VERSION"), measured: &measured };
        let text = serde_json::to_string_pretty(&answer).map_err(|e| Error::internal(format!("values: {e}")))?;
        outputs::write(path, OutputKind::Json(JSON), format!("{text}\n").as_bytes())?;
    }
    super::print(text(&measured))
}

fn measure(args: &EvalArgs) -> Result<Evaluation> {
    let mut console = Console::new(false, ProgressMode::Quiet);
    let metrics = args.metrics.clone();
    match (&args.run, &args.real, &args.fake) {
        (Some(dir), ..) => {
            let (samples, device, set) = (args.samples, args.device.clone(), args.set.clone());
            let options = RunOptions { metrics, samples, device, set, other_images: args.other_images };
            evaluate::run(dir, &options, &mut console)
        }
        (None, Some(real), Some(fake)) => {
            let (size, seed, set) = (args.size, args.seed.unwrap_or(1), args.set.clone());
            let options = FoldersOptions { metrics, size, seed, skip_bad: args.skip_bad, set };
            evaluate::folders(real, fake, &options, &mut console)
        }
        _ => Err(Error::input("expected a run directory, or --real DIR and --fake DIR")),
    }
}

fn text(answer: &Evaluation) -> String {
    let Evaluation { real, fake, size, channels, .. } = answer;
    let rows: Vec<&Value> = answer.values.iter().chain(&answer.floors).collect();
    let width = rows.iter().map(|v| v.name.len()).max().unwrap_or(0);
    let features = answer.features.as_ref().map_or(String::new(), |features| format!("features: {features}; "));
    let mut out = format!(
        "{fake} against {real}, {size}x{size}x{channels}\n{features}floor_: halves of the real images; half_: as many images as \
         the floor has\n\n"
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
    use crate::config::{self, Overrides};
    use crate::report::{Summary, layout};
    use crate::session::{Session, Silent, Trained};
    use clap::Parser;
    use std::path::Path;

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
        // Without --metrics, a metric with too few images is left out and the others are computed.
        let (real, fake) = (at("real"), at("fake"));
        let line = ["--real", real.to_str().unwrap(), "--fake", fake.to_str().unwrap(), "--device", "cpu"];
        let answer = measure(&parse(&line).unwrap()).unwrap();
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
        Session::new(plan).directory(&run).verify_every(0).train(&mut Silent).unwrap();
        (data, run)
    }

    #[test]
    fn a_run_is_measured_against_its_own_images() {
        let root = tempfile::tempdir().unwrap();
        let (data, dir) = trained(root.path());
        let with = |more: &[&str]| {
            let line = [dir.to_str().unwrap(), "--metrics", "leakage,sliced-wasserstein", "--device", "cpu"];
            measure(&parse(&[&line[..], more].concat()).unwrap())
        };
        let refused = |more: &[&str], what: &str| {
            let error = with(more).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains(what), "{what}: {error}");
        };
        let first = with(&[]).unwrap();
        assert!(!first.real.contains("NOT") && !first.real.contains("not known"), "{}", first.real);
        // One image more, one fewer, one changed: each gives a different split.
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
        // The same images in another folder are accepted.
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
            let dir = temp.path().join(name);
            let trained = Session::new(plan).directory(&dir).train(&mut Silent).unwrap();
            let Trained::Finished(done) = trained else { panic!("stopped") };
            let args = parse(&[dir.to_str().unwrap(), "--metrics", "leakage", "--device", "cpu"]).unwrap();
            let answer = measure(&args).unwrap();
            assert_eq!(answer.detector, done.summary.detector);
            assert_eq!(
                (answer.detector.is_some(), text(&answer).contains("\ndetector  ")),
                (name == "with", name == "with")
            );
        }
    }
}
