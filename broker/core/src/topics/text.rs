//! A string that is stored in place when it is short.
//!
//! Filters, levels and topics are mostly shorter than 31 bytes. In place they cost no allocation, and comparing one
//! costs no second cache miss.

use alloc::boxed::Box;

/// Longest string stored in place, bytes: what makes a [`Text`] half a cache line.
const INLINE_BYTES_MAX: usize = 30;

/// An immutable string, in place up to [`INLINE_BYTES_MAX`] bytes.
#[derive(Debug)]
pub(crate) enum Text {
    Inline { len: u8, bytes: [u8; INLINE_BYTES_MAX] },
    Heap(Box<str>),
}

const _: () = assert!(size_of::<Text>() == 32);

impl Text {
    pub(crate) fn new(text: &str) -> Self {
        match u8::try_from(text.len()) {
            Ok(len) if text.len() <= INLINE_BYTES_MAX => {
                let mut bytes = [0; INLINE_BYTES_MAX];
                bytes[..text.len()].copy_from_slice(text.as_bytes());
                Self::Inline { len, bytes }
            }
            _ => Self::Heap(text.into()),
        }
    }

    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Self::Heap(text) => text.as_bytes(),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Inline { .. } => core::str::from_utf8(self.as_bytes()).expect("made from a string"),
            Self::Heap(text) => text,
        }
    }

    pub(crate) fn into_boxed_str(self) -> Box<str> {
        match self {
            Self::Inline { .. } => self.as_str().into(),
            Self::Heap(text) => text,
        }
    }
}
