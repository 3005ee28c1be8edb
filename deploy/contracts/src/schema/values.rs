//! The rules for enumerations and defaults.

use super::Pair;
use crate::comparison::{Comparison, Direction};
use crate::rule::Rule;

impl Comparison {
    pub(super) fn values(&mut self, pair: &Pair<'_>) {
        if pair.direction == Direction::Output && pair.old.has_open_values() {
            return self.open_values(pair);
        }
        let (sent, read) = pair.direction.sender_receiver(pair.old.values(), pair.new.values());
        let Some(read) = read else { return };
        let becomes_open = pair.direction == Direction::Output && pair.new.has_open_values();
        let fits = sent.is_some_and(|sent| sent.iter().all(|value| read.contains(value)));
        if becomes_open || !fits {
            let rule = pair.direction.choose(Rule::InputEnumNarrowed, Rule::OutputEnumWidened);
            self.add_for(pair, rule, if pair.old.first("const").is_some() { "const" } else { "enum" });
        }
    }

    /// Readers expect further values, but act on those that they know.
    fn open_values(&mut self, pair: &Pair<'_>) {
        let new = pair.new.values().unwrap_or_default();
        let place = pair.old.place("enum").unwrap_or_else(|| pair.old.pointer.clone());
        for value in pair.old.values().unwrap_or_default() {
            if !new.contains(&value) {
                let name = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                self.add(Rule::OutputEnumValueRemoved, &place, &name);
            }
        }
    }

    pub(super) fn default(&mut self, pair: &Pair<'_>) {
        let old = pair.old.first("default");
        if pair.direction == Direction::Input && old.is_some() && old != pair.new.first("default") {
            self.add_for(pair, Rule::InputDefaultChanged, "default");
        }
    }
}
