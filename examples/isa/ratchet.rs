//! The ratchet: what every build needed when the file was written, on one version of the driver. A build may need less, not more.

use super::builds::is_product;
use fedgan::isa::{Measured, label};
use fedgan::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The first line, and what the second begins with.
const HEAD: &str = "# written by `cargo run --example isa -- --write-ratchet`, which replaces this file\n";
const DRIVER: &str = "# driver: ";

/// The numbers of one build on one family.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Limits {
    family: String,
    shader: String,
    constants: String,
    vgprs: u64,
    fma: u64,
    unfused: u64,
    slow: u64,
    overlap: Option<u64>,
}

impl Limits {
    fn of(row: &Measured) -> Limits {
        Limits {
            family: row.family.clone(),
            shader: row.shader.clone(),
            constants: row.constants.clone(),
            vgprs: row.vgprs,
            fma: row.body.fma as u64,
            unfused: row.body.unfused as u64,
            slow: row.body.slow as u64,
            overlap: row.body.overlap.map(|fma| fma as u64),
        }
    }

    fn key(&self) -> Key {
        (self.family.clone(), self.shader.clone(), self.constants.clone())
    }

    fn title(&self) -> String {
        format!("{} {}", self.family, label(&self.shader, &self.constants))
    }
}

/// Family, shader, constants.
type Key = (String, String, String);

/// The file's content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ratchet {
    /// The version of the driver that the numbers are of.
    pub driver: String,
    rows: BTreeMap<Key, Limits>,
}

/// The result of a comparison, one line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What must not be.
    pub failures: Vec<String>,
    /// What may be.
    pub notes: Vec<String>,
}

/// The committed file.
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/isa/ratchet.csv")
}

impl Ratchet {
    /// The numbers of `rows`, on this version of the driver.
    pub fn of(driver: &str, rows: &[Measured]) -> Ratchet {
        let rows = rows.iter().map(Limits::of).map(|limits| (limits.key(), limits)).collect();
        Ratchet { driver: driver.into(), rows }
    }

    /// # Errors
    /// A file that cannot be read, a line that is not one of the table.
    pub fn read(path: &Path) -> Result<Ratchet> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, e))?;
        Ratchet::parse(&text).map_err(|e| Error::file(path, e))
    }

    fn parse(text: &str) -> Result<Ratchet, String> {
        let driver = text.lines().find_map(|line| line.strip_prefix(DRIVER));
        let driver = driver.ok_or_else(|| format!("no line `{DRIVER}VERSION`"))?.trim().to_string();
        let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(text.as_bytes());
        let mut rows = BTreeMap::new();
        for limits in reader.deserialize::<Limits>() {
            let limits = limits.map_err(|e| e.to_string())?;
            let title = limits.title();
            if rows.insert(limits.key(), limits).is_some() {
                return Err(format!("two lines for {title}"));
            }
        }
        Ok(Ratchet { driver, rows })
    }

    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = self.text().map_err(|e| Error::output(path, e))?;
        std::fs::write(path, text).map_err(|e| Error::output(path, e))
    }

    fn text(&self) -> Result<String, String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for limits in self.rows.values() {
            writer.serialize(limits).map_err(|e| e.to_string())?;
        }
        let bytes = writer.into_inner().map_err(|e| e.to_string())?;
        let table = String::from_utf8(bytes).map_err(|e| e.to_string())?;
        Ok(format!("{HEAD}{DRIVER}{}\n{table}", self.driver))
    }

    /// Builds in which `new` is worse than `self`, one line each.
    pub fn loosened(&self, new: &Ratchet) -> Vec<String> {
        let both = new.rows.values().filter_map(|limits| Some((self.rows.get(&limits.key())?, limits)));
        both.flat_map(|(old, new)| differences(old, new).worse.into_iter().map(|d| d.line(new))).collect()
    }

    /// Holds `rows`, measured on `driver`, against the file. Spills, scratch memory and unfused products are the same defect on every
    /// version of the driver. Registers, overlap and slow multiplications vary with the version: on another one they only give notes.
    pub fn check(&self, driver: &str, rows: &[Measured]) -> Verdict {
        let pinned = driver == self.driver;
        let mut verdict = Verdict::default();
        if !pinned {
            verdict.notes.push(format!(
                "the driver is {driver}, the ratchet is of {}: registers, overlap and slow multiplications may differ",
                self.driver
            ));
        }
        let (mut missing, mut better) = (Vec::new(), 0);
        for row in rows {
            verdict.failures.extend(memory(row));
            let new = Limits::of(row);
            let Some(old) = self.rows.get(&new.key()) else {
                missing.push(row.title());
                continue;
            };
            let found = differences(old, &new);
            better += usize::from(found.better && pinned);
            for difference in found.worse {
                let fails = pinned || matches!(difference.what, What::Fma | What::Unfused);
                let lines = if fails { &mut verdict.failures } else { &mut verdict.notes };
                lines.push(difference.line(&new));
            }
        }
        let built: Vec<Key> = rows.iter().map(|row| Limits::of(row).key()).collect();
        let stale: Vec<String> = self.rows.values().filter(|l| !built.contains(&l.key())).map(Limits::title).collect();
        let command = "`cargo run --example isa -- --write-ratchet` writes it";
        if let Some(first) = missing.first() {
            let line = format!("the ratchet lacks builds ({}), the first is {first}: {command}", missing.len());
            verdict.failures.push(line);
        }
        if let Some(first) = stale.first() {
            let line = format!("the ratchet has stale lines ({}), the first is {first}: {command}", stale.len());
            verdict.failures.push(line);
        }
        if better > 0 {
            let line = format!("better than the ratchet, which may be tightened: {better} builds; {command}");
            verdict.notes.push(line);
        }
        verdict
    }
}

