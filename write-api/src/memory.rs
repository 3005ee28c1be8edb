//! Gives memory back to the operating system after large orders have used it. The allocator would do it only on later
//! allocations, and memory that one thread allocated and another freed stays with the first thread.

use std::time::Duration;

use crate::budget::Budget;

const INTERVAL: Duration = Duration::from_secs(1);

/// How many intervals to go on after the last large reservation: 90 s, longer than the longest `WRITE_DEADLINE_MS`.
const INTERVALS: u32 = 90;

/// Returns this thread's freed memory while large shares are reserved, and for some time after. It never ends.
pub(crate) async fn return_freed(budget: Budget) {
    let (mut seen, mut intervals_left) = (0, 0);
    loop {
        tokio::time::sleep(INTERVAL).await;
        let reservations = budget.large_reservations();
        if reservations != seen {
            (seen, intervals_left) = (reservations, INTERVALS);
        }
        if intervals_left > 0 {
            intervals_left -= 1;
            collect();
        }
    }
}

#[expect(
    unsafe_code,
    reason = "mimalloc has no safe interface for this; it takes no pointer and may be called at any time"
)]
fn collect() {
    // SAFETY: it only touches the allocator's own data of this thread, and data that all threads share under its locks.
    unsafe { libmimalloc_sys::mi_collect(true) };
}
