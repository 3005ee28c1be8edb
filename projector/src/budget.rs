//! Memory for events, such as those in requests and responses until other systems have received them.

use std::sync::Arc;

use actix_web::web::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The semaphore counts these, because it cannot count every byte of a large budget.
const UNIT_BYTES: usize = 1 << 10;

/// The budget of one process.
pub(crate) struct Budget {
    free: Arc<Semaphore>,
    units: u32,
}

/// Reserved memory; dropping it frees it.
pub(crate) struct Reserved(OwnedSemaphorePermit);

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        let units = u32::try_from(bytes / UNIT_BYTES).unwrap_or(u32::MAX);
        Self { free: Arc::new(Semaphore::new(usize::try_from(units).unwrap_or(usize::MAX))), units }
    }

    /// Reserves this many bytes; none if so much is not free. More than the whole budget counts as all of it: one
    /// large event is better sent than never.
    pub(crate) fn reserve(&self, bytes: usize) -> Option<Reserved> {
        let units = units(bytes).min(self.units);
        Arc::clone(&self.free).try_acquire_many_owned(units).ok().map(Reserved)
    }
}

impl Reserved {
    pub(crate) fn bytes(&self) -> usize {
        self.0.num_permits() * UNIT_BYTES
    }

    /// Frees what is reserved beyond this many bytes.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let needed = usize::try_from(units(bytes)).unwrap_or(usize::MAX);
        let unused = self.0.num_permits().saturating_sub(needed);
        drop(self.0.split(unused));
    }

    /// Takes this many bytes out, so that they are freed by themselves; none if there are less.
    pub(crate) fn split(&mut self, bytes: usize) -> Option<Self> {
        self.0.split(usize::try_from(units(bytes)).ok()?).map(Self)
    }

    /// The bytes as a body. The memory is freed with its last copy.
    pub(crate) fn hold(self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Held { bytes, _reserved: self })
    }
}

struct Held {
    bytes: Vec<u8>,
    _reserved: Reserved,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_reserved_until_the_last_copy_of_a_body_is_dropped() {
        let budget = Budget::new(10 * UNIT_BYTES);
        let mut read = budget.reserve(9 * UNIT_BYTES).unwrap();
        assert!(budget.reserve(2 * UNIT_BYTES).is_none());
        read.shrink_to(4 * UNIT_BYTES);
        let body = budget.reserve(6 * UNIT_BYTES).unwrap().hold(b"{}".to_vec());
        let copy = body.clone();
        drop(body);
        assert!(budget.reserve(1).is_none());
        drop(copy);
        assert!(budget.reserve(6 * UNIT_BYTES).is_some());
    }

    #[test]
    fn a_part_is_freed_by_itself() {
        let budget = Budget::new(10 * UNIT_BYTES);
        let mut all = budget.reserve(10 * UNIT_BYTES).unwrap();
        let part = all.split(3 * UNIT_BYTES - 1).unwrap();
        assert_eq!((part.bytes(), all.bytes()), (3 * UNIT_BYTES, 7 * UNIT_BYTES));
        assert!(all.split(8 * UNIT_BYTES).is_none());
        drop(all);
        assert!(budget.reserve(8 * UNIT_BYTES).is_none());
        drop(part);
        assert!(budget.reserve(10 * UNIT_BYTES).is_some());
    }

    #[test]
    fn one_response_that_is_larger_than_the_budget_may_use_all_of_it() {
        let budget = Budget::new(10 * UNIT_BYTES);
        let large = budget.reserve(11 * UNIT_BYTES);
        assert!(large.is_some() && budget.reserve(1).is_none());
    }
}
