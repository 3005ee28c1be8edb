//! One memory budget for all requests that have no response yet: bodies that are being read, queued writes, and the
//! batch in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A share of more bytes than this is large.
pub const SMALL_MAX: usize = 16 * 1024;

/// One eighth of the budget is for the copies of the batch in flight.
const IN_FLIGHT_DIVISOR: usize = 8;

/// A batch exists in up to four copies: the statement's arguments, the message, and two buffers.
const COPIES: usize = 4;

/// One eighth of the rest is reserved for small shares.
const SMALL_DIVISOR: usize = 8;

/// No memory is left for a request. Nothing of the request was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the memory for waiting writes is full")]
pub struct OverBudget;

/// Limits and counts the bytes that shares hold.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    limit: usize,
    limit_for_large: usize,
    max_batch: usize,
    held: AtomicUsize,
    held_by_large: AtomicUsize,
    /// How often a large share was reserved or grew.
    large_reservations: AtomicUsize,
}

impl Budget {
    /// A budget of `bytes`.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let in_flight = bytes / IN_FLIGHT_DIVISOR;
        let limit = bytes - in_flight;
        Self(Arc::new(Counters {
            limit,
            limit_for_large: limit - limit / SMALL_DIVISOR,
            max_batch: in_flight / COPIES,
            held: AtomicUsize::new(0),
            held_by_large: AtomicUsize::new(0),
            large_reservations: AtomicUsize::new(0),
        }))
    }

    /// An empty share.
    pub fn share(&self) -> Share {
        Share { budget: self.clone(), bytes: 0 }
    }

    /// The most bytes in one batch, so that its copies fit into the budget.
    #[must_use]
    pub fn max_batch(&self) -> usize {
        self.0.max_batch
    }

    /// The most bytes that the large bodies of one caller may hold: half of what all large shares may.
    #[must_use]
    pub fn max_large_of_one_caller(&self) -> usize {
        self.0.limit_for_large / 2
    }

    /// A counter that changes each time that a large share is reserved or grows.
    #[must_use]
    pub fn large_reservations(&self) -> usize {
        self.0.large_reservations.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn held(&self) -> usize {
        self.0.held.load(Ordering::Relaxed)
    }
}

/// A reserved part of a [`Budget`]. Dropping it releases its bytes, so keep it as long as the memory that it stands
/// for.
#[derive(Debug)]
#[must_use = "dropping a share releases its bytes"]
pub struct Share {
    budget: Budget,
    bytes: usize,
}

impl Share {
    /// Reserves `bytes` more.
    ///
    /// # Errors
    ///
    /// [`OverBudget`] if they are not free; the share stays unchanged.
    pub fn grow(&mut self, bytes: usize) -> Result<(), OverBudget> {
        let Counters { limit, limit_for_large, held, held_by_large, large_reservations, .. } =
            &*self.budget.0;
        let grown = self.bytes.checked_add(bytes).ok_or(OverBudget)?;
        // A share that becomes large counts as large with all of its bytes.
        let more_large = counts_as_large(grown) - counts_as_large(self.bytes);
        reserve(held_by_large, more_large, *limit_for_large)?;
        if let Err(over_budget) = reserve(held, bytes, *limit) {
            held_by_large.fetch_sub(more_large, Ordering::Relaxed);
            return Err(over_budget);
        }
        if more_large > 0 {
            large_reservations.fetch_add(1, Ordering::Relaxed);
        }
        self.bytes = grown;
        Ok(())
    }

    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Counters { held, held_by_large, .. } = &*self.budget.0;
        held.fetch_sub(self.bytes, Ordering::Relaxed);
        held_by_large.fetch_sub(counts_as_large(self.bytes), Ordering::Relaxed);
    }
}

/// The bytes that count towards the limit for large shares.
fn counts_as_large(bytes: usize) -> usize {
    if bytes > SMALL_MAX { bytes } else { 0 }
}

/// Relaxed ordering is enough: no other memory depends on a counter, and each is exact by itself.
fn reserve(counter: &AtomicUsize, bytes: usize, limit: usize) -> Result<(), OverBudget> {
    if bytes == 0 {
        return Ok(());
    }
    let within_limit = |held: usize| held.checked_add(bytes).filter(|held| *held <= limit);
    counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within_limit).map(drop).map_err(|_| OverBudget)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: usize = 64 * SMALL_MAX;
    const LIMIT: usize = 56 * SMALL_MAX;
    const LIMIT_FOR_LARGE: usize = 49 * SMALL_MAX;

    #[test]
    fn large_shares_leave_a_part_for_small_ones() {
        let budget = Budget::new(BYTES);
        let mut large = budget.share();
        large.grow(LIMIT_FOR_LARGE).unwrap();
        let small: Vec<_> = std::iter::from_fn(|| {
            let mut small = budget.share();
            small.grow(SMALL_MAX).ok().map(|()| small)
        })
        .collect();
        assert_eq!(small.len(), 7);
        assert_eq!(budget.held(), LIMIT);
        assert_eq!(budget.share().grow(1), Err(OverBudget), "the budget is used up");
        drop((large, small));
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn a_share_that_grows_large_counts_as_large_with_all_of_its_bytes() {
        let budget = Budget::new(BYTES);
        let mut first = budget.share();
        first.grow(LIMIT_FOR_LARGE - SMALL_MAX).unwrap();
        let mut grows = budget.share();
        grows.grow(SMALL_MAX).unwrap();
        assert_eq!(grows.grow(1), Err(OverBudget), "one byte above the limit for large shares");
        assert_eq!(grows.bytes, SMALL_MAX, "the share is unchanged");
        drop(first);
        grows.grow(1).unwrap();
        assert_eq!(budget.held(), SMALL_MAX + 1);
    }

    #[test]
    fn one_caller_leaves_half_of_the_bytes_of_large_shares_to_others() {
        assert_eq!(Budget::new(BYTES).max_large_of_one_caller(), LIMIT_FOR_LARGE / 2);
    }

    #[test]
    fn a_failed_reservation_reserves_nothing() {
        let budget = Budget::new(BYTES);
        let smalls: Vec<_> = std::iter::repeat_with(|| {
            let mut small = budget.share();
            small.grow(SMALL_MAX).unwrap();
            small
        })
        .take(20)
        .collect();
        let mut large = budget.share();
        assert_eq!(large.grow(40 * SMALL_MAX), Err(OverBudget));
        drop(smalls);
        large.grow(LIMIT_FOR_LARGE).unwrap();
        assert_eq!(large.grow(usize::MAX), Err(OverBudget));
    }
}
