//! The files of a benchmark: baselines, JSON, CSV, the roofline plot.

use super::BenchArgs;
use crate::perf::baseline::{self, Change};
use crate::perf::ceilings::{Bound, Copied};
use crate::perf::row::Document;
use crate::report::outputs::{self, OutputKind, output};
use crate::report::{picture, roofline};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

const JSON: &str = "fedgan bench --json";
const CSV: &str = "fedgan bench --csv";
const ROOFLINE: &str = "fedgan bench --roofline";

/// The requested files, checked before anything is measured.
pub(super) struct Files {
    /// The measurements to compare with.
    pub baseline: Option<Document>,
    save: Option<PathBuf>,
    json: Option<PathBuf>,
    csv: Option<PathBuf>,
    roofline: Option<PathBuf>,
}

/// The JSON output: the document, and changes against the baseline.
#[derive(serde::Serialize)]
struct BenchReport<'a> {
    written_by: &'static str,
    #[serde(flatten)]
    document: &'a Document,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<&'a [Change]>,
}

impl Files {
    /// Reads the baseline to compare with; refuses to save over an existing baseline.
    pub(super) fn new(args: &BenchArgs) -> Result<Files> {
        let file = |name: &String| baseline::file(&baseline::folder(args.baseline_dir.as_deref())?, name);
        let save = args.save_baseline.as_ref().map(file).transpose()?;
        if let Some(path) = &save {
            // A dangling link counts as existing.
            if path.symlink_metadata().is_ok() {
                return Err(baseline::exists(path));
            }
            baseline::make_folder(path)?;
        }
        let read = args.baseline.as_ref().map(file).transpose()?;
        let files = [
            output("--json", args.json.as_deref(), OutputKind::Json(JSON)),
            output("--csv", args.csv.as_deref(), OutputKind::Table(CSV)),
            output("--save-baseline", save.as_deref(), OutputKind::Json(JSON)),
            output("--roofline", args.roofline.as_deref(), OutputKind::Png(ROOFLINE)),
        ];
        outputs::check(&files, &read.iter().map(PathBuf::as_path).collect::<Vec<_>>())?;
        Ok(Files {
            baseline: read.as_deref().map(baseline::load).transpose()?,
            save,
            json: args.json.clone(),
            csv: args.csv.clone(),
            roofline: args.roofline.clone(),
        })
    }

    /// Writes all files. No baseline is saved if any result was wrong.
    pub(super) fn write(&self, document: &Document, changes: Option<&[Change]>) -> Result<()> {
        if let Some(path) = &self.json {
            let text = serde_json::to_string_pretty(&BenchReport { written_by: JSON, document, changes });
            let text = text.map_err(|e| Error::internal(format!("JSON: {e}")))? + "\n";
            outputs::write(path, OutputKind::Json(JSON), text.as_bytes())?;
        }
        if let Some(path) = &self.csv {
            outputs::write(path, OutputKind::Table(CSV), document.csv(outputs::KEY, CSV).as_bytes())?;
        }
        if let Some(path) = &self.roofline {
            draw(path, document)?;
        }
        match &self.save {
            Some(path) if document.wrong() == 0 => {
                baseline::save(path, document)?;
                crate::cli::print(format!("saved as {}\n", path.display()))
            }
            Some(path) => crate::cli::print(format!("not saved as {}: results were wrong\n", path.display())),
            None => Ok(()),
        }
    }
}

fn draw(path: &Path, document: &Document) -> Result<()> {
    let Some(ceilings) = &document.ceilings else {
        return Err(Error::internal("a roofline without ceilings"));
    };
    let shaders = document.shaders.iter().flat_map(|s| [&s.builtin, &s.edited]);
    let rows = document.rows.iter().chain(shaders).filter(|r| r.flops > 0.0);
    let points = rows.filter_map(|r| {
        let timed = r.timed()?;
        let compute = timed.roofline.is_some_and(|f| f.bound == Bound::Compute);
        let name = r.kernel.clone();
        Some(roofline::Point { name, intensity: r.flops / r.bytes, rate: r.flops / timed.summary.median, compute })
    });
    let parts = document.steps.iter().flat_map(|s| s.parts()).filter(|p| p.flops > 0.0).map(|p| roofline::Point {
        name: format!("{} (step)", p.kernel),
        intensity: p.flops / p.bytes,
        rate: p.flops / p.seconds,
        compute: p.flops / ceilings.flops > p.bytes / ceilings.memory(),
    });
    let lines = roofline::Lines {
        flops: ceilings.flops,
        memory: ceilings.memory(),
        caches: ceilings.copies.iter().map(Copied::rate).fold(0.0, f64::max),
    };
    let points: Vec<roofline::Point> = points.chain(parts).collect();
    let title = format!("{} ({}, {})", document.device.adapter, document.device.engine, document.device.driver);
    outputs::write(
        path,
        OutputKind::Png(ROOFLINE),
        &picture::encode_png_by(&roofline::draw(&title, lines, &points)?, ROOFLINE)?,
    )
}
