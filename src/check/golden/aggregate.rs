//! Aggregation rules and pre-aggregators: the launches and decisions of a federation, on given updates.

use super::Case;
use super::approx::Approx;
use super::lab::{Computed, Lab, Rule as Compared};
use crate::Result;
use crate::fed::Given;
use crate::fed::aggregate::pre::{Arc, Bucketing, Nnm, None as NoPre, Pre};
use crate::fed::aggregate::{
    Bulyan, CentredClipping, Crfl, Dnc, Draws, FlTrust, Flame, FoolsGold, GeometricMedian, Krum, Mda, Meamed, Mean,
    Median, MultiKrum, NormClip, Outcome, RobustLr, Rule, SignMajority, Start, Trial, TrimmedMean,
};
use crate::kernels::{U, gamma};

/// Relative L2 bound of results that follow from norms.
const OF_NORMS: f64 = 2e-6;
/// The same of results that follow from cosines.
const OF_COSINES: f64 = 1e-5;
/// Most clients of a case.
const MOST_CLIENTS: usize = 1024;

/// The updates of a case, `[n][d]`.
struct Updates<'a> {
    values: &'a [f64],
    clients: usize,
    words: usize,
}

impl Updates<'_> {
    fn at(&self, client: usize, k: usize) -> f64 {
        self.values[client * self.words + k]
    }
}

fn updates(case: &Case) -> Result<Updates<'_>> {
    let (x, [clients, words]) = case.ranked::<2>("updates", "[clients, values]")?;
    if clients > MOST_CLIENTS {
        return Err(case.malformed(format!("`in.updates` has {clients} clients, at most {MOST_CLIENTS} are read")));
    }
    Ok(Updates { values: &x.values, clients, words })
}

/// aggregate.*
pub fn aggregate(case: &Case, lab: &mut Lab) -> Result<Vec<Computed>> {
    let x = updates(case)?;
    let rule = rule(case)?;
    let outcome = run(case, lab, &x, &rule, &Pre::None(NoPre {}))?;
    let decision = outcome.decision.networks.first();
    let weights = &outcome.decision.weights;
    let selected: Vec<f32> = weights.iter().map(|w| f32::from(u8::from(*w > 0.0))).collect();
    let kept: Vec<f32> = (0..x.clients).filter(|c| outcome.present[*c]).map(|c| weights[c] as f32).collect();
    // Weights of the screened rows, or of all.
    let all = !matches!(rule, Rule::GeometricMedian(_));
    let listed: Vec<f32> = if all { weights.iter().map(|w| *w as f32).collect() } else { kept };
    let d = [x.words];
    let mut out = vec![
        result("update", &d, outcome.server.clone(), compared(&rule, &x, &outcome)),
        result("selected", &[x.clients], selected, Compared::Equal),
        result("weights", &[listed.len()], listed, Compared::Close(OF_COSINES)),
    ];
    if matches!(rule, Rule::Crfl(_)) {
        out[0].name = "global".into();
    }
    if let Some(found) = decision.filter(|d| !d.scores.is_empty()) {
        let scores: Vec<f32> = found.scores.iter().map(|s| s.map_or(f32::INFINITY, |s| s as f32)).collect();
        let finite = |s: &f32| if s.is_finite() { OF_COSINES * f64::from(s.abs()) } else { 0.0 };
        let bounds = scores.iter().map(finite).collect();
        out.push(Computed::each("scores", &[x.clients], scores, bounds));
    }
    if let Rule::FoolsGold(_) = rule {
        let before = case.shaped("history", &[x.clients, x.words])?;
        let bound = |(h, x): (&f64, &f64)| 2.0 * U * (h.abs() + x.abs());
        let bounds = before.values.iter().zip(x.values).map(bound).collect();
        out.push(Computed::each("history", &[x.clients, x.words], outcome.memory, bounds));
    }
    Ok(out)
}

/// pre.*
pub fn pre(case: &Case, lab: &mut Lab) -> Result<Vec<Computed>> {
    let x = updates(case)?;
    let (f, n) = (|| case.whole("f", 0, MOST_CLIENTS as u32), x.clients as u32);
    let pre = match case.op.as_str() {
        "pre.nnm" => Pre::Nnm(Nnm { f: f()? }),
        "pre.arc" => Pre::Arc(Arc { f: f()? }),
        _ => Pre::Bucketing(Bucketing { s: case.whole("s", 1, n)? }),
    };
    let outcome = run(case, lab, &x, &Rule::Mean(Mean {}), &pre)?;
    let (rows, values) = (outcome.mixed.len(), outcome.mixed.concat());
    Ok(vec![result("updates", &[rows, x.words], values, Compared::RelativeL2(OF_NORMS))])
}

fn result(name: &str, shape: &[usize], got: Vec<f32>, rule: Compared) -> Computed {
    Computed { name: name.into(), shape: shape.to_vec(), got, rule }
}

