use super::*;
use crate::fed::detector::Detector;
use crate::model::Objective;

fn parse(text: &str) -> Result<Sweep> {
    Sweep::parse("s.toml", text, None)
}

fn refusal(text: &str) -> String {
    let error = parse(text).expect_err(text);
    assert_eq!(error.exit_code(), 2);
    error.to_string()
}

const GRID: &str = r#"
name = "grid"
seeds = [3, 1]
set = { rounds = 7, "model.width" = 4 }
[[axis]]
name = "attack"
[[axis.value]]
name = "honest"
[[axis.value]]
name = "attacked"
set = { "attack.malicious" = [0] }
[[axis]]
key = "train.lr"
values = [1e-4, 2e-4]
"#;

#[test]
fn cells_are_the_product_in_order_with_seeds_innermost() {
    let sweep = parse(GRID).unwrap();
    assert_eq!((sweep.name.as_str(), sweep.base.as_str()), ("grid", "default"));
    assert_eq!(sweep.axes[1].name, "train.lr");
    let cells = sweep.cells().unwrap();
    let names: Vec<String> = cells.iter().map(Cell::directory).collect();
    let expected = [
        "honest-0.0001-s3",
        "honest-0.0001-s1",
        "honest-0.0002-s3",
        "honest-0.0002-s1",
        "attacked-0.0001-s3",
        "attacked-0.0001-s1",
        "attacked-0.0002-s3",
        "attacked-0.0002-s1",
    ];
    assert_eq!(names, expected);
    let last = &cells[7];
    assert_eq!(last.labels, ["attacked", "0.0002"]);
    assert_eq!((last.plan.seed, last.plan.rounds, last.plan.model.width, last.plan.train.lr), (1, 7, 4, 2e-4));
    assert_eq!((last.plan.name.as_str(), last.plan.attack.malicious.as_slice()), ("attacked-0.0002", [0].as_slice()));
    assert!(!cells[0].plan.is_attacked());
}

#[test]
fn a_sweep_of_seeds_alone_has_one_cell() {
    let cells = parse("name = 'n'\nseeds = [1, 2]").unwrap().cells().unwrap();
    assert_eq!(cells.iter().map(Cell::directory).collect::<Vec<_>>(), ["run-s1", "run-s2"]);
}

#[test]
fn one_message_names_every_mistake() {
    let message = refusal(
        r#"
base = "no-such"
seeds = [1, 1]
sets = {}
set = { "train.lrr" = 1, seed = 4, name = "x" }
[[axis]]
name = "a/b"
[[axis.value]]
name = "x"
sett = {}
[[axis.value]]
set = { train = { batchs = 3 } }
[[axis]]
key = "train.lr"
value = []
[[axis]]
key = "model.with"
values = [1, 2]
[[axis]]
name = "seed"
key = "train.batch"
values = []
"#,
    );
    for expected in [
        "name: missing",
        "base = \"no-such\": no such file as no-such, and no built-in experiment `no-such`",
        "seeds = [1, 1]: must be a list",
        "sets: unknown key; allowed are `name`",
        "set.train.lrr: unknown key; the nearest is `train.lr`",
        "set.seed: cannot be set in a sweep: `seeds` sets it",
        "set.name: cannot be set in a sweep",
        "axis[0].name = \"a/b\": must be letters",
        "axis[0].value[0].sett: unknown key",
        "axis[0].value[1].name: missing",
        "axis[0].value[1].set.train.batchs: unknown key; the nearest is `train.batch`",
        "axis[1]: expected either [[axis.value]] tables, or `key` and `values`",
        "axis[2].key = \"model.with\": unknown key; the nearest is `model.width`",
        "axis[3].values: must be a list of at least one value",
        "axis[3].name = \"seed\": must be letters",
    ] {
        assert!(message.contains(expected), "{expected}\nis missing in\n{message}");
    }
    assert_eq!(message.lines().count(), 16, "{message}");
}

