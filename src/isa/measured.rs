//! One build on one family: the driver's statistics and the counts of its loop.

use super::assembly::{self, Body};
use super::build::{BuiltShader, label};
use super::driver::Compiled;
use serde::Serialize;

/// A line of the table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// The family, by RADV's name.
    pub family: String,
    /// The path under `shaders/` without its ending.
    pub shader: String,
    /// `NAME=VALUE`, separated by blanks.
    pub constants: String,
    /// False for builds that only software adapters run.
    pub hardware: bool,
    /// Vector registers of a lane.
    pub vgprs: u64,
    /// Scalar registers of a subgroup.
    pub sgprs: u64,
    /// Subgroups that fit on a SIMD, by registers and workgroup memory.
    pub waves: u64,
    /// Bytes of workgroup memory.
    pub lds: u64,
    /// Spilled registers, vector and scalar.
    pub spills: u64,
    /// Bytes of memory that take the place of registers, for a subgroup.
    pub scratch: u64,
    /// Counts of the assembly.
    #[serde(flatten)]
    pub body: Body,
}

impl Measured {
    /// # Errors
    /// When the driver does not report a number.
    pub(super) fn new(family: &str, build: &BuiltShader, compiled: &Compiled) -> Result<Measured, String> {
        let get = |name: &str| {
            let all = || compiled.statistics.keys().cloned().collect::<Vec<_>>().join(", ");
            compiled.statistics.get(name).copied().ok_or_else(|| format!("no `{name}` among the statistics {}", all()))
        };
        Ok(Measured {
            family: family.into(),
            shader: build.shader.clone(),
            constants: build.constants.clone(),
            hardware: build.hardware,
            vgprs: get("VGPRs")?,
            sgprs: get("SGPRs")?,
            waves: get("Subgroups per SIMD")?,
            lds: get("LDS size")?,
            spills: get("Spilled VGPRs")? + get("Spilled SGPRs")?,
            scratch: get("Scratch size")?,
            body: assembly::measure(&compiled.assembly),
        })
    }

    /// Family, shader and constants, for messages.
    pub fn title(&self) -> String {
        format!("{} {}", self.family, label(&self.shader, &self.constants))
    }
}

const HEADINGS: [&str; 17] = [
    "family",
    "shader",
    "constants",
    "runs on",
    "VGPR",
    "SGPR",
    "waves",
    "LDS",
    "spills",
    "scratch",
    "in",
    "instr",
    "FMA",
    "unfused",
    "slow",
    "overlap",
    "share",
];

/// Columns that are words; the others are numbers and stand right.
const WORDS: [usize; 5] = [0, 1, 2, 3, 10];

fn cells(row: &Measured) -> [String; 17] {
    let body = &row.body;
    [
        row.family.clone(),
        row.shader.clone(),
        if row.constants.is_empty() { "-".into() } else { row.constants.clone() },
        if row.hardware { "GPU" } else { "software" }.into(),
        row.vgprs.to_string(),
        row.sgprs.to_string(),
        row.waves.to_string(),
        row.lds.to_string(),
        row.spills.to_string(),
        row.scratch.to_string(),
        if body.looped { "loop" } else { "all" }.into(),
        body.instructions.to_string(),
        body.fma.to_string(),
        body.unfused.to_string(),
        body.slow.to_string(),
        body.overlap.map_or("-".into(), |fma| fma.to_string()),
        format!("{:.0} %", 100.0 * body.share),
    ]
}

/// Aligned columns.
pub fn table(rows: &[Measured]) -> String {
    let lines: Vec<[String; 17]> = std::iter::once(HEADINGS.map(String::from)).chain(rows.iter().map(cells)).collect();
    let widths: [usize; 17] = std::array::from_fn(|c| lines.iter().map(|l| l[c].chars().count()).max().unwrap_or(0));
    let mut out = String::new();
    for line in &lines {
        let aligned =
            line.iter().zip(widths).enumerate().map(|(column, (cell, width))| match WORDS.contains(&column) {
                true => format!("{cell:width$}"),
                false => format!("{cell:>width$}"),
            });
        out += aligned.collect::<Vec<_>>().join("  ").trim_end();
        out += "\n";
    }
    out
}
