//! Subscripts such as `...ij,jk->...ik`.

use std::fmt;

use super::Why;

/// What names an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Label {
    /// An axis of `...`, counted from its last one, as axes are when they broadcast.
    Ellipsis(usize),
    /// A letter.
    Letter(char),
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Label::Letter(letter) => write!(f, "'{letter}'"),
            Label::Ellipsis(from_end) => write!(f, "axis -{} of '...'", from_end + 1),
        }
    }
}

/// The labels of each operand's axes, and of the result's.
pub(super) struct Spec {
    pub inputs: Vec<Vec<Label>>,
    pub output: Vec<Label>,
}

/// Reads subscripts for operands of these ranks.
pub(super) fn parse(subscripts: &str, ranks: &[usize]) -> Why<Spec> {
    let text: String = subscripts.chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = match text.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (&text[..], None),
    };
    if ranks.is_empty() {
        return Err("needs at least one operand".into());
    }
    let terms: Vec<&str> = left.split(',').collect();
    if terms.len() != ranks.len() {
        return Err(format!(
            "the subscripts are for {} operand{}, but there {}; a comma goes between operands",
            terms.len(),
            if terms.len() == 1 { "" } else { "s" },
            if ranks.len() == 1 { "is 1".to_string() } else { format!("are {}", ranks.len()) },
        ));
    }
    let mut inputs = Vec::with_capacity(terms.len());
    let mut broadcast = 0;
    for (i, (term, &rank)) in terms.iter().zip(ranks).enumerate() {
        let symbols = symbols(term)?;
        let letters = symbols.iter().flatten().count();
        let hidden = match symbols.iter().filter(|symbol| symbol.is_none()).count() {
            0 if letters == rank => 0,
            0 => {
                return Err(format!(
                    "'{term}' names {letters} axes, but operand {i} has {rank}; '...' stands for axes without a letter"
                ));
            }
            1 if letters <= rank => rank - letters,
            1 => return Err(format!("'{term}' names {letters} axes, but operand {i} has only {rank}")),
            _ => return Err(format!("'{term}' has '...' more than once")),
        };
        broadcast = broadcast.max(hidden);
        inputs.push(labels(&symbols, hidden));
    }
    let output = match right {
        Some(right) => explicit(right, &inputs, broadcast)?,
        None => implicit(&inputs, broadcast),
    };
    Ok(Spec { inputs, output })
}

/// Letters, and `None` for `...`.
fn symbols(term: &str) -> Why<Vec<Option<char>>> {
    let mut symbols = Vec::new();
    let mut rest = term;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("...") {
            symbols.push(None);
            rest = after;
        } else if c.is_ascii_alphabetic() {
            symbols.push(Some(c));
            rest = &rest[1..];
        } else if c == '.' {
            return Err(format!("'{term}' has '.' outside of '...'"));
        } else {
            return Err(format!("'{c}' in '{term}' is no letter from a to z or A to Z"));
        }
    }
    Ok(symbols)
}

/// The labels of symbols whose `...` stands for so many axes.
fn labels(symbols: &[Option<char>], hidden: usize) -> Vec<Label> {
    symbols
        .iter()
        .flat_map(|symbol| match symbol {
            Some(letter) => vec![Label::Letter(*letter)],
            None => (0..hidden).rev().map(Label::Ellipsis).collect(),
        })
        .collect()
}

fn explicit(right: &str, inputs: &[Vec<Label>], broadcast: usize) -> Why<Vec<Label>> {
    let symbols = symbols(right).map_err(|why| format!("after '->', {why}"))?;
    for (i, symbol) in symbols.iter().enumerate() {
        let name = symbol.map_or("...".to_string(), String::from);
        if symbols[..i].contains(symbol) {
            return Err(format!("'{name}' is in the result '{right}' more than once"));
        }
        if let Some(letter) = symbol
            && !inputs.iter().flatten().any(|label| *label == Label::Letter(*letter))
        {
            return Err(format!("'{name}' is in the result '{right}' but in no operand"));
        }
    }
    if broadcast > 0 && !symbols.contains(&None) {
        return Err(format!(
            "the result '{right}' needs '...' for the {broadcast} axes that it stands for in operands"
        ));
    }
    Ok(labels(&symbols, broadcast))
}

fn implicit(inputs: &[Vec<Label>], broadcast: usize) -> Vec<Label> {
    let mut letters: Vec<Label> =
        inputs.iter().flatten().copied().filter(|label| matches!(label, Label::Letter(_))).collect();
    letters.sort_unstable();
    let once: Vec<Label> = letters.chunk_by(|a, b| a == b).filter(|run| run.len() == 1).map(|run| run[0]).collect();
    (0..broadcast).rev().map(Label::Ellipsis).chain(once).collect()
}