#[test]
fn types_and_repetitions_are_refused() {
    let head = "name = 'n'\nseeds = [1]\n";
    for (text, expected) in [
        ("name = 3\nseeds = [1]".to_string(), "name = 3: must be a string"),
        ("name = '../x'\nseeds = [1]".into(), "name = \"../x\": must be letters"),
        ("name = 'n'".into(), "seeds: missing"),
        ("name = 'n'\nseeds = []".into(), "seeds = []: must be a list of at least one"),
        ("name = 'n'\nseeds = [-1]".into(), "seeds = [-1]: must be"),
        ("name = 'n'\nseeds = 1".into(), "seeds = 1: must be a list"),
        ("name = = 3".into(), "s.toml: TOML parse error"),
        (format!("{head}set = 3"), "set = 3: must be a table"),
        (format!("{head}set = {{ 'train.lr' = 1, train = {{ lr = 2 }} }}"), "set: sets `train.lr` twice"),
        (
            format!("{head}set = {{ train = {{ local_steps = 1, local_epochs = 2 }} }}"),
            "set: sets `train.local_epochs` and `train.local_steps`, which exclude each other",
        ),
        (format!("{head}axis = 3"), "axis = 3: must be a list of tables"),
        (format!("{head}[[axis]]\nname = 'a'\nvalue = 3"), "axis[0].value: must be at least one table"),
        (format!("{head}[[axis]]\nvalues = [1]"), "axis[0].key: missing"),
        (format!("{head}[[axis]]\n[[axis.value]]\nname = 'x'"), "axis[0].name: missing"),
        (format!("{head}[[axis]]\nkey = 'rounds'\nvalues = [1]"), "axis[0].name = \"rounds\": must be"),
        (
            format!("{head}[[axis]]\nkey = 'device'\nname = 'd'\nvalues = ['a b']"),
            "axis[0].values[0] = \"a b\": must be",
        ),
        (
            format!("{head}[[axis]]\nname = 'a'\n[[axis.value]]\nname = 'x'\n[[axis.value]]\nname = 'X'"),
            "axis `a`: the value `x` is given twice",
        ),
        (
            format!("{head}[[axis]]\nkey = 'train.lr'\nvalues = [1]\n[[axis]]\nkey = 'train.lr'\nvalues = [2]"),
            "axis: the name `train.lr` is given twice",
        ),
        (
            format!(
                "{head}[[axis]]\nkey = 'train.local_steps'\nvalues = [1]\n[[axis]]\nkey = 'train.local_epochs'\nvalues = [2]"
            ),
            "axis `train.local_steps` and axis `train.local_epochs` both set `train.local_steps`",
        ),
        (
            format!(
                "{head}[[axis]]\nname = 'a'\nvalue = [{{ name = 'x-y' }}, {{ name = 'x' }}]
[[axis]]\nname = 'b'\nvalue = [{{ name = 'z' }}, {{ name = 'y-z' }}]"
            ),
            "two cells have the name `x-y-z`",
        ),
    ] {
        let message = refusal(&text);
        assert!(message.contains(expected), "{text}\n{expected}\nis missing in\n{message}");
    }
    let many = (0..200).map(|i| i.to_string()).collect::<Vec<_>>().join(", ");
    let axis = |key: &str| format!("[[axis]]\nkey = '{key}'\nvalues = [{many}]\n");
    let message = refusal(&format!("{head}{}{}", axis("train.batch"), axis("model.width")));
    assert!(message.contains("the grid has 40000 runs, at most 10000"), "{message}");
}

#[test]
fn invalid_cells_are_all_named_with_each_reason_once() {
    let text =
        GRID.replace("\"model.width\" = 4", "\"model.width\" = 0").replace("2e-4]", "-1]").replace("[0] }", "[9] }");
    let error = parse(&text).unwrap().cells().unwrap_err();
    let message = error.to_string();
    assert_eq!(error.exit_code(), 2);
    for expected in [
        "sweep `grid`: 3 problems",
        "all cells: model.width = 0: must be a whole number from 1",
        "honest--1, attacked--1: train.lr = -1: must be a number above 0",
        "attacked-0.0001, attacked--1: attack.malicious = [9]: must be client ids",
    ] {
        assert!(message.contains(expected), "{expected}\nis missing in\n{message}");
    }
}

