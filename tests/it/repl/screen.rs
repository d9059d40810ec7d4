//! What a terminal of 80 columns shows, with all that has scrolled away.

const COLUMNS: usize = 80;

/// The lines and the cursor.
#[derive(Default)]
pub(super) struct Screen {
    lines: Vec<Vec<char>>,
    pub(super) row: usize,
    column: usize,
    /// An escape sequence that has begun.
    escape: Option<String>,
    /// Bytes of a character that has begun.
    partial: Vec<u8>,
    pub(super) columns: Option<usize>,
    /// Nothing more comes.
    pub(super) has_ended: bool,
}

impl Screen {
    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
        let bytes = std::mem::take(&mut self.partial);
        for chunk in bytes.utf8_chunks() {
            for c in chunk.valid().chars() {
                self.put(c);
            }
            self.partial = chunk.invalid().to_vec();
        }
    }

    fn put(&mut self, c: char) {
        if let Some(escape) = &mut self.escape {
            escape.push(c);
            let is_over = match escape.as_bytes()[0] {
                b'[' => escape.len() > 1 && c.is_ascii_alphabetic(),
                _ => true,
            };
            if is_over {
                let escape = self.escape.take().expect("one has begun");
                self.control(&escape);
            }
            return;
        }
        match c {
            '\u{1b}' => self.escape = Some(String::new()),
            '\r' => self.column = 0,
            '\n' => self.row += 1,
            '\t' => self.column = (self.column / 8 + 1) * 8,
            '\u{8}' => self.column = self.column.saturating_sub(1),
            c if c.is_control() => {}
            c => {
                if self.column == self.columns.unwrap_or(COLUMNS) {
                    (self.row, self.column) = (self.row + 1, 0);
                }
                let column = self.column;
                let line = self.line();
                if line.len() <= column {
                    line.resize(column + 1, ' ');
                }
                line[column] = c;
                self.column += 1;
            }
        }
    }

    fn line(&mut self) -> &mut Vec<char> {
        if self.lines.len() <= self.row {
            self.lines.resize(self.row + 1, Vec::new());
        }
        &mut self.lines[self.row]
    }

    fn control(&mut self, escape: &str) {
        let number = escape[1..escape.len() - 1].parse().unwrap_or(1);
        match escape.as_bytes()[escape.len() - 1] {
            b'A' => self.row = self.row.saturating_sub(number),
            b'B' => self.row += number,
            b'C' => self.column += number,
            b'D' => self.column = self.column.saturating_sub(number),
            b'K' | b'J' => {
                let column = self.column;
                self.line().truncate(column);
                if escape.ends_with('J') {
                    self.lines.truncate(self.row + 1);
                }
            }
            b'm' | b'h' | b'l' => {}
            other => panic!("an unknown sequence: {escape:?} ({other})"),
        }
    }

    /// The line in which the cursor is.
    pub(super) fn current(&self) -> String {
        self.lines_from(self.row).join("\n")
    }

    /// All lines from this one on.
    pub(super) fn lines_from(&self, row: usize) -> Vec<String> {
        let lines = self.lines.iter().skip(row);
        lines
            .map(|line| line.iter().collect::<String>().trim_end().to_owned())
            .collect()
    }
}
