//! The clients of each rank.

use std::ops::Range;

/// What the rounds of this process have moved between ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Exchanged {
    /// Bytes of all messages.
    pub bytes: u64,
    /// Seconds in which networks were sent and received, without waiting for a rank that still trains.
    pub seconds: f64,
}

/// Consecutive clients for each rank, at most one more on some than on others and never more on rank 0, which has the server as well. With
/// fewer clients than ranks, the last ranks have no share.
pub(super) fn shares(clients: u32, ranks: usize) -> Vec<Range<u32>> {
    let ranks = (ranks as u32).clamp(1, clients.max(1));
    let (least, more) = (clients / ranks, clients % ranks);
    let mut first = 0;
    let share = |rank: u32| {
        let size = least + u32::from((1..=more).contains(&rank));
        first += size;
        first - size..first
    };
    (0..ranks).map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::shares;

    #[test]
    fn shares_are_even_and_rank_0_never_has_more() {
        assert_eq!(shares(7, 3), [0..2, 2..5, 5..7]);
        assert_eq!(shares(7, 5), [0..1, 1..3, 3..5, 5..6, 6..7]);
        assert_eq!(shares(2, 5), [0..1, 1..2]);
        assert_eq!(shares(4, 1), [0..4; 1]);
        for (clients, ranks) in (1..40).flat_map(|n| (1..9).map(move |r| (n, r))) {
            let shares = shares(clients, ranks);
            assert_eq!((shares[0].start, shares[shares.len() - 1].end), (0, clients));
            assert!(shares.windows(2).all(|w| w[0].end == w[1].start));
            let sizes: Vec<u32> = shares.iter().map(|share| share.end - share.start).collect();
            assert!(sizes.iter().all(|n| *n >= 1 && (sizes[0]..=sizes[0] + 1).contains(n)), "{sizes:?}");
            assert!(
                sizes[1..].is_sorted_by(|a, b| a >= b),
                "the largest first, whose buffers the others borrow: {sizes:?}"
            );
        }
    }
}
