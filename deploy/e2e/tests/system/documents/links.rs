//! Links between documents, and paths of files that documents name.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use super::files::{Document, root};

/// `[text](target)`.
static INLINE: LazyLock<Regex> = LazyLock::new(|| regex(r"\[[^\[\]]*\]\(([^()\s]+)\)"));
/// `[name]: target`, on a line of its own.
static DEFINITION: LazyLock<Regex> = LazyLock::new(|| regex(r"(?m)^\[([^\[\]]+)\]: (\S+)$"));
/// `[name]` or `[text][name]`.
static REFERENCE: LazyLock<Regex> = LazyLock::new(|| regex(r"\[([^\[\]]+)\](?:\[([^\[\]]+)\])?"));
static CODE: LazyLock<Regex> = LazyLock::new(|| regex(r"`([^`]*)`"));
/// A path from the root of the repository.
static PATH: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"^(\.ci|deploy|docs|migrations|projector|read-api|shared-events|write-api)/[\w./-]*$")
});

#[expect(clippy::unwrap_used, reason = "the patterns are constants")]
pub(super) fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap()
}

/// The links of a document that lead nowhere, its names of links that are not defined or not used, and its paths of
/// files that do not exist.
pub(super) fn dead(document: &Document) -> Vec<String> {
    let text = prose(&document.text);
    let paths = CODE.captures_iter(&text).map(|code| code[1].to_owned());
    let missing = paths.filter(|path| PATH.is_match(path) && !root().join(path).exists());
    let mut dead: Vec<_> = missing.map(|path| format!("`{path}` does not exist")).collect();

    let text = CODE.replace_all(&text, "code");
    let inline = INLINE.captures_iter(&text).map(|link| link[1].to_owned());
    let defined = DEFINITION.captures_iter(&text).map(|link| link[2].to_owned());
    dead.extend(inline.chain(defined).filter_map(|target| problem(document, &target)));

    let names: BTreeSet<_> = DEFINITION.captures_iter(&text).map(|link| link[1].to_owned()).collect();
    let text = DEFINITION.replace_all(&text, "").into_owned();
    let text = INLINE.replace_all(&text, "link");
    let used = REFERENCE.captures_iter(&text);
    let used: BTreeSet<_> =
        used.filter_map(|link| link.get(2).or(link.get(1)).map(|name| name.as_str().to_owned())).collect();
    dead.extend(
        names.symmetric_difference(&used).map(|name| format!("[{name}] is not both defined and used")),
    );
    dead.into_iter().map(|problem| format!("{}: {problem}", document.path)).collect()
}

fn problem(document: &Document, target: &str) -> Option<String> {
    if target.starts_with("https://") || target.starts_with("http://") {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let folder = Path::new(&document.path).parent()?;
    let linked = root().join(folder).join(path);
    if !path.is_empty() && !linked.exists() {
        return Some(format!("{target} does not exist"));
    }
    if anchor.is_empty() {
        return None;
    }
    let other = std::fs::read_to_string(linked).unwrap_or_default();
    let text = if path.is_empty() { &document.text } else { &other };
    (!anchors(text).contains(anchor)).then(|| format!("{target} has no such heading"))
}

/// The text without its fenced blocks.
fn prose(markdown: &str) -> String {
    let mut is_open = false;
    let lines = markdown.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_open ^= is_fence;
        !is_open && !is_fence
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The anchors that GitHub gives to the headings.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let prose = prose(markdown);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|char| char.is_alphanumeric() || "-_ ".contains(*char));
        kept.map(|char| if char == ' ' { '-' } else { char }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn the_check_finds_dead_links() {
    let text = "# One, two\n[a](#one-two) [b](#three) [c](nowhere.md) [d] [e][f] `deploy/nothing.rs`\n\n\
                [d]: README.md\n[g]: README.md\n```sh\n[h](nowhere.md)\n```\n";
    let document = Document { path: "SECURITY.md".to_owned(), text: text.to_owned() };
    let dead = dead(&document);
    for expected in ["#three", "nowhere.md", "[f]", "[g]", "deploy/nothing.rs"] {
        assert!(dead.iter().any(|problem| problem.contains(expected)), "{expected}: {dead:#?}");
    }
    assert_eq!(dead.len(), 5, "{dead:#?}");
}