/// Runs the rule on the case's inputs.
fn run(case: &Case, lab: &mut Lab, x: &Updates, rule: &Rule, pre: &Pre) -> Result<Outcome> {
    let row = |name: &str| -> Result<Option<Vec<f32>>> {
        case.inputs.contains_key(name).then(|| Ok(case.shaped(name, &[x.words])?.f32())).transpose()
    };
    let weights = case.inputs.contains_key("weights").then(|| case.shaped("weights", &[x.clients])).transpose()?;
    if let Some(w) = weights
        && (w.values.iter().any(|w| !(w.is_finite() && *w >= 0.0)) || w.values.iter().all(|w| *w == 0.0))
    {
        return Err(case.malformed("`in.weights`: must be finite, at least 0 and not all 0"));
    }
    let memory = match rule {
        Rule::FoolsGold(_) => Some(case.shaped("history", &[x.clients, x.words])?.f32()),
        _ => row("state")?,
    };
    let noise = row("noise")?;
    if noise.is_none() && noisy(rule) {
        return Err(case.malformed("`in.noise` is missing: sigma is above 0"));
    }
    let draws = Draws::Given {
        noise: noise.unwrap_or_default(),
        order: if case.inputs.contains_key("order") { order(case, x.clients)? } else { Vec::new() },
        columns: if case.inputs.contains_key("coords") { columns(case, x.words)? } else { Vec::new() },
    };
    let (server, root) = (row("global")?, row("root")?);
    let values: Vec<f32> = x.values.iter().map(|v| *v as f32).collect();
    let trial = Trial {
        rule,
        pre,
        given: Given { updates: &values, clients: x.clients, chunk: x.clients, server: server.as_deref() },
        weights: weights.map(|w| w.values.as_slice()),
        root: root.as_deref(),
        memory: memory.as_deref(),
        draws,
    };
    trial.run(lab.engine).map_err(|error| match error {
        crate::Error::Input(what) => case.malformed(what),
        other => other,
    })
}

fn noisy(rule: &Rule) -> bool {
    match rule {
        Rule::NormClip(rule) => rule.sigma > 0.0,
        Rule::Crfl(rule) => rule.sigma > 0.0,
        Rule::Flame(rule) => rule.sigma > 0.0,
        _ => false,
    }
}

/// A permutation of the clients.
fn order(case: &Case, clients: usize) -> Result<Vec<usize>> {
    let order: Vec<usize> = case.shaped("order", &[clients])?.values.iter().map(|v| *v as usize).collect();
    let mut sorted = order.clone();
    sorted.sort_unstable();
    match sorted.iter().copied().eq(0..clients) {
        true => Ok(order),
        false => Err(case.malformed(format!("`in.order` must have every number below {clients} once"))),
    }
}

/// The coordinates of each iteration.
fn columns(case: &Case, words: usize) -> Result<Vec<Vec<u32>>> {
    let (coords, [_, sample]) = case.ranked::<2>("coords", "[iterations, sample]")?;
    if let Some(bad) = coords.values.iter().find(|v| !(**v >= 0.0 && **v < words as f64 && v.fract() == 0.0)) {
        return Err(case.malformed(format!("`in.coords` has {bad}: must be whole numbers below {words}")));
    }
    Ok(coords.values.chunks(sample).map(|row| row.iter().map(|v| *v as u32).collect()).collect())
}

