use super::*;
use crate::gpu::GpuOptions;
use crate::kernels::shader;
use crate::perf::row::Outcome;
use clap::Parser;
use std::path::Path;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: BenchArgs,
}

fn args(words: &[&str]) -> BenchArgs {
    let words = ["bench", "--seconds", "0"].iter().chain(words);
    Cli::try_parse_from(words).unwrap_or_else(|e| panic!("{e}")).args
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn rows_are_verified_timed_and_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    for device in ["cpu", "gpu", "reference"] {
        let (out, csv, png) = (file("a.json"), file("a.csv"), file("a.png"));
        let problem = "activation_backward:clients=2,n=300,y_stride=320,dy_stride=320,dx_stride=320,kind=1,slope=0.2";
        let mut words = vec!["fill", "--device", device, "--json", &out, "--csv", &csv];
        if device != "reference" {
            words.extend(["--roofline", &png, "--width", "4", "--batch", "4"]);
        }
        let known = crate::check::Repro::parse(problem).is_ok();
        if known {
            words.push(problem);
        }
        assert_eq!(run(args(&words)).unwrap(), 0, "{device}");
        let value = json(Path::new(&out));
        let rows = value["rows"].as_array().unwrap();
        assert!(rows.len() > usize::from(known) && rows.iter().all(|r| r["outcome"] == "timed"), "{rows:?}");
        assert!(rows.iter().all(|r| r["samples"]["wall"].as_array().is_some_and(|s| s.len() >= 3)));
        assert_eq!(value["device"]["engine"], device);
        assert_eq!(value["adapter"].is_null(), device != "gpu");
        assert_eq!(value["threads"].is_null(), device == "gpu");
        assert_eq!(value["ceilings"].is_null(), device == "reference");
        assert_eq!(std::fs::read_to_string(&csv).unwrap().lines().count(), rows.len() + 1);
        assert!(device == "reference" || image::open(&png).unwrap().width() > 500);
    }
}

#[test]
fn baselines_are_kept_compared_and_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().display().to_string();
    let on = |device: &str, option: &str, name: &str| {
        let shape = "clients=1,n=5000,x_stride=5056,y_stride=5056";
        run(args(&["copy", "--shape", shape, "--device", device, "--baseline-dir", &folder, option, name]))
    };
    assert_eq!(on("reference", "--save-baseline", "before").unwrap(), 0);
    let again = on("reference", "--save-baseline", "before").unwrap_err();
    assert!(again.exit_code() == 2 && again.to_string().contains("exists"), "{again}");
    // Whatever the machine's noise makes of it, it is compared.
    assert!(on("reference", "--baseline", "before").unwrap() <= 1);
    let other = on("cpu", "--baseline", "before").unwrap_err();
    assert!(other.exit_code() == 2 && other.to_string().contains("engine `reference` then, `cpu` now"), "{other}");
    let missing = on("cpu", "--baseline", "after").unwrap_err();
    assert!(missing.exit_code() == 2 && missing.to_string().contains("there are: before"), "{missing}");
}

#[test]
fn an_edited_shader_is_compared_and_a_wrong_one_is_not_timed() {
    let dir = tempfile::tempdir().unwrap();
    let (path, out) = (dir.path().join("copy.wgsl"), dir.path().join("out.json"));
    let text = shader::source("util/copy.wgsl").unwrap();
    let problem = "copy:clients=1,n=5000,x_stride=5056,y_stride=5056";
    let bench = |text: &str, more: &[&str]| {
        std::fs::write(&path, text).unwrap();
        let (shader, json) = (path.display().to_string(), out.display().to_string());
        let mut words = vec!["--shader", &shader, "--json", &json];
        words.extend(more);
        run(args(&words))
    };
    assert_eq!(bench(text, &[problem]).unwrap(), 0);
    let row = &json(&out)["shaders"][0];
    assert_eq!((&row["edited"]["outcome"], &row["builtin"]["outcome"]), (&"timed".into(), &"timed".into()));
    assert!(row["comparison"]["ratio"].as_f64().unwrap() > 0.0);
    let wrong = text.replace("= x[source + i]", "= x[source]");
    assert_ne!(wrong, text);
    assert_eq!(bench(&wrong, &[problem]).unwrap(), 1);
    let row = &json(&out)["shaders"][0];
    assert_eq!((&row["edited"]["outcome"], &row["builtin"]["outcome"]), (&"wrong".into(), &"skipped".into()));
    assert!(row["comparison"].is_null() && row["edited"]["samples"].is_null());
    for (text, more, needle) in [
        ("nonsense", &[problem][..], "copy.wgsl"),
        (text, &["fill:clients=1,n=5,y_stride=64,value=1"], "is not built from util/copy.wgsl"),
        (text, &["step"], "--shader times kernels"),
        (text, &[problem, "--device", "cpu"], "needs a GPU device"),
    ] {
        let error = bench(text, more).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains(needle), "{error}");
    }
}

