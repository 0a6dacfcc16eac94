//! Attacks on updates in f64, straight from their formulas.

use fedgan::fed::attack::{Direction, OnUpdate, Reach, Sent, SumBound};

/// What a formula is given.
pub struct Given<'a> {
    /// All clients' updates as trained.
    pub updates: &'a [Vec<f64>],
    /// The malicious clients.
    pub malicious: &'a [u32],
    /// Clients with non-finite values.
    pub absent: &'a [usize],
    /// The last aggregate; none in the first round.
    pub last: Option<&'a [f64]>,
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn square(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

fn plus(a: &[f64], factor: f64, b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + factor * b).collect()
}

pub fn signs(of: &[f64]) -> Vec<f64> {
    of.iter().map(|v| if *v == 0.0 { 0.0 } else { v.signum() }).collect()
}

pub fn mean(of: &[&[f64]]) -> Vec<f64> {
    (0..of[0].len()).map(|k| of.iter().map(|u| u[k]).sum::<f64>() / of.len() as f64).collect()
}

fn deviation(of: &[&[f64]], ddof: usize) -> Vec<f64> {
    let m = mean(of);
    let variance = |k: usize| of.iter().map(|u| (u[k] - m[k]).powi(2)).sum::<f64>() / (of.len() - ddof) as f64;
    (0..m.len()).map(|k| variance(k).sqrt()).collect()
}

fn towards(direction: Direction, of: &[&[f64]]) -> Vec<f64> {
    let m = mean(of);
    match direction {
        Direction::Unit => {
            let norm = dot(&m, &m).sqrt();
            m.iter().map(|v| v / norm).collect()
        }
        Direction::Sign => signs(&m),
        Direction::Std => deviation(of, 1),
    }
}

/// The largest gamma for which `fits` holds, by bisection: it holds up to there.
fn largest(fits: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while fits(high) {
        high *= 2.0;
    }
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if fits(middle) { low = middle } else { high = middle }
    }
    low
}

