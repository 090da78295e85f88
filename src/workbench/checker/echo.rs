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
    /// The value of the reply.
    pub received: &'a Data,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Invalid if something else came back than was sent; unknown if nothing did.
    pub verdict: Verdict,
    /// How many echoes were answered.
    pub answered: usize,
    /// Answers with another value than the request's, in the order of the exchanges.
    pub mismatches: Findings<Mismatch>,
}

/// An answer with another value than its request's.
#[derive(Clone, Debug, PartialEq, Eq)]
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
pub fn check<'a>(exchanges: impl IntoIterator<Item = Exchange<'a>>) -> Report {
    let mut answered_at_all = 0;
    let mismatches: Findings<_> = exchanges
        .into_iter()
        .inspect(|_| answered_at_all += 1)
        .filter(|exchange| !exchange.sent.is_same(exchange.received))
        .map(|Exchange { answered, sent, received }| Mismatch {
            answered,
            sent: sent.to_string(),
            received: received.to_string(),
        })
        .collect();
    let verdict = match answered_at_all {
        _ if !mismatches.is_empty() => Verdict::Invalid,
        0 => Verdict::Unknown,
        _ => Verdict::Valid,
    };
    Report { verdict, answered: answered_at_all, mismatches }
}

impl Report {
    /// Why it is not valid.
    pub fn explain(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if self.verdict == Verdict::Unknown {
            sentences.push("no echo was answered, so nothing can be said about the answers".to_owned());
        }
        self.mismatches.explain(&mut sentences, |Mismatch { answered, sent, received }| {
            format!("the answer of {answered} should echo {sent}, but has {received}")
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
        let same = Exchange { answered, sent: &one, received: &two };
        let other = Exchange { answered, sent: &five, received: &six };
        assert_eq!(check([same]).verdict, Verdict::Valid);

        let report = check([same, other]);
        assert_eq!((report.verdict, report.answered, report.mismatches.total), (Verdict::Invalid, 2, 1));
        assert_eq!(
            report.explain(),
            [r#"the answer of n1 at 0.250 s should echo "Please echo 5", but has "Please echo 6""#]
        );
    }

    #[test]
    fn silence_proves_nothing() {
        let report = check([]);
        assert_eq!(report.verdict, Verdict::Unknown);
        assert_eq!(report.explain().len(), 1);
    }
}
