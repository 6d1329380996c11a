//! The encodings in which a file can contain a text.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use uuid::Uuid;

/// A new random text.
pub fn marker() -> String {
    format!("mk{}", Uuid::new_v4().simple())
}

/// A text as UTF-8, UTF-16, base64 at each of the three offsets, and percent-encoded.
pub fn forms(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let utf16 = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    let mut forms = vec![
        ("utf-8", text.as_bytes().to_vec()),
        ("utf-16le", utf16(u16::to_le_bytes)),
        ("utf-16be", utf16(u16::to_be_bytes)),
        ("percent", text.bytes().flat_map(|byte| format!("%{byte:02x}").into_bytes()).collect()),
        ("Percent", text.bytes().flat_map(|byte| format!("%{byte:02X}").into_bytes()).collect()),
        ("hex", text.bytes().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()),
    ];
    forms.extend((0..3).map(|offset| ("base64", base64(text, offset))));
    forms
}

/// The part of a text in base64 that does not depend on the bytes around it.
fn base64(text: &str, offset: usize) -> Vec<u8> {
    let shifted = [vec![0; offset], text.as_bytes().to_vec()].concat();
    let whole = shifted.len() / 3 * 3;
    let encoded = STANDARD_NO_PAD.encode(&shifted[..whole]).into_bytes();
    // The first group contains bits of the bytes before.
    encoded[if offset == 0 { 0 } else { 4 }..].to_vec()
}
