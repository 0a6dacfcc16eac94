//! The low frequencies of images as products with cosines and sines, and the change of their amplitudes towards a trigger's.
//!
//! With X(f, g) = sum over rows i and columns j of x(i, j) f(k i) g(l j), where f and g are cos or sin, the coefficient at (k, l) is
//! F = (X(cos, cos) - X(sin, sin)) - i (X(sin, cos) + X(cos, sin)), that at (-k, l) has the signs of the sines of k reversed, and
//! those at (-k, -l) and (k, -l) are their conjugates. Both transforms are products with small tables, one axis after the other.

/// The window of frequencies |k|, |l| <= b of images of `height` x `width`, with b = floor(beta min(height, width)).
#[derive(Clone, Debug, PartialEq)]
pub struct Spectrum {
    /// Height of the images.
    pub height: usize,
    /// Width of the images.
    pub width: usize,
    /// Frequencies k >= 0 down the rows.
    pub rows: usize,
    /// Frequencies l >= 0 along the columns.
    pub columns: usize,
    tables: Tables,
}

/// The tables of both axes, and the same transposed, for the way back.
#[derive(Clone, Debug, PartialEq)]
struct Tables {
    rows: Vec<f64>,
    columns: Vec<f64>,
    rows_back: Vec<f64>,
    columns_back: Vec<f64>,
}

impl Spectrum {
    /// The window for images of `height` x `width` pixels. `beta` is a share of the shorter side, 0 to 0.5: beyond, frequencies
    /// would repeat. 0 leaves the mean alone (k = l = 0).
    pub fn new(height: usize, width: usize, beta: f64) -> Spectrum {
        let b = (beta * height.min(width) as f64).floor() as usize;
        let count = |side: usize| b.min(side / 2) + 1;
        let (rows, columns) = (table(height, count(height)), table(width, count(width)));
        let (rows_back, columns_back) = (transposed(&rows, height), transposed(&columns, width));
        let tables = Tables { rows, columns, rows_back, columns_back };
        Spectrum { height, width, rows: count(height), columns: count(width), tables }
    }

    /// `[2 rows][height]`: cos and sin of each frequency k, in turn.
    pub fn row_table(&self) -> &[f64] {
        &self.tables.rows
    }

    /// `[2 columns][width]`: cos and sin of each frequency l, in turn.
    pub fn column_table(&self) -> &[f64] {
        &self.tables.columns
    }

    /// `[height][2 rows]`: [`row_table`](Self::row_table) transposed.
    pub fn row_table_back(&self) -> &[f64] {
        &self.tables.rows_back
    }

    /// `[width][2 columns]`: [`column_table`](Self::column_table) transposed.
    pub fn column_table_back(&self) -> &[f64] {
        &self.tables.columns_back
    }

    /// `[rows][columns]`: alpha times the weight of (k, l) and (-k, l) in the inverse transform. They stand for four frequencies,
    /// or, where one of k and l is its own negative, for two.
    pub fn factors(&self, alpha: f64) -> Vec<f64> {
        let own = |k: usize, side: usize| if k == 0 || 2 * k == side { 0.5 } else { 1.0 };
        let weight = |k, l| own(k, self.height) * own(l, self.width) * 2.0 / (self.height * self.width) as f64;
        let pairs = (0..self.rows).flat_map(|k| (0..self.columns).map(move |l| (k, l)));
        pairs.map(|(k, l)| alpha * weight(k, l)).collect()
    }

    /// `[2 rows][2 columns][channels]`: the products of an image `[height][width][channels]`.
    pub fn products(&self, image: &[f64], channels: usize) -> Vec<f64> {
        let along = product(image, self.column_table(), [self.height, self.width, channels]);
        product(&along, self.row_table(), [1, self.height, 2 * self.columns * channels])
    }

    /// `[rows][columns][2][channels]`: the amplitudes at (k, l) and (-k, l), from `products`, `[2 rows][2 columns][channels]`.
    pub fn amplitudes(&self, products: &[f64], channels: usize) -> Vec<f64> {
        let mut out = Vec::with_capacity(products.len() / 2);
        for (k, l) in (0..self.rows).flat_map(|k| (0..self.columns).map(move |l| (k, l))) {
            for sign in [1.0, -1.0] {
                out.extend((0..channels).map(|c| {
                    let [cc, cs, sc, ss] = self.places(k, l, c, channels).map(|at| products[at]);
                    (cc - sign * ss).hypot(sign * sc + cs)
                }));
            }
        }
        out
    }

