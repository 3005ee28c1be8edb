//! Who gets which events of a batch.

use std::cell::OnceCell;

use super::event;
use crate::event_log::LoggedEvent;
use crate::traces::TracedEvent;
use crate::webhooks::delivery::NewDelivery;
use crate::webhooks::endpoint::{Endpoint, Kinds};

/// An endpoint that takes part in a batch.
pub(super) struct Candidate<'a> {
    pub(super) id: i64,
    /// It needs nothing up to this position.
    pub(super) after: i64,
    /// It can take this many events.
    pub(super) room: i64,
    pub(super) kinds: &'a Kinds,
}

impl Candidate<'_> {
    pub(super) fn wants(&self, event: &LoggedEvent) -> bool {
        event.position > self.after && self.kinds.contain(&event.kind)
    }
}

/// Why an endpoint gets no more events of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// There are no more.
    Events,
    /// The batch has as many bytes as it may have. The rest follows in the next one.
    Bytes,
    /// It has no room for more, or the next event cannot be delivered. It is fed alone.
    Sharing,
}

/// What an endpoint gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) id: i64,
    pub(super) events: usize,
    /// It needs nothing up to this position any more.
    pub(super) up_to: i64,
    pub(super) end: End,
}

/// The deliveries of a batch, and what each endpoint gets of them.
#[derive(Default)]
pub(super) struct Allotted<'a> {
    pub(super) deliveries: Vec<(NewDelivery<'a>, Vec<i64>)>,
    pub(super) shares: Vec<Share>,
}

impl Allotted<'_> {
    /// Each delivery to each of its endpoints whose trace is recorded.
    pub(super) fn traced(&self) -> Vec<TracedEvent> {
        let traced = self.deliveries.iter().filter(|(delivery, _)| delivery.traceparent.is_some());
        let each = traced
            .flat_map(|(delivery, to)| to.iter().map(move |id| (delivery, Endpoint::subscription(*id))));
        each.filter_map(|(delivery, subscription)| {
            TracedEvent::fed(delivery.traceparent, delivery.position, delivery.kind, subscription)
        })
        .collect()
    }
}

/// Allots `events`, which are in order, to `candidates`. Each delivery counts with its payload; together they have at
/// most `bytes_max`, except that there is always one.
pub(super) fn allot<'a>(
    events: &'a [LoggedEvent],
    candidates: &[Candidate<'_>],
    bytes_max: usize,
) -> Allotted<'a> {
    let mut allotted = Allotted::default();
    let mut left = bytes_max;
    let mut open: Vec<_> = candidates.iter().map(|candidate| (candidate, 0)).collect();
    let mut before = i64::MIN;
    for event in events {
        let mut draft = Draft::new(event);
        open.retain_mut(|(candidate, given)| {
            match give(candidate, given, &mut draft, &mut left, bytes_max) {
                Ok(()) => true,
                Err(end) => {
                    allotted.shares.push(share(candidate, *given, before, end));
                    false
                }
            }
        });
        allotted.deliveries.extend(draft.finish());
        before = event.position;
    }
    let rest = open.into_iter().map(|(candidate, given)| share(candidate, given, before, End::Events));
    allotted.shares.extend(rest);
    allotted
}

/// Gives a candidate an event if it wants it; or says why it gets nothing more.
fn give(
    candidate: &Candidate<'_>,
    given: &mut usize,
    draft: &mut Draft<'_>,
    left: &mut usize,
    bytes_max: usize,
) -> Result<(), End> {
    if !candidate.wants(draft.event) {
        return Ok(());
    }
    let has_room = usize::try_from(candidate.room).is_ok_and(|room| *given < room);
    if !has_room || draft.delivery().is_none() {
        return Err(End::Sharing);
    }
    let bytes = draft.event.payload.len();
    if bytes > *left && *left < bytes_max {
        return Err(End::Bytes);
    }
    *left = left.saturating_sub(bytes.max(1));
    *given += 1;
    draft.to.push(candidate.id);
    Ok(())
}

fn share(candidate: &Candidate<'_>, events: usize, before: i64, end: End) -> Share {
    Share { id: candidate.id, events, up_to: candidate.after.max(before), end }
}

/// An event, and who gets it. It is decoded once, and only if somebody wants it.
struct Draft<'a> {
    event: &'a LoggedEvent,
    decoded: OnceCell<Option<NewDelivery<'a>>>,
    to: Vec<i64>,
}

impl<'a> Draft<'a> {
    fn new(event: &'a LoggedEvent) -> Self {
        Self { event, decoded: OnceCell::new(), to: Vec::new() }
    }

