//! Tests of whole experiments.

mod attacks;
pub(crate) mod edge;

use super::*;
use crate::fed::Local;
use crate::fed::attack::image::{Patch, Pattern, Place};
use crate::fed::attack::{OnImages, OnUpdate, Scale};
use crate::fed::{Partition, Rule, Shared};

fn load_text(text: &str, set: &[&str]) -> Result<Plan> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.toml");
    std::fs::write(&path, text).unwrap();
    load(Some(&path), &Overrides { set: set.iter().map(|s| s.to_string()).collect(), ..Default::default() })
}

fn refusal(text: &str, set: &[&str]) -> String {
    let error = load_text(text, set).expect_err("must be refused");
    assert_eq!(error.exit_code(), 2);
    error.to_string()
}

#[test]
fn the_default_experiment_differs_from_the_keys_in_its_pace_only() {
    let default = load(None, &Overrides::default()).unwrap();
    assert_eq!(default, load_text("", &["rounds=50", "train.batch=16", "train.lr=4e-4"]).unwrap());
    assert!(!default.is_attacked());
    let mut attacked = load(Some(Path::new("attacked")), &Overrides::default()).unwrap();
    assert_eq!(attacked.attack.malicious, [0]);
    assert_eq!(attacked.attack.image, OnImages::Patch(Patch::checker()));
    attacked.name = "default".into();
    attacked.attack.malicious.clear();
    assert_eq!(attacked, default, "they must differ in the attack only");
}

#[test]
fn built_in_experiments_load_and_the_papers_are_its_recipe() {
    use crate::model::Training;
    for (name, _) in BUILTIN {
        let folder = Overrides { set: vec!["data={ kind = \"folder\", path = \"x\" }".into()], ..Default::default() };
        assert_eq!(load(Some(Path::new(name)), &folder).unwrap().name, name);
    }
    for (name, size, width, side, margin) in
        [("paper", 256, 64, 16, 5), ("paper-64", 64, 64, 4, 1), ("paper-32", 32, 32, 2, 1)]
    {
        let plan = load(Some(Path::new(name)), &Overrides::default()).unwrap();
        let (m, t, a) = (&plan.model, &plan.train, &plan.attack);
        assert_eq!((m.image_size, m.channels, m.width, m.latent), (size, 3, width, 100), "{name}");
        assert_eq!((t.batch, t.lr, t.beta1, t.beta2, t.training()), (32, 2e-4, 0.9, 0.999, Training::default()));
        assert_eq!((plan.seed, plan.rounds, plan.federation.clients, t.local()), (999, 200, 4, Local::Epochs(1)));
        let patch = Patch { side: Some(side), margin: Some(margin), ..Patch::checker() };
        assert_eq!((a.malicious.as_slice(), &a.image), ([0].as_slice(), &OnImages::Patch(patch)), "{name}");
        assert_eq!((&plan.federation.partition, plan.federation.shared), (&Partition::Shared, Shared::Generator));
    }
}

#[test]
fn plans_name_the_keys_in_which_they_differ() {
    let a = load_text("", &[]).unwrap();
    let b = load_text("", &["train.lr=0.5", "detection.kind=isolation-forest-published"]).unwrap();
    assert!(a.differences(&a, &[]).unwrap().is_empty());
    let lines = a.differences(&b, &[]).unwrap();
    assert!(lines.contains(&"train.lr = 0.0002, now 0.5".to_string()), "{lines:?}");
    assert!(lines.contains(&"detection.warmup = absent, now 10".to_string()), "{lines:?}");
    assert!(lines.iter().all(|l| l.starts_with("train.lr") || l.starts_with("detection.")), "{lines:?}");
}

