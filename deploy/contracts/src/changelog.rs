//! The changelog, as far as the check needs it.

use crate::rule::Break;

/// The items under "Breaking", in each version of a changelog.
#[derive(Debug)]
pub struct Changelog {
    /// The version's heading and the text of the item, on one line.
    breaking: Vec<(String, String)>,
}

impl Changelog {
    /// Reads a changelog: `## <version>`, `### Breaking`, `- <item>`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (mut version, mut is_breaking, mut breaking) = (String::new(), false, Vec::new());
        for line in text.lines() {
            if let Some(heading) = line.strip_prefix("## ") {
                (version, is_breaking) = (heading.trim().to_owned(), false);
            } else if let Some(heading) = line.strip_prefix("### ") {
                is_breaking = heading.trim() == "Breaking";
            } else if !is_breaking {
            } else if let Some(item) = line.strip_prefix("- ") {
                breaking.push((version.clone(), item.trim().to_owned()));
            } else if let (Some((_, item)), more) = (breaking.last_mut(), line.trim()) {
                item.push(' ');
                item.push_str(more);
            }
        }
        Self { breaking }
    }

    /// Whether an item of any version names this break of this contract.
    #[must_use]
    pub fn names(&self, contract: &str, broken: &Break) -> bool {
        self.breaking.iter().any(|(_, item)| is_named(item, contract, broken))
    }

    /// Whether an item of the coming release does.
    #[must_use]
    pub fn names_for_next_release(&self, contract: &str, broken: &Break) -> bool {
        let items =
            self.breaking.iter().filter(|(version, _)| version.trim_matches(['[', ']']) == "Unreleased");
        items.into_iter().any(|(_, item)| is_named(item, contract, broken))
    }
}

/// An item is for people. It must have the contract's name and, as code, what is broken.
fn is_named(item: &str, contract: &str, broken: &Break) -> bool {
    item.contains(contract) && item.contains(&format!("`{}`", broken.name))
}
