//! A file as the rules see it: its lines, which of them are code, and which of them are tests.

/// One file. All texts have the same lines, so that a line number holds in each of them.
#[derive(Debug)]
pub(super) struct Source {
    /// From the root of the repository, with `/`.
    pub(super) path: String,
    /// As it is.
    pub(super) text: String,
    /// With comments and the insides of literals blanked out. Equal to `text` if it is not Rust.
    pub(super) code: String,
    /// With all but comments blanked out. Equal to `text` if it is not Rust.
    pub(super) prose: String,
    /// For each line, whether only tests are built from it.
    test_lines: Vec<bool>,
}

impl Source {
    pub(super) fn new(path: &str, text: String) -> Source {
        let (code, prose) = if path.ends_with(".rs") { split(&text) } else { (text.clone(), text.clone()) };
        let test_lines = test_lines(path, &code);
        Source { path: path.to_string(), text, code, prose, test_lines }
    }

    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether only tests are built from the line. The first line is 1.
    pub(super) fn is_test(&self, line: usize) -> bool {
        line.checked_sub(1).and_then(|index| self.test_lines.get(index)).is_some_and(|test| *test)
    }

    /// How many lines there are, and how many of them are not tests.
    pub(super) fn lengths(&self) -> (usize, usize) {
        let tests = self.test_lines.iter().filter(|test| **test).count();
        (self.test_lines.len(), self.test_lines.len() - tests)
    }
}

/// Whether the rules look at the file: what people write, and no licence text.
pub(super) fn is_ours(path: &str) -> bool {
    let kinds = [".rs", ".toml", ".md", ".sh", ".yml", ".yaml", ".proto", ".html", ".css", ".js"];
    kinds.iter().any(|kind| path.ends_with(kind)) || path.starts_with(".ci/")
}

/// The number of the line at which this byte stands. The first line is 1.
pub(super) fn line_at(text: &str, byte: usize) -> usize {
    1 + text.as_bytes().iter().take(byte).filter(|b| **b == b'\n').count()
}

fn is_test_path(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    let file = parts.next().unwrap_or_default();
    file == "tests.rs" || file.ends_with("_tests.rs") || parts.any(|part| part == "tests" || part == "benches")
}

fn test_lines(path: &str, code: &str) -> Vec<bool> {
    let mut lines = vec![is_test_path(path); code.lines().count()];
    for attribute in ["#[cfg(test)]", "#[cfg(all(test"] {
        for (start, _) in code.match_indices(attribute) {
            let from = line_at(code, start) - 1;
            let to = line_at(code, item_end(code, start + attribute.len()));
            lines.iter_mut().take(to).skip(from).for_each(|line| *line = true);
        }
    }
    lines
}

/// The byte after the item that follows: the end of its braces, or its semicolon if it has none.
fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0_i32;
    for (offset, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'}' => {
                depth -= 1;
                if depth <= 0 {
                    return offset;
                }
            }
            b';' if depth <= 0 => return offset,
            _ => {}
        }
    }
    code.len()
}