#[test]
fn one_message_names_every_mistake() {
    let text = "rounds = \"many\"\nlr = 1\n[model]\nimage_size = 48\nchannels = 2\nwidth = 0\nlatents = 3
[train]\nbatch = 0\nlr = -0.5\nbeta1 = 1.0\nbeta2 = -0.1\neps = 0\nlocal_epochs = 1\nlocal_steps = 2
[federation]\nclients = 0\npartition = \"iid\"\naggregate = \"all\"
[data]\nheld_out = 1.0\n[attack]\nfraction = 1.5\nopacity = nan\nside = 60\nmalicious = [4]\n";
    let message = refusal(text, &[]);
    for expected in [
        "rounds = \"many\": must be a whole number",
        "lr: unknown key; the nearest is `train.lr`",
        "model.image_size = 48: must be 16, 32, 64, 128 or 256",
        "model.channels = 2: must be 1 or 3",
        "model.width = 0: must be a whole number from 1 to 1024",
        "model.latents: unknown key; the nearest is `model.latent`",
        "train.batch = 0: must be a whole number from 1 to 4096",
        "train.lr = -0.5: must be a number above 0",
        "train.beta1 = 1: must be a number in [0, 1)",
        "train.beta2 = -0.1: must be a number in [0, 1)",
        "train.eps = 0: must be a number above 0",
        "train.local_epochs = 1 and train.local_steps = 2: must be one of the two",
        "federation.clients = 0: must be a whole number from 1 to 65535",
        "federation.shared = \"all\": must be one of \"generator\", \"both\"",
        "data.held_out = 1: must be a number in [0, 1)",
        "attack.fraction = 1.5: must be a number in [0, 1]",
        "attack.image.opacity = NaN: must be a number in [0, 1]",
        "attack.malicious = [4]: must be client ids",
    ] {
        assert!(message.contains(expected), "{expected}\nis missing in\n{message}");
    }
    assert!(message.contains("18 problems") && message.lines().count() == 19, "{message}");
}

#[test]
fn wrong_types_and_ranges_name_the_path() {
    for (set, expected) in [
        ("model.width=wide", "model.width = \"wide\": must be a whole number from 1 to 1024"),
        ("model.width=-1", "model.width = -1: must be"),
        ("model.width=1.5", "model.width = 1.5: must be"),
        ("model=3", "model = 3: must be a table"),
        ("seed=-1", "seed = -1: must be"),
        ("name=a/b", "name = \"a/b\": must be letters"),
        ("name=..", "name = \"..\": must be"),
        ("rounds=0", "rounds = 0: must be a whole number from 1 to 4294967295"),
        ("train.local_steps=0", "train.local_steps = 0: must be a whole number from 1"),
        ("attack.malicious=9", "attack.malicious = 9: must be at most 4"),
        ("attack.malicious=[1, 1]", "without repetitions"),
        ("attack.trigger.image=none.png", "attack.image.picture: none.png"),
        ("attack.place=middle", "attack.image.place = \"middle\": must be one of \"bottom-right\""),
        ("federation.partition=random", "federation.partition.kind = \"random\": must be one of"),
        (
            "federation.partition.kind=dirichlet",
            "federation.partition.alpha: is missing, must be a number above 0 (concentration",
        ),
        ("train.lr_rate=1", "unknown key; the nearest is `train.lr`"),
        ("evaluation.samples=1", "evaluation.samples = 1: must be a whole number from 2 to 65536"),
    ] {
        let attacked = std::fs::read_to_string("assets/experiments/attacked.toml").unwrap();
        let message = refusal(&attacked, &[set]);
        let expected = expected.split(" = none").next().unwrap();
        assert!(message.contains(expected), "{set}: {message}");
    }
    let late = refusal("", &["attack.malicious=1", "rounds=30", "attack.start_round=30"]);
    assert!(late.contains("attack.start_round = 30: must be below rounds"), "{late}");
}

#[test]
fn overrides_reach_every_table() {
    let set = [
        "train.local_steps=7",
        "federation.partition.kind=dirichlet",
        "federation.partition.alpha=0.5",
        "federation.aggregate=both",
        "attack.malicious=2",
        "attack.trigger.pattern=cross",
        "attack.place=centre",
        "model.image_size=64",
    ];
    let plan = load_text("", &set).unwrap();
    assert_eq!(plan.train.local(), Local::Steps(7));
    assert_eq!(plan.federation.partition, Partition::Dirichlet { alpha: 0.5, minimum: None });
    assert_eq!(plan.federation.shared, Shared::Both);
    assert_eq!(plan.attack.malicious, [0, 1]);
    let cross = Patch { pattern: Some(Pattern::Cross), place: Place::Centre, side: Some(4), ..Patch::checker() };
    assert_eq!(plan.attack.image, OnImages::Patch(cross));
    let over = Overrides { device: Some("llvm".into()), seed: Some(9), ..Default::default() };
    let plan = load(None, &over).unwrap();
    assert_eq!((plan.device.as_str(), plan.seed), ("llvm", 9));
    let huge = Overrides { seed: Some(u64::MAX), ..Default::default() };
    assert!(load(None, &huge).unwrap_err().to_string().contains("--seed"));
}

