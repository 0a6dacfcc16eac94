//! What a real GPU compiler makes of the shaders, without a GPU: Mesa's RADV with its null device, which compiles for a family of AMD
//! GPUs and executes nothing. Prints registers, waves, workgroup memory and the counts of the loop that does the work, or holds them
//! against `examples/isa/ratchet.csv`.
//!
//! `cargo run --release --example isa -- conv2d_tiled --family navi21`
//! `cargo run --example isa -- --check`

mod builds;
mod ratchet;

use clap::Parser;
use fedgan::isa::{self, BuiltShader, Measurements, Unavailable};
use fedgan::{Error, Result};
use ratchet::Ratchet;
use std::path::PathBuf;
use std::process::ExitCode;

/// Families of the check: GCN, whose instructions read one scalar, and RDNA 2.
const CHECKED: [&str; 2] = ["vega10", "navi21"];

/// Compiles shaders for AMD GPUs with Mesa's RADV, without a GPU, and prints what the machine code needs.
///
/// Counts are of the loop with the most multiply-adds (`in`: loop), or of the whole shader. FMA: f32 multiply-adds; unfused: sums of
/// a product that an instruction of its own computed; slow: integer multiplications at a quarter of the rate; overlap: fewest
/// multiply-adds between a load from a buffer and the wait for it; share: multiply-adds over issue slots of the vector unit.
#[derive(Debug, Parser)]
struct Args {
    /// Kernels, shaders (conv2d_tiled, nn/conv2d_tiled), WGSL files or kernel files (NAME.kernel.toml); all builds that GPUs run if there is none.
    #[arg(value_name = "SHADER")]
    shaders: Vec<String>,
    /// Families by RADV's names, separated by commas.
    #[arg(long, value_name = "FAMILY", value_delimiter = ',', default_value = "navi21", conflicts_with_all = ["check", "write_ratchet"])]
    family: Vec<String>,
    /// Set a constant of the WGSL files.
    #[arg(long, value_name = "NAME=VALUE", value_parser = constant)]
    set: Vec<(String, u32)>,
    /// Print JSON instead of a table.
    #[arg(long, conflicts_with_all = ["check", "write_ratchet"])]
    json: bool,
    /// Write each build's assembly to DIR/FAMILY.
    #[arg(long, value_name = "DIR")]
    dump: Option<PathBuf>,
    /// RADV's manifest, if it is not in one of the usual folders.
    #[arg(long, value_name = "FILE")]
    icd: Option<PathBuf>,
    /// Compare every build that GPUs run with examples/isa/ratchet.csv on vega10 and navi21; skipped if the driver is not installed.
    #[arg(long, conflicts_with_all = ["shaders", "set"])]
    check: bool,
    /// Write examples/isa/ratchet.csv.
    #[arg(long, conflicts_with_all = ["shaders", "set", "check"])]
    write_ratchet: bool,
    /// Compile what standard input names, in the family of the environment.
    #[arg(long, hide = true)]
    worker: bool,
}

fn constant(text: &str) -> std::result::Result<(String, u32), String> {
    let parsed = text.split_once('=').and_then(|(name, value)| Some((name.to_string(), value.parse().ok()?)));
    parsed.filter(|(name, _)| !name.is_empty()).ok_or_else(|| format!("`{text}`: NAME=VALUE with a whole number"))
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.worker {
        isa::serve();
    }
    let result = if args.check || args.write_ratchet { hold(&args) } else { show(&args) };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn show(args: &Args) -> Result<()> {
    let builds = builds::selected(&args.shaders, &args.set)?;
    let families: Vec<&str> = args.family.iter().map(String::as_str).collect();
    let found = measure(args, &families, &builds).map_err(|unavailable| match unavailable {
        Unavailable::Missing(why) => Error::input(why),
        Unavailable::Broken(error) => error,
    })?;
    if args.json {
        let json = serde_json::to_string_pretty(&found.rows).map_err(|e| Error::internal(e.to_string()))?;
        println!("{json}");
    } else {
        print!("{}", isa::table(&found.rows));
        println!("\n{}, {} builds; --help explains the columns", found.driver, builds.len());
    }
    Ok(())
}

/// `--check` and `--write-ratchet`.
fn hold(args: &Args) -> Result<()> {
    let start = std::time::Instant::now();
    let builds = builds::for_hardware()?;
    let found = match measure(args, &CHECKED, &builds) {
        Ok(found) => found,
        Err(Unavailable::Missing(why)) if args.check => {
            println!("the compiler check was NOT run: {why}");
            return Ok(());
        }
        Err(Unavailable::Missing(why)) => return Err(Error::input(why)),
        Err(Unavailable::Broken(error)) => return Err(error),
    };
    let path = ratchet::path();
    if args.write_ratchet {
        let new = Ratchet::of(&found.driver, &found.rows);
        if path.exists() {
            Ratchet::read(&path)?.loosened(&new).iter().for_each(|line| println!("looser: {line}"));
        }
        new.write(&path)?;
        println!("{}: {} builds on {}, {}", path.display(), builds.len(), CHECKED.join(" and "), found.driver);
        return Ok(());
    }
    let verdict = Ratchet::read(&path)?.check(&found.driver, &found.rows);
    verdict.notes.iter().for_each(|note| println!("note: {note}"));
    verdict.failures.iter().for_each(|failure| println!("FAILED: {failure}"));
    println!(
        "{} builds on {}, {}, {:.1} s",
        builds.len(),
        CHECKED.join(" and "),
        found.driver,
        start.elapsed().as_secs_f64()
    );
    match verdict.failures.len() {
        0 => Ok(()),
        count => Err(Error::Verdict(format!("the compiler check failed in {count} points"))),
    }
}

/// Compiles every build for every family, the families at the same time.
fn measure(args: &Args, families: &[&str], builds: &[BuiltShader]) -> Result<Measurements, Unavailable> {
    let manifest = match &args.icd {
        Some(path) if !path.is_file() => {
            return Err(Unavailable::Broken(Error::file(path, "--icd: no such file")));
        }
        Some(path) => path.clone(),
        None => isa::manifest().map_err(Unavailable::Missing)?,
    };
    isa::measure("--worker", &manifest, families, builds, args.dump.as_deref())
}
