//! The hold-out of whole patients.

use super::{Place, apportion, by_class, shares_rng};
use crate::data::patients::Units;
use crate::data::random::SplitMix64;
use std::collections::BTreeMap;

/// Holds out about `total` images, all of a patient or none. Each client, if there are any, holds out its share, of
/// each class the class's share, rounded to whole patients; the difference is made up by what follows. A client and a
/// class keep a patient for training. At least one patient is held out if a client has two.
pub(super) fn by_patients(
    labels: &[u32],
    patients: &[u32],
    clients: Option<&[u32]>,
    total: usize,
    seed: u64,
    places: &mut [Place],
) {
    let units = Units::of(labels, Some(patients));
    let client = |unit: usize| clients.map_or(0, |of| of[units.images(unit)[0] as usize]);
    let of_clients = by_class(&(0..units.len()).map(client).collect::<Vec<_>>());
    let images = |members: &[u32]| members.iter().map(|u| units.images(*u as usize).len()).sum::<usize>();
    let sizes: Vec<usize> = of_clients.iter().map(|members| images(members)).collect();
    let shares = apportion(&sizes, &sizes, total, &mut shares_rng(seed, 0));
    let mut draw = Draw { units: &units, held: Vec::new(), owed: 0 };
    for (client, (members, share)) in of_clients.iter().zip(shares).enumerate() {
        draw.hold(members, share, &mut shares_rng(seed, 1 + client as u64));
    }
    if draw.held.is_empty() && total > 0 {
        let spare = of_clients.iter().filter(|members| members.len() > 1).flatten();
        draw.held.extend(spare.min_by_key(|u| units.images(**u as usize).len()));
    }
    for image in draw.held.iter().flat_map(|u| units.images(*u as usize)) {
        places[*image as usize] = Place::HeldOut;
    }
}

/// Patients held out so far.
struct Draw<'a> {
    units: &'a Units,
    held: Vec<u32>,
    /// Images that were to be held out and were not; negative if there are too many.
    owed: i64,
}

impl Draw<'_> {
    /// Holds out about `share` images of a client's patients.
    fn hold(&mut self, members: &[u32], share: usize, rng: &mut SplitMix64) {
        let classes = classes(self.units, members);
        let size = |unit: &u32| self.units.images(*unit as usize).len();
        let sizes: Vec<usize> = classes.iter().map(|class| class.iter().map(size).sum()).collect();
        let parts = apportion(&sizes, &sizes, share, rng);
        let mut left = members.len();
        for (mut class, part) in classes.into_iter().zip(parts) {
            self.owed += part as i64;
            rng.shuffle(&mut class);
            let mut room = class.len().saturating_sub(1);
            for unit in class {
                let size = self.units.images(unit as usize).len() as i64;
                // Held out if that brings the sum nearer to its goal.
                if room > 0 && left > 1 && size < 2 * self.owed {
                    self.held.push(unit);
                    self.owed -= size;
                    (room, left) = (room - 1, left - 1);
                }
            }
        }
    }
}

/// The patients of each class; classes with a single patient are one, or a set with many rare classes would hold out
/// nothing.
fn classes(units: &Units, members: &[u32]) -> Vec<Vec<u32>> {
    let mut classes: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    members.iter().for_each(|u| classes.entry(units.classes[*u as usize]).or_default().push(*u));
    let (single, mut several): (Vec<_>, Vec<_>) = classes.into_values().partition(|class| class.len() == 1);
    several.extend((!single.is_empty()).then(|| single.concat()));
    several
}
