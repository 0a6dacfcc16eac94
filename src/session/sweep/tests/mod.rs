//! Sweeps of one process.

mod kept;

use super::*;
use crate::config::Draft;
use crate::session::tests::Heard;
use crate::session::{Session, Silent};
use std::collections::BTreeMap;
use std::fs;

/// Runs a test's sweep.
#[derive(Clone)]
struct Args {
    sweep: PathBuf,
    out: Option<PathBuf>,
    set: Vec<String>,
    device: Option<String>,
    only: Option<String>,
}

fn grid(args: &Args) -> Result<Grid> {
    let mut sweep = Sweep::read(&args.sweep)?;
    sweep.override_with(&args.set, args.device.as_deref())?;
    Grid::look(sweep, args.out.as_deref(), args.only.as_deref())
}

fn run(args: Args) -> Result<()> {
    grid(&args)?.tuned(false).run(&mut Silent)?.expect("nobody stops it").verdict()
}

const GRID: &str = r#"
name = "tiny"
base = "base.toml"
seeds = [2, 1]
[[axis]]
name = "attack"
[[axis.value]]
name = "honest"
[[axis.value]]
name = "attacked"
set = { "attack.malicious" = [0], "evaluation.metrics" = ["leakage"] }
"#;

const BASE: &str = r#"
rounds = 2
device = "cpu"
model = { image_size = 16, width = 2, latent = 4 }
train = { batch = 8, local_steps = 1 }
federation = { clients = 4 }
data = { kind = "dermoscopy", n = 40 }
detection = { kind = "isolation-forest-published", warmup = 0 }
evaluation = { samples = 4, grid = 2, metrics = ["ms-ssim"] }
"#;

/// A folder with the sweep and its base; the sweep's directory is "out" in it.
struct Fixture(tempfile::TempDir);

impl Fixture {
    fn new() -> Fixture {
        let fixture = Fixture(tempfile::tempdir().unwrap());
        fixture.write("s.toml", GRID);
        fixture.write("base.toml", BASE);
        fixture
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.at(name), text).unwrap();
    }

    fn args(&self, set: &[&str]) -> Args {
        Args {
            sweep: self.at("s.toml"),
            out: Some(self.at("out")),
            set: set.iter().map(|s| s.to_string()).collect(),
            device: None,
            only: None,
        }
    }

    fn only(&self, only: &str) -> Args {
        Args { only: Some(only.into()), ..self.args(&[]) }
    }

    fn results(&self) -> Vec<Vec<String>> {
        let text = fs::read_to_string(self.at("out/results.csv")).unwrap();
        // The one cell with a comma in it, in quotes.
        let text = text.replace("\"cpu/built-in CPU engine (f32, GEMM)\"", "cpu");
        text.lines().map(|line| line.split(',').map(String::from).collect()).collect()
    }

    fn refused(&self, args: Args) -> String {
        let error = run(args).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        error.to_string()
    }
}

/// Names and contents of all files below a directory.
fn snapshot(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut out = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(snapshot(&path))
        } else {
            out.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    out
}

