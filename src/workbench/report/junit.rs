//! Verdicts in the form that build servers read: `JUnit` XML.

use std::io;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

/// One test, or one task of a grade.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it is called.
    pub name: String,
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub outcome: CaseOutcome,
}

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CaseOutcome {
    /// It passed.
    Passed,
    /// It did not, for this reason.
    Failed(String),
    /// It did not come to its end, or to a verdict, for this reason.
    Error(String),
}

/// The XML.
///
/// # Errors
/// None that are known: it is written into memory.
pub fn junit(suite: &str, cases: &[Case]) -> io::Result<String> {
    let mut tests = TestSuite::new(suite);
    for Case { name, took, outcome } in cases {
        let failed = |kind, reason: &String| {
            let mut status = TestCaseStatus::non_success(kind);
            status.set_message(reason.as_str());
            status
        };
        let status = match outcome {
            CaseOutcome::Passed => TestCaseStatus::success(),
            CaseOutcome::Failed(reason) => failed(NonSuccessKind::Failure, reason),
            CaseOutcome::Error(reason) => failed(NonSuccessKind::Error, reason),
        };
        let mut case = TestCase::new(name.as_str(), status);
        case.set_classname(suite).set_time(*took);
        tests.add_test_case(case);
    }
    let mut report = Report::new("messenger");
    report.add_test_suite(tests);
    report.to_string().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_and_their_reasons_are_well_formed() {
        let case =
            |name: &str, outcome| Case { name: name.to_owned(), took: Duration::from_millis(1500), outcome };
        let cases = [
            case("a", CaseOutcome::Passed),
            case("b", CaseOutcome::Failed("expected <x> & \u{1b}[2J \"y\"".to_owned())),
            case("c", CaseOutcome::Error("interrupted".to_owned())),
        ];
        let xml = junit("the <suite>", &cases).unwrap();
        let document = roxmltree::Document::parse(&xml).unwrap_or_else(|error| panic!("{error} in {xml}"));
        let attribute = |element: &str, name: &str| {
            let element = document.descendants().find(|node| node.has_tag_name(element)).unwrap();
            element.attribute(name).unwrap().to_owned()
        };
        let counts = ["tests", "failures", "errors"].map(|name| attribute("testsuite", name));
        assert_eq!(counts, ["3", "1", "1"]);
        assert_eq!(attribute("testcase", "time"), "1.500");
        assert!(attribute("failure", "message").starts_with("expected <x> & "), "{xml}");
        assert_eq!(attribute("error", "message"), "interrupted");
    }
}
