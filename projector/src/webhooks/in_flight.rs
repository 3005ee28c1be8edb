//! What requests in flight use of their process: permits, and the memory for payloads.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::budget::{Budget, Reserved};

/// A payload exists twice: as it was read and as text, then as text and in the body, then in the body and in what the
/// connection still has to write.
const COPIES: usize = 2;

/// Most bytes of memory for payloads, with their copies. No variable changes them.
#[derive(Debug, Clone, Copy)]
pub struct MemoryLimits {
    /// For what is leased at once, for one endpoint. A larger event is leased alone.
    pub take: usize,
    /// For all requests of the process. Each endpoint may have one more, so that none can keep others from being sent
    /// anything.
    pub process: usize,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        // The largest events of write-api have about 165 KB.
        Self { take: 4 << 20, process: 64 << 20 }
    }
}

/// What the senders of a process share.
#[derive(Clone)]
pub(crate) struct Capacity {
    permits: Arc<Semaphore>,
    memory: Arc<Budget>,
    limits: MemoryLimits,
}

impl Capacity {
    /// For this many requests at once.
    pub(crate) fn new(requests: usize, limits: MemoryLimits) -> Self {
        let memory = Arc::new(Budget::new(limits.process));
        Self { permits: Arc::new(Semaphore::new(requests)), memory, limits }
    }

    /// Room for up to `free` requests of an endpoint, if there is any. One request is always possible for one that
    /// `is_idle`, however many requests others have in flight: no endpoint can block another.
    pub(crate) fn room(&self, free: usize, is_idle: bool) -> Option<Room> {
        let permit = || Arc::clone(&self.permits).try_acquire_owned().ok();
        let permits: Vec<_> = std::iter::from_fn(permit).take(free).collect();
        (is_idle || !permits.is_empty()).then(|| Room { capacity: self.clone(), permits, is_idle })
    }
}

/// Permits for requests of one endpoint.
pub(crate) struct Room {
    capacity: Capacity,
    permits: Vec<OwnedSemaphorePermit>,
    is_idle: bool,
}

impl Room {
    /// Reserves the memory to lease deliveries: for one take, or none for the one delivery that is always possible.
    pub(crate) fn reserve(self) -> Option<Reservation> {
        let Capacity { memory, limits, .. } = &self.capacity;
        let reserved = memory.reserve(limits.take);
        let memory = if self.is_idle { reserved.or_else(|| memory.reserve(0)) } else { reserved }?;
        Some(Reservation { permits: self.permits, memory })
    }
}

/// Room for deliveries that are being leased. Dropping it gives back what they do not need.
pub(crate) struct Reservation {
    permits: Vec<OwnedSemaphorePermit>,
    memory: Reserved,
}

impl Reservation {
    /// Most deliveries.
    pub(crate) fn wanted(&self) -> usize {
        if self.memory.bytes() == 0 { 1 } else { self.permits.len().max(1) }
    }

    /// Most bytes of their payloads; but one is always possible.
    pub(crate) fn max_bytes(&self) -> usize {
        self.memory.bytes() / COPIES
    }

    /// What one delivery needs, until its request has ended.
    pub(crate) fn hold(&mut self, payload: &str) -> Hold {
        let bytes = (COPIES * payload.len()).min(self.memory.bytes());
        Hold { _permit: self.permits.pop(), _memory: self.memory.split(bytes) }
    }
}

/// What a request holds.
pub(crate) struct Hold {
    _permit: Option<OwnedSemaphorePermit>,
    _memory: Option<Reserved>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1 << 10;
    const LIMITS: MemoryLimits = MemoryLimits { take: 40 * KIB, process: 100 * KIB };

    fn reserve(capacity: &Capacity, is_idle: bool) -> Option<(usize, usize)> {
        let reserved = capacity.room(8, is_idle)?.reserve()?;
        Some((reserved.wanted(), reserved.max_bytes()))
    }

    #[test]
    fn what_a_take_does_not_need_is_given_back_and_the_rest_when_its_requests_end() {
        let capacity = Capacity::new(20, LIMITS);
        let payload = "x".repeat(10 * KIB);
        let mut holds = Vec::new();
        for _ in 0..4 {
            let mut reserved = capacity.room(1, false).unwrap().reserve().unwrap();
            holds.push(reserved.hold(&payload));
        }
        assert_eq!(reserve(&capacity, false), None, "20 of 100 KiB are free");
        assert_eq!(reserve(&capacity, true), Some((1, 0)), "one that is idle may still have one delivery");
        holds.pop();
        assert_eq!(reserve(&capacity, false), Some((8, 20 * KIB)), "40 KiB, for payloads of half of that");
    }

    #[test]
    fn one_delivery_is_possible_without_permits() {
        let capacity = Capacity::new(2, LIMITS);
        let room = capacity.room(8, false).unwrap();
        assert!(capacity.room(8, false).is_none());
        assert_eq!(reserve(&capacity, true), Some((1, 20 * KIB)));
        drop(room);
        assert_eq!(reserve(&capacity, false), Some((2, 20 * KIB)));
    }

    #[test]
    fn an_event_that_is_larger_than_a_take_holds_all_of_it() {
        let capacity = Capacity::new(20, LIMITS);
        let mut reserved = capacity.room(8, true).unwrap().reserve().unwrap();
        let large = reserved.hold(&"x".repeat(50 * KIB));
        assert_eq!(reserved.max_bytes(), 0);
        drop(reserved);
        let _second = capacity.room(8, false).unwrap().reserve().unwrap();
        assert_eq!(reserve(&capacity, false), None);
        drop(large);
        assert_eq!(reserve(&capacity, false), Some((8, 20 * KIB)));
    }
}
