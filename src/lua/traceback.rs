//! Tracebacks as a script's author wants them: only the script's own calls.

/// Drops the frames of the runtime, of C functions and of mlua's machinery from what Lua gives,
/// and the heading. One call a line, innermost first.
pub(super) fn trim(text: &str) -> String {
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|line| is_of_script(line))
        .collect();
    lines.join("\n")
}

fn is_of_script(line: &str) -> bool {
    const NOISE: [&str; 6] = [
        "stack traceback:",
        "[C]:",
        "(...tail calls...)",
        "kstate:prelude:",
        "__mlua",
        "[string \"__mlua",
    ];
    !line.is_empty() && !NOISE.iter().any(|noise| line.starts_with(noise))
}

/// The chunk and line of the innermost call, or of the position before a message
/// (`move.lua:3: …`).
pub(super) fn position(line: &str) -> Option<(&str, usize)> {
    let mut from = 0;
    while let Some(colon) = line[from..].find(':') {
        let at = from + colon;
        let digits = line[at + 1..]
            .find(|c: char| !c.is_ascii_digit())
            .map_or(&line[at + 1..], |end| &line[at + 1..=at + end]);
        if !digits.is_empty() && line[at + 1 + digits.len()..].starts_with(':') {
            return Some((&line[..at], digits.parse().ok()?));
        }
        from = at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_found_before_the_message() {
        assert_eq!(position("a.lua:3: boom"), Some(("a.lua", 3)));
        assert_eq!(position("C:/x y.lua:12: in main"), Some(("C:/x y.lua", 12)));
        assert_eq!(position("no position: here"), None);
        assert_eq!(position(""), None);
    }

    #[test]
    fn only_the_scripts_frames_are_left() {
        let text = "stack traceback:\n\t[C]: in function 'error'\n\ta.lua:1: in local 'f'\n\
                    \t(...tail calls...)\n\tkstate:prelude:9: in function <x>\n";
        assert_eq!(trim(text), "a.lua:1: in local 'f'");
    }
}
