//! What can stand as a value in a message.

/// What can stand as a value in a message: numbers, strings, [`Value`](super::value::Value)s that came in one, and
/// collections of those; with the feature `serde`, whatever implements `serde::Serialize`. It is sealed, because whoever
/// writes into the output could write anything.
pub trait ToJson: private::WriteField {}

impl<T: private::WriteField + ?Sized> ToJson for T {}

mod private {
    #[cfg(not(feature = "serde"))]
    pub use crate::json::write::WriteJson as Written;
    #[cfg(feature = "serde")]
    pub use serde::Serialize as Written;

    /// Appends one JSON value to `out`, if it is one.
    pub trait WriteField: Written {
        /// Appends the value; `false` if it is nothing that JSON can say, which the log has then.
        fn write_field(&self, out: &mut Vec<u8>) -> bool;
    }

    #[cfg(not(feature = "serde"))]
    impl<T: Written + ?Sized> WriteField for T {
        #[inline(always)]
        fn write_field(&self, out: &mut Vec<u8>) -> bool {
            self.write_json(out);
            true
        }
    }

    #[cfg(feature = "serde")]
    impl<T: Written + ?Sized> WriteField for T {
        #[inline(always)]
        fn write_field(&self, out: &mut Vec<u8>) -> bool {
            let written = crate::json::typed::write_value(self, out);
            written.inspect_err(|error| log::error!("not JSON: {error}")).is_ok()
        }
    }
}
