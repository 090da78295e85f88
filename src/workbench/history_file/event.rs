//! Beginnings and ends of operations, as they stand in a file of either syntax.

use super::error::ReadError;
use crate::workbench::checker::Completion;
use crate::workbench::data::Data;
use crate::workbench::history::NO_ANSWER;

/// A beginning or an end of an operation, as it stands in a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    pub line: u64,
    /// How it ended; `None` for a beginning.
    pub end: Option<Completion>,
    /// `None` for what is no client.
    pub process: Option<usize>,
    pub f: Box<str>,
    pub value: Data,
    /// In nanoseconds.
    pub time: Option<i64>,
    pub node: Option<usize>,
    pub error: Option<Box<str>>,
    pub is_final: bool,
    pub is_probe: bool,
    /// All other members.
    pub more: Vec<(Box<str>, Data)>,
}

/// What a record has, whatever its syntax.
pub(super) type Members = Vec<(Box<str>, Data)>;

impl Event {
    pub fn of(line: u64, members: Members) -> Result<Self, ReadError> {
        let mut event = Self {
            line,
            end: None,
            process: None,
            f: Box::default(),
            value: Data::Null,
            time: None,
            node: None,
            error: None,
            is_final: false,
            is_probe: false,
            more: Vec::new(),
        };
        let (mut has_type, mut has_process) = (false, false);
        for (name, value) in members {
            match (name.trim_start_matches(':'), value) {
                ("type", value) => {
                    has_type = true;
                    event.end = match value.as_text().map(|text| text.trim_start_matches(':')) {
                        Some("invoke") => None,
                        Some("ok") => Some(Completion::Ok),
                        Some("fail") => Some(Completion::Fail),
                        Some("info") => Some(Completion::Info),
                        _ => {
                            let expected = "type to be invoke, ok, fail or info";
                            return Err(ReadError::malformed(line, expected, value.to_string()));
                        }
                    };
                }
                ("process", value) => {
                    has_process = true;
                    event.process = process(line, &value)?;
                }
                ("f", value) => event.f = word(value),
                ("value", value) => event.value = value,
                ("time", value) => event.time = value.as_int(),
                ("node", Data::Text(name)) => {
                    event.node = name.strip_prefix('n').and_then(|of| of.parse().ok());
                }
                ("error", value) => event.error = Some(reason(value)),
                ("final" | "final?", value) => event.is_final = value == Data::Bool(true),
                ("probe" | "probe?", value) => event.is_probe = value == Data::Bool(true),
                ("index", _) => {}
                (name, value) => event.more.push((name.into(), value)),
            }
        }
        for (is_there, name) in [(has_type, "type"), (has_process, "process")] {
            if !is_there {
                return Err(ReadError::malformed(line, format!("an operation with a {name}"), "one without"));
            }
        }
        Ok(event)
    }
}

/// The number of a client's process; none of what is called by a word, such as `:nemesis`.
fn process(line: u64, value: &Data) -> Result<Option<usize>, ReadError> {
    let number = value.as_int().and_then(|process| usize::try_from(process).ok());
    let is_word = value.as_text().is_some_and(|word| word.contains(|c: char| !c.is_ascii_digit()));
    if number.is_none() && !is_word {
        let expected = "process to be a number from 0 on, or a word such as :nemesis";
        return Err(ReadError::malformed(line, expected, value.to_string()));
    }
    Ok(number)
}

/// A keyword or string without a colon before it.
fn word(value: Data) -> Box<str> {
    match value {
        Data::Text(text) => text.trim_start_matches(':').into(),
        other => other.to_string().into(),
    }
}

/// Jepsen's reasons are words such as `:net-timeout`, or pairs such as `[:crash "it crashed"]`.
fn reason(value: Data) -> Box<str> {
    match value {
        Data::Text(text) if &*text == "net-timeout" => NO_ANSWER.into(),
        Data::Text(text) => text,
        Data::List(parts) if parts.iter().all(|part| part.as_text().is_some()) => {
            let parts: Vec<_> = parts.iter().filter_map(Data::as_text).collect();
            parts.join(": ").into()
        }
        other => other.to_string().into(),
    }
}
