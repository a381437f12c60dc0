//! Files as their owners wrote them, and no more of them than may be read. Called by whoever reads playbooks, tests and
//! configurations: the size that a file system tells is not what a pipe or a growing file gives.

use super::MAX_BYTES;
use std::io::{Error, ErrorKind, Read as _, Result};
use std::path::Path;

/// Text of a document.
pub fn read_file(path: &Path) -> Result<String> {
    read_at_most(path, MAX_BYTES)
}

/// A larger file is an error, and only so much of it is ever in memory.
pub fn read_at_most(path: &Path, most: usize) -> Result<String> {
    let mut bytes = vec![];
    std::fs::File::open(path)?.take(most as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > most {
        return Err(Error::new(ErrorKind::FileTooLarge, format!("it has more than {most} bytes")));
    }
    String::from_utf8(bytes).map_err(|e| Error::new(ErrorKind::InvalidData, e.utf8_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_than_may_be() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "é".repeat(4)).unwrap();
        assert_eq!(read_at_most(file.path(), 8).unwrap(), "éééé");
        // Cut in the middle of a character, it is too large all the same.
        assert_eq!(read_at_most(file.path(), 6).unwrap_err().kind(), ErrorKind::FileTooLarge);
        std::fs::write(file.path(), b"a: \xff").unwrap();
        assert_eq!(read_file(file.path()).unwrap_err().kind(), ErrorKind::InvalidData);
        // It never ends.
        assert_eq!(read_file(Path::new("/dev/zero")).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(read_file(&file.path().join("none")).unwrap_err().kind(), ErrorKind::NotADirectory);
    }
}
