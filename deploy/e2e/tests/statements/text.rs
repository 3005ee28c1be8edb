//! SQL as words: as much of its structure as the rules need.

/// One statement, or a parenthesis within one: its words, without comments and literals.
pub(crate) type Words<'a> = &'a [String];

/// The words of a file in lower case: names, numbers, parameters, and each other character by itself. Comments are left
/// out, and a literal is `''`.
pub(crate) fn words(sql: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '\'' => 1 + rest.get(1..).and_then(|text| text.find('\'')).map_or(rest.len() - 1, |end| end + 1),
            _ if is_of_name(first) => rest.find(|next| !is_of_name(next)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (word, after) = rest.split_at(length);
        match first {
            '\'' => found.push("''".to_owned()),
            '-' | '/' if word.starts_with("--") || word.starts_with("/*") => {}
            _ if first.is_whitespace() => {}
            _ => found.push(word.to_lowercase()),
        }
        rest = after;
    }
    found
}

fn is_of_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || character == '$'
}

const VERBS: [&str; 5] = ["with", "select", "insert", "update", "delete"];

/// The statements of a file, also those in the body of a function: each starts at its first verb.
pub(crate) fn statements(words: Words<'_>) -> impl Iterator<Item = Words<'_>> {
    words.split(|word| word == ";").flat_map(branches).filter_map(|part| {
        // GRANT UPDATE, FOR UPDATE of a trigger and the like are no statements that are planned.
        let is_planned = !part.first().is_some_and(|word| word == "grant" || word == "revoke");
        let start = part.iter().position(|word| VERBS.contains(&word.as_str())).filter(|_| is_planned)?;
        part.get(start..)
    })
}

/// What precedes a statement of PL/pgSQL in IF or LOOP, and that statement. In CASE no verb follows THEN.
fn branches(part: Words<'_>) -> impl Iterator<Item = Words<'_>> {
    part.chunk_by(|before, word| {
        !(matches!(before.as_str(), "then" | "else" | "loop") && VERBS.contains(&word.as_str()))
    })
}

/// The words inside of the parenthesis that opens at `open`.
pub(crate) fn inside(words: Words<'_>, open: usize) -> Words<'_> {
    let mut depth = 0_usize;
    for (index, word) in words.iter().enumerate().skip(open) {
        match word.as_str() {
            "(" => depth += 1,
            ")" => {
                depth -= 1;
                if depth == 0 {
                    return words.get(open + 1..index).unwrap_or_default();
                }
            }
            _ => {}
        }
    }
    words.get(open + 1..).unwrap_or_default()
}

/// The words without those in parentheses that satisfy `left_out`.
pub(crate) fn outside(words: Words<'_>, left_out: impl Fn(Words<'_>) -> bool) -> Vec<String> {
    let (mut kept, mut index) = (Vec::new(), 0);
    while let Some(word) = words.get(index) {
        if word == "(" && left_out(inside(words, index)) {
            index += inside(words, index).len() + 2;
            continue;
        }
        kept.push(word.clone());
        index += 1;
    }
    kept
}

/// The words after `keyword` outside of parentheses, up to one of `ends`.
pub(crate) fn clause(words: Words<'_>, keyword: &str, ends: &[&str]) -> Option<Vec<String>> {
    let mut depth = 0_i32;
    let (mut start, mut end) = (None, words.len());
    for (index, word) in words.iter().enumerate() {
        match word.as_str() {
            "(" => depth += 1,
            ")" => depth -= 1,
            word if depth == 0 && start.is_none() && word == keyword => start = Some(index + 1),
            word if depth == 0 && start.is_some() && ends.contains(&word) => {
                end = index;
                break;
            }
            _ => {}
        }
    }
    words.get(start?..end).map(<[String]>::to_vec)
}

/// The parts of a statement that Citus may plan by themselves: the query of each WITH, with its name, and the rest.
pub(crate) fn parts(statement: Words<'_>) -> (Vec<(&str, Words<'_>)>, Words<'_>) {
    let (mut named, mut index) = (Vec::new(), 0);
    if statement.first().is_none_or(|word| word != "with") {
        return (named, statement);
    }
    loop {
        index += 1;
        let Some(name) = statement.get(index) else { break };
        // Before AS, the name may have a list of columns.
        let mut following = statement.iter().enumerate().skip(index).skip_while(|(_, word)| *word != "as");
        let Some((open, _)) = following.find(|(_, word)| *word == "(") else { break };
        let query = inside(statement, open);
        named.push((name.as_str(), query));
        index = open + query.len() + 2;
        if statement.get(index).is_none_or(|word| word != ",") {
            break;
        }
    }
    (named, statement.get(index..).unwrap_or_default())
}