fn names(dir: PathBuf) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_grid_is_run_kept_and_extended() {
    let fixture = Fixture::new();
    run(fixture.only("-s1")).unwrap();
    assert_eq!(names(fixture.at("out/cells")), ["attacked-s1", "honest-s1"]);
    let kept = snapshot(&fixture.at("out/cells"));
    assert!(kept.keys().all(|path| !path.ends_with(".fedgan-unfinished")), "{:?}", kept.keys());
    run(fixture.args(&[])).unwrap();
    assert_eq!(names(fixture.at("out/cells")), ["attacked-s1", "attacked-s2", "honest-s1", "honest-s2"]);
    let after = snapshot(&fixture.at("out/cells"));
    for (path, bytes) in &kept {
        assert!(after[path] == *bytes, "{} was written again", path.display());
    }

    let lines = fixture.results();
    assert_eq!(lines[0][..6], ["cell", "attack", "seed", "rounds", "seconds", "device"]);
    let firsts: Vec<String> = lines[1..].iter().map(|l| format!("{} {} {}", l[0], l[1], l[2])).collect();
    assert_eq!(firsts, ["honest honest 2", "honest honest 1", "attacked attacked 2", "attacked attacked 1"]);
    let column =
        |name: &str| lines[0].iter().position(|c| c == name).unwrap_or_else(|| panic!("{name}: {:?}", lines[0]));
    assert_eq!((lines[1][column("leakage_n4")].as_str(), lines[1][column("malicious_rounds")].as_str()), ("", "0"));
    assert_eq!((lines[3][column("malicious_rounds")].as_str(), lines[3][column("honest_rounds")].as_str()), ("1", "3"));
    assert!(lines[3][column("leakage_n4")].parse::<f64>().is_ok());
    for (line, cell) in lines[1..].iter().zip(["honest-s2", "honest-s1", "attacked-s2", "attacked-s1"]) {
        let summary = Summary::read(&fixture.at("out/cells").join(cell)).unwrap();
        for (name, value) in &summary.metrics {
            assert_eq!(line[column(name)].parse::<f64>().unwrap(), *value, "{cell}: {name}");
        }
        assert_eq!(line.len(), lines[0].len());
    }

    // A further seed and a further value add cells; the others are unchanged.
    let text = GRID.replace("[2, 1]", "[1, 3]") + "[[axis.value]]\nname = 'late'\nset = { 'attack.malicious' = [1] }\n";
    fixture.write("s.toml", &text);
    run(fixture.only("late-s3")).unwrap();
    assert!(fixture.at("out/cells/honest-s2").exists(), "a cell that left the grid stays");
    let cells: Vec<String> = fixture.results()[1..].iter().map(|l| format!("{}-s{}", l[0], l[2])).collect();
    assert_eq!(cells, ["honest-s1", "attacked-s1", "late-s3"]);
    let last = snapshot(&fixture.at("out/cells"));
    assert!(after.iter().all(|(path, bytes)| last[path] == *bytes));
}

#[test]
fn shards_cover_the_grid_once() {
    let fixture = Fixture::new();
    let share = |number, of| {
        let grid = grid(&fixture.args(&[])).unwrap().tuned(false).shard(Shard { number, of });
        let listing = grid.listing();
        let outcome = grid.run(&mut Silent).unwrap().unwrap();
        (listing, outcome.rows.len())
    };
    let (listing, rows) = share(1, 3);
    assert!(listing.contains("2 of 4 runs selected, 0 finished, 2 to run"), "{listing}");
    assert_eq!((rows, names(fixture.at("out/cells"))), (2, vec!["attacked-s1".into(), "honest-s2".into()]));
    // More shards than cells: the last have nothing to do, and the table has what the others finished.
    assert_eq!(share(5, 8).1, 2);
    assert_eq!(share(3, 3).1, 3);
    assert_eq!(share(2, 3).1, 4);
    assert_eq!(names(fixture.at("out/cells")).len(), 4);
    assert_eq!(fixture.results().len(), 1 + 4);
}

#[test]
fn a_cell_is_the_run_that_its_plan_describes() {
    let fixture = Fixture::new();
    run(fixture.only("attacked-s2")).unwrap();
    let plan = Draft::read(Some(&fixture.at("out/cells/attacked-s2/plan.toml"))).unwrap().plan().unwrap();
    let dir = crate::report::RunDir::create(Some(&fixture.at("alone")), Path::new(""), "x").unwrap();
    Session::new(plan).tuned(false).prepare(&mut Silent).unwrap().train(&dir, &mut Silent).unwrap();
    for name in ["plan.toml", "metrics.jsonl", "generator.safetensors", "samples.png"] {
        let read = |folder: &str| fs::read(fixture.at(folder).join(name)).unwrap();
        assert!(read("out/cells/attacked-s2") == read("alone"), "{name}");
    }
    assert_eq!(names(fixture.at("out/cells/attacked-s2")), names(fixture.at("alone")));
}

