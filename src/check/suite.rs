//! Many cases of a kernel, summarised in one row of a table.

use super::{CaseResult, Checker, Failure, Options, Repro, Verdict, Worst};
use crate::Result;
use crate::kernels::Class;

/// The results of a kernel's cases on one engine.
#[derive(Clone, Debug, serde::Serialize)]
pub struct KernelSummary {
    /// The kernel.
    pub kernel: String,
    /// The shader variant, or `-`.
    pub variant: String,
    /// Cases run.
    pub cases: usize,
    /// Elements compared.
    pub elements: usize,
    /// Percentage of its bound used by the worst element of all cases.
    pub percent: f64,
    /// The statistical [`Health`](super::Health) of the least healthy case; `None` if every element had to be exact.
    pub health: Option<f64>,
    /// The element that uses the largest share of its bound.
    pub worst: Option<Worst>,
    /// Its case, as parsed by `fedgan validate`.
    pub worst_case: String,
    /// Failed cases.
    pub failed: Vec<CaseResult>,
    /// Wall time.
    pub seconds: f64,
}

impl KernelSummary {
    /// True when every case passed.
    pub fn passed(&self) -> bool {
        self.failed.is_empty()
    }
}

/// Runs `repros`, all of one kernel; `tick` is called after each case.
///
/// # Errors
/// If parameters are rejected. A failure of the device is a failed case, after which the kernel's other cases are
/// skipped.
pub fn run(checker: &mut Checker, repros: &[Repro], variant: &str, mut tick: impl FnMut()) -> Result<KernelSummary> {
    let start = std::time::Instant::now();
    let mut row = KernelSummary {
        kernel: repros.first().map_or("-", |r| r.kernel.name()).into(),
        variant: variant.into(),
        cases: 0,
        elements: 0,
        percent: 0.0,
        health: None,
        worst: None,
        worst_case: String::new(),
        failed: Vec::new(),
        seconds: 0.0,
    };
    for repro in repros {
        let result = checker.case(repro, Options::default())?;
        tick();
        row.cases += 1;
        row.elements += result.elements;
        row.health = worse(row.health, result.health.value());
        if let Some(worst) = &result.worst
            && (row.worst.is_none() || !(result.percent <= row.percent))
        {
            row.percent = result.percent;
            row.worst = Some(worst.clone());
            row.worst_case.clone_from(&result.repro);
        }
        let refused = matches!(result.verdict, Verdict::Fail(Failure::Engine(_)));
        if !result.passed() {
            row.failed.push(result);
        }
        if refused {
            break;
        }
    }
    row.seconds = start.elapsed().as_secs_f64();
    Ok(row)
}

/// The larger of two; NaN is larger than any number.
pub fn worse(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if a.is_nan() || a >= b { a } else { b }),
        (a, b) => a.or(b),
    }
}

/// Repros grouped by kernel, in order of first appearance.
pub fn by_kernel(repros: Vec<Repro>) -> Vec<Vec<Repro>> {
    let mut groups: Vec<Vec<Repro>> = Vec::new();
    for repro in repros {
        match groups.iter_mut().find(|g| g[0].kernel.name() == repro.kernel.name()) {
            Some(group) => group.push(repro),
            None => groups.push(vec![repro]),
        }
    }
    groups
}

/// The repros that `class` builds as no class before it in [`Class::ALL`] does: all of them for [`Class::Tiled`].
pub fn differing(repros: &[Repro], class: Class) -> Vec<Repro> {
    let before = || Class::ALL.into_iter().take_while(|other| *other != class);
    let differs =
        |r: &&Repro| before().all(|other| r.kernel.build(&r.params, other) != r.kernel.build(&r.params, class));
    repros.iter().filter(differs).cloned().collect()
}