    /// The image, `[height][width][channels]`, with amplitudes (1 - alpha) A + alpha `goal` and its own phases, the phase of 0 being
    /// 0. `goal` is laid out as [`amplitudes`](Self::amplitudes), for pixels in the units of `image`. Nothing is clipped.
    pub fn mix(&self, image: &[f64], goal: &[f64], alpha: f64, channels: usize) -> Vec<f64> {
        let mut products = self.products(image, channels);
        let (own, factors) = (self.amplitudes(&products, channels), self.factors(alpha));
        for (pair, factor) in factors.iter().enumerate() {
            for c in 0..channels {
                let places = self.places(pair / self.columns, pair % self.columns, c, channels);
                let [cc, cs, sc, ss] = places.map(|at| products[at]);
                let [plus, minus] = [(0, 1.0), (1, -1.0)].map(|(at, sign)| {
                    let at = (2 * pair + at) * channels + c;
                    let by = factor * (goal[at] - own[at]);
                    match own[at] == 0.0 {
                        true => [by, 0.0],
                        false => [cc - sign * ss, sign * sc + cs].map(|part| by * part / own[at]),
                    }
                });
                let changed = [plus[0] + minus[0], plus[1] + minus[1], plus[1] - minus[1], minus[0] - plus[0]];
                places.iter().zip(changed).for_each(|(at, v)| products[*at] = v);
            }
        }
        let down = product(&products, self.row_table_back(), [1, 2 * self.rows, 2 * self.columns * channels]);
        let change = product(&down, self.column_table_back(), [self.height, 2 * self.columns, channels]);
        image.iter().zip(change).map(|(x, by)| x + by).collect()
    }

    /// Where the products cos cos, cos sin, sin cos, sin sin of (k, l) are.
    fn places(&self, k: usize, l: usize, channel: usize, channels: usize) -> [usize; 4] {
        let at = |row: usize, column: usize| ((2 * k + row) * 2 * self.columns + 2 * l + column) * channels + channel;
        [at(0, 0), at(0, 1), at(1, 0), at(1, 1)]
    }
}

/// `[2 count][n]`: cos and sin of frequencies 0, 1, ... over n places, in turn.
fn table(n: usize, count: usize) -> Vec<f64> {
    let angle = |k: usize, i: usize| 2.0 * std::f64::consts::PI * (k * i % n) as f64 / n as f64;
    // The sines of the frequency that is its own negative are 0 in exact arithmetic.
    let sine = |k: usize, i: usize| if 2 * k == n { 0.0 } else { angle(k, i).sin() };
    let line = |k: usize| (0..n).map(move |i| angle(k, i).cos()).chain((0..n).map(move |i| sine(k, i)));
    (0..count).flat_map(line).collect()
}

/// The transposed table: `[n][m]` of `[m][n]`.
fn transposed(table: &[f64], n: usize) -> Vec<f64> {
    (0..n).flat_map(|i| table.iter().skip(i).step_by(n)).copied().collect()
}

/// Product of `table`, `[m][n]`, with the middle axis of `x`, `[outer][n][inner]`. Rows that sum to 0 meet x less the first value of
/// its line, so that a constant line gives 0.
fn product(x: &[f64], table: &[f64], [outer, n, inner]: [usize; 3]) -> Vec<f64> {
    let mut y = Vec::with_capacity(outer * table.len() / n * inner);
    for line in x.chunks_exact(n * inner).take(outer) {
        for row in table.chunks_exact(n) {
            let centred = row.iter().sum::<f64>().abs() < 1e-9;
            y.extend((0..inner).map(|i| {
                let base = if centred { line[i] } else { 0.0 };
                row.iter().enumerate().map(|(k, t)| t * (line[k * inner + i] - base)).sum::<f64>()
            }));
        }
    }
    y
}
