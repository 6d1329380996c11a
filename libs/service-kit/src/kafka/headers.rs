//! Makes the headers of a record, and reads them as raw bytes.
//!
//! To read them, rdkafka's own API panics on a name that is not UTF-8, and anyone who may write to
//! a topic may write one.

#![allow(unsafe_code, reason = "rdkafka has no way to a header's name that does not panic")]

use rdkafka::{
    bindings as rd,
    message::{BorrowedMessage, Header, OwnedHeaders},
};
use std::{
    ffi::{CStr, c_char, c_void},
    marker::PhantomData,
    ptr::{null, null_mut},
    slice,
};

/// A header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawHeader<'m> {
    /// The name, which need not be UTF-8.
    pub name: &'m [u8],
    /// The value.
    pub value: Option<&'m [u8]>,
}

/// Headers for a record to be sent.
pub fn owned_headers(headers: &[(&'static str, impl AsRef<str>)]) -> OwnedHeaders {
    let owned = OwnedHeaders::new_with_capacity(headers.len());
    let insert = |owned: OwnedHeaders, (key, value): &(&'static str, _)| {
        owned.insert(Header { key, value: Some(AsRef::<str>::as_ref(value)) })
    };
    headers.iter().fold(owned, insert)
}

/// The headers of a record, in order.
pub fn headers<'m>(message: &'m BorrowedMessage<'_>) -> impl ExactSizeIterator<Item = RawHeader<'m>> {
    let mut native = null_mut();
    // SAFETY: the message is alive; if it has no headers, `native` stays null.
    let error = unsafe { rd::rd_kafka_message_headers(message.ptr(), &raw mut native) };
    let is_there = error == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && !native.is_null();
    // SAFETY: the headers belong to the message.
    let count = if is_there { unsafe { rd::rd_kafka_header_cnt(native) } } else { 0 };
    RawHeaders { native, indexes: 0..count, message: PhantomData }
}

/// The value of the first header with that name, ignoring case.
pub fn header<'m>(message: &'m BorrowedMessage<'_>, name: &str) -> Option<&'m [u8]> {
    headers(message).find(|header| header.name.eq_ignore_ascii_case(name.as_bytes()))?.value
}

struct RawHeaders<'m> {
    native: *const rd::rd_kafka_headers_t,
    indexes: std::ops::Range<usize>,
    /// Owns the headers that `native` points to.
    message: PhantomData<&'m ()>,
}

impl<'m> Iterator for RawHeaders<'m> {
    type Item = RawHeader<'m>;

    fn next(&mut self) -> Option<RawHeader<'m>> {
        let index = self.indexes.next()?;
        let (mut name, mut value, mut size): (*const c_char, *const c_void, usize) = (null(), null(), 0);
        // SAFETY: the index is below the count, and the headers live as long as the message.
        let error = unsafe {
            rd::rd_kafka_header_get_all(self.native, index, &raw mut name, &raw mut value, &raw mut size)
        };
        if error != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        // SAFETY: librdkafka terminates names with a zero byte; a non-null value has that size.
        let (name, value) = unsafe {
            let value = (!value.is_null()).then(|| slice::from_raw_parts(value.cast::<u8>(), size));
            (CStr::from_ptr(name).to_bytes(), value)
        };
        Some(RawHeader { name, value })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.indexes.size_hint()
    }
}

impl ExactSizeIterator for RawHeaders<'_> {}