/// The code of a Rust text and its comments, each with the other blanked out, and with the insides of string and
/// character literals in neither.
fn split(text: &str) -> (String, String) {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut prose = String::with_capacity(text.len());
    let mut at = 0;
    let mut last = ' ';
    while at < chars.len() {
        let (end, kind) = token(&chars, at, last);
        for &c in &chars[at..end] {
            let blank = if c == '\n' { '\n' } else { ' ' };
            code.push(if kind == Kind::Code { c } else { blank });
            prose.push(if kind == Kind::Comment { c } else { blank });
        }
        last = chars[end - 1];
        at = end;
    }
    (code, prose)
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// Where the token that starts here ends, and what it is. `last` is the character before it.
fn token(chars: &[char], at: usize, last: char) -> (usize, Kind) {
    let peek = |n: usize| chars.get(at + n).copied().unwrap_or('\0');
    let in_word = last.is_alphanumeric() || last == '_';
    match (peek(0), peek(1)) {
        ('/', '/') => (find(chars, at, |c| c == '\n'), Kind::Comment),
        ('/', '*') => (block_end(chars, at), Kind::Comment),
        ('"', _) => (quoted_end(chars, at + 1, '"'), Kind::Literal),
        ('r', '"' | '#') if !in_word => raw_end(chars, at + 1).map_or((at + 1, Kind::Code), |end| (end, Kind::Literal)),
        ('b' | 'c', 'r') if !in_word && matches!(peek(2), '"' | '#') => {
            raw_end(chars, at + 2).map_or((at + 1, Kind::Code), |end| (end, Kind::Literal))
        }
        ('\'', '\\') => (quoted_end(chars, at + 1, '\''), Kind::Literal),
        // `'a'` is a character; `'a` is a lifetime.
        ('\'', _) if peek(2) == '\'' => (at + 3, Kind::Literal),
        _ => (at + 1, Kind::Code),
    }
}

fn find(chars: &[char], from: usize, is_end: impl Fn(char) -> bool) -> usize {
    (from..chars.len()).find(|&at| is_end(chars[at])).unwrap_or(chars.len())
}

/// Block comments nest.
fn block_end(chars: &[char], from: usize) -> usize {
    let mut depth = 0;
    let mut at = from;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn quoted_end(chars: &[char], from: usize, quote: char) -> usize {
    let mut at = from;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            c if c == quote => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// The end of a raw string whose `#`s or quote start here; none if it is no raw string, as `r#type`.
fn raw_end(chars: &[char], from: usize) -> Option<usize> {
    let open = find(chars, from, |c| c != '#');
    let hashes = open - from;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let closes =
        |at: &usize| chars[*at] == '"' && chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
    Some((open + 1..chars.len()).find(closes).map_or(chars.len(), |at| at + 1 + hashes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        let source = Source::new("a/src/a.rs", text.to_string());
        assert_eq!(source.code.lines().count(), text.lines().count(), "lines must stay where they are");
        source.code
    }

    #[test]
    fn literals_and_comments_are_not_code() {
        for text in [
            "let a = \"bad\";",
            "let a = \"\\\"bad\";",
            "let a = b\"bad\";",
            "let a = r\"bad\";",
            "let a = r#\"\"bad\"#;",
            "let a = br##\"\"# bad\"##;",
            "let a = 'q'; // bad",
            "/* /* x */ bad */ let a = 1;",
            "/// bad",
            "let a = '\\''; // bad",
            "let a = '\"'; // bad \"",
            "let a = \"\\\\\"; // bad",
            "let a = \"open\nbad",
        ] {
            assert!(!code(text).contains("bad"), "{text}");
        }
    }

    #[test]
    fn code_beside_literals_stays() {
        for text in [
            "\"x\"; good",
            "r#\"x\"#; good",
            "'\\n'; good",
            "'\"'; good",
            "fn f<'a>(x: &'a str) { good }",
            "/* x */ good",
            "r#type; good",
            "\"\\\\\"; good",
            "for\"x\"; good",
            "'\u{e4}'; good",
            "// x\ngood",
        ] {
            assert!(code(text).contains("good"), "{text}");
        }
    }

    #[test]
    fn prose_is_the_comments_alone() {
        let source = Source::new("a/src/a.rs", "let a = \"no\"; // yes\n/* yes */ no".to_string());
        assert_eq!(source.prose.split_whitespace().filter(|word| *word == "yes").count(), 2);
        assert!(!source.prose.contains("no"));
    }

    #[test]
    fn a_block_of_tests_is_tests_and_the_rest_is_not() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { c(); }\n}\nfn d() {}\n".to_string();
        let source = Source::new("a/src/a.rs", text);
        let tests: Vec<usize> = (0..=7).filter(|line| source.is_test(*line)).collect();
        assert_eq!(tests, [2, 3, 4, 5]);
        assert_eq!(source.lengths(), (6, 2));
    }

    #[test]
    fn a_test_item_without_a_body_ends_at_its_semicolon() {
        let source =
            Source::new("a/src/a.rs", "#[cfg(test)]\nuse a::B;\n#[cfg(test)]\nmod tests;\nfn c() {}".to_string());
        assert_eq!(source.lengths(), (5, 1));
    }

    #[test]
    fn test_files_are_known_by_their_place() {
        for path in ["tests/src/lib.rs", "a/tests/b.rs", "a/src/b/tests.rs", "a/src/b_tests.rs", "a/benches/b.rs"] {
            assert!(Source::new(path, "fn a() {}".to_string()).is_test(1), "{path}");
        }
        for path in ["a/src/contests.rs", "xtask/src/test.rs", "tests.d/a.rs"] {
            assert!(!Source::new(path, "fn a() {}".to_string()).is_test(1), "{path}");
        }
    }
}
