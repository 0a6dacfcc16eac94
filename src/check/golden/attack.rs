//! Attacks on updates: the launches and decisions of a federation, on given updates.

use super::Case;
use super::lab::{Computed, Lab, Rule as Compared};
use crate::Result;
use crate::fed::Given;
use crate::fed::aggregate::Draws;
use crate::fed::attack::{
    Alie, Direction, FreeRider, Ipm, Mimic, MinMax, MinSum, Neurotoxin, OnUpdate, Reach, Scale, Sent, SignFlip,
    SumBound, Trial,
};
use crate::kernels::{U, gamma};

/// Relative L2 bound of results that follow from deviations.
const OF_DEVIATIONS: f64 = 2e-6;
/// The same of results that follow from distances.
const OF_DISTANCES: f64 = 5e-6;
/// Most clients of a case.
const MOST_CLIENTS: usize = 1024;

/// attack.*
pub fn attack(case: &Case, lab: &mut Lab) -> Result<Vec<Computed>> {
    let (x, [clients, words]) = case.ranked::<2>("updates", "[clients, values]")?;
    if clients > MOST_CLIENTS {
        return Err(case.malformed(format!("`in.updates` has {clients} clients, at most {MOST_CLIENTS} are read")));
    }
    let malicious = malicious(case, clients)?;
    let update = update(case, clients, &malicious)?;
    let row = |name: &str, rows: usize| -> Result<Option<Vec<f32>>> {
        let shape = [rows, words];
        let shape = if rows == 1 && name == "reference" { &shape[1..] } else { &shape[..] };
        case.inputs.contains_key(name).then(|| Ok(case.shaped(name, shape)?.f32())).transpose()
    };
    let (last, noise) = (row("reference", 1)?, row("noise", malicious.len())?);
    let noise = noise.unwrap_or_default();
    let draws = Draws::Given { noise: noise.clone(), order: Vec::new(), columns: Vec::new() };
    let values = x.f32();
    let trial = Trial {
        update: &update,
        given: Given { updates: &values, clients, chunk: clients, server: None },
        malicious: &malicious,
        last: last.as_deref(),
        draws,
    };
    let forgery = trial.run(lab.engine).map_err(|error| match error {
        crate::Error::Input(what) => case.malformed(what),
        other => other,
    })?;
    let got: Vec<f32> = malicious.iter().flat_map(|client| forgery.updates[*client as usize].clone()).collect();
    let benign: Vec<usize> = (0..clients).filter(|c| !malicious.contains(&(*c as u32))).collect();
    let own = |at: usize| x.values[malicious[at / words] as usize * words + at % words];
    let each = |bound: &dyn Fn(usize) -> f64| Compared::Each((0..got.len()).map(bound).collect());
    let rule = match &update {
        // The factor is rounded, then the product.
        OnUpdate::Scale(Scale { factor }) | OnUpdate::SignFlip(SignFlip { factor }) => {
            each(&|at| gamma(2) * (factor * own(at)).abs())
        }
        OnUpdate::Ipm(ipm) => each(&|at| {
            let magnitude: f64 = benign.iter().map(|c| x.values[c * words + at % words].abs()).sum();
            gamma(benign.len() + 8) * ipm.epsilon * magnitude / benign.len() as f64
        }),
        OnUpdate::FreeRider(rider) => each(&|at| {
            let last = last.as_ref().map_or(0.0, |last| f64::from(last[at % words]));
            gamma(3) * (last.abs() + (rider.sigma * noise.get(at).map_or(0.0, |z| f64::from(*z))).abs())
        }),
        // Copied values, or values left out: equal, but a 0 may have either sign.
        OnUpdate::Mimic(_) | OnUpdate::Neurotoxin(_) => each(&|_| 0.0),
        OnUpdate::MinMax(_) | OnUpdate::MinSum(_) => Compared::RelativeL2(OF_DISTANCES),
        _ => Compared::RelativeL2(OF_DEVIATIONS),
    };
    let mut out =
        vec![Computed { name: "malicious".into(), shape: vec![malicious.len(), words], got: got.clone(), rule }];
    if let Some(chosen) = forgery.chosen {
        let (name, bound) = match update {
            OnUpdate::Alie(_) => ("z", 2.0 * U),
            _ => ("gamma", OF_DISTANCES),
        };
        let rule = Compared::Close(bound);
        out.push(Computed { name: name.into(), shape: vec![1], got: vec![chosen as f32], rule });
    }
    Ok(out)
}

