//! Echo: what comes back is what was sent.

use super::super::data::Data;
use super::{Findings, Place, Verdict};

/// An echo that was answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exchange<'a> {
    /// Who answered, and when.
    pub answered: Place,
    /// The value of the request.
    pub sent: &'a Data,
    /// The value of the reply, or why the node refused.
    pub received: Result<&'a Data, &'a str>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EchoResults {
    /// Invalid if something else came back than was sent, or a definite error; unknown if nothing did.
    pub verdict: Verdict,
    /// How many echoes were answered.
    pub answered: usize,
    /// Answers with another value than the request's, in the order of the exchanges.
    pub mismatches: Findings<Mismatch>,
    /// Answers that are definite errors, in the order of the exchanges.
    pub refused: Findings<Refused>,
}

/// An echo that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// Who answered, and when.
    pub answered: Place,
    /// The value of the request, as JSON.
    pub sent: String,
    /// The error.
    pub reason: String,
}

/// An answer with another value than its request's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mismatch {
    /// Who answered, and when.
    pub answered: Place,
    /// The value of the request, as JSON.
    pub sent: String,
    /// The value of the reply, as JSON.
    pub received: String,
}

/// Checks each exchange. Values are equal if they mean the same: white space, escapes and the order of keys
/// do not count.
pub fn check<'a>(exchanges: impl IntoIterator<Item = Exchange<'a>>) -> EchoResults {
    let (mut answers, mut mismatches, mut refused) = (0, Vec::new(), Vec::new());
    for Exchange { answered, sent, received } in exchanges {
        answers += 1;
        match received {
            Ok(received) if sent.is_same(received) => {}
            Ok(received) => {
                let (sent, received) = (sent.to_string(), received.to_string());
                mismatches.push(Mismatch { answered, sent, received });
            }
            Err(reason) => {
                refused.push(Refused { answered, sent: sent.to_string(), reason: reason.to_owned() });
            }
        }
    }
    let verdict = match answers {
        0 => Verdict::Unknown,
        _ if mismatches.is_empty() && refused.is_empty() => Verdict::Valid,
        _ => Verdict::Invalid,
    };
    let (mismatches, refused) = (mismatches.into_iter().collect(), refused.into_iter().collect());
    EchoResults { verdict, answered: answers, mismatches, refused }
}

impl EchoResults {
    /// Why it is not valid.
    pub fn explain(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if self.verdict == Verdict::Unknown {
            sentences.push("no echo was answered, so nothing can be said about the answers".to_owned());
        }
        self.mismatches.explain(&mut sentences, |Mismatch { answered, sent, received }| {
            format!("the answer of {answered} should echo {sent}, but has {received}")
        });
        self.refused.explain(&mut sentences, |Refused { answered, sent, reason }| {
            format!("the answer of {answered} should echo {sent}, but is a definite error: {reason}")
        });
        sentences
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;

    #[test]
    fn an_answer_has_to_mean_the_same() {
        let answered = Place { node: 1, at: Instant::from_micros(250_000) };
        let object =
            |members: [(&str, Data); 2]| Data::Map(members.map(|(key, of)| (key.into(), of)).to_vec());
        let (one, two) =
            (object([("a", 1.into()), ("b", 2.into())]), object([("b", 2.into()), ("a", 1.into())]));
        let (five, six) = ("Please echo 5".into(), "Please echo 6".into());
        let same = Exchange { answered, sent: &one, received: Ok(&two) };
        let other = Exchange { answered, sent: &five, received: Ok(&six) };
        assert_eq!(check([same]).verdict, Verdict::Valid);

        let report = check([same, other]);
        assert_eq!((report.verdict, report.answered, report.mismatches.total), (Verdict::Invalid, 2, 1));
        assert_eq!(
            report.explain(),
            [r#"the answer of n1 at 0.250 s should echo "Please echo 5", but has "Please echo 6""#]
        );
    }

    #[test]
    fn a_definite_error_is_no_echo() {
        let answered = Place { node: 1, at: Instant::from_micros(250_000) };
        let report = check([Exchange { answered, sent: &7.into(), received: Err("error 11: busy") }]);
        assert_eq!(report.verdict, Verdict::Invalid);
        assert_eq!(
            report.explain(),
            ["the answer of n1 at 0.250 s should echo 7, but is a definite error: error 11: busy"]
        );
    }

    #[test]
    fn silence_proves_nothing() {
        let report = check([]);
        assert_eq!(report.verdict, Verdict::Unknown);
        assert_eq!(report.explain().len(), 1);
    }
}
