//! The files of rules and of their tests.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::yaml_files;

type Labels = BTreeMap<String, String>;

#[derive(Deserialize)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
pub(crate) struct Rule {
    pub(crate) record: Option<String>,
    pub(crate) alert: Option<String>,
    pub(crate) expr: String,
    #[serde(default)]
    labels: Labels,
    #[serde(default)]
    annotations: Labels,
}

#[derive(Deserialize)]
struct TestFile {
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    input_series: Vec<Series>,
    #[serde(default)]
    alert_rule_test: Vec<Case>,
}

#[derive(Deserialize)]
struct Series {
    series: String,
}

#[derive(Deserialize)]
struct Case {
    alertname: String,
    exp_alerts: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    exp_labels: Labels,
}

fn parse<T: DeserializeOwned>(file: &Path) -> Result<T> {
    let text = std::fs::read_to_string(file)?;
    serde_saphyr::from_str(&text).with_context(|| file.display().to_string())
}

pub(crate) fn all_rules() -> Result<Vec<Rule>> {
    let mut rules = Vec::new();
    for file in yaml_files("rules")? {
        rules.extend(parse::<RuleFile>(&file)?.groups.into_iter().flat_map(|group| group.rules));
    }
    Ok(rules)
}

fn all_tests() -> Result<Vec<Test>> {
    let mut tests = Vec::new();
    for file in yaml_files("tests")? {
        tests.extend(parse::<TestFile>(&file)?.tests);
    }
    Ok(tests)
}

/// The series that the tests feed to the rules.
pub(crate) fn all_series() -> Result<Vec<String>> {
    Ok(all_tests()?.into_iter().flat_map(|test| test.input_series).map(|series| series.series).collect())
}

/// Several rules may have one name. Their own labels tell them apart.
fn is_expected(rule: &Rule, case: &Case) -> bool {
    let has_labels = |expected: &Expected| {
        rule.labels.iter().all(|(label, value)| expected.exp_labels.get(label) == Some(value))
    };
    case.exp_alerts.iter().any(has_labels)
}

#[test]
fn each_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() -> Result<()> {
    let (rules, tests) = (all_rules()?, all_tests()?);
    let alerts: Vec<_> = rules.iter().filter_map(|rule| Some((rule.alert.as_ref()?, rule))).collect();
    assert!(alerts.len() > 40, "only {} alerts", alerts.len());
    for (name, rule) in &alerts {
        let cases_of = |test: &&Test| test.alert_rule_test.iter().any(|case| case.alertname == **name);
        let fires = |test: &&Test| {
            test.alert_rule_test.iter().any(|case| case.alertname == **name && is_expected(rule, case))
        };
        let (firing, silent): (Vec<_>, Vec<_>) = tests.iter().filter(cases_of).partition(fires);
        assert!(!firing.is_empty(), "{name} {:?}: no test in which it fires", rule.labels);
        assert!(!silent.is_empty(), "{name} {:?}: no test in which it is silent", rule.labels);
    }
    // promtool takes a case of an alert that does not exist for one in which it is silent.
    for Case { alertname, .. } in tests.iter().flat_map(|test| &test.alert_rule_test) {
        assert!(alerts.iter().any(|(name, _)| *name == alertname), "no alert {alertname}");
    }
    Ok(())
}

#[test]
fn each_alert_says_how_urgent_it_is_what_it_means_and_where_to_read_on() -> Result<()> {
    for Rule { alert, labels, annotations, .. } in all_rules()? {
        let Some(name) = alert else { continue };
        assert!(name.starts_with("Orders"), "{name}");
        let severity = labels.get("severity").with_context(|| format!("{name}: no severity"))?;
        assert!(["page", "ticket"].contains(&severity.as_str()), "{name}: {severity}");
        for annotation in ["summary", "description"] {
            assert!(annotations.get(annotation).is_some_and(|text| !text.is_empty()), "{name}: {annotation}");
        }
        let runbook = format!("docs/runbook.md#{}", name.to_lowercase());
        assert_eq!(annotations.get("runbook_url"), Some(&runbook), "{name}");
    }
    Ok(())
}