#[test]
fn cells_write_event_files_where_asked() {
    let fixture = Fixture::new();
    run(fixture.only("honest-s1")).unwrap();
    let with_events = grid(&fixture.only("s1")).unwrap().tuned(false).tensorboard(true);
    with_events.run(&mut Silent).unwrap().unwrap();
    let folder = |cell: &str| fixture.at("out/cells").join(cell).join("tensorboard");
    assert_eq!(names(folder("attacked-s1")), ["events.out.tfevents.0000000001.fedgan"]);
    assert!(!folder("honest-s1").exists(), "a finished cell is not repeated");
}

#[test]
fn a_changed_plan_is_refused_with_its_keys() {
    let fixture = Fixture::new();
    run(fixture.only("s1")).unwrap();
    let before = snapshot(&fixture.at("out"));
    let message = fixture.refused(fixture.args(&["train.lr=0.5", "train.local_epochs=1"]));
    for expected in [
        "2 problems",
        "honest-s1: was run with another plan: train.local_epochs = absent, now 1; train.local_steps = 1, now absent; \
         train.lr = 0.0002, now 0.5",
        "attacked-s1: was run with another plan",
    ] {
        assert!(message.contains(expected), "{expected}\nis missing in\n{message}");
    }
    assert_eq!(snapshot(&fixture.at("out")), before);
    run(fixture.only("s1")).unwrap();
}

#[test]
fn unfinished_cells_start_again_and_foreign_directories_stay() {
    let fixture = Fixture::new();
    let cells = fixture.at("out/cells");
    run(fixture.only("honest-s1")).unwrap();
    let part = cells.join("honest-s2.part");
    fs::create_dir(&part).unwrap();
    fs::write(part.join("mine.txt"), "mine").unwrap();
    let message = fixture.refused(fixture.only("honest"));
    assert!(message.contains("honest-s2.part exists and was not made by a sweep"), "{message}");
    assert_eq!(names(part.clone()), ["mine.txt"]);

    fs::remove_dir_all(&part).unwrap();
    fs::create_dir(&part).unwrap();
    fs::write(part.join(".fedgan-unfinished"), "").unwrap();
    fs::write(part.join("metrics.jsonl"), "half a li").unwrap();
    run(fixture.only("honest")).unwrap();
    assert_eq!(names(cells.clone()), ["honest-s1", "honest-s2"]);
    assert_eq!(crate::report::metrics::read_jsonl(&cells.join("honest-s2/metrics.jsonl")).unwrap().len(), 2);

    fs::create_dir(cells.join("attacked-s1")).unwrap();
    let message = fixture.refused(fixture.args(&[]));
    assert!(message.contains("attacked-s1 exists and is not a finished run"), "{message}");
}

#[test]
fn a_failing_cell_is_named_and_leaves_what_is_recognised() {
    let fixture = Fixture::new();
    // A batch larger than a client's images is detected only when the images are dealt.
    let message = fixture.refused(fixture.args(&["train.batch=50"]));
    assert!(message.starts_with("cells honest-s2, honest-s1, attacked-s2, attacked-s1: "), "{message}");
    assert_eq!(message.lines().count(), 1, "a reason is told once: {message}");
    let lines = fixture.results();
    let column = |name: &str| lines[0].iter().position(|c| c == name).unwrap();
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert!(lines[1..].iter().all(|l| l[column("left_out")].contains("train.batch 50")), "{lines:?}");
    let message = fixture.refused(fixture.args(&["data={ kind = \"folder\", path = \"no/such\" }"]));
    assert!(message.starts_with("cell honest-s2: data.path = \"no/such\": no such folder"), "{message}");
    run(fixture.only("honest-s1")).unwrap();
}

