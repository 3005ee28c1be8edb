//! What Citus 13.2 refuses on the node that owns the schema, or does wrong.

use crate::text::{Words, clause, inside, outside, parts};

/// A rule: what it says, and whether a statement breaks it.
pub(crate) type Rule = (&'static str, fn(Words<'_>) -> bool);

pub(crate) const RULES: [Rule; 9] = [
    ("where Citus plans the parts of a statement, none that uses ctid reads another", ctid_between_parts),
    ("RETURNING calls only immutable functions", mutable_in_returning),
    ("SET calls no volatile function: pass the value, or use a variable", volatile_in_set),
    ("SET adds no interval to a time where a column takes part: FROM (… FOR UPDATE) can", interval_in_set),
    ("SET has no stable function in CASE or coalesce", mutable_in_case),
    ("SET takes no slice of an array: Citus crashes", slice_in_set),
    ("INSERT … SELECT reads tables only in a MATERIALIZED query of WITH", insert_from_table),
    ("INSERT … SELECT has no RETURNING or ON CONFLICT where the id is an identity", identity_returned),
    ("a select list is not empty, except in EXISTS", empty_select_list),
];

const VOLATILE: [&str; 8] = [
    "random",
    "timeofday",
    "clock_timestamp",
    "gen_random_uuid",
    "nextval",
    "setval",
    "pg_current_xact_id",
    "current_history",
];
const STABLE: [&str; 5] =
    ["now", "statement_timestamp", "transaction_timestamp", "current_setting", "to_char"];
/// They are called without parentheses.
const STABLE_WORDS: [&str; 5] =
    ["current_timestamp", "current_date", "current_time", "localtimestamp", "localtime"];

/// Tables whose id is an identity: a role has no privilege on its sequence.
const WITH_IDENTITY: [&str; 5] =
    ["outbox", "event_log_histories", "subscription_parked", "webhook_endpoints", "webhook_attempts"];
const WITHOUT_IDENTITY: [&str; 11] = [
    "orders",
    "order_summary",
    "parked_events",
    "waiting_events",
    "event_log",
    "event_log_state",
    "event_log_settled",
    "subscriptions",
    "subscription_checkpoints",
    "deliveries",
    "webhook_secrets",
];

/// Whether the rules know the table.
pub(crate) fn is_known(table: &str) -> bool {
    WITH_IDENTITY.contains(&table) || WITHOUT_IDENTITY.contains(&table)
}

fn starts_with(query: Words<'_>, verb: &str) -> bool {
    query.first().is_some_and(|word| word == verb)
}

fn calls(words: Words<'_>, functions: &[&str]) -> bool {
    words
        .windows(2)
        .any(|pair| matches!(pair, [name, next] if functions.contains(&name.as_str()) && next == "("))
}

fn is_mutable(words: Words<'_>) -> bool {
    let is_stable = |word: &String| STABLE_WORDS.contains(&word.as_str());
    calls(words, &VOLATILE) || calls(words, &STABLE) || words.iter().any(is_stable)
}

fn any_part(statement: Words<'_>, breaks: impl Fn(Words<'_>) -> bool) -> bool {
    let (named, rest) = parts(statement);
    named.iter().any(|(_, query)| breaks(query)) || breaks(rest)
}

/// SET of an UPDATE or of ON CONFLICT DO UPDATE, without the subqueries in it.
fn set_of(query: Words<'_>) -> Vec<String> {
    let set = clause(query, "set", &["from", "where", "returning"]).unwrap_or_default();
    outside(&set, |words| starts_with(words, "select"))
}

fn any_set(statement: Words<'_>, breaks: impl Fn(Words<'_>) -> bool) -> bool {
    any_part(statement, |query| breaks(&set_of(query)))
}

fn ctid_between_parts(statement: Words<'_>) -> bool {
    let (named, rest) = parts(statement);
    let all: Vec<_> = named.iter().copied().chain([("", rest)]).collect();
    let is_in_parts = !named.is_empty() && all.iter().any(|(_, query)| starts_with(query, "insert"));
    let reads_another = |name: &str, query: Words<'_>| {
        named.iter().any(|(other, _)| *other != name && query.iter().any(|word| word == other))
    };
    is_in_parts
        && all.iter().any(|(name, query)| {
            (starts_with(query, "update") || starts_with(query, "delete"))
                && query.iter().any(|word| word == "ctid")
                && reads_another(name, query)
        })
}

