//! The part of a run's plan that the page uses.

use std::collections::BTreeMap;
use toml::{Table, Value};

/// A run's `plan.toml`, read by the caller, which knows the keys of experiments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlanFacts {
    /// The experiment's name.
    pub name: String,
    /// The experiment's seed.
    pub seed: u64,
    /// Number of rounds in the plan.
    pub rounds: usize,
    /// Number of clients.
    pub clients: usize,
    /// Last round (from 0) without verdicts; `None` without a detector.
    pub warmup: Option<u32>,
    /// First round of the attack, from 0.
    pub start_round: u32,
    /// The attacks and what their attackers know, in an attacked run.
    pub attackers: Option<String>,
    /// Every key by its path with its value as text, without `seed`, `name`, `device` and the resolved values.
    pub keys: BTreeMap<String, String>,
    /// Values resolved by the run (program version, device), by path.
    pub resolved: BTreeMap<String, String>,
    /// The file.
    pub text: String,
}

impl PlanFacts {
    /// Splits the tables of a plan: [`keys`](Self::keys) and [`resolved`](Self::resolved).
    pub fn split(mut plan: Table) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
        let resolved = match plan.remove("resolved") {
            Some(Value::Table(resolved)) => flat(&resolved),
            _ => BTreeMap::new(),
        };
        plan.retain(|key, _| !matches!(key, "seed" | "name" | "device"));
        (flat(&plan), resolved)
    }

    fn of_run(&self, key: &str) -> &str {
        self.resolved.get(key).map_or("unknown", String::as_str)
    }

    /// Version of the program that ran it.
    pub fn version(&self) -> &str {
        self.of_run("version")
    }

    /// Engine, adapter, driver.
    pub fn engine(&self) -> String {
        let part = |key| Some(self.of_run(key)).filter(|v| !matches!(*v, "-" | "unknown"));
        let more: Vec<&str> = [part("device.backend"), part("device.driver")].into_iter().flatten().collect();
        let more = if more.is_empty() { String::new() } else { format!(" ({})", more.join(", ")) };
        format!("{}: {}{more}", self.of_run("device.engine"), self.of_run("device.adapter"))
    }

    /// The source of the images: the keys of `[data]`.
    pub fn data(&self) -> String {
        let part = |(key, value): (&String, &String)| Some(format!("{}={value}", key.strip_prefix("data.")?));
        self.keys.iter().filter_map(part).collect::<Vec<_>>().join(", ")
    }
}

/// Paths to values as text.
fn flat(table: &Table) -> BTreeMap<String, String> {
    fn walk(prefix: &str, table: &Table, out: &mut BTreeMap<String, String>) {
        for (key, value) in table {
            match value {
                Value::Table(inner) => walk(&format!("{prefix}{key}."), inner, out),
                Value::String(text) => drop(out.insert(format!("{prefix}{key}"), text.clone())),
                other => drop(out.insert(format!("{prefix}{key}"), other.to_string())),
            }
        }
    }
    let mut out = BTreeMap::new();
    walk("", table, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_paths_and_exclude_the_device() {
        let text = "seed = 3\nname = 'x'\ndevice = 'cpu'\nrounds = 4\n[data]\nkind = 'builtin'\nheld_out = 0.1\n\
                    [attack]\nmalicious = [0, 2]\ntrigger = { pattern = 'cross' }\n\
                    [resolved]\nversion = '0.1.0'\n[resolved.device]\nengine = 'gpu'\nadapter = 'A'\nbackend = 'Vulkan'\ndriver = '-'";
        let (keys, resolved) = PlanFacts::split(text.parse().unwrap());
        let names: Vec<&str> = keys.keys().map(String::as_str).collect();
        assert_eq!(names, ["attack.malicious", "attack.trigger.pattern", "data.held_out", "data.kind", "rounds"]);
        assert_eq!((keys["attack.malicious"].as_str(), keys["attack.trigger.pattern"].as_str()), ("[0, 2]", "cross"));
        let facts = PlanFacts { keys, resolved, ..Default::default() };
        assert_eq!((facts.version(), facts.engine().as_str()), ("0.1.0", "gpu: A (Vulkan)"));
        assert_eq!(facts.data(), "held_out=0.1, kind=builtin");
        assert_eq!(PlanFacts::default().engine(), "unknown: unknown");
    }
}
