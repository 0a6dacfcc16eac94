//! A wrapping engine that checks the launches of a round as they run.

use super::measure::{Verification, verify};
use crate::Result;
use crate::exec::{Engine, Launch, Recording};
use std::sync::{Arc, Mutex, PoisonError};

/// Checks a launch by its operands before and after it, as [`Verifier`](super::Verifier) does.
pub type Check = fn(&Launch, &[&[u32]], &[&[u32]]) -> Result<Verification>;

/// What was checked.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Distinct launches: kernel and parameters.
    pub seen: Vec<(&'static str, Vec<u32>)>,
    /// Launches with wrong results.
    pub wrong: Vec<String>,
}

/// Runs every recording once, launch by launch, and checks the first launch of each kernel with each set of parameters on the
/// operands that the federation gives it. A recording that is to be repeated runs once: all repetitions launch the same.
pub struct Proof {
    inner: Box<dyn Engine>,
    check: Check,
    findings: Arc<Mutex<Findings>>,
}

impl Proof {
    /// Watches `inner`; the findings are complete when the round is.
    pub fn new(inner: Box<dyn Engine>, check: Check) -> (Proof, Arc<Mutex<Findings>>) {
        let findings = Arc::<Mutex<Findings>>::default();
        (Proof { inner, check, findings: findings.clone() }, findings)
    }
}

impl Engine for Proof {
    crate::forward_engine!(
        descriptor,
        alloc,
        write,
        read,
        timed,
        finish,
        traffic,
        max_binding_words,
        allocated_bytes,
        forget
    );

    fn run(&mut self, recording: &Recording, _times: u32) -> Result<()> {
        for launch in recording.launches() {
            let mut single = Recording::new();
            single.launch_words(launch.kernel, launch.params.clone(), &launch.args, launch.label.clone())?;
            let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
            let class = (launch.kernel.name(), launch.params.clone());
            match findings.seen.contains(&class) {
                true => self.inner.run(&single, 1)?,
                false => {
                    findings.seen.push(class);
                    if let Some(why) = verify(self.inner.as_mut(), launch, &single, &self.check)?.0.failure {
                        findings.wrong.push(format!("{} ({}): {why}", launch.label, launch.kernel.name()));
                    }
                }
            }
            self.inner.forget(&single);
        }
        Ok(())
    }
}