/// A device whose shader computes wrong results: the row reports it without samples, and the exit code is 1.
#[test]
fn a_wrong_kernel_is_reported_and_not_timed() {
    let text = shader::source("util/fill.wgsl").unwrap().replace("= p.value", "= p.value + 1.0");
    let options = GpuOptions {
        sources: [("util/fill.wgsl".to_string(), shader::Source::new("fill.wgsl", text))].into(),
        ..GpuOptions::default()
    };
    let mut bench = Bench::new(crate::gpu::open("gpu", options).unwrap().0);
    let wanted = Wanted::new(&args(&["fill:clients=1,n=5,y_stride=64,value=1"])).unwrap();
    let subject = Subject::open(&args(&["--device", "gpu"])).unwrap();
    let p = wanted.problems(&args(&[]), &subject).unwrap().remove(0);
    let row = LaunchRow::named(p.kernel, &p.params, targets::shape(&p), p.origin.clone(), subject.variant());
    let row = row.run(&mut bench, p.kernel, &p.params, &verify_sampled, &Budget::of(0.0), None).unwrap();
    assert!(matches!(&row.outcome, Outcome::Wrong { why } if why.contains("y[0] is 2e0, expected 1e0")), "{row:?}");
    let mut document = subject.document();
    document.rows.push(row);
    assert_eq!(code(&document, &[]), 1);
    assert!(table::summary(&document).contains("WRONG results, not timed: 1 launch"));
    assert!(document.measurements().is_empty());
}

#[test]
fn steps_and_rounds_are_measured_on_every_engine() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.json").display().to_string();
    let sizes = ["--image-size", "16", "--channels", "1", "--width", "2", "--latent", "3", "--batch", "2"];
    for (device, loss) in [("cpu", "wgan-gp"), ("gpu", "bce"), ("reference", "bce")] {
        let mut words = vec!["step", "round", "--clients", "2", "--steps", "2", "--device", device, "--loss", loss];
        words.extend(sizes);
        words.extend(["--json", &out]);
        assert_eq!(run(args(&words)).unwrap(), 0, "{device}");
        let value = json(Path::new(&out));
        let (step, round) = (&value["steps"][0], &value["rounds"][0]);
        assert!(value["rows"].as_array().unwrap().is_empty());
        assert!(step["classes"].as_array().unwrap().len() > 20 && step["wrong"].as_array().unwrap().is_empty());
        assert!(step["wall"].as_array().unwrap().len() >= 3 && round["wall"].as_array().unwrap().len() >= 3);
        assert_eq!((&step["workload"]["loss"], &round["steps"]), (&loss.into(), &2.into()));
        assert!(round["verified"].as_u64().unwrap() > 50 && round["wrong"].as_array().unwrap().is_empty());
        assert_eq!(round["floor"].is_null(), device == "reference");
    }
}

#[test]
fn bad_input_says_what_is_allowed() {
    for (words, needle) in [
        (&["convolve"][..], "besides kernels: step, round"),
        (&["fill:n=1"], "missing clients, y_stride, value"),
        (&["fill", "--shape", "clients=2,n=5,y_stride=63,value=1"], "multiple of 64"),
        (&["fill", "copy", "--shape", "n=1"], "needs exactly one kernel, and 2 are named"),
        (&["fill", "--loss", "bce"], "--loss applies to `step` and `round` only"),
        (&["conv2d", "--convolution", "direct"], "--convolution applies to `step` and `round` only"),
        (&["step", "--image-size", "33"], "33"),
        (&["step", "--clients", "0"], "--clients 0"),
        (&["step", "--device", "reference"], "the reference engine takes at most"),
        (&["fill:clients=1,n=5,y_stride=64,value=1", "--clients", "4"], "apply to training only"),
        (&["fill", "--device", "cpu", "--variant", "tiled"], "--variant needs a GPU device"),
        (&["fill", "--device", "voodoo"], "voodoo"),
        (&["fill", "--device", "reference", "--roofline", "x.png"], "no ceilings"),
        (&["fill", "--json", "/no/such/folder/x.json"], "no such directory (--json)"),
        (&["fill", "--save-baseline", "a/b", "--baseline-dir", "."], "letters, digits"),
    ] {
        let error = run(args(words)).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains(needle), "{words:?}: {error}");
    }
    for words in
        [["--seconds", "-1"], ["--loss", "hinge"], ["--workload", "w9"], ["--checks", "maybe"], ["--steps", "0"]]
    {
        assert!(Cli::try_parse_from(["bench"].iter().chain(&words)).is_err(), "{words:?}");
    }
}

#[test]
fn lines_fit_120_columns() {
    let words = ["--device", "cpu", "--width", "4", "--batch", "2", "--image-size", "16"];
    let (given, subject) = (args(&words), Subject::open(&args(&words)).unwrap());
    let problems = Wanted::new(&given).unwrap().problems(&given, &subject).unwrap();
    let layout = table::Layout::new(&problems);
    let mut bench = Bench::new(subject.engine().unwrap());
    let ceilings = Ceilings { flops: 1.0, ..Ceilings::default() };
    assert!(layout.header().trim_end().chars().count() <= 120);
    for p in &problems[..4] {
        let row = LaunchRow::named(p.kernel, &p.params, targets::shape(p), p.origin.clone(), "-");
        let mut row =
            row.run(&mut bench, p.kernel, &p.params, &verify_sampled, &Budget::of(0.0), Some(&ceilings)).unwrap();
        let text = layout.row(&row);
        assert!(text.lines().all(|l| l.chars().count() <= 120) && text.contains('!'), "{text}");
        // A launch that other work interrupts, as on a busy machine.
        let Outcome::Timed(timed) = &mut row.outcome else { panic!("{text}") };
        (timed.summary.p80, timed.roofline.as_mut().unwrap().share) = (101.0 * timed.summary.median, f64::INFINITY);
        let busy = layout.row(&row);
        assert!(busy.lines().all(|l| l.chars().count() <= 120) && busy.contains(" >999% "), "{busy}");
    }
}
