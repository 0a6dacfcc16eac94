use super::*;
use crate::config::{RunConfig, tests::edge};
use crate::data::DataConfig;
use crate::fed::detector::Detector;

/// The configuration of a valid tree.
fn read(tree: &Table) -> RunConfig {
    let mut problems = Problems::default();
    let config = RunConfig::read(tree.clone(), &mut problems);
    assert!(problems.is_empty(), "{tree}{problems:?}");
    config.unwrap()
}

fn tags() -> BTreeSet<&'static str> {
    super::tags().collect()
}

/// A tree with a tag and the keys that it requires.
fn with_tag(tag: &str, name: &str) -> Table {
    let mut tree = Table::new();
    insert(&mut tree, tag, Value::String(name.into())).unwrap();
    for key in all().filter(|key| key.of.is_some_and(|of| of.tag == tag) && key.fits(Some(name))) {
        if matches!(key.default, DefaultValue::Required) {
            insert(&mut tree, key.path, edge::sample(key.kind)).unwrap();
        }
    }
    tree
}

#[test]
fn every_default_is_within_its_range() {
    let wgan = with_tag("train.loss", "wgan-gp");
    let defaults: Vec<_> = all().filter_map(|key| Some((key, key.default.value(&wgan)?))).collect();
    assert!(defaults.len() > 45, "{}", defaults.len());
    for (key, default) in defaults {
        assert_eq!(key.kind.check(&default), Ok(()), "{}", key.path);
    }
}

#[test]
fn a_default_out_of_range_would_be_noticed() {
    assert!(ValueKind::Int(1, 2).check(&Value::Integer(0)).is_err());
    assert!(ValueKind::Real(Bound::Open(0.0), Bound::Free).check(&Value::Float(0.0)).is_err());
}

#[test]
fn the_structs_hold_the_rows_and_nothing_else() {
    assert_eq!(tags().len(), 7);
    let of: BTreeSet<&str> = all().filter_map(|key| key.of).map(|of| of.tag).collect();
    assert!(of.is_subset(&tags()), "{of:?}: a key belongs to a tag that is none");
    for tag in tags() {
        let ValueKind::Choice(names) = all().find(|key| key.path == tag).unwrap().kind else { panic!("{tag}") };
        for name in names {
            let tree = with_tag(tag, name);
            let mut filled = tree.clone();
            fill(&mut filled);
            let written = Table::try_from(read(&tree)).unwrap();
            assert_eq!(written, filled, "{tag} = {name}");
        }
    }
}

#[test]
fn every_row_reaches_its_field() {
    for key in all().filter(|key| !tags().contains(key.path)) {
        let mut tree = key.of.map_or(Table::new(), |of| with_tag(of.tag, of.names[0]));
        let value = edge::sample(key.kind);
        insert(&mut tree, key.path, value.clone()).unwrap();
        let written = Table::try_from(read(&tree)).unwrap();
        assert_eq!(lookup(&written, key.path), Some(&value), "{}", key.path);
    }
}

#[test]
fn every_word_of_a_choice_is_read() {
    for key in all().filter(|key| !tags().contains(key.path)) {
        let (ValueKind::Choice(names) | ValueKind::Choices(names)) = key.kind else { continue };
        for name in names {
            let mut tree = key.of.map_or(Table::new(), |of| with_tag(of.tag, of.names[0]));
            let word = Value::String((*name).into());
            let value = if matches!(key.kind, ValueKind::Choice(_)) { word } else { Value::Array(vec![word]) };
            insert(&mut tree, key.path, value.clone()).unwrap();
            assert_eq!(lookup(&Table::try_from(read(&tree)).unwrap(), key.path), Some(&value));
        }
    }
}