#[test]
fn detection_is_chosen_by_kind_and_checked() {
    use crate::fed::detector::{Detector, Features, LossReport};
    let plan = load_text("", &["detection.kind=isolation-forest", "detection.features=server"]).unwrap();
    assert!(matches!(&plan.detection, Detector::IsolationForest(rule) if rule.features == Features::Server));
    let published = load_text("", &["detection.kind=isolation-forest-published", "attack.report=true"]).unwrap();
    assert_eq!((published.detection.warmup(), published.report), (Some(10), LossReport::True));
    let text = "[attack]\nmalicious = 1\nreport = \"median\"";
    assert_eq!(load_text(text, &[]).unwrap().report, LossReport::Median);
    let kind = "detection.kind=isolation-forest";
    for (set, expected) in [
        (vec![kind, "federation.clients=2"], "detection.kind = \"isolation-forest\" with federation.clients = 2"),
        (vec![kind, "detection.warmup=59"], "detection.warmup = 59: must be below rounds - 1 (59)"),
        (vec![kind, "detection.memory=0.5"], "detection.memory = 0.5: must be a number, at least 1"),
        (vec![kind, "detection.margin=nan"], "detection.margin = NaN: must be a number above 0"),
        (vec![kind, "detection.patience=0"], "detection.patience = 0: must be a whole number from 1"),
        (vec![kind, "detection.decay=1"], "detection.decay = 1: must be a number in (0, 1)"),
        (vec![kind, "detection.floor=0"], "detection.floor = 0: must be a number in (0, 1]"),
        (vec!["detection.kind=forest"], "detection.kind = \"forest\": must be one of"),
        (vec!["detection.warmup=3"], "detection.kind: is missing, must be one of \"none\""),
        (vec!["data.kind=folder"], "data.path: is missing, must be a path (the folder, the manifest or"),
        (vec!["data.path=x"], "data.kind: is missing, must be one of \"builtin\""),
        (vec!["attack.report=lie"], "attack.report = \"lie\": must be one of \"true\", \"median\""),
    ] {
        let message = refusal("", &set);
        assert!(message.contains(expected), "{set:?}: {message}");
    }
}

#[test]
fn an_extractor_of_ones_own_has_options() {
    let path = "evaluation.extractor=nets/a.onnx";
    assert!(
        refusal("", &[path]).contains("evaluation.extractor_range: is missing, must be the inputs for black and white")
    );
    let plan = load_text("", &[path, "evaluation.extractor_range=[0, 255]", "evaluation.extractor_std=[2]"]).unwrap();
    let own = plan.evaluation.own_extractor().unwrap();
    assert_eq!((own.path.as_path(), own.range, own.std), (Path::new("nets/a.onnx"), [0.0, 255.0], Some(vec![2.0])));
    assert!(own.side.is_none() && own.mean.is_none() && own.layout.is_none() && !own.is_fid);
    let text = refusal("", &["evaluation.extractor_side=64"]);
    assert!(
        text.contains("evaluation.extractor_side: belongs to an ONNX file, but evaluation.extractor = \"lite0\""),
        "{text}"
    );
    for (set, allowed) in [
        ("range=[1, 0]", "a list of two numbers [low, high]"),
        ("range=[0, 1, 2]", "a list of two numbers [low, high]"),
        ("mean=[0.1, 0.2]", "a list of 1 or 3 finite numbers"),
        ("std=[0]", "a list of 1 or 3 finite numbers above 0"),
        ("std=[inf]", "a list of 1 or 3 finite numbers above 0"),
        ("filter=cubic", "one of \"catmull-rom\""),
        ("side=0", "a whole number from 1 to 1024"),
    ] {
        let text = refusal("", &[path, &format!("evaluation.extractor_{set}")]);
        assert!(
            text.contains(allowed) && text.contains("range: is missing") != set.starts_with("range"),
            "{set}: {text}"
        );
    }
    assert!(load_text("", &[]).unwrap().evaluation.own_extractor().is_none());
}