fn mutable_in_returning(statement: Words<'_>) -> bool {
    any_part(statement, |query| clause(query, "returning", &[]).is_some_and(|list| is_mutable(&list)))
}

fn volatile_in_set(statement: Words<'_>) -> bool {
    any_set(statement, |set| calls(set, &VOLATILE))
}

fn interval_in_set(statement: Words<'_>) -> bool {
    let is_column = |word: &String, next: Option<&String>| {
        let is_name = word.starts_with(|first: char| first.is_alphabetic()) && word != "interval";
        is_name && next.is_none_or(|next| next != "(")
    };
    let has_column = |value: Words<'_>| {
        value.iter().enumerate().any(|(index, word)| is_column(word, value.get(index + 1)))
    };
    any_set(statement, |set| {
        let mut depth = 0_i32;
        let assignments = set.split(|word| {
            depth += i32::from(word == "(") - i32::from(word == ")");
            depth == 0 && word == ","
        });
        assignments.into_iter().any(|assignment| {
            let value = assignment.splitn(2, |word| word == "=").nth(1).unwrap_or_default();
            value.iter().any(|word| word == "interval" || word == "make_interval") && has_column(value)
        })
    })
}

fn mutable_in_case(statement: Words<'_>) -> bool {
    any_set(statement, |set| {
        set.iter().enumerate().any(|(index, word)| {
            let of_word = set.get(index..).unwrap_or_default();
            let operands = match word.as_str() {
                "case" => of_word.split(|word| word == "end").next().unwrap_or_default(),
                "coalesce" => inside(of_word, 0),
                _ => return false,
            };
            is_mutable(operands)
        })
    })
}

fn slice_in_set(statement: Words<'_>) -> bool {
    any_set(statement, |set| {
        set.split(|word| word == "[").skip(1).any(|part| {
            let subscript = part.split(|word| word == "]").next().unwrap_or_default();
            subscript.iter().filter(|word| *word == ":").count() == 1
        })
    })
}

fn select_in_parentheses(query: Words<'_>) -> Option<Vec<String>> {
    let open =
        query.windows(2).position(|pair| matches!(pair, [open, verb] if open == "(" && verb == "select"))?;
    let is_value = query.iter().take(open).any(|word| word == "values");
    (!is_value).then(|| inside(query, open).to_vec())
}

/// The table into which a query inserts, and its SELECT.
fn insert_select(query: Words<'_>) -> Option<(&str, Vec<String>)> {
    let is_insert = starts_with(query, "insert");
    let target = query
        .iter()
        .skip(2)
        .take_while(|word| !matches!(word.as_str(), "(" | "as" | "select"))
        .last()
        .filter(|_| is_insert)?;
    Some((target, clause(query, "select", &[]).or_else(|| select_in_parentheses(query))?))
}

fn insert_from_table(statement: Words<'_>) -> bool {
    any_part(statement, |query| {
        insert_select(query).is_some_and(|(target, select)| {
            !WITH_IDENTITY.contains(&target) && select.iter().any(|word| is_known(word))
        })
    })
}

fn identity_returned(statement: Words<'_>) -> bool {
    any_part(statement, |query| {
        insert_select(query).is_some_and(|(target, select)| {
            let is_returned = |word: &String| word == "returning" || word == "conflict";
            WITH_IDENTITY.contains(&target) && select.iter().any(is_returned)
        })
    })
}

fn empty_select_list(statement: Words<'_>) -> bool {
    let is_select = |index: usize| statement.get(index).is_some_and(|word| word == "select");
    statement.iter().enumerate().skip(1).any(|(index, word)| {
        let exists = index >= 3 && statement.get(index - 3).is_some_and(|before| before == "exists");
        matches!(word.as_str(), "from" | "where" | "order" | "limit") && is_select(index - 1) && !exists
    })
}
