//! `fedgan report`: one page from run and sweep directories.

mod watch;

use crate::config::{AttackConfig, Draft, Malicious};
use crate::fed::attack::OnUpdate;
use crate::report::html::{self, BEGIN, Page, PlanFacts};
use crate::report::outputs::{self, OutputKind, output};
use crate::{Error, Result, input};
use std::path::{Path, PathBuf};
use toml::Table;
use watch::Watch;

/// Arguments of `fedgan report`.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// Run directories and sweep directories.
    #[arg(required = true, value_name = "DIR")]
    pub dirs: Vec<PathBuf>,
    /// Output page; it may replace an older report, and other files only with --force.
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    pub out: PathBuf,
    /// Label of the cell that the others are compared with [default: the first cell].
    #[arg(long, value_name = "CELL")]
    pub reference: Option<String>,
    /// Replace any existing output file.
    #[arg(long)]
    pub force: bool,
    /// Make the page again whenever the runs have gone on, until they are finished; Ctrl-C ends it before. Browsers reload the page
    /// by themselves. Also shows the unfinished runs of a sweep.
    #[arg(long)]
    pub watch: bool,
    /// Seconds between looks at the runs, for --watch.
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, value_parser = every, requires = "watch")]
    pub every: f64,
}

/// An interval of 0.1 seconds to an hour.
fn every(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(s) if (0.1..=3600.0).contains(&s) => Ok(s),
        _ => Err(format!("`{text}`: a number of seconds from 0.1 to 3600")),
    }
}

/// Writes the page, with --watch again and again; returns the exit code.
///
/// # Errors
/// A directory that contains neither a run nor a sweep, an unreadable plan or metrics file, an output file that is not a
/// report, a failed write.
pub fn run(args: ReportArgs) -> Result<u8> {
    let kind = if args.force { OutputKind::Any } else { OutputKind::Text(BEGIN) };
    outputs::check(&[output("--out", Some(&args.out), kind)], &[])?;
    spared(&args)?;
    if args.watch {
        return Watch::new(&args, kind).run();
    }
    let inputs = html::load(&args.dirs, &facts)?;
    let page = html::render(&inputs, args.reference.as_deref())?;
    outputs::write(&args.out, kind, page.html.as_bytes())?;
    finish(&args, &page).map(|()| 0)
}

/// Prints what was written last, and the page's remarks.
fn finish(args: &ReportArgs, page: &Page) -> Result<()> {
    for remark in &page.remarks {
        super::tell(&format!("remark: {remark}"));
    }
    let size = page.html.len() as f64 / 1e6;
    super::print(format!("report    {}, {size:.1} MB\nlook at   {}\n", page.summary, args.out.display()))
}

/// Refuses to replace a run's own file with the page, even with --force.
fn spared(args: &ReportArgs) -> Result<()> {
    let Ok(out) = args.out.canonicalize() else { return Ok(()) };
    let inside = args.dirs.iter().any(|dir| dir.canonicalize().is_ok_and(|dir| out.starts_with(dir)));
    let report = || std::fs::read(&out).is_ok_and(|bytes| bytes.is_empty() || bytes.starts_with(BEGIN.as_bytes()));
    match inside && out.is_file() && !report() {
        true => {
            Err(Error::file(&args.out, "belongs to one of the directories in this report; choose another file (--out)"))
        }
        false => Ok(()),
    }
}

/// Reads a plan without checks against the machine: its trigger or images may be gone by now.
fn facts(path: &Path) -> Result<PlanFacts> {
    let text = input::read_text(path, input::CONFIG).map_err(|e| Error::file(path, format!("cannot read: {e}")))?;
    facts_of(path, text)
}

/// The parts of a plan's text that the page needs; errors name `path`.
///
/// # Errors
/// If the text is not a plan.
pub fn facts_of(path: &Path, text: String) -> Result<PlanFacts> {
    let config = Draft::parse(format!("{}: not a plan", path.display()), &text)?.config()?;
    let table = Table::try_from(&config).map_err(|e| Error::internal(format!("plan as a table: {e}")))?;
    let (keys, resolved) = PlanFacts::split(table);
    Ok(PlanFacts {
        name: config.name,
        seed: config.seed,
        rounds: config.rounds as usize,
        clients: config.federation.clients as usize,
        warmup: config.detection.warmup(),
        start_round: config.attack.start_round,
        attackers: attackers(&config.attack),
        keys,
        resolved,
        text,
    })
}

/// The attacks on images and updates, and the knowledge that each assumes; none in an honest run.
fn attackers(attack: &AttackConfig) -> Option<String> {
    let honest = match &attack.malicious {
        Malicious::Count(count) => *count == 0,
        Malicious::Ids(ids) => ids.is_empty(),
        Malicious::Mixed(clients) => clients.is_empty(),
        Malicious::Name(_) => false,
    };
    let (image, update) = (&attack.image, &attack.update);
    let on_images = (attack.fraction > 0.0).then(|| format!("{}: {}", image.name(), image.knowledge()));
    let on_updates =
        (*update != OnUpdate::default()).then(|| format!("{}: {}", update.name(), update.knowledge().text()));
    let both: Vec<String> = on_images.into_iter().chain(on_updates).collect();
    (!honest && !both.is_empty()).then(|| both.join("; "))
}

#[cfg(test)]
mod tests;