fn memory(row: &Measured) -> Vec<String> {
    let mut found = Vec::new();
    if row.spills > 0 {
        found.push(format!("{}: {} spilled registers, none are allowed", row.title(), row.spills));
    }
    if row.scratch > 0 {
        found.push(format!("{}: {} bytes of scratch memory, none are allowed", row.title(), row.scratch));
    }
    found
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Registers,
    Fma,
    Unfused,
    Slow,
    Overlap,
}

/// A number that is worse than it was.
struct Difference {
    what: What,
    found: u64,
    allowed: u64,
}

impl Difference {
    fn line(&self, limits: &Limits) -> String {
        let (found, allowed) = (self.found, self.allowed);
        let text = match self.what {
            What::Registers => format!("{found} vector registers, at most {allowed} allowed"),
            What::Fma => format!("{found} multiply-adds in the loop, at least {allowed} required"),
            What::Unfused => format!("{found} products added by an instruction of its own, at most {allowed} allowed"),
            What::Slow => format!("{found} slow multiplications in the loop, at most {allowed} allowed"),
            What::Overlap => format!("{found} multiply-adds between a load and its wait, at least {allowed} required"),
        };
        format!("{}: {text}", limits.title())
    }
}

struct Differences {
    worse: Vec<Difference>,
    /// Some number is better, and none worse.
    better: bool,
}

