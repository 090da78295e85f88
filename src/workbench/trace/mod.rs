//! Which messages went where and when: from what several nodes wrote down, or from the journal of a test, as a log and
//! as a picture.

pub mod recording;
pub mod svg;
pub mod transfer;
