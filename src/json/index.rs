//! Tokens found by simd-json.
//!
//! simd-json works in two stages. The first finds every structural character of a text with SIMD
//! instructions and checks its UTF-8; the second builds a tape, and on the way unescapes strings in
//! place and turns numbers into machine numbers. Only the first is wanted: asked for a nesting
//! depth of zero, the second stops at the opening bracket, before it has changed anything,
//! and leaves the index of structural characters ([`Buffers::structural_indexes`]).
//!
//! The text may be a single line or many, one after the other. To the first stage a newline between tokens is white
//! space and one within a string is an error, so what it accepts has no string that goes on beyond its line.
//!
//! Together with [`unescape`](super::unescape) this is all that names `simd_json`.

use std::fmt;

use simd_json::{Buffers, ErrorType, INPUT_PADDING, Tape};

use super::text::has_spans;

/// Index memory for texts beyond this many bytes is not kept.
const TEXT_KEPT: usize = 1024 * 1024;

/// So many bytes have to follow a text that is indexed. What they are does not matter.
pub(crate) const PADDING: usize = INPUT_PADDING;

/// simd-json's index of the structural characters of a text, and the memory that it takes.
///
/// A token is the byte offset of a bracket, colon, comma, opening quote, or the first byte of anything else that is not
/// white space and follows such a character, a closing quote or white space.
pub(crate) struct Index {
    buffers: Buffers,
    /// Storage that simd-json wants for its second stage; `None` only while it has it.
    tape: Option<Tape<'static>>,
    /// The length of the longest text so far.
    longest: usize,
}

impl Index {
    pub(crate) fn new() -> Self {
        Self { buffers: Buffers::with_max_depth(0, 0), tape: None, longest: 0 }
    }

    /// Indexes the first `length` bytes, behind which there are [`PADDING`] more. `false` if they are no text that begins
    /// with a bracket, or one with a broken string; then the tokens mean nothing.
    pub(crate) fn fill(&mut self, bytes: &mut [u8], length: usize) -> bool {
        let text = &bytes[..length];
        // The second stage stops at a bracket, but would go on to decode anything else.
        if !has_spans(text) || !matches!(text.trim_ascii_start().first(), Some(b'{' | b'[')) {
            return false;
        }
        self.longest = self.longest.max(length);
        let mut tape = self.tape.take().unwrap_or_else(Tape::null).reset();
        let stopped = simd_json::fill_tape_padded(bytes, length, &mut self.buffers, &mut tape);
        self.tape = Some(tape.reset());
        stopped.is_err_and(|error| matches!(error.error(), ErrorType::DepthLimitExceeded))
    }

    /// The tokens of the text that was indexed last.
    pub(crate) fn tokens(&self) -> &[u32] {
        self.buffers.structural_indexes()
    }

    /// Gives the memory back that a long text took.
    pub(crate) fn give_back(&mut self) {
        if self.longest > TEXT_KEPT {
            *self = Self::new();
        }
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").field("tokens", &self.tokens().len()).finish_non_exhaustive()
    }
}