/// Other code parses rules and sources without the rows, with the same defaults.
#[test]
fn defaults_of_tagged_types_are_those_of_the_rows() {
    for name in ["none", "isolation-forest-published", "isolation-forest"] {
        let own: Detector = toml::from_str(&format!("kind = '{name}'")).unwrap();
        assert_eq!(read(&with_tag("detection.kind", name)).detection, own);
    }
    for (name, path) in [
        ("builtin", ""),
        ("folder", "path = 'x'"),
        ("manifest", "path = 'x'"),
        ("npz", "path = 'x'"),
        ("dermoscopy", ""),
    ] {
        let own: DataConfig = toml::from_str(&format!("kind = '{name}'\n{path}")).unwrap();
        assert_eq!(read(&with_tag("data.kind", name)).data.source, own);
    }
}

#[test]
fn rows_are_told_apart_by_path_and_tag() {
    let mut seen = BTreeSet::new();
    for key in all() {
        for name in key.of.map_or(&[""][..], |of| of.names) {
            assert!(seen.insert((key.path, *name)), "{} {name} has two rows", key.path);
        }
        if let Some(of) = key.of {
            assert_eq!(parent(of.tag), parent(key.path));
            let ValueKind::Choice(names) = all().find(|tag| tag.path == of.tag).unwrap().kind else {
                panic!("{}", of.tag)
            };
            assert!(of.names.iter().all(|name| names.contains(name)), "{}", key.path);
        }
        if let Some(other) = key.excludes {
            assert!(all().any(|o| o.path == other && o.excludes == Some(key.path)), "{}", key.path);
        }
        assert!(!is_known(key.was.unwrap_or("-")), "{}: a former path must not be a present one", key.path);
    }
    assert_eq!(exclusive().count(), 2);
}

#[test]
fn former_paths_load_with_a_note() {
    static ROWS: [Key; 1] = [Key::new("a.new", ValueKind::Flag, DefaultValue::Off, "").was("a.old")];
    let renamed = |text: &str| {
        let mut tree: Table = text.parse().unwrap();
        let notes = rename(&mut tree, ROWS.iter());
        (tree.to_string(), notes)
    };
    let (tree, notes) = renamed("[a]\nold = 3\n");
    assert_eq!(tree, "[a]\nnew = 3\n");
    assert_eq!(notes.unwrap(), "`a.old` is now `a.new`; the former name is still accepted");
    assert_eq!(renamed("[a]\nnew = 3\n").1, None);
    let both = "[a]\nold = 3\nnew = 4\n";
    assert!(renamed(both).0.contains("old = 3") && renamed(both).1.is_none());
}

#[test]
fn each_choice_is_described_on_its_page() {
    for (path, page, passed) in [
        ("data.kind", "images", &[][..]),
        ("detection.kind", "detection", &["none"]),
        ("evaluation.metrics", "metrics", &[]),
    ] {
        let key = all().find(|key| key.path == path).unwrap();
        let (ValueKind::Choice(names) | ValueKind::Choices(names)) = key.kind else { panic!("{path}") };
        let text = std::fs::read_to_string(format!("{}/docs/{page}.md", env!("CARGO_MANIFEST_DIR"))).unwrap();
        for name in names.iter().filter(|name| !passed.contains(name)) {
            assert!(text.contains(&format!("`{name}`")), "docs/{page}.md says nothing of {path} = {name:?}");
        }
    }
}

#[test]
fn suggests_near_keys() {
    for (wrong, right) in [
        ("train.learning_rate", "train.lr"),
        ("train.batch_size", "train.batch"),
        ("lr", "train.lr"),
        ("trian", "train"),
        ("modle", "model"),
        ("model.imagesize", "model.image_size"),
        ("federation.client", "federation.clients"),
        ("attack.image.opactiy", "attack.image.opacity"),
    ] {
        assert_eq!(nearest(wrong), right, "{wrong}");
    }
}

#[test]
fn the_documentation_has_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once("<!-- begin: fedgan keys -->\n").expect("a begin marker");
    let (table, _) = rest.split_once("<!-- end: fedgan keys -->").expect("an end marker");
    assert_eq!(table.trim(), markdown().trim(), "docs/configuration.md lacks the output of `fedgan keys`");
}
