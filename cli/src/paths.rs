//! Paths as they are shown and compared.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

/// The path as seen from a folder, with `..` where it is outside of it.
pub(crate) fn relative(from: &Path, path: &Path) -> PathBuf {
    let common = from.components().zip(path.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    up.chain(path.components().skip(common)).collect()
}

/// A path that need not be there yet, with the links of its parents followed.
pub(crate) fn real(path: &Path) -> io::Result<PathBuf> {
    let path = tidy(&std::path::absolute(path)?);
    let there = path.ancestors().find(|folder| folder.exists()).unwrap_or(&path);
    let rest = path.strip_prefix(there).unwrap_or(Path::new(""));
    Ok(fs::canonicalize(there)?.components().chain(rest.components()).collect())
}

/// The path without `.` and `..`.
pub(crate) fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if tidy.file_name().is_some() => {
                tidy.pop();
            }
            part => tidy.push(part),
        }
    }
    tidy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_from_a_folder() {
        let from = |path: &str| relative(Path::new("/a/b"), Path::new(path));
        assert_eq!((from("/a/b/c"), from("/a/c")), ("c".into(), "../c".into()));
        assert_eq!(tidy(Path::new("/a/./b/../c")), Path::new("/a/c"));
    }
}