#[test]
fn other_directories_and_sweeps_are_refused() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.at("out")).unwrap();
    fs::write(fixture.at("out/thesis.txt"), "precious").unwrap();
    let message = fixture.refused(fixture.args(&[]));
    assert!(message.contains("holds \"thesis.txt\" but no sweep.toml"), "{message}");
    fs::remove_file(fixture.at("out/thesis.txt")).unwrap();

    run(fixture.only("honest-s1")).unwrap();

    fixture.write("s.toml", &GRID.replace("tiny", "other"));
    let message = fixture.refused(fixture.args(&[]));
    assert!(message.contains("sweep.toml: belongs to the sweep `tiny`, not to `other`"), "{message}");
    fixture.write("s.toml", &GRID.replace("\"attack\"", "\"threat\""));
    assert!(fixture.refused(fixture.args(&[])).contains("has the axes [\"attack\"]"));
    let file = Args { out: Some(fixture.at("base.toml")), ..fixture.args(&[]) };
    assert!(fixture.refused(file).contains("is not a directory"));
}

#[test]
fn invalid_cells_and_selections_are_refused_before_anything_is_written() {
    let fixture = Fixture::new();
    fixture.write("s.toml", &GRID.replace("[0], ", "[7], "));
    let message = fixture.refused(fixture.args(&[]));
    assert!(message.contains("attacked: attack.malicious = [7]: must be client ids"), "{message}");
    fixture.write("s.toml", GRID);
    let message = fixture.refused(fixture.only("nobody"));
    assert!(message.contains("--only \"nobody\": is part of no cell's name; there are honest-s2, "), "{message}");
    assert!(!fixture.at("out").exists());
}

#[test]
fn a_dry_run_lists_and_writes_nothing() {
    let fixture = Fixture::new();
    let list = || {
        let grid = grid(&fixture.args(&[])).unwrap();
        grid.rehearse(&mut Silent);
        grid.listing().replace(&fixture.at("out").display().to_string(), "out")
    };
    list();
    assert!(!fixture.at("out").exists());
    run(fixture.only("honest-s1")).unwrap();
    let before = snapshot(&fixture.at("out"));
    let text = list();
    assert_eq!(snapshot(&fixture.at("out")), before);
    assert_eq!(
        text,
        "sweep tiny, base base.toml: 4 of 4 runs selected, 1 finished, 3 to run; directory out\n\
         honest-s2    2 rounds\nhonest-s1    kept\nattacked-s2  2 rounds\nattacked-s1  2 rounds\n"
    );
}

#[test]
fn a_cell_whose_data_will_not_do_is_left_out_and_named() {
    let fixture = Fixture::new();
    fixture.write("s.toml", &format!("{GRID}\n[[axis]]\nkey = \"train.batch\"\nvalues = [4096, 8]\n"));
    let message = fixture.refused(fixture.only("honest"));
    assert!(message.contains("cells honest-4096-s2, honest-4096-s1: "), "{message}");
    assert!(message.contains("train.batch 4096: 4 of 4 clients hold fewer images"), "{message}");
    let cells = names(fixture.at("out/cells"));
    assert!(["honest-8-s1", "honest-8-s2"].iter().all(|name| cells.iter().any(|c| c == name)), "{cells:?}");
}

#[test]
fn a_users_own_file_is_never_replaced() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.at("out")).unwrap();
    fs::copy(fixture.at("base.toml"), fixture.at("out/base.toml")).unwrap();
    fixture.write("out/sweep.toml", GRID);
    let message = fixture.refused(Args { sweep: fixture.at("out/sweep.toml"), ..fixture.args(&[]) });
    assert!(message.contains("sweep.toml: was not written by a sweep"), "{message}");
    assert_eq!(fs::read_to_string(fixture.at("out/sweep.toml")).unwrap(), GRID);
}

#[test]
fn the_kept_sweep_runs_again() {
    let fixture = Fixture::new();
    run(fixture.only("honest-s1")).unwrap();
    let again = Args { sweep: fixture.at("out/sweep.toml"), ..fixture.only("honest") };
    run(again).unwrap();
    assert_eq!(names(fixture.at("out/cells")), ["honest-s1", "honest-s2"]);
}

