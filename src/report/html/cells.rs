//! Groups runs that differ in their seed only.

use super::load::{Inputs, Run};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Runs of one experiment with several seeds.
#[derive(Clone, Debug)]
pub struct Cell<'a> {
    /// Unique among the cells.
    pub label: String,
    /// By seed, each seed once; includes unfinished runs.
    pub runs: Vec<&'a Run>,
}

impl<'a> Cell<'a> {
    /// The runs that enter the means.
    pub fn finished(&self) -> impl Iterator<Item = &'a Run> + '_ {
        self.runs.iter().copied().filter(|r| r.is_finished())
    }

    /// The run that represents the cell where one is needed.
    pub fn first(&self) -> &'a Run {
        self.runs[0]
    }
}

type Plan = BTreeMap<String, String>;

/// The common properties of a cell's runs: the plan and, in a sweep, its directory and the cell's name.
#[derive(PartialEq)]
struct Key<'a> {
    sweep: Option<(&'a Path, &'a str)>,
    plan: &'a Plan,
}

fn key(run: &Run) -> Key<'_> {
    Key { sweep: run.cell.as_ref().map(|(sweep, name)| (sweep.as_path(), name.as_str())), plan: &run.plan.keys }
}

/// Groups runs into cells, in the order of their first runs; adds remarks on repeated seeds and on cells of a sweep
/// whose runs have different plans.
pub fn group<'a>(inputs: &'a Inputs, remarks: &mut Vec<String>) -> Vec<Cell<'a>> {
    let mut groups: Vec<(Key, Vec<&Run>)> = Vec::new();
    for run in &inputs.runs {
        let key = key(run);
        match groups.iter_mut().find(|(k, _)| *k == key) {
            Some((_, runs)) => runs.push(run),
            None => groups.push((key, vec![run])),
        }
    }
    let keys: Vec<&Key> = groups.iter().map(|(key, _)| key).collect();
    let names: Vec<&str> = groups.iter().map(|(_, runs)| runs[0].plan.name.as_str()).collect();
    let labels = labels(&keys, &names, remarks);
    let cell = |((_, mut runs), label): ((Key, Vec<&'a Run>), String)| {
        // Among equal seeds the finished run comes first.
        runs.sort_by_key(|r| (r.plan.seed, !r.is_finished()));
        once(&mut runs, &label, remarks);
        Cell { label, runs }
    };
    groups.into_iter().zip(labels).map(cell).collect()
}

/// Repeats of a seed are not independent: the first counts.
fn once(runs: &mut Vec<&Run>, label: &str, remarks: &mut Vec<String>) {
    let mut seen: BTreeMap<u64, PathBuf> = BTreeMap::new();
    runs.retain(|run| match seen.get(&run.plan.seed) {
        Some(first) => {
            let (dir, seed, first) = (run.dir.display(), run.plan.seed, first.display());
            remarks.push(format!("{dir}: seed {seed} of \"{label}\" again (as {first}), left out"));
            false
        }
        None => seen.insert(run.plan.seed, run.dir.clone()).is_none(),
    });
}

/// A label for every key; `names` are those of their experiments.
fn labels(keys: &[&Key], names: &[&str], remarks: &mut Vec<String>) -> Vec<String> {
    let mut labels: Vec<String> = Vec::new();
    for (i, key) in keys.iter().enumerate() {
        let kin: Vec<&Plan> = keys.iter().filter(|k| k.sweep == key.sweep).map(|k| k.plan).collect();
        let telling = shortened(differing(&kin), &kin);
        let mut label = match key.sweep {
            Some((_, name)) if kin.len() == 1 => name.to_string(),
            Some((_, name)) => format!("{name}, {}", of_keys(&telling, key.plan)),
            None if kin.len() == 1 => names[i].to_string(),
            None => of_keys(&telling, key.plan),
        };
        if let Some((sweep, name)) = key.sweep {
            if kin.len() > 1 && keys[..i].iter().all(|k| k.sweep != key.sweep) {
                let (dir, n, telling) = (sweep.display(), kin.len(), telling.join(", "));
                remarks
                    .push(format!("{dir}: runs of \"{name}\" have {n} different plans ({telling}), one cell per plan"));
            }
            if labels.contains(&label) {
                label = format!("{}/{label}", sweep.file_name().unwrap_or_default().to_string_lossy());
            }
        }
        let unique = (1..).map(|i| if i == 1 { label.clone() } else { format!("{label} ({i})") });
        let label = unique.into_iter().find(|l| !labels.contains(l)).unwrap_or(label);
        labels.push(label);
    }
    labels
}

/// `attack.malicious=[0], train.lr=0.1`; keys absent from the plan are omitted, unless all are absent.
pub fn of_keys(keys: &[String], plan: &Plan) -> String {
    let present: Vec<String> = keys.iter().filter_map(|k| Some(format!("{k}={}", plan.get(k)?))).collect();
    if present.is_empty() { format!("no {}", keys.join(", ")) } else { present.join(", ") }
}

/// The keys whose values (or absence) are not the same everywhere, sorted.
pub fn differing(plans: &[&Plan]) -> Vec<String> {
    let all: BTreeSet<&String> = plans.iter().flat_map(|p| p.keys()).collect();
    let differs = |key: &&String| plans.iter().any(|p| p.get(*key) != plans[0].get(*key));
    all.into_iter().filter(differs).cloned().collect()
}

