//! Texts from files, as messages show them.

/// A text from a file as messages show it: control characters escaped, so that it cannot forge a line of a log, and
/// cut, so that a name of megabytes is not echoed.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 200;
    let mut out: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() {
        out.push_str("...");
    }
    out
}
