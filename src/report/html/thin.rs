//! Lines of many rounds with as many points as a chart can show.

use super::svg::{Line, shown};

/// Leaves at most about `most` points of a line: of each stretch of rounds the lowest and the highest one, so that no peak is lost,
/// and a gap where one is. The band keeps its extremes.
pub fn thin(line: &mut Line, most: usize) {
    if line.points.len() > most {
        let stretch = line.points.len().div_ceil((most / 2).max(1));
        line.points = line.points.chunks(stretch).flat_map(extremes).collect();
    }
    if line.band.len() > most / 2 {
        let stretch = line.band.len().div_ceil((most / 2).max(1));
        line.band = line.band.chunks(stretch).map(hull).collect();
    }
}

/// The lowest and the highest point in their order, and a point that cannot be shown, if there is one, where it is first.
fn extremes(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let there = || points.iter().enumerate().filter(|(_, p)| shown(p.1));
    let low = there().min_by(|a, b| a.1.1.total_cmp(&b.1.1)).map(|(i, _)| i);
    let high = there().max_by(|a, b| a.1.1.total_cmp(&b.1.1)).map(|(i, _)| i);
    let mut kept: Vec<usize> = [low, high, points.iter().position(|p| !shown(p.1))].into_iter().flatten().collect();
    kept.sort_unstable();
    kept.dedup();
    kept.into_iter().map(|i| points[i]).collect()
}

/// The first x with the lowest and the highest value.
fn hull(band: &[(f64, f64, f64)]) -> (f64, f64, f64) {
    let end = |of: fn(&(f64, f64, f64)) -> f64, pick: fn(f64, f64) -> f64| band.iter().map(of).fold(f64::NAN, pick);
    (band[0].0, end(|b| b.1, f64::min), end(|b| b.2, f64::max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_gaps_and_the_band_survive() {
        let value = |i: usize| if i == 777 { 9.0 } else { (i as f64 / 50.0).sin() };
        let points: Vec<(f64, f64)> = (0..1000).map(|i| (i as f64, value(i))).collect();
        let band: Vec<(f64, f64, f64)> = points.iter().map(|(x, y)| (*x, y - 1.0, y + 1.0)).collect();
        let mut line = Line { points: points.clone(), band, ..Line::default() };
        line.points[500].1 = f64::NAN;
        let before = line.clone();
        thin(&mut line, 100);
        assert!((90..=101).contains(&line.points.len()), "{}", line.points.len());
        assert!(line.points.windows(2).all(|p| p[0].0 < p[1].0) && line.points.contains(&(777.0, 9.0)));
        assert_eq!(line.points.iter().filter(|p| p.1.is_nan()).count(), 1);
        assert!(line.points.iter().all(|p| p.1.is_nan() || before.points.contains(p)), "no point is made up");
        assert_eq!((line.band.len(), line.band[0]), (50, (0.0, -1.0, (19.0f64 / 50.0).sin() + 1.0)));
        assert_eq!(line.band[38].2, 10.0);
        let mut short = Line { points: points[..100].to_vec(), ..Line::default() };
        thin(&mut short, 100);
        assert_eq!(short.points, points[..100]);
    }
}