#[test]
fn a_mistake_is_told_once() {
    for set in ["attack.trigger.pattern=foo", "federation.partition=foo", "data.kind=foo", "detection.kind=foo"] {
        let message = refusal("", &[set]);
        assert!(message.contains("must be one of") && !message.contains("problems"), "{message}");
    }
    let both = refusal("", &["data.kind=folder", "data.foo=1", "federation.partition=dirichlet"]);
    for what in
        ["3 problems", "data.foo: unknown key", "data.path: is missing", "federation.partition.alpha: is missing"]
    {
        assert!(both.contains(what), "{both}");
    }
}

#[test]
fn names_that_nothing_has_are_answered_with_those_that_there_are() {
    let read = |name: &str| load(Some(std::path::Path::new(name)), &Overrides::default()).unwrap_err().to_string();
    let typo = read("defualt");
    assert!(typo.contains("the nearest is `default`") && typo.contains("paper-64"), "{typo}");
    assert!(read("ten-cells").contains("`fedgan sweep ten-cells`"));
    assert!(read("xyzzy").contains("there are: default") && !read("xyzzy").contains("nearest"));
    assert!(!read("no/such.toml").contains("there are"));
    let sweep = |name: &str| Sweep::read(std::path::Path::new(name)).unwrap_err().to_string();
    assert!(sweep("tencells").contains("the nearest is `ten-cells`"), "{}", sweep("tencells"));
    assert!(sweep("default").contains("`fedgan run default`"));
}

#[test]
fn a_plan_reads_back_as_itself() {
    let descriptor = crate::exec::ReferenceEngine::new();
    let descriptor = crate::exec::Engine::descriptor(&descriptor);
    for set in [
        vec![],
        vec!["detection.kind=isolation-forest", "attack.report=median"],
        vec!["attack.malicious=[3, 1]", "train.local_steps=3", "federation.partition=iid"],
    ] {
        let plan = load_text("", &set).unwrap();
        let text = plan.to_toml(&Resolved::new(descriptor, "asked for")).unwrap();
        assert!(text.contains("[resolved]") && text.contains("f64 reference"), "{text}");
        assert_eq!(load_text(&text, &[]).unwrap(), plan, "{text}");
        assert!(!text.contains("tuning"), "{text}");
        let tuned = Resolved { tuning: Some("a/t.json".into()), ..Resolved::new(descriptor, "asked for") };
        let text = plan.to_toml(&tuned).unwrap();
        assert!(text.contains("tuning = \"a/t.json\""), "{text}");
        assert_eq!(load_text(&text, &[]).unwrap(), plan, "{text}");
    }
}

#[test]
fn missing_and_broken_files_are_named() {
    let missing = load(Some(Path::new("no/such.toml")), &Overrides::default()).unwrap_err();
    assert!(missing.to_string().starts_with("no/such.toml: ") && missing.exit_code() == 2);
    let message = refusal("rounds = = 3", &[]);
    assert!(message.contains("x.toml: ") && message.contains("line 1"), "{message}");
}

#[test]
fn folders_take_skip_bad_and_client_folders_from_elsewhere() {
    let set = ["data.kind=folder", "data.path=x", "federation.partition=client-folders"].map(String::from).to_vec();
    let plan = load(None, &Overrides { set, skip_bad: true, ..Default::default() }).unwrap();
    let expected = crate::data::DataConfig::Folder {
        path: "x".into(),
        skip_bad: true,
        client_folders: true,
        follow_links: false,
        window: None,
        axis: 2,
    };
    assert_eq!(plan.data.source, expected);
    assert!(plan.notes.lines().any(|n| n.contains("\"client-folders\"` is now `\"sites\"`")), "{:?}", plan.notes);
    let set = ["data.kind=manifest", "data.path=x", "federation.partition=sites"].map(String::from).to_vec();
    let plan = load(None, &Overrides { set, skip_bad: true, ..Default::default() }).unwrap();
    let expected = crate::data::DataConfig::Manifest {
        path: "x".into(),
        skip_bad: true,
        follow_links: false,
        window: None,
        axis: 2,
    };
    assert_eq!(plan.data.source, expected);
    let message = refusal("", &["federation.partition=sites"]);
    assert!(message.contains("needs data.kind = \"folder\" or \"manifest\""), "{message}");
    assert!(load(None, &Overrides { skip_bad: true, ..Default::default() }).is_ok());
}