fn differences(old: &Limits, new: &Limits) -> Differences {
    // (number, found, limit, whether less is better)
    let mut all = vec![(What::Registers, new.vgprs, old.vgprs, true), (What::Slow, new.slow, old.slow, true)];
    if is_product(&new.shader) {
        all.extend([(What::Fma, new.fma, old.fma, false), (What::Unfused, new.unfused, old.unfused, true)]);
        // A loop without loads waits for none.
        all.extend(new.overlap.zip(old.overlap).map(|(new, old)| (What::Overlap, new, old, false)));
    }
    let (mut worse, mut better) = (Vec::new(), false);
    for (what, found, allowed, less) in all {
        if found != allowed && (found < allowed) == less {
            better = true;
        } else if found != allowed {
            worse.push(Difference { what, found, allowed });
        }
    }
    Differences { better: better && worse.is_empty(), worse }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fedgan::isa::assembly::Body;

    fn row(shader: &str) -> Measured {
        let body = Body { looped: true, instructions: 300, fma: 256, overlap: Some(64), slow: 2, ..Body::default() };
        Measured {
            family: "vega10".into(),
            shader: shader.into(),
            constants: "SIDE=32 V=4".into(),
            hardware: true,
            vgprs: 64,
            sgprs: 32,
            waves: 4,
            lds: 4096,
            spills: 0,
            scratch: 0,
            body,
        }
    }

    fn ratchet() -> Ratchet {
        Ratchet::of("Mesa 22.3.6", &[row("nn/conv"), row("nn/adam")])
    }

    /// Failures and notes of the two rows after `edit`.
    fn after(driver: &str, edit: impl Fn(&mut Measured)) -> (String, String) {
        let mut rows = [row("nn/conv"), row("nn/adam")];
        rows.iter_mut().for_each(edit);
        let verdict = ratchet().check(driver, &rows);
        (verdict.failures.join("\n"), verdict.notes.join("\n"))
    }

    #[test]
    fn the_file_is_read_as_it_was_written() {
        let mut loadless = row("nn/fill");
        loadless.body.overlap = None;
        let ratchet = Ratchet::of("Mesa 22.3.6", &[row("nn/conv"), loadless]);
        let text = ratchet.text().unwrap();
        assert!(text.contains("vega10,nn/conv,SIDE=32 V=4,64,256,0,2,64\n"), "{text}");
        assert_eq!(Ratchet::parse(&text).unwrap(), ratchet);
        let twice = format!("{text}vega10,nn/conv,SIDE=32 V=4,64,256,0,2,64\n");
        assert!(Ratchet::parse(&twice).unwrap_err().contains("two lines for vega10 nn/conv [SIDE=32 V=4]"));
        assert!(Ratchet::parse("family\n").unwrap_err().contains("# driver: VERSION"));
        assert!(Ratchet::parse(&text.replace(",64,256", ",x,256")).is_err());
    }

    #[test]
    fn equal_numbers_pass_and_better_ones_are_named() {
        assert_eq!(after("Mesa 22.3.6", |_| {}), (String::new(), String::new()));
        let (failures, notes) = after("Mesa 22.3.6", |row| row.vgprs = 60);
        assert!(failures.is_empty() && notes.contains("may be tightened: 2 builds"), "{failures} {notes}");
    }

    #[test]
    fn spills_and_scratch_fail_on_every_driver() {
        for driver in ["Mesa 22.3.6", "Mesa 25.0.0"] {
            let failures = after(driver, |row| (row.spills, row.scratch) = (3, 16)).0;
            assert!(
                failures.contains("vega10 nn/conv [SIDE=32 V=4]: 3 spilled registers, none are allowed"),
                "{failures}"
            );
            assert!(failures.contains("nn/adam [SIDE=32 V=4]: 16 bytes of scratch memory"), "{failures}");
        }
    }

    #[test]
    fn products_stay_fused_on_every_driver() {
        for driver in ["Mesa 22.3.6", "Mesa 25.0.0"] {
            let failures = after(driver, |row| (row.body.fma, row.body.unfused) = (240, 16)).0;
            assert!(
                failures.contains("nn/conv [SIDE=32 V=4]: 240 multiply-adds in the loop, at least 256"),
                "{failures}"
            );
            assert!(failures.contains("16 products added") && !failures.contains("adam"), "{failures}");
        }
    }

    #[test]
    fn registers_overlap_and_slow_multiplications_fail_on_the_pinned_driver_only() {
        let edit = |row: &mut Measured| {
            (row.vgprs, row.body.slow, row.body.overlap) = (68, 3, Some(0));
        };
        let (failures, notes) = after("Mesa 22.3.6", edit);
        // A kernel that only loads and stores has nothing to do meanwhile.
        let parts =
            [("68 vector registers, at most 64", 2), ("3 slow multiplications", 2), ("0 multiply-adds between", 1)];
        for (part, count) in parts {
            assert_eq!(failures.matches(part).count(), count, "{failures}");
        }
        assert!(notes.is_empty(), "{notes}");
        let (failures, notes) = after("Mesa 25.0.0", edit);
        assert!(failures.is_empty(), "{failures}");
        assert!(notes.starts_with("the driver is Mesa 25.0.0, the ratchet is of Mesa 22.3.6"), "{notes}");
        assert!(notes.contains("68 vector registers, at most 64"), "{notes}");
        assert_eq!(after("Mesa 22.3.6", |row| row.body.overlap = None), (String::new(), String::new()));
    }

    #[test]
    fn missing_and_stale_builds_fail() {
        let verdict = ratchet().check("Mesa 22.3.6", &[row("nn/conv"), row("nn/new")]);
        let failures = verdict.failures.join("\n");
        assert!(failures.contains("lacks builds (1), the first is vega10 nn/new"), "{failures}");
        assert!(failures.contains("stale lines (1), the first is vega10 nn/adam"), "{failures}");
    }

    #[test]
    fn a_looser_file_is_named() {
        let mut worse = row("nn/conv");
        worse.vgprs = 80;
        let new = Ratchet::of("Mesa 22.3.6", &[worse, row("nn/new")]);
        assert_eq!(ratchet().loosened(&new), ["vega10 nn/conv [SIDE=32 V=4]: 80 vector registers, at most 64 allowed"]);
        assert!(new.loosened(&ratchet()).is_empty());
    }
}