/// The rule of the case.
fn rule(case: &Case) -> Result<Rule> {
    let positive = |key: &str, default: Option<f64>| -> Result<f64> {
        let value = case.number(key, 0.0, f64::MAX, default)?;
        if value > 0.0 { Ok(value) } else { Err(case.malformed(format!("parameter `{key}` is 0, must be above 0"))) }
    };
    let f = || case.whole("f", 0, MOST_CLIENTS as u32);
    let whole = |key: &str| case.params.contains_key(key).then(|| case.whole(key, 1, MOST_CLIENTS as u32)).transpose();
    let iterations = || case.whole("iterations", 1, 1000);
    let sigma = || case.number("sigma", 0.0, f64::MAX, Some(0.0));
    let text = |key: &str| case.params.get(key).and_then(serde_json::Value::as_str);
    Ok(match case.op.trim_start_matches("aggregate.") {
        "mean" => Rule::Mean(Mean {}),
        "median" => Rule::Median(Median {}),
        "trimmed_mean" => Rule::TrimmedMean(TrimmedMean { f: f()? }),
        "meamed" => Rule::Meamed(Meamed { f: f()? }),
        "krum" => Rule::Krum(Krum { f: f()?, neighbours: whole("neighbours")? }),
        "multi_krum" => Rule::MultiKrum(MultiKrum { f: f()?, m: whole("m")?, neighbours: whole("neighbours")? }),
        "bulyan" => Rule::Bulyan(Bulyan { f: f()? }),
        "geometric_median" => {
            let start = match text("init") {
                Some("zero") => Start::Zero,
                Some("mean") => Start::Mean,
                Some("median") => Start::Median,
                found => {
                    let found = found.map_or("not a string".into(), |text| format!("{text:?}"));
                    return Err(case.malformed(format!("parameter `init` is {found}, must be zero, mean or median")));
                }
            };
            Rule::GeometricMedian(GeometricMedian { nu: positive("nu", None)?, iterations: iterations()?, start })
        }
        "centred_clipping" => {
            Rule::CentredClipping(CentredClipping { tau: positive("tau", None)?, iterations: iterations()? })
        }
        "norm_clip" => {
            let c = if text("c") == Some("median") { None } else { Some(positive("c", None)?) };
            Rule::NormClip(NormClip { c, sigma: sigma()? })
        }
        "crfl" => Rule::Crfl(Crfl { rho: positive("rho", None)?, sigma: sigma()? }),
        "mda" => Rule::Mda(Mda { f: f()? }),
        "dnc" => {
            let (coords, [iterations, sample]) = case.ranked::<2>("coords", "[iterations, sample]")?;
            debug_assert_eq!(coords.values.len(), iterations * sample);
            let (iterations, sample) = (iterations as u32, sample as u32);
            Rule::Dnc(Dnc { f: f()?, c: positive("c", None)?, iterations, sample })
        }
        "foolsgold" => Rule::FoolsGold(FoolsGold { kappa: positive("kappa", Some(1.0))? }),
        "fltrust" => Rule::FlTrust(FlTrust {}),
        "flame" => Rule::Flame(Flame { sigma: sigma()? }),
        "sign_majority" => Rule::SignMajority(SignMajority { step: 1.0 }),
        _ => Rule::RobustLr(RobustLr { theta: case.whole("theta", 1, MOST_CLIENTS as u32)? }),
    })
}

/// How the update is compared: by its rounding bound where it is a sum or a choice, as a whole where norms or angles enter.
fn compared(rule: &Rule, x: &Updates, outcome: &Outcome) -> Compared {
    let weights = &outcome.decision.weights;
    let present: Vec<usize> = (0..x.clients).filter(|c| outcome.present[*c]).collect();
    // A sum with the decision's weights, each rounded to f32.
    let linear = || {
        let bound = |k: usize| {
            let terms = weights.iter().enumerate().filter(|(_, w)| **w != 0.0);
            let magnitude: f64 = terms.map(|(c, w)| (w * x.at(c, k)).abs()).sum();
            gamma(x.clients + 3) * magnitude
        };
        Compared::Each((0..x.words).map(bound).collect())
    };
    // The mean of places of the sorted values of some clients.
    let places = |clients: &[usize], window: &dyn Fn(&[f64]) -> (usize, usize)| {
        let value = |k: usize| {
            let mut values: Vec<f64> = clients.iter().map(|c| x.at(*c, k)).collect();
            values.sort_by(f64::total_cmp);
            let (first, last) = window(&values);
            let kept = &values[first..=last];
            let sum: f64 = kept.iter().sum();
            let magnitude: f64 = kept.iter().map(|v| v.abs()).sum();
            let n = kept.len() as f64;
            Approx::new(sum / n, if kept.len() == 1 { 0.0 } else { gamma(kept.len() + 3) * magnitude / n })
        };
        Compared::Known((0..x.words).map(value).collect())
    };
    let around_median = |clients: &[usize], keep: usize| {
        places(clients, &|values| {
            let median = 0.5 * values[(values.len() - 1) / 2] + 0.5 * values[values.len() / 2];
            let mut first = 0;
            while first + keep < values.len() && median - values[first] > values[first + keep] - median {
                first += 1;
            }
            (first, first + keep - 1)
        })
    };
    let faults = |f: u32| (f as usize).saturating_sub(x.clients - present.len());
    match rule {
        Rule::Krum(_) | Rule::SignMajority(_) => Compared::Equal,
        Rule::Mean(_) | Rule::MultiKrum(_) | Rule::Mda(_) | Rule::Dnc(_) | Rule::RobustLr(_) => linear(),
        Rule::Median(_) => places(&present, &|values| ((values.len() - 1) / 2, values.len() / 2)),
        Rule::TrimmedMean(rule) => places(&present, &|values| (faults(rule.f), values.len() - 1 - faults(rule.f))),
        Rule::Meamed(rule) => around_median(&present, present.len() - faults(rule.f)),
        Rule::Bulyan(rule) => {
            let chosen: Vec<usize> = (0..x.clients).filter(|c| weights[*c] > 0.0).collect();
            around_median(&chosen, present.len() - 4 * faults(rule.f))
        }
        Rule::GeometricMedian(_) | Rule::CentredClipping(_) | Rule::NormClip(_) | Rule::Crfl(_) => {
            Compared::RelativeL2(OF_NORMS)
        }
        Rule::FoolsGold(_) | Rule::FlTrust(_) | Rule::Flame(_) => Compared::RelativeL2(OF_COSINES),
    }
}