    fn delivery(&self) -> Option<NewDelivery<'a>> {
        *self.decoded.get_or_init(|| event::delivery(self.event).ok())
    }

    fn finish(self) -> Option<(NewDelivery<'a>, Vec<i64>)> {
        if self.to.is_empty() {
            return None;
        }
        self.delivery().map(|delivery| (delivery, self.to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0b0e2a53-4a3b-4b0e-9d3a-6f1f5f0c2a11";

    fn event(position: i64, kind: &str) -> LoggedEvent {
        let times = r#""occurred_at": "2026-11-18T11:06:40Z""#;
        let payload = format!(r#"{{"event_id": "{ID}", {times}, "order": {{"order_id": "{ID}"}}}}"#);
        LoggedEvent { position, kind: kind.to_owned(), payload, ..LoggedEvent::default() }
    }

    /// The positions that each candidate gets, in the order of their ids, with its share.
    fn given(
        events: &[LoggedEvent],
        candidates: &[Candidate<'_>],
        bytes_max: usize,
    ) -> Vec<(Vec<i64>, i64, End)> {
        let allotted = allot(events, candidates, bytes_max);
        let of = |share: &Share| {
            let mine = allotted.deliveries.iter().filter(|(_, to)| to.contains(&share.id));
            let positions: Vec<_> = mine.map(|(delivery, _)| delivery.position).collect();
            assert_eq!(positions.len(), share.events);
            (positions, share.up_to, share.end)
        };
        let mut shares = allotted.shares.clone();
        shares.sort_by_key(|share| share.id);
        shares.iter().map(of).collect()
    }

    fn kinds(named: &[&str]) -> Kinds {
        Kinds::stored(named.iter().map(|kind| (*kind).to_owned()).collect())
    }

    #[test]
    fn each_gets_what_it_wants_after_where_it_stands() {
        let (all, paid) = (kinds(&[]), kinds(&["order_paid"]));
        let events = [event(5, "order_placed"), event(6, "order_paid"), event(8, "order_shipped")];
        let candidates = [
            Candidate { id: 1, after: 4, room: 9, kinds: &all },
            Candidate { id: 2, after: 5, room: 9, kinds: &all },
            Candidate { id: 3, after: 4, room: 9, kinds: &paid },
            Candidate { id: 4, after: 20, room: 9, kinds: &paid },
        ];
        let expected = [(vec![5, 6, 8], 8), (vec![6, 8], 8), (vec![6], 8), (vec![], 20)];
        assert_eq!(
            given(&events, &candidates, 1 << 20),
            expected.map(|(given, up_to)| (given, up_to, End::Events))
        );
        assert_eq!(allot(&events, &candidates, 1 << 20).deliveries.len(), 3, "each payload is there once");
    }

    #[test]
    fn one_that_is_full_or_gets_an_event_without_keys_leaves_before_it_and_others_go_on() {
        let (all, paid) = (kinds(&[]), kinds(&["order_paid"]));
        let broken = LoggedEvent { payload: "{}".to_owned(), ..event(7, "order_placed") };
        let events = [event(5, "order_placed"), event(6, "order_paid"), broken, event(9, "order_paid")];
        let candidates = [
            Candidate { id: 1, after: 4, room: 1, kinds: &all },
            Candidate { id: 2, after: 4, room: 9, kinds: &all },
            Candidate { id: 3, after: 4, room: 9, kinds: &paid },
            Candidate { id: 4, after: 4, room: 0, kinds: &paid },
        ];
        let expected = [
            (vec![5], 5, End::Sharing),
            (vec![5, 6], 6, End::Sharing),
            (vec![6, 9], 9, End::Events),
            (vec![], 5, End::Sharing),
        ];
        assert_eq!(given(&events, &candidates, 1 << 20), expected);
    }

    #[test]
    fn a_batch_ends_at_its_limit_of_bytes_and_always_has_one_delivery() {
        let all = kinds(&[]);
        let events = [event(5, "order_placed"), event(6, "order_paid")];
        let bytes = events[0].payload.len();
        let candidates = [1, 2].map(|id| Candidate { id, after: 4, room: 9, kinds: &all });
        let (done, later) =
            (|given, up_to| (given, up_to, End::Events), |given, up_to| (given, up_to, End::Bytes));
        assert_eq!(given(&events, &candidates, 1), [later(vec![5], 5), later(vec![], 4)]);
        assert_eq!(given(&events, &candidates, 3 * bytes), [done(vec![5, 6], 6), later(vec![5], 5)]);
        assert_eq!(given(&events, &candidates, 4 * bytes), [done(vec![5, 6], 6), done(vec![5, 6], 6)]);
    }
}
