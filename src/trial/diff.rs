//! The difference between two lists of lines: for whoever reads why a test failed, and for two forms of a playbook.

/// More lines than this are compared at their ends only.
const MOST: usize = 2_000;

/// `-` was expected, `+` came, two spaces: both. An expected line that a line contains counts as the same.
pub fn diff(expected: &[String], got: &[String]) -> Vec<String> {
    let lines = compare(expected, got, |expected, got| got.contains(expected));
    lines.into_iter().map(|(mark, line)| format!("{mark} {line}")).collect()
}

/// By the longest common sequence: `-` is only in the first list, `+` only in the second, a space in both.
pub fn compare<'a>(
    first: &'a [String],
    second: &'a [String],
    same: impl Fn(&str, &str) -> bool,
) -> Vec<(char, &'a str)> {
    let (first, second) = (&first[..first.len().min(MOST)], &second[..second.len().min(MOST)]);
    let same = |i: usize, j: usize| same(&first[i], &second[j]);
    let (rows, columns) = (first.len(), second.len());
    let mut longest = vec![vec![0_u32; columns + 1]; rows + 1];
    for i in (0..rows).rev() {
        for j in (0..columns).rev() {
            longest[i][j] = match same(i, j) {
                true => longest[i + 1][j + 1] + 1,
                false => longest[i + 1][j].max(longest[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, vec![]);
    while i < rows || j < columns {
        match () {
            () if i < rows && j < columns && same(i, j) => {
                lines.push((' ', second[j].as_str()));
                (i, j) = (i + 1, j + 1);
            }
            () if j == columns || (i < rows && longest[i + 1][j] >= longest[i][j + 1]) => {
                lines.push(('-', first[i].as_str()));
                i += 1;
            }
            () => {
                lines.push(('+', second[j].as_str()));
                j += 1;
            }
        }
    }
    lines
}

/// The line that shares most words with what was looked for, if it shares half of them.
pub fn nearest_line<'a>(wanted: &str, lines: &'a [String]) -> Option<&'a str> {
    let words: Vec<&str> = wanted.split_whitespace().collect();
    let shared = |line: &&String| words.iter().filter(|word| line.contains(**word)).count();
    let best = lines.iter().max_by_key(shared)?;
    (shared(&best) * 2 >= words.len().max(1)).then_some(best.as_str())
}
