//! Experiments, sweeps, `--set`, and plans as `fedgan report` reads them.

use super::{ORIGIN, Target, text};
use fedgan::config::{self, BUILTIN, Draft, Overrides, Plan, Resolved, SWEEPS, Sweep};
use fedgan::exec::{Engine, ReferenceEngine};
use fedgan::{Error, Result};
use std::path::Path;

/// Maximum plans of a sweep that are validated per input.
const CELLS: usize = 16;

const WORDS: &[&str] = &[
    "name",
    "seed",
    "rounds",
    "device",
    "[model]\n",
    "[train]\n",
    "[federation]\n",
    "[data]\n",
    "[attack]\n",
    "[detection]\n",
    "[evaluation]\n",
    "image_size",
    "channels",
    "width",
    "latent",
    "batch",
    "loss",
    "\"wgan-gp\"",
    "norm",
    "\"instance\"",
    "n_critic",
    "lambda",
    "optimizer",
    "\"rmsprop\"",
    "local_epochs",
    "local_steps",
    "clients",
    "partition",
    "\"dirichlet\"",
    "\"client-folders\"",
    "\"sites\"",
    "\"manifest\"",
    "alpha",
    "aggregate",
    "weights",
    "kind = ",
    "\"folder\"",
    "\"npz\"",
    "\"dermoscopy\"",
    "path",
    "follow_links",
    "skip_bad",
    "held_out",
    "malicious = ",
    "trigger",
    "pattern",
    "side",
    "margin",
    "place",
    "\"centre\"",
    "scale",
    "report",
    "\"isolation-forest\"",
    "warmup",
    "memory",
    "metrics",
    "grid",
    "samples",
    "true",
    " = ",
    "\n",
    "[[axis]]\n",
    "[[axis.value]]\n",
    "set = ",
    "values = [",
    "key = ",
    "seeds = [",
    "base = ",
    "[resolved]\n",
    "\"\"\"",
    "'''",
    "#",
    "[1, 2]",
    "{ kind = \"none\" }",
    "1979-05-27T07:32:00Z",
    "\\u0000",
];

const LINES: &str = "rounds=30\ntrain.lr=1e-4\nattack.malicious=[0, 1]\ndetection.kind=isolation-forest\ntrain={ lr = 0.5, local_steps = 2 }\n\
                     data.kind=dermoscopy\ndata.n=100\nfederation.partition={ kind = \"dirichlet\", alpha = 0.5 }";

pub(super) const TARGETS: &[Target] = &[
    Target { name: "experiment", seeds: experiments, words: WORDS, most: 4096, repair: None, run: experiment },
    Target { name: "sweep", seeds: sweeps, words: WORDS, most: 4096, repair: None, run: sweep },
    Target { name: "set", seeds: || Ok(vec![LINES.into()]), words: WORDS, most: 2048, repair: None, run: set },
    Target { name: "plan", seeds: plans, words: WORDS, most: 4096, repair: None, run: plan },
];

/// A text without its comments, which make up most of it.
fn bare(text: &str) -> Vec<u8> {
    let lines = text.lines().filter(|l| !l.trim_start().starts_with('#') && !l.trim().is_empty());
    lines.map(|l| format!("{l}\n")).collect::<String>().into_bytes()
}

fn experiments() -> Result<Vec<Vec<u8>>> {
    Ok(BUILTIN.iter().map(|b| bare(b.1)).collect())
}

fn sweeps() -> Result<Vec<Vec<u8>>> {
    Ok(SWEEPS.iter().map(|s| bare(s.1)).collect())
}

fn plans() -> Result<Vec<Vec<u8>>> {
    BUILTIN.iter().map(|(_, text)| Ok(written(&Draft::parse(ORIGIN.into(), text)?.plan()?)?.into_bytes())).collect()
}

fn written(plan: &Plan) -> Result<String> {
    plan.to_toml(&Resolved::new(ReferenceEngine::new().descriptor(), "asked for"))
}

/// An accepted plan must round-trip through the file of a run.
fn experiment(input: &[u8]) -> Result<()> {
    let plan = Draft::parse(ORIGIN.into(), &text(input))?.plan()?;
    let back = Draft::parse(ORIGIN.into(), &written(&plan)?).and_then(Draft::plan);
    match back {
        Ok(back) if back == plan => Ok(()),
        Ok(_) => Err(Error::internal("a plan comes back as another one")),
        Err(error) => Err(Error::internal(format!("a plan does not come back: {error}"))),
    }
}

fn sweep(input: &[u8]) -> Result<()> {
    let sweep = Sweep::parse(ORIGIN, &text(input), None)?;
    sweep.continues(&sweep.to_toml()).map_err(|what| Error::internal(format!("a sweep's own file {what}")))?;
    let cells = sweep.axes.iter().fold(1usize, |n, axis| n.saturating_mul(axis.values.len()));
    if cells <= CELLS { sweep.cells().map(|_| ()) } else { Ok(()) }
}

/// Every line is an assignment.
fn set(input: &[u8]) -> Result<()> {
    let set = text(input).lines().take(32).map(String::from).collect();
    config::load(None, &Overrides { set, ..Default::default() }).map(|_| ())
}

fn plan(input: &[u8]) -> Result<()> {
    fedgan::cli::report::facts_of(Path::new(ORIGIN), text(input).into_owned())
        .map(|facts| drop(facts.engine() + &facts.data()))
}
