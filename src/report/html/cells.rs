//! Runs that differ in their seed only, put together.

use super::load::{Inputs, Run};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Runs of one experiment with several seeds.
#[derive(Clone, Debug)]
pub struct Cell<'a> {
    /// Unique among the cells.
    pub label: String,
    /// By seed, each seed once; unfinished ones too.
    pub runs: Vec<&'a Run>,
}

impl<'a> Cell<'a> {
    /// The runs that means are taken of.
    pub fn finished(&self) -> impl Iterator<Item = &'a Run> + '_ {
        self.runs.iter().copied().filter(|r| r.is_finished())
    }

    /// The run that stands for the cell where one must do.
    pub fn first(&self) -> &'a Run {
        self.runs[0]
    }
}

#[derive(PartialEq)]
enum Key<'a> {
    Sweep(&'a Path, &'a str),
    Plan(&'a BTreeMap<String, String>),
}

fn key(run: &Run) -> Key<'_> {
    match &run.cell {
        Some((sweep, name)) => Key::Sweep(sweep, name),
        None => Key::Plan(&run.plan.keys),
    }
}

/// Puts runs into cells, in the order of their first runs; remarks on seeds that come twice.
pub fn group<'a>(inputs: &'a Inputs, remarks: &mut Vec<String>) -> Vec<Cell<'a>> {
    let mut groups: Vec<(Key, Vec<&Run>)> = Vec::new();
    for run in &inputs.runs {
        let key = key(run);
        match groups.iter_mut().find(|(k, _)| *k == key) {
            Some((_, runs)) => runs.push(run),
            None => groups.push((key, vec![run])),
        }
    }
    let labels = labels(&groups);
    let cell = |((_, mut runs), label): ((Key, Vec<&'a Run>), String)| {
        // Of equal seeds the finished run comes first.
        runs.sort_by_key(|r| (r.plan.seed, !r.is_finished()));
        once(&mut runs, &label, remarks);
        Cell { label, runs }
    };
    groups.into_iter().zip(labels).map(cell).collect()
}

/// Repeats of a seed are not independent of each other: the first counts.
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

fn labels(groups: &[(Key, Vec<&Run>)]) -> Vec<String> {
    let loose: Vec<&BTreeMap<String, String>> =
        groups.iter().filter(|(k, _)| matches!(k, Key::Plan(_))).map(|(_, runs)| &runs[0].plan.keys).collect();
    let mut keys = differing(&loose);
    shorten(&mut keys, &loose);
    let mut taken = BTreeSet::new();
    let mut labels = Vec::new();
    for (key, runs) in groups {
        let label = match key {
            Key::Sweep(_, name) => name.to_string(),
            Key::Plan(_) if loose.len() == 1 => runs[0].plan.name.clone(),
            Key::Plan(plan) => of_keys(&keys, plan),
        };
        let label = match key {
            Key::Sweep(sweep, name) if taken.contains(&label) => {
                format!("{}/{name}", sweep.file_name().unwrap_or_default().to_string_lossy())
            }
            _ => label,
        };
        let unique = (1..).map(|i| if i == 1 { label.clone() } else { format!("{label} ({i})") });
        let label = unique.into_iter().find(|l| !taken.contains(l)).unwrap_or(label);
        taken.insert(label.clone());
        labels.push(label);
    }
    labels
}

/// `attack.malicious=[0], train.lr=0.1`; keys that the plan does not have are left out, unless none would be left.
fn of_keys(keys: &[String], plan: &BTreeMap<String, String>) -> String {
    let present: Vec<String> = keys.iter().filter_map(|k| Some(format!("{k}={}", plan.get(k)?))).collect();
    if present.is_empty() { format!("no {}", keys.join(", ")) } else { present.join(", ") }
}

/// The keys whose values (or absence) are not the same everywhere, sorted.
pub fn differing(plans: &[&BTreeMap<String, String>]) -> Vec<String> {
    let all: BTreeSet<&String> = plans.iter().flat_map(|p| p.keys()).collect();
    let differs = |key: &&String| plans.iter().any(|p| p.get(*key) != plans[0].get(*key));
    all.into_iter().filter(differs).cloned().collect()
}

/// Drops keys that some plans do not have (such as those of a detector) where the others tell the cells apart as well.
fn shorten(keys: &mut Vec<String>, plans: &[&BTreeMap<String, String>]) {
    let kinds = |keys: &[String]| {
        let values = |p: &&BTreeMap<String, String>| keys.iter().map(|k| p.get(k).cloned()).collect::<Vec<_>>();
        plans.iter().map(values).collect::<BTreeSet<_>>().len()
    };
    let all = kinds(keys);
    for key in keys.clone() {
        let rest: Vec<String> = keys.iter().filter(|k| **k != key).cloned().collect();
        if plans.iter().any(|p| !p.contains_key(&key)) && kinds(&rest) == all {
            *keys = rest;
        }
    }
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
        let dirs: Vec<_> = runs.iter().map(|(name, ..)| f.path(name.split("/cells/").next().unwrap())).collect();
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
    fn a_key_of_one_rule_stays_where_it_tells_cells_apart() {
        let other = DEFENDED.replace("warmup = 1", "warmup = 2");
        let (cells, _) = grouped(&[("a", 1, DEFENDED), ("b", 1, &other), ("c", 1, ATTACKED)]);
        let labels: Vec<&str> = cells.iter().map(|c| c.0.as_str()).collect();
        assert_eq!(labels[0], "detection.kind=isolation-forest, detection.warmup=1");
        assert_eq!(labels[2], "detection.kind=none");
    }

    #[test]
    fn cells_of_two_sweeps_keep_apart() {
        let (cells, _) = grouped(&[("one/cells/x-s1", 1, ""), ("two/cells/x-s1", 1, ""), ("run", 5, "")]);
        let labels: Vec<&str> = cells.iter().map(|c| c.0.as_str()).collect();
        assert_eq!(labels, ["x", "two/x", "test"]);
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
