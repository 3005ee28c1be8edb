//! One budget of memory for everything that clients have sent and that is not answered yet: bodies that are being read,
//! commands that wait, and the batch in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A share of more bytes than this is a large one.
pub const SMALL_MAX: usize = 16 * 1024;

/// This part of the budget is for what the batch in flight is copied into on its way to PostgreSQL.
const IN_FLIGHT_PART: usize = 8;

/// A batch becomes up to four copies on its way: a statement's arguments, a message, and two buffers.
const COPIES: usize = 4;

/// This part of the rest is kept for small shares.
const SMALL_PART: usize = 8;

/// There is no memory left for what a client sends. Nothing of it was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too much waits to be stored")]
pub struct OverBudget;

/// How many bytes may be held, and how many are.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    limit: usize,
    limit_for_large: usize,
    max_batch: usize,
    held: AtomicUsize,
    held_by_large: AtomicUsize,
    /// How often a large share was taken, or grew.
    large_taken: AtomicUsize,
}

impl Budget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let in_flight = bytes / IN_FLIGHT_PART;
        let limit = bytes - in_flight;
        Self(Arc::new(Counters {
            limit,
            limit_for_large: limit - limit / SMALL_PART,
            max_batch: in_flight / COPIES,
            held: AtomicUsize::new(0),
            held_by_large: AtomicUsize::new(0),
            large_taken: AtomicUsize::new(0),
        }))
    }

    /// A share that holds nothing yet.
    pub fn share(&self) -> Share {
        Share { budget: self.clone(), bytes: 0 }
    }

    /// The most bytes that may be in one batch, because the batch is copied on its way.
    #[must_use]
    pub fn max_batch(&self) -> usize {
        self.0.max_batch
    }

    /// A number that changes with each large share that is taken or grows.
    #[must_use]
    pub fn large_taken(&self) -> usize {
        self.0.large_taken.load(Ordering::Relaxed)
    }

    /// How many bytes are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.held.load(Ordering::Relaxed)
    }
}

/// A part of a [`Budget`]. Keep it with what it is for: it is given back when it is dropped.
#[derive(Debug)]
#[must_use = "what it was taken for must not outlive it"]
pub struct Share {
    budget: Budget,
    bytes: usize,
}

impl Share {
    /// Takes so many bytes more.
    ///
    /// # Errors
    ///
    /// [`OverBudget`] when they are not there; the share is what it was.
    pub fn grow(&mut self, bytes: usize) -> Result<(), OverBudget> {
        let Counters { limit, limit_for_large, held, held_by_large, large_taken, .. } = &*self.budget.0;
        let grown = self.bytes.checked_add(bytes).ok_or(OverBudget)?;
        // What becomes large is large with all its bytes.
        let more_large = counts_as_large(grown) - counts_as_large(self.bytes);
        take(held_by_large, more_large, *limit_for_large)?;
        if let Err(over_budget) = take(held, bytes, *limit) {
            held_by_large.fetch_sub(more_large, Ordering::Relaxed);
            return Err(over_budget);
        }
        if more_large > 0 {
            large_taken.fetch_add(1, Ordering::Relaxed);
        }
        self.bytes = grown;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Counters { held, held_by_large, .. } = &*self.budget.0;
        held.fetch_sub(self.bytes, Ordering::Relaxed);
        held_by_large.fetch_sub(counts_as_large(self.bytes), Ordering::Relaxed);
    }
}

/// How many of these bytes a share holds as a large one.
fn counts_as_large(bytes: usize) -> usize {
    if bytes > SMALL_MAX { bytes } else { 0 }
}

/// The counters order nothing: each is right by itself.
fn take(counter: &AtomicUsize, bytes: usize, limit: usize) -> Result<(), OverBudget> {
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
    fn large_shares_leave_a_part_to_small_ones() {
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
        assert_eq!(budget.share().grow(1), Err(OverBudget), "there is nothing left");
        drop((large, small));
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn a_share_that_grows_large_counts_as_large_with_all_it_holds() {
        let budget = Budget::new(BYTES);
        let mut first = budget.share();
        first.grow(LIMIT_FOR_LARGE - SMALL_MAX).unwrap();
        let mut grows = budget.share();
        grows.grow(SMALL_MAX).unwrap();
        assert_eq!(grows.grow(1), Err(OverBudget), "it would be one byte too much for all that is large");
        assert_eq!(grows.bytes, SMALL_MAX, "it is what it was");
        drop(first);
        grows.grow(1).unwrap();
        assert_eq!(budget.held(), SMALL_MAX + 1);
    }

    #[test]
    fn what_does_not_fit_takes_nothing_of_either_part() {
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
