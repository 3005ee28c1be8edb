//! The state of one comparison of two documents.

use std::collections::BTreeSet;

use crate::node::Node;
use crate::rule::{Break, Rule};

/// Who sends what a schema describes, and who must understand it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Direction {
    /// Clients that know the baseline send, the present service reads.
    Input,
    /// The present service sends, clients that know the baseline read.
    Output,
}

impl Direction {
    /// The two sides as sender and receiver. All that the sender may send must be right for the receiver.
    pub(crate) fn sender_receiver<T>(self, baseline: T, present: T) -> (T, T) {
        match self {
            Self::Input => (baseline, present),
            Self::Output => (present, baseline),
        }
    }

    pub(crate) fn choose<T>(self, input: T, output: T) -> T {
        match self {
            Self::Input => input,
            Self::Output => output,
        }
    }
}

/// The breaks found so far.
#[derive(Debug, Default, Clone)]
pub(crate) struct Comparison {
    breaks: BTreeSet<Break>,
    /// Pairs of schemas that were compared. Most schemas are used many times, and some contain themselves.
    seen: BTreeSet<(Vec<String>, Vec<String>, Direction)>,
}

impl Comparison {
    pub(crate) fn add(&mut self, rule: Rule, at: &str, name: &str) {
        self.breaks.insert(Break { rule, at: at.to_owned(), name: name.to_owned() });
    }

    /// Whether these have not been compared yet.
    pub(crate) fn is_new(
        &mut self,
        baseline: &[Node<'_>],
        present: &[Node<'_>],
        direction: Direction,
    ) -> bool {
        let places = |nodes: &[Node<'_>]| nodes.iter().map(|node| node.pointer.clone()).collect();
        self.seen.insert((places(baseline), places(present), direction))
    }

    /// A comparison on trial: it adds nothing to this one.
    pub(crate) fn trial(&self) -> Self {
        Self { breaks: BTreeSet::new(), seen: self.seen.clone() }
    }

    pub(crate) fn is_compatible(&self) -> bool {
        self.breaks.is_empty()
    }

    pub(crate) fn into_breaks(self) -> Vec<Break> {
        self.breaks.into_iter().collect()
    }

    /// Reports each member that no rule knows and that differs.
    pub(crate) fn unknown_members(
        &mut self,
        baseline: &Node<'_>,
        present: &Node<'_>,
        known: &[&str],
        name: &str,
    ) {
        let names: BTreeSet<_> = baseline.members().chain(present.members()).map(|(name, _)| name).collect();
        for member in names.into_iter().filter(|member| !known.contains(member) && !member.starts_with("x-"))
        {
            let (old, new) = (baseline.child(member), present.child(member));
            if old.value != new.value {
                self.add(Rule::UnknownKeywordChanged, &old.pointer, name);
            }
        }
    }
}