#[test]
fn a_table_with_kind_replaces_and_a_left_over_option_is_explained() {
    let sweep = |defence: &str| {
        format!(
            "name = 'n'\nseeds = [1]\nset = {{ detection = {{ kind = 'isolation-forest', margin = 0.5 }} }}
[[axis]]\nname = 'defence'\n[[axis.value]]\nname = 'x'\nset = {{ {defence} }}"
        )
    };
    let cells = parse(&sweep("detection = { kind = 'none' }")).unwrap().cells().unwrap();
    assert_eq!(cells[0].plan.detection, Detector::None {});
    let error = parse(&sweep("'detection.kind' = 'none'")).unwrap().cells().unwrap_err().to_string();
    let no_such =
        "x: detection.margin: detection.kind = \"none\" has no such option, which belongs to \"isolation-forest\"";
    let advice = "; to drop the options of another kind, give the whole table: detection = { kind = \"none\" }";
    assert!(error.contains(no_such) && error.ends_with(advice), "{error}");
    // A partition is one level deeper; exclusive keys replace each other.
    let text = "name = 'n'\nseeds = [1]\nset = { federation = { partition = { kind = 'dirichlet', alpha = 1.0 } } }
[[axis]]\nkey = 'federation.partition'\nvalues = ['iid']\n[[axis]]\nkey = 'train.local_steps'\nvalues = [4]";
    let cells = parse(text).unwrap().cells().unwrap();
    assert_eq!(cells[0].plan.federation.partition, crate::fed::Partition::Iid);
    assert_eq!(cells[0].plan.train.local(), crate::fed::Local::Steps(4));
    let text = text.replace("'federation.partition'", "'federation.partition.kind'");
    let error = parse(&text).unwrap().cells().unwrap_err().to_string();
    assert!(error.contains("federation.partition.alpha: federation.partition.kind = \"iid\" has no"), "{error}");
}

#[test]
fn the_command_line_sets_all_cells_but_no_axis() {
    let mut sweep = parse(GRID).unwrap();
    let set = |texts: &[&str]| texts.iter().map(|t| t.to_string()).collect::<Vec<_>>();
    sweep.override_with(&set(&["rounds=9", "train.batch=4"]), Some("cpu")).unwrap();
    let cells = sweep.cells().unwrap();
    assert!(cells.iter().all(|c| (c.plan.rounds, c.plan.train.batch, c.plan.device.as_str()) == (9, 4, "cpu")));
    for (bad, expected) in [
        ("train.lr=1", "--set train.lr=1: the axis `train.lr` of the sweep sets this key"),
        ("seed=1", "cannot be set in a sweep: `seeds` sets it"),
        ("rounds", "expected KEY=VALUE"),
        ("train.lrr=1", "unknown key; the nearest is `train.lr`"),
    ] {
        let error = sweep.override_with(&set(&[bad]), None).unwrap_err();
        assert!(error.to_string().contains(expected) && error.exit_code() == 2, "{bad}: {error}");
    }
}

#[test]
fn what_is_stored_reads_back_and_is_told_from_other_sweeps() {
    let mut sweep = parse(&GRID.replace("rounds = 7", "train = { local_steps = 2 }, 'detection.warmup' = 1")).unwrap();
    let over = ["train.batch=4", "train.local_epochs=1", "detection={ kind = \"none\" }"].map(String::from);
    sweep.override_with(&over, None).unwrap();
    let stored = sweep.to_toml();
    let again = parse(&stored).unwrap();
    assert_eq!(again.cells().unwrap(), sweep.cells().unwrap(), "{stored}");
    assert_eq!(again.axes, sweep.axes);
    assert_eq!(sweep.continues(&stored), Ok(()));
    let more = parse(&GRID.replace("[3, 1]", "[3, 1, 2]").replace("2e-4]", "2e-4, 3e-4]")).unwrap();
    assert_eq!(more.continues(&stored), Ok(()));
    let other = parse(&GRID.replace("\"grid\"", "\"other\"")).unwrap();
    assert!(other.continues(&stored).unwrap_err().contains("the sweep `grid`, not to `other`"));
    let axes = parse(&GRID.replace("\"attack\"", "\"a\"")).unwrap();
    assert!(axes.continues(&stored).unwrap_err().contains("has the axes [\"attack\", \"train.lr\"]"));
    assert!(sweep.continues(&format!("{KEPT}name = =")).is_err());
    let own = stored.strip_prefix(KEPT).unwrap();
    assert!(sweep.continues(own).unwrap_err().contains("was not written by a sweep"));
}

