//! Whether a message carries what an operation wrote: whether it stands in its body.

use serde_json::Value;

use super::super::question::Mark;

impl Mark {
    /// Whether it stands somewhere in a body, other than as the number of a message.
    pub(super) fn is_in(&self, body: &str) -> bool {
        if !body.contains(&*self.value) || self.key.as_ref().is_some_and(|key| !body.contains(&**key)) {
            return false;
        }
        let Ok(body) = serde_json::from_str(body) else { return false };
        match &self.key {
            Some(key) => has_pair(&body, key, &self.value),
            None => has(&body, &self.value),
        }
    }
}

/// Whether a body is about a key: `{"key": 3}`, `{"offsets": {"3": 0}}`.
pub(super) fn is_about(body: &str, key: &str) -> bool {
    fn names(json: &Value, key: &str) -> bool {
        match json {
            Value::Object(members) => {
                members.iter().any(|(name, member)| is_key(name, member, key) || names(member, key))
            }
            Value::Array(items) => items.iter().any(|item| is_scalar(item, key) || names(item, key)),
            _ => false,
        }
    }
    body.contains(key) && serde_json::from_str(body).is_ok_and(|body| names(&body, key))
}

/// Whether a value stands somewhere in a body.
pub(super) fn holds(body: &str, value: &str) -> bool {
    body.contains(value) && serde_json::from_str(body).is_ok_and(|body| has(&body, value))
}

fn has(json: &Value, value: &str) -> bool {
    match json {
        Value::Array(items) => items.iter().any(|item| has(item, value)),
        Value::Object(members) => {
            members.iter().any(|(name, member)| name == value || (!is_number(name) && has(member, value)))
        }
        scalar => is_scalar(scalar, value),
    }
}

/// Whether some part of a body has both: `{"key": 3, "value": 4}`, `{"3": [4]}`, `[3, 4]`, `["cas", 3, 1, 4]`. That both
/// stand somewhere says nothing: numbers are small.
fn has_pair(json: &Value, key: &str, value: &str) -> bool {
    match json {
        Value::Array(items) => {
            let next_to_each_other = items.iter().enumerate().any(|(place, item)| {
                is_scalar(item, key) && items[place + 1..].iter().take(2).any(|item| has(item, value))
            });
            next_to_each_other || items.iter().any(|item| has_pair(item, key, value))
        }
        Value::Object(members) => members.iter().any(|(name, member)| {
            if name == key {
                has(member, value)
            } else if is_key(name, member, key) {
                members.iter().any(|(other, member)| other != name && !is_number(other) && has(member, value))
            } else {
                has_pair(member, key, value)
            }
        }),
        _ => false,
    }
}

fn is_key(name: &str, member: &Value, key: &str) -> bool {
    name == key || (matches!(name, "key" | "k") && is_scalar(member, key))
}

/// The numbers of messages, which count up through all values that there are.
fn is_number(name: &str) -> bool {
    matches!(name, "msg_id" | "in_reply_to")
}

fn is_scalar(json: &Value, text: &str) -> bool {
    match json {
        Value::Number(number) => number.to_string() == text,
        Value::String(string) => string == text,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_carried_wherever_it_stands_but_as_a_number_of_messages() {
        let seven = Mark::value(&7);
        for body in [r#"{"v":7}"#, r#"{"v":[1,{"a":[7]}]}"#, r#"{"v":"7"}"#, r#"{"v":{"7":true}}"#] {
            assert!(seven.is_in(body), "{body}");
        }
        for body in [r#"{"v":77}"#, r#"{"msg_id":7,"in_reply_to":7}"#, r#"{"v":7.5}"#, "7 is not JSON"] {
            assert!(!seven.is_in(body), "{body}");
        }
    }

    #[test]
    fn a_value_of_a_key_is_carried_beside_it() {
        let mark = Mark::of(&3, &4);
        for body in [
            r#"{"key":3,"value":4}"#,
            r#"{"key":"3","msg":4}"#,
            r#"{"key":3,"from":1,"to":4}"#,
            r#"{"msgs":{"3":[[0,1],[1,4]]}}"#,
            r#"{"txn":[["r",1,null],["append",3,4]]}"#,
            r#"{"log":[{"term":9,"op":{"type":"cas","key":3,"from":1,"to":4}}]}"#,
        ] {
            assert!(mark.is_in(body), "{body}");
        }
        for body in [
            r#"{"term":3,"value":4}"#,
            r#"{"key":4,"value":3}"#,
            r#"{"key":3,"value":5,"msg_id":4}"#,
            r#"{"pairs":[[3,5],[6,4]]}"#,
            r#"{"txn":[["append",3,5],["append",6,4]]}"#,
        ] {
            assert!(!mark.is_in(body), "{body}");
        }
    }
}
