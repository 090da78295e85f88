//! Operations as JSON.

use super::error::ReadError;
use super::event::Members;
use crate::json::parser::Parser;
use crate::workbench::data::Data;

/// The members of an operation.
pub(super) fn members(parser: &mut Parser, line: u64, text: &[u8]) -> Result<Members, ReadError> {
    let value = parser
        .value(text)
        .map_err(|error| ReadError::malformed(line, "an operation in JSON", error.to_string()))?;
    let members = value.as_object().into_iter().flatten();
    Ok(members.map(|(key, value)| (key.as_str().unwrap_or_default().into(), Data::from(value))).collect())
}