#[test]
fn a_cell_whose_training_stops_is_left_out_and_the_others_go_on() {
    let fixture = Fixture::new();
    fixture.write(
        "s.toml",
        &GRID.replace("\"attack.malicious\" = [0],", "\"train.lr\" = 1e30, \"attack.malicious\" = [0],"),
    );
    let error = run(fixture.args(&[])).unwrap_err();
    assert!(matches!(error, Error::NotFinite(_)) && error.exit_code() == 1);
    let text = error.to_string();
    assert!(
        text.lines().all(|l| l.contains("attacked") && l.contains(": client 0: "))
            && ["attacked-s2", "attacked-s1"].iter().all(|cell| text.contains(cell)),
        "{text}"
    );
    let lines = fixture.results();
    let column = lines[0].iter().position(|c| c == "left_out").unwrap();
    // A reason may contain commas.
    let left_out: Vec<String> = lines[1..].iter().map(|l| l[column..l.len() - 1].join(",")).collect();
    assert!(left_out[..2].iter().all(|why| why.is_empty()), "{lines:?}");
    assert!(left_out.len() == 4 && left_out[2..].iter().all(|why| why.contains("client 0: ")), "{lines:?}");
}

#[test]
fn an_interrupted_cell_goes_on_from_its_checkpoint() {
    let (fixture, other) = (Fixture::new(), Fixture::new());
    let set = ["rounds=5"];
    run(Args { only: Some("attacked-s1".into()), ..other.args(&set) }).unwrap();
    // Stopped in its third round.
    let args = Args { only: Some("attacked-s1".into()), ..fixture.args(&set) };
    assert!(grid(&args).unwrap().run(&mut Heard::stopping(2)).unwrap().is_none());
    let part = fixture.at("out/cells/attacked-s1.part");
    assert_eq!(crate::report::metrics::read_jsonl(&part.join("metrics.jsonl")).unwrap().len(), 2);
    run(Args { only: Some("attacked-s1".into()), ..fixture.args(&set) }).unwrap();
    let summary = Summary::read(&fixture.at("out/cells/attacked-s1")).unwrap();
    assert_eq!(summary.resumed.iter().map(|r| r.round).collect::<Vec<_>>(), [2]);
    for name in ["metrics.jsonl", "evaluation.csv", "generator.safetensors", "losses.png"] {
        let read = |f: &Fixture| fs::read(f.at("out/cells/attacked-s1").join(name)).unwrap();
        assert!(read(&fixture) == read(&other), "{name}");
    }
}

#[test]
fn a_cell_that_lacks_only_its_name_is_kept() {
    let fixture = Fixture::new();
    run(fixture.only("honest-s1")).unwrap();
    // As left by a sweep that was killed after the summary.
    let (cell, part) = (fixture.at("out/cells/honest-s1"), fixture.at("out/cells/honest-s1.part"));
    fs::rename(&cell, &part).unwrap();
    fs::write(part.join(".fedgan-unfinished"), "").unwrap();
    let before = snapshot(&part);
    run(fixture.only("honest-s1")).unwrap();
    let after = snapshot(&cell);
    assert!(!part.exists() && !cell.join(".fedgan-unfinished").exists());
    assert_eq!(after.len(), before.len() - 1, "the marker is gone");
    for (path, bytes) in after {
        assert!(
            before[&part.join(path.strip_prefix(&cell).unwrap_or(&path))] == bytes,
            "{} was written again",
            path.display()
        );
    }
}

#[test]
fn a_table_of_somebody_else_is_left_alone() {
    let fixture = Fixture::new();
    run(fixture.only("honest-s1")).unwrap();
    let table = fixture.at("out/results.csv");
    let own = fs::read_to_string(&table).unwrap();
    for text in [own.clone() + "my own line\n", own.replace(",fedgan sweep", ""), "notes\n".into()] {
        fs::write(&table, &text).unwrap();
        let message = fixture.refused(fixture.only("honest"));
        assert!(message.contains("results.csv: exists, and this option has not written it"), "{message}");
        assert_eq!(fs::read_to_string(&table).unwrap(), text);
        assert_eq!(names(fixture.at("out/cells")), ["honest-s1"], "nothing was trained");
    }
    fs::write(&table, own).unwrap();
    run(fixture.only("honest")).unwrap();
}