/// Drops keys that some plans do not have (such as those of a detector) if the others distinguish the cells as well.
fn shortened(mut keys: Vec<String>, plans: &[&Plan]) -> Vec<String> {
    let kinds = |keys: &[String]| {
        let values = |p: &&Plan| keys.iter().map(|k| p.get(k).cloned()).collect::<Vec<_>>();
        plans.iter().map(values).collect::<BTreeSet<_>>().len()
    };
    let all = kinds(&keys);
    for key in keys.clone() {
        let rest: Vec<String> = keys.iter().filter(|k| **k != key).cloned().collect();
        if plans.iter().any(|p| !p.contains_key(&key)) && kinds(&rest) == all {
            keys = rest;
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, plan};
    use super::super::load::load;
    use super::*;

    const ATTACKED: &str = "[attack]\nmalicious = [0]\n";
    const DEFENDED: &str = "[attack]\nmalicious = [0]\n[detection]\nkind = \"isolation-forest\"\nwarmup = 1\n";

    fn grouped(runs: &[(&str, u64, &str)]) -> (Vec<(String, Vec<u64>)>, Vec<String>) {
        let f = Fixture::new();
        runs.iter().for_each(|(name, seed, more)| f.run(name, *seed, more, 2));
        let mut dirs: Vec<_> = runs.iter().map(|(name, ..)| f.path(name.split("/cells/").next().unwrap())).collect();
        dirs.dedup();
        let inputs = load(&dirs, &plan).unwrap();
        let mut remarks = Vec::new();
        let cells = group(&inputs, &mut remarks);
        let seeds = |c: &Cell| c.runs.iter().map(|r| r.plan.seed).collect();
        (cells.iter().map(|c| (c.label.clone(), seeds(c))).collect(), remarks)
    }

    #[test]
    fn plans_that_differ_in_seed_and_device_are_one_cell() {
        let (cells, remarks) = grouped(&[("a", 2, ATTACKED), ("b", 1, ""), ("c", 1, ATTACKED), ("d", 3, DEFENDED)]);
        let expected = [
            ("attack.malicious=[0], detection.kind=none", vec![1, 2]),
            ("attack.malicious=[], detection.kind=none", vec![1]),
            ("attack.malicious=[0], detection.kind=isolation-forest", vec![3]),
        ];
        assert_eq!(cells, expected.map(|(l, s)| (l.to_string(), s)));
        assert!(remarks.is_empty());
    }

    #[test]
    fn a_repeated_seed_counts_once() {
        let (cells, remarks) = grouped(&[("a", 1, ""), ("b", 1, "")]);
        assert_eq!(cells, [("test".to_string(), vec![1])]);
        assert!(remarks.len() == 1 && remarks[0].contains("b: seed 1 of \"test\" again"), "{remarks:?}");
    }

    #[test]
    fn a_key_of_one_rule_stays_if_it_distinguishes_cells() {
        let other = DEFENDED.replace("warmup = 1", "warmup = 2");
        let (cells, _) = grouped(&[("a", 1, DEFENDED), ("b", 1, &other), ("c", 1, ATTACKED)]);
        let labels: Vec<&str> = cells.iter().map(|c| c.0.as_str()).collect();
        assert_eq!(labels[0], "detection.kind=isolation-forest, detection.warmup=1");
        assert_eq!(labels[2], "detection.kind=none");
    }

    #[test]
    fn cells_of_two_sweeps_stay_separate() {
        let (cells, _) = grouped(&[("one/cells/x-s1", 1, ""), ("two/cells/x-s1", 1, ""), ("run", 5, "")]);
        let labels: Vec<&str> = cells.iter().map(|c| c.0.as_str()).collect();
        assert_eq!(labels, ["x", "two/x", "test"]);
    }

    /// A sweep whose `[set]` was changed before it was run again for other seeds.
    #[test]
    fn changed_plans_of_one_cell_stay_separate() {
        let later = "[train]\nlr = 0.1\n";
        let runs =
            [("s/cells/x-s1", 1, ""), ("s/cells/x-s2", 2, later), ("s/cells/x-s3", 3, ""), ("s/cells/y-s1", 1, "")];
        let (cells, remarks) = grouped(&runs);
        let expected = [("x, no train.lr", vec![1, 3]), ("x, train.lr=0.1", vec![2]), ("y", vec![1])];
        assert_eq!(cells, expected.map(|(l, s)| (l.to_string(), s)));
        let told: Vec<&String> = remarks.iter().filter(|r| r.contains("2 different plans (train.lr)")).collect();
        assert!(told.len() == 1 && told[0].contains("runs of \"x\""), "{remarks:?}");
    }

    #[test]
    fn absent_keys_can_be_all_there_is() {
        let plan = BTreeMap::from([("a".to_string(), "1".to_string())]);
        assert_eq!(of_keys(&["b".to_string()], &plan), "no b");
        let other = BTreeMap::from([("a".to_string(), "1".to_string()), ("b".to_string(), "2".to_string())]);
        assert_eq!(differing(&[&plan, &other]), ["b"]);
        assert!(differing(&[]).is_empty());
    }
}