#[test]
fn a_base_file_lies_beside_the_sweep() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("base.toml"), "rounds = 5\n[train]\nlocal_epochs = 2").unwrap();
    let path = dir.path().join("s.toml");
    std::fs::write(&path, "name = 'n'\nbase = 'base.toml'\nseeds = [1]\nset = { 'train.local_steps' = 3 }").unwrap();
    let plan = &Sweep::read(&path).unwrap().cells().unwrap()[0].plan;
    assert_eq!((plan.rounds, plan.train.local_epochs, plan.train.local_steps), (5, None, Some(3)));
    std::fs::write(dir.path().join("base.toml"), "rounds = = 5").unwrap();
    let error = Sweep::read(&path).unwrap_err().to_string();
    assert!(error.contains("base = \"base.toml\"") && error.contains("line 1"), "{error}");
    let missing = Sweep::read(Path::new("no/such.toml")).unwrap_err();
    assert!(missing.to_string().starts_with("no/such.toml: ") && missing.exit_code() == 2);
}

#[test]
fn the_built_in_ten_cells_are_the_papers_grid() {
    for name in ["ten-cells", "ten-cells-small"] {
        papers_grid(name);
    }
}

fn papers_grid(name: &str) {
    let mut sweep = Sweep::read(Path::new(name)).unwrap();
    sweep.override_with(&["data={ kind = \"builtin\" }".to_string()], Some("cpu")).unwrap();
    let cells = sweep.cells().unwrap();
    assert_eq!(cells.len(), 30);
    let honest = cells.iter().filter(|c| !c.plan.is_attacked()).count();
    let regularised = |c: &&Cell| matches!(c.plan.train.training().objective, Objective::WganGp { .. });
    assert_eq!((honest, cells.iter().filter(regularised).count()), (15, 12));
    let both = cells.iter().find(|c| c.directory() == "attacked-corrected-regularised-s2").unwrap();
    assert!(matches!(both.plan.detection, Detector::IsolationForest(_)));
    assert_eq!((both.plan.attack.malicious.as_slice(), both.plan.train.lambda), ([0].as_slice(), Some(10.0)));
    let published = cells.iter().filter(|c| matches!(c.plan.detection, Detector::IsolationForestPublished(_)));
    assert_eq!(published.count(), 6);
}

#[test]
fn the_built_in_search_pairs_every_changed_training_with_its_honest_run() {
    let mut sweep = Sweep::read(Path::new("strong-attack")).unwrap();
    sweep.override_with(&["data={ kind = \"builtin\" }".to_string()], Some("cpu")).unwrap();
    let cells = sweep.cells().unwrap();
    let honest: Vec<_> = cells.iter().filter(|c| !c.plan.is_attacked()).map(|c| &c.plan).collect();
    for attacked in cells.iter().filter(|c| c.plan.is_attacked()).map(|c| &c.plan) {
        let same =
            |h: &&&Plan| (&h.train, &h.federation, h.seed) == (&attacked.train, &attacked.federation, attacked.seed);
        assert_eq!(honest.iter().filter(same).count(), 1, "{:?}", attacked.train);
    }
}

#[test]
fn the_built_in_detection_sweep_has_a_hundred_rounds_after_the_warm_up() {
    let cells = Sweep::read(Path::new("detection")).unwrap().cells().unwrap();
    assert_eq!(cells.len(), 30);
    for plan in cells.iter().map(|c| &c.plan) {
        assert_eq!(plan.detection.warmup().map(|w| plan.rounds - w - 1), Some(100));
    }
}
