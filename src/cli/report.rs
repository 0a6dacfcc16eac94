//! `fedgan report`: one page from run and sweep directories.

use crate::config::{AttackConfig, Draft, Malicious};
use crate::fed::attack::OnUpdate;
use crate::report::html::{self, BEGIN, PlanFacts};
use crate::report::outputs::{self, OutputKind, output};
use crate::{Error, Result, input};
use std::path::{Path, PathBuf};
use toml::Table;

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
}

/// Writes the page.
///
/// # Errors
/// A directory that contains neither a run nor a sweep, an unreadable plan or metrics file, an output file that is not a
/// report, a failed write.
pub fn run(args: ReportArgs) -> Result<()> {
    let kind = if args.force { OutputKind::Any } else { OutputKind::Text(BEGIN) };
    outputs::check(&[output("--out", Some(&args.out), kind)], &[])?;
    spared(&args)?;
    let inputs = html::load(&args.dirs, &facts)?;
    let page = html::render(&inputs, args.reference.as_deref())?;
    for remark in &page.remarks {
        super::tell(&format!("remark: {remark}"));
    }
    outputs::write(&args.out, kind, page.html.as_bytes())?;
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

/// The attack on updates and the knowledge that it assumes; none in an honest run and without such an attack.
fn attackers(attack: &AttackConfig) -> Option<String> {
    let honest = match &attack.malicious {
        Malicious::Count(count) => *count == 0,
        Malicious::Ids(ids) => ids.is_empty(),
        Malicious::Mixed(clients) => clients.is_empty(),
        Malicious::Name(_) => false,
    };
    let (update, none) = (&attack.update, OnUpdate::default());
    (!honest && *update != none).then(|| format!("{}: {}", update.name(), update.knowledge().text()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, Resolved, load};
    use crate::exec::Descriptor;
    use std::fs;

    /// A run directory as `fedgan run` leaves it when it is stopped before its first round.
    fn begun(dir: &Path) {
        let word = |w: &str| w.to_string();
        let device = Descriptor {
            engine: word("cpu"),
            adapter: word("f32, 2 threads"),
            address: String::new(),
            backend: word("-"),
            device_type: word("Cpu"),
            driver: word("-"),
            variant: word("-"),
        };
        let update = "attack.update={ kind = \"ipm\", knowledge = \"own\" }";
        let set = ["attack.malicious=[1]", update, "detection.kind=isolation-forest"].map(String::from).to_vec();
        let plan = load(None, &Overrides { set, seed: Some(9), ..Default::default() }).unwrap();
        fs::create_dir(dir).unwrap();
        fs::write(dir.join("plan.toml"), plan.to_toml(&Resolved::new(&device, "test")).unwrap()).unwrap();
        fs::write(dir.join("metrics.jsonl"), "").unwrap();
    }

    fn args(dir: &Path, out: &Path, force: bool) -> ReportArgs {
        ReportArgs { dirs: vec![dir.into()], out: out.into(), reference: None, force }
    }

    #[test]
    fn plans_of_runs_are_read() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("run");
        begun(&dir);
        let facts = facts(&dir.join("plan.toml")).unwrap();
        assert_eq!((facts.seed, facts.rounds, facts.clients, facts.warmup), (9, 50, 4, Some(10)));
        assert_eq!((facts.keys["attack.malicious"].as_str(), facts.engine().as_str()), ("[1]", "cpu: f32, 2 threads"));
        assert!(facts.keys.keys().all(|k| !k.starts_with("resolved") && k != "seed"));
        assert_eq!(facts.attackers.as_deref(), Some("ipm: the updates of all malicious clients"));
        fs::write(dir.join("plan.toml"), "seed = 'x'").unwrap();
        let out = temp.path().join("r.html");
        let error = run(args(&dir, &out, false)).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("plan.toml: not a plan"), "{error}");
        assert!(!out.exists());
    }

    #[test]
    fn only_reports_are_replaced() {
        let temp = tempfile::tempdir().unwrap();
        let (dir, out) = (temp.path().join("run"), temp.path().join("r.html"));
        begun(&dir);
        run(args(&dir, &out, false)).unwrap();
        let first = fs::read(&out).unwrap();
        run(args(&dir, &out, false)).unwrap();
        assert_eq!(fs::read(&out).unwrap(), first, "a report is replaced by the same bytes");
        fs::write(&out, "mine").unwrap();
        let error = run(args(&dir, &out, false)).unwrap_err();
        assert!(
            error.exit_code() == 2 && error.to_string().contains("r.html: exists, and this option has not written it"),
            "{error}"
        );
        assert_eq!(fs::read(&out).unwrap(), b"mine");
        run(args(&dir, &out, true)).unwrap();
        assert_eq!(fs::read(&out).unwrap(), first);
        for own in
            ["plan.toml", "metrics.jsonl"].map(|name| dir.join(name)).iter().filter(|p| p.metadata().unwrap().len() > 0)
        {
            let (before, error) = (fs::read(own).unwrap(), run(args(&dir, own, true)).unwrap_err());
            assert!(error.exit_code() == 2 && error.to_string().contains("in this report"), "{error}");
            assert_eq!(fs::read(own).unwrap(), before);
        }
        assert_eq!(run(args(&dir, temp.path(), true)).unwrap_err().exit_code(), 2);
        assert_eq!(run(args(&dir, &temp.path().join("no/r.html"), true)).unwrap_err().exit_code(), 2);
    }
}
