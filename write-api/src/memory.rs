//! Gives back to the operating system what large orders took. The allocator looks after memory that it no longer needs only when it
//! is asked for more, and what one thread allocated and another one freed it leaves with the first.

use std::time::Duration;

use crate::budget::Budget;

/// How often memory is given back.
const EVERY: Duration = Duration::from_secs(1);

/// So often after the last large share was taken: commands may wait for long.
const TIMES: u32 = 90;

/// Gives back what this thread has left, while large shares are taken and for some time after. It never returns.
pub(crate) async fn keep_giving_back(budget: Budget) {
    let (mut seen, mut times_left) = (0, 0);
    loop {
        tokio::time::sleep(EVERY).await;
        let taken = budget.large_taken();
        if taken != seen {
            (seen, times_left) = (taken, TIMES);
        }
        if times_left > 0 {
            times_left -= 1;
            give_back();
        }
    }
}

#[expect(
    unsafe_code,
    reason = "the only way to ask the allocator; it takes no pointer and may be called at any time"
)]
fn give_back() {
    // SAFETY: it only touches the allocator's own data of this thread and what all threads share under its locks.
    unsafe { libmimalloc_sys::mi_collect(true) };
}
