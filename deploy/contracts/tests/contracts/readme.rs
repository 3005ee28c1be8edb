//! The README lists every rule.

use contracts::Rule;

const README: &str = include_str!("../../README.md");

#[test]
fn the_readme_lists_every_rule_and_no_other() {
    let listed: Vec<_> =
        README.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).collect();
    let listed: Vec<_> = listed.into_iter().map(|(name, _)| name).collect();
    let rules: Vec<_> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    assert_eq!(listed, rules);
}