#[test]
fn regularisation_is_resolved_or_refused_with_the_reason() {
    use crate::model::{Interpolation, Norm, Objective, Optimizer, Training};
    assert_eq!(load_text("", &[]).unwrap().train.training(), Training::default());
    let text = "[train]\nloss = \"wgan-gp\"\noptimizer = \"rmsprop\"\ninterpolation = \"normal\"\nn_critic = 5\n";
    let plan = load_text(text, &[]).unwrap();
    let objective = Objective::WganGp { lambda: 10.0, n_critic: 5, interpolation: Interpolation::Normal };
    let optimizer = Optimizer::RmsProp { lr: 2e-4, alpha: 0.99 };
    assert_eq!(plan.train.training(), Training { norm: Norm::Instance, objective, optimizer, ..Default::default() });
    assert_eq!((plan.train.norm, plan.train.lambda), (Some(Norm::Instance), Some(10.0)));
    assert!(load_text(text, &["train.norm=none", "train.lambda=0"]).is_ok());
    for (set, expected) in [
        ("train.norm=batch", "batch norm makes the gradient of one image depend on the others"),
        ("train.n_critic=0", "train.n_critic = 0: must be a whole number from 1 to 100"),
        ("train.lambda=-1", "train.lambda = -1: must be a number, at least 0"),
        ("train.norm=layer", "train.norm = \"layer\": must be one of \"batch\", \"instance\", \"none\""),
        ("train.alpha=1", "train.alpha = 1: must be a number in [0, 1)"),
        ("train.loss=bce", "train.n_critic = 5: critic steps need train.loss = \"wgan-gp\""),
    ] {
        let message = refusal(text, &[set]);
        assert!(message.contains(expected), "{set}: {message}");
    }
    let message = refusal("[train]\nlambda = 10\n", &[]);
    assert!(message.contains("the gradient penalty needs train.loss"), "{message}");
    assert!(load_text("[train]\nlambda = 0\nnorm = \"instance\"\n", &[]).is_ok());
}

#[test]
fn options_belong_to_their_tag_and_exclusive_keys_stand_alone() {
    for (text, expected) in [
        (
            "[detection]\nkind = \"isolation-forest-published\"\nfloor = 0.5\n",
            "detection.floor: detection.kind = \"isolation-forest-published\" has no such option, which belongs to \"isolation-forest\"",
        ),
        (
            "[federation.partition]\nkind = \"iid\"\nminimum = 3\n",
            "federation.partition.minimum: federation.partition.kind = \"iid\" has no such option",
        ),
        (
            "[attack.trigger]\nimage = \"a.png\"\npattern = \"cross\"\n",
            "attack.image.pattern = \"cross\" and attack.image.picture = \"a.png\": must be one of the two, not both",
        ),
        (
            "[attack.image]\nkind = \"sig\"\nplace = \"centre\"\n",
            "attack.image.place: attack.image.kind = \"sig\" has no such option, which belongs to \"patch\" and \"dba\"",
        ),
    ] {
        let message = refusal(text, &[]);
        assert!(message.contains(expected) && !message.contains("problems"), "{message}");
    }
    // The same key has different defaults with different rules.
    let decay = |kind: &str| {
        let plan = load_text("", &[&format!("detection={kind}")]).unwrap();
        keys::lookup(&toml::Table::try_from(plan.to_config()).unwrap(), "detection.decay").cloned()
    };
    assert_eq!(decay("isolation-forest"), Some(Value::Float(0.3)));
    assert_eq!(decay("isolation-forest-published"), Some(Value::Float(0.9)));
    assert_eq!(decay("none"), None);
}