impl Given<'_> {
    pub fn is_malicious(&self, client: usize) -> bool {
        self.malicious.contains(&(client as u32))
    }

    /// The updates that an attack with this reach may read.
    pub fn known(&self, reach: Reach) -> Vec<&[f64]> {
        self.ids(reach).into_iter().map(|c| &self.updates[c][..]).collect()
    }

    fn ids(&self, reach: Reach) -> Vec<usize> {
        let read = |c: &usize| self.is_malicious(*c) == (reach == Reach::Own) && !self.absent.contains(c);
        (0..self.updates.len()).filter(read).collect()
    }

    /// Lambda by a Krum in which the malicious clients send -lambda signs.
    fn lambda(&self, signs: &[f64]) -> f64 {
        let benign = self.ids(Reach::All);
        let mut lambda = benign.iter().map(|c| dot(&self.updates[*c], &self.updates[*c]).sqrt()).fold(0.0, f64::max);
        for _ in 0..17 {
            let crafted: Vec<f64> = signs.iter().map(|s| -lambda * s).collect();
            let present = (0..self.updates.len()).filter(|c| self.is_malicious(*c) || benign.contains(c));
            let rows: Vec<(bool, &[f64])> = present
                .map(|c| if self.is_malicious(c) { (true, &crafted[..]) } else { (false, &self.updates[c][..]) })
                .collect();
            let neighbours = rows.len() - self.malicious.len() - 2;
            let score = |i: usize| -> f64 {
                let others = (0..rows.len()).filter(|j| *j != i);
                let mut all: Vec<f64> = others.map(|j| square(rows[i].1, rows[j].1)).collect();
                all.sort_by(f64::total_cmp);
                all[..neighbours].iter().sum()
            };
            let best = (0..rows.len()).min_by(|a, b| score(*a).total_cmp(&score(*b))).unwrap();
            if rows[best].0 {
                break;
            }
            lambda *= 0.5;
        }
        lambda
    }

    /// What malicious client `client` sends; none for an attack that draws random numbers.
    pub fn sent(&self, update: &OnUpdate, client: usize) -> Option<Vec<f64>> {
        let own = &self.updates[client];
        let zero = || vec![0.0; own.len()];
        Some(match update {
            OnUpdate::None(_) => own.clone(),
            OnUpdate::Scale(a) => plus(&zero(), a.factor, own),
            OnUpdate::SignFlip(a) => plus(&zero(), -a.factor, own),
            OnUpdate::Ipm(a) => plus(&zero(), -a.epsilon, &mean(&self.known(a.knowledge))),
            OnUpdate::Alie(a) => {
                let known = self.known(a.knowledge);
                plus(&mean(&known), -a.z.expect("a given z"), &deviation(&known, a.ddof as usize))
            }
            OnUpdate::MinMax(a) => {
                let known = self.known(a.knowledge);
                let (m, p) = (mean(&known), towards(a.direction, &known));
                let most = known.iter().flat_map(|g| known.iter().map(|h| square(g, h))).fold(0.0, f64::max);
                let fits = |gamma: f64| known.iter().all(|g| square(&plus(&m, -gamma, &p), g) <= most);
                plus(&m, -largest(fits), &p)
            }
            OnUpdate::MinSum(a) => {
                let known = self.known(a.knowledge);
                let (m, p) = (mean(&known), towards(a.direction, &known));
                let sum = |of: &[f64]| known.iter().map(|g| square(of, g)).sum::<f64>();
                let choose = if a.bound == SumBound::Max { f64::max } else { f64::min };
                let most = known.iter().map(|g| sum(g)).reduce(choose).unwrap();
                plus(&m, -largest(|gamma| sum(&plus(&m, -gamma, &p)) <= most), &p)
            }
            OnUpdate::Mimic(a) => match a.target {
                Some(target) => self.updates[target as usize].clone(),
                None => self.most_prominent().to_vec(),
            },
            OnUpdate::FreeRider(a) if a.sigma == 0.0 => match (a.send, self.last) {
                (Sent::Last, Some(last)) => last.to_vec(),
                _ => zero(),
            },
            OnUpdate::Neurotoxin(a) => {
                let mut sent = own.clone();
                if let Some(last) = self.last {
                    let mut order: Vec<usize> = (0..own.len()).collect();
                    order.sort_by(|i, j| last[*j].abs().total_cmp(&last[*i].abs()));
                    let count = (a.top * own.len() as f64).floor() as usize;
                    order[..count].iter().for_each(|k| sent[*k] = 0.0);
                }
                let norm = dot(&sent, &sent).sqrt();
                match a.norm {
                    Some(most) if norm > most => plus(&zero(), most / norm, &sent),
                    _ => sent,
                }
            }
            OnUpdate::FangKrum(_) => {
                let signs = signs(&mean(&self.known(Reach::All)));
                plus(&zero(), -self.lambda(&signs), &signs)
            }
            _ => return None,
        })
    }

    /// The benign update that is furthest from the mean along the direction of most variance, by power iteration.
    fn most_prominent(&self) -> &[f64] {
        let known = self.known(Reach::All);
        let m = mean(&known);
        let centred: Vec<Vec<f64>> = known.iter().map(|g| plus(g, -1.0, &m)).collect();
        let mut z = centred[0].clone();
        for _ in 0..3000 {
            let mut next = vec![0.0; z.len()];
            centred.iter().for_each(|g| next = plus(&next, dot(g, &z), g));
            let norm = dot(&next, &next).sqrt();
            z = next.iter().map(|v| v / norm).collect();
        }
        let along = |c: &usize| dot(&centred[*c], &z).abs();
        let far = (0..known.len()).max_by(|a, b| along(a).total_cmp(&along(b))).unwrap();
        known[far]
    }
}