/// The malicious clients.
fn malicious(case: &Case, clients: usize) -> Result<Vec<u32>> {
    let marks = &case.shaped("malicious", &[clients])?.values;
    if let Some(bad) = marks.iter().find(|mark| ![0.0, 1.0].contains(*mark)) {
        return Err(case.malformed(format!("`in.malicious` has {bad}: must be 0 or 1")));
    }
    let found: Vec<u32> = (0u32..).zip(marks).filter(|(_, mark)| **mark > 0.0).map(|(client, _)| client).collect();
    match found.len() {
        0 => Err(case.malformed("`in.malicious` has no malicious client")),
        all if all == clients => Err(case.malformed("`in.malicious` has no benign client")),
        _ => Ok(found),
    }
}

/// The attack of the case.
fn update(case: &Case, clients: usize, malicious: &[u32]) -> Result<OnUpdate> {
    let positive = |key: &str| -> Result<f64> {
        let value = case.number(key, 0.0, f64::MAX, None)?;
        if value > 0.0 { Ok(value) } else { Err(case.malformed(format!("parameter `{key}` is 0, must be above 0"))) }
    };
    let word = |key: &str, allowed: &[&'static str], default: usize| -> Result<usize> {
        let Some(found) = case.params.get(key) else { return Ok(default) };
        let at = allowed.iter().position(|word| found.as_str() == Some(word));
        at.ok_or_else(|| {
            case.malformed(format!("parameter `{key}` is {found}, must be one of: {}", allowed.join(", ")))
        })
    };
    let direction = || {
        let words = [Direction::Unit, Direction::Sign, Direction::Std];
        Ok::<_, crate::Error>(words[word("deviation", &["unit", "sign", "std"], 2)?])
    };
    let knowledge = Reach::All;
    Ok(match case.op.trim_start_matches("attack.") {
        "scale" => OnUpdate::Scale(Scale { factor: positive("gamma")? }),
        "sign_flip" => OnUpdate::SignFlip(SignFlip { factor: positive("c")? }),
        "ipm" => OnUpdate::Ipm(Ipm { epsilon: positive("epsilon")?, knowledge }),
        "alie" => {
            let z = case.params.contains_key("z").then(|| positive("z")).transpose()?;
            let ddof = if case.params.contains_key("ddof") { case.whole("ddof", 0, 1)? } else { 0 };
            OnUpdate::Alie(Alie { z, ddof, knowledge })
        }
        "min_max" => OnUpdate::MinMax(MinMax { direction: direction()?, knowledge }),
        "min_sum" => {
            let bound = [SumBound::Max, SumBound::Min][word("bound", &["max", "min"], 0)?];
            OnUpdate::MinSum(MinSum { direction: direction()?, bound, knowledge })
        }
        "mimic" => {
            // The file counts benign clients.
            let mut benign = (0..clients as u32).filter(|client| !malicious.contains(client));
            let most = clients - malicious.len();
            let target = case.whole("target", 0, most as u32 - 1)?;
            OnUpdate::Mimic(Mimic { target: benign.nth(target as usize) })
        }
        "free_rider" => {
            OnUpdate::FreeRider(FreeRider { send: Sent::Last, sigma: case.number("sigma", 0.0, f64::MAX, None)? })
        }
        _ => OnUpdate::Neurotoxin(Neurotoxin { top: case.number("top", 0.0, 1.0, None)?, norm: None }),
    })
}
