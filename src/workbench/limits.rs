//! How much of everything a test holds.

/// The bounds of a test. What happens at a bound is said with it; nothing grows beyond, and nothing is dropped unsaid.
/// There may come to be more: end yours with `..Limits::DEFAULT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum bytes that wait for a node to read them. A node that lets more wait does not read its stdin, which ends
    /// the test.
    pub inbox_bytes: usize,
    /// Maximum bytes of messages under way between nodes and services, each with what it takes to hold it. Reaching it
    /// ends the test, and names the node that sent most of them.
    pub under_way_bytes: usize,
    /// Maximum operations recorded, and as many again in the final phase; reaching it ends that part of the test early.
    pub operations: usize,
    /// Maximum values in recorded answers, such as the elements of sets, and as many again in the final phase; reaching it
    /// ends that part of the test early.
    pub values: usize,
    /// Maximum bytes of the bodies in the journal; messages that come later are counted alone.
    pub journal_bytes: usize,
    /// Turns of a node at one instant of virtual time before the time goes on without it.
    pub turns_per_instant: usize,
}

impl Limits {
    /// Those of a test that nothing else is said for.
    pub const DEFAULT: Self = Self {
        inbox_bytes: 256 * 1024 * 1024,
        under_way_bytes: 256 * 1024 * 1024,
        operations: 5_000_000,
        values: 50_000_000,
        journal_bytes: 128 * 1024 * 1024,
        turns_per_instant: 1_000,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