#[test]
fn files_of_earlier_versions_load() {
    // A run directory's plan as written by 0.1.0, without later keys.
    let text = "name = \"old\"\nseed = 1\nrounds = 60\ndevice = \"auto\"\n[model]\nimage_size = 32\nchannels = 1\nwidth = 16
latent = 64\n[train]\nbatch = 32\nloss = \"bce\"\nnorm = \"batch\"\nn_critic = 1\ninterpolation = \"uniform\"\noptimizer = \"adam\"
lr = 0.0002\nbeta1 = 0.5\nbeta2 = 0.999\nalpha = 0.99\neps = 1e-8\nlocal_epochs = 1\n[federation]\nclients = 4
aggregate = \"generator\"\nweights = \"equal\"\n[federation.partition]\nkind = \"shared\"\n[data]\nheld_out = 0.1\nkind = \"builtin\"
[attack]\nmalicious = []\nside = 2\nmargin = 1\nplace = \"bottom-right\"\nfraction = 1.0\nopacity = 1.0\nrange = \"scaled\"
start_round = 0\nscale = 1.0\nreport = \"true\"\n[attack.trigger]\npattern = \"checker\"\n[detection]\nkind = \"none\"\n[evaluation]
every = 10\nsamples = 256\ngrid = 8\n[resolved]\nversion = \"0.1.0\"\nreason = \"asked for\"\nlater = { a = [1] }\n";
    let plan = load_text(text, &["name=default"]).unwrap();
    assert_eq!(plan, load_text("", &[]).unwrap());
    assert_eq!(plan.notes.0.len(), 2, "former paths and attack.scale: {:?}", plan.notes);
}

/// The patch's keys before attacks on images had a table.
/// Values out of their range, in attacks that would make tables of them.
#[test]
fn a_former_key_does_not_replace_the_present_one_in_a_file() {
    let both = "[attack]\nmalicious = 1\nscale = 1.0\nupdate = { kind = \"ipm\", epsilon = 0.5 }\n";
    for set in [&[][..], &["rounds=3"]] {
        let message = refusal(both, set);
        assert!(message.contains("attack.scale"), "{message}");
    }
    let plan = load_text("[attack]\nside = 3\nimage = \"patch\"\n", &[]).unwrap();
    assert_eq!(plan.attack.image, OnImages::Patch(Patch { side: Some(3), ..Patch::checker() }));
}

/// Key names of versions before 0.2.0, in a file and on the command line.
#[test]
fn former_keys_load_with_a_note() {
    let text = "[federation]\naggregate = \"both\"\n[attack]\nmalicious = 1\nscale = 2.5\n";
    let plan = Draft::parse("t".into(), text).unwrap().plan().unwrap();
    assert_eq!(plan.federation.shared, Shared::Both);
    assert_eq!(plan.attack.update, OnUpdate::Scale(Scale { factor: 2.5 }));
    assert_eq!(plan.notes.0.len(), 2, "{:?}", plan.notes);
    assert!(plan.notes.0[1].contains("attack.update = { factor = 2.5, kind = \"scale\" }"), "{:?}", plan.notes);
    // The resolved plan of an honest run of version 0.1.0 has the factor 1, which means no attack on updates.
    let plan = load_text("", &["attack.scale=1.0"]).unwrap();
    assert_eq!(plan.attack.update, OnUpdate::default());
    let twice = "[federation]\naggregate = \"both\"\nshared = \"generator\"\n";
    let error = Draft::parse("t".into(), twice).unwrap().plan().unwrap_err().to_string();
    assert!(error.contains("federation.aggregate: is the former name of `federation.shared`"), "{error}");
    let error = load_text("", &["attack.scale=-1"]).unwrap_err().to_string();
    assert!(error.contains("attack.update.factor = -1: must be a number above 0"), "{error}");
}

#[test]
fn a_rule_and_an_attack_have_short_forms() {
    let plan = load_text("", &["federation.aggregation=mean", "attack.update=none"]).unwrap();
    assert_eq!((plan.federation.aggregation, plan.attack.update), (Rule::default(), OnUpdate::default()));
}
