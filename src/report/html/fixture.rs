//! Run directories for tests.

use super::plan::PlanFacts;
use crate::report::{ClientRecord, RoundRecord};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// A temporary folder.
pub struct Fixture {
    root: tempfile::TempDir,
}

impl Fixture {
    pub fn new() -> Fixture {
        Fixture { root: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A finished run of three clients; the first is malicious if `more` (TOML) says so.
    pub fn run(&self, name: &str, seed: u64, more: &str, rounds: usize) {
        let dir = self.path(name);
        std::fs::create_dir_all(dir.join("grids")).unwrap();
        let text = format!("name = \"test\"\nseed = {seed}\nrounds = {rounds}\n{more}");
        std::fs::write(dir.join("plan.toml"), &text).unwrap();
        let attacked = more.contains("malicious = [0]");
        let lines: Vec<String> =
            (0..rounds).map(|round| record(round, seed, attacked, round + 1 == rounds).to_json().unwrap()).collect();
        std::fs::write(dir.join("metrics.jsonl"), lines.join("\n") + "\n").unwrap();
        let timing = "{\"round\":0,\"seconds\":2.0,\"images_per_second\":50.0}\n";
        std::fs::write(dir.join("timing.jsonl"), timing).unwrap();
        std::fs::write(dir.join("summary.json"), "{}").unwrap();
        std::fs::write(dir.join("real.png"), png(1)).unwrap();
        std::fs::write(dir.join(format!("grids/round-{rounds:04}.png")), png(seed as u8 + 1)).unwrap();
    }
}

fn png(shade: u8) -> Vec<u8> {
    let picture = image::RgbImage::from_pixel(4, 4, image::Rgb([shade; 3]));
    crate::report::picture::encode_png(&picture).unwrap()
}

/// Losses and distances depend on the seed; the malicious client is flagged and loses its weight from round 2 on.
fn record(round: usize, seed: u64, attacked: bool, evaluated: bool) -> RoundRecord {
    let client = |client: usize| {
        let bad = attacked && client == 0;
        ClientRecord {
            weight: if bad && round >= 2 { 0.01 } else { 1.0 / 3.0 },
            loss_g: 1.0 + client as f64,
            loss_d_real: 0.5,
            loss_d_fake: 0.25,
            flagged: bad && round >= 2,
            ..ClientRecord::example(client, bad)
        }
    };
    let shift = if attacked { 0.5 } else { 0.0 };
    let kid = 0.125 * seed as f64 + shift;
    let values = [("kid_lite0_x_n8_r6", kid), ("kid_lite0_x_n8_r6_std", 0.5), ("floor_kid_lite0_x_n3_r3", 0.0625)];
    let extra = values.into_iter().filter(|_| evaluated).map(|(k, v)| (k.to_string(), v)).collect::<BTreeMap<_, _>>();
    RoundRecord { round, clients: (0..3).map(client).collect(), aggregation: Vec::new(), extra }
}

/// Reads the plan of a fixture; by default it is honest and has no detector.
pub fn plan(path: &Path) -> Result<PlanFacts> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, e))?;
    let mut table: Table = text.parse().map_err(|e| Error::file(path, e))?;
    let default = |table: &mut Table, section: &str, key: &str, value: Value| {
        let section = table.entry(section).or_insert(Value::Table(Table::new())).as_table_mut().unwrap();
        section.entry(key).or_insert(value);
    };
    default(&mut table, "attack", "malicious", Value::Array(Vec::new()));
    default(&mut table, "detection", "kind", Value::String("none".into()));
    let whole = |key: &str| table[key].as_integer().unwrap();
    let warmup = table["detection"].get("warmup").map(|w| w.as_integer().unwrap() as u32);
    let (seed, rounds, name) = (whole("seed") as u64, whole("rounds") as usize, table["name"].as_str().unwrap().into());
    let (keys, resolved) = PlanFacts::split(table);
    Ok(PlanFacts { name, seed, rounds, clients: 3, warmup, start_round: 0, attackers: None, keys, resolved, text })
}
