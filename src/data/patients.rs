//! Images that belong together: all images of a patient.

use std::collections::HashMap;
use std::hash::Hash;

/// Images as units that are held out and dealt as a whole: those of a patient, or single images where nothing is known
/// of patients.
pub(crate) struct Units {
    /// Images, unit by unit; ascending in each.
    order: Vec<u32>,
    /// `[units + 1]`: where each unit starts in `order`.
    starts: Vec<usize>,
    /// `[units]`: the class of most of a unit's images, the lowest of several.
    pub classes: Vec<u32>,
}

impl Units {
    /// Units of images with these `labels`, in the order of their first images; `patients` is the patient of each image.
    pub fn of(labels: &[u32], patients: Option<&[u32]>) -> Units {
        let n = labels.len();
        let Some(patients) = patients else {
            return Units { order: (0..n as u32).collect(), starts: (0..=n).collect(), classes: labels.to_vec() };
        };
        let mut numbers = HashMap::new();
        let mut members: Vec<Vec<u32>> = Vec::new();
        for (image, patient) in (0..).zip(patients) {
            let unit = *numbers.entry(*patient).or_insert(members.len());
            if unit == members.len() {
                members.push(Vec::new());
            }
            members[unit].push(image);
        }
        let starts = members.iter().scan(0, |at, unit| Some(std::mem::replace(at, *at + unit.len()))).chain([n]);
        let classes = members.iter().map(|unit| most_frequent(labels, unit)).collect();
        Units { starts: starts.collect(), classes, order: members.concat() }
    }

    /// Number of units.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Images of unit `i`, ascending.
    pub fn images(&self, i: usize) -> &[u32] {
        &self.order[self.starts[i]..self.starts[i + 1]]
    }
}

fn most_frequent(labels: &[u32], images: &[u32]) -> u32 {
    let mut own: Vec<u32> = images.iter().map(|i| labels[*i as usize]).collect();
    own.sort_unstable();
    let runs = own.chunk_by(|a, b| a == b);
    runs.fold(&[][..], |most, run| if run.len() > most.len() { run } else { most }).first().copied().unwrap_or(0)
}

/// A number for each image: images with equal keys have equal numbers, one without a key has its own. `None` if no
/// image has a key.
pub(super) fn numbered<K: Eq + Hash>(keys: impl Iterator<Item = Option<K>>) -> Option<Vec<u32>> {
    let (mut known, mut next, mut found) = (HashMap::new(), 0, false);
    let mut fresh = || {
        next += 1;
        next - 1
    };
    let numbers = keys
        .map(|key| match key {
            Some(key) => {
                found = true;
                *known.entry(key).or_insert_with(&mut fresh)
            }
            None => fresh(),
        })
        .collect();
    found.then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_hold_all_images_of_a_patient() {
        let units = Units::of(&[5, 1, 1, 0, 2, 0], Some(&[9, 4, 9, 4, 7, 4]));
        let images: Vec<&[u32]> = (0..units.len()).map(|i| units.images(i)).collect();
        assert_eq!(images, [&[0, 2][..], &[1, 3, 5], &[4]]);
        assert_eq!(units.classes, [1, 0, 2], "the most frequent class, of equals the lowest");
        let single = Units::of(&[3, 1], None);
        assert_eq!((single.len(), single.images(1), &single.classes[..]), (2, &[1][..], &[3, 1][..]));
        assert_eq!(Units::of(&[], Some(&[])).len(), 0);
    }

    #[test]
    fn images_without_a_key_are_patients_of_their_own() {
        let of = |keys: &[Option<(u32, &'static str)>]| numbered(keys.iter().copied());
        assert_eq!(of(&[Some((0, "a")), None, Some((0, "a")), None, Some((1, "a"))]), Some(vec![0, 1, 0, 2, 3]));
        assert_eq!(of(&[None, None]), None);
    }
}
