//! Files that a command writes and a person commits: written where they differ, or compared by `--check`.

use std::{
    error::Error,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// A file, by its path in the folder.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Writes the files that are not there or differ, and prints their names.
pub(crate) fn write(folder: &Path, files: &[Written]) -> Result<(), Box<dyn Error>> {
    for file in files {
        let path = folder.join(&file.path);
        if !is_as_written(&path, file)? {
            put(&path, &file.text)?;
        }
    }
    Ok(())
}

/// Writes the files that are not there, and prints their names. The others belong to a person by now.
pub(crate) fn begin(folder: &Path, files: &[Written]) -> Result<(), Box<dyn Error>> {
    for file in files {
        let path = folder.join(&file.path);
        if !path.exists() {
            put(&path, &file.text)?;
        }
    }
    Ok(())
}

/// Fails if a file is not there or differs.
pub(crate) fn check(folder: &Path, files: &[Written]) -> Result<(), Box<dyn Error>> {
    let mut stale = Vec::new();
    for file in files {
        let path = folder.join(&file.path);
        if !is_as_written(&path, file)? {
            stale.push(path.display().to_string());
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    let message = format!("out of date: {}", stale.join(", "));
    Err(format!("{message}\nhelp: run the same command without --check").into())
}

/// The files in these parts of the folder that none of `files` is: left by a manifest that had more processes.
pub(crate) fn left_over(folder: &Path, parts: &[&str], files: &[Written]) -> Vec<PathBuf> {
    let known = |path: &Path| files.iter().any(|file| folder.join(&file.path) == path);
    let listed = parts.iter().filter_map(|part| fs::read_dir(folder.join(part)).ok());
    let mut left: Vec<PathBuf> = listed
        .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
        .filter(|path| path.is_file() && !known(path))
        .collect();
    left.sort();
    left
}

fn put(path: &Path, text: &str) -> Result<(), String> {
    let folder = path.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, text))
        .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    println!("{}", path.display());
    Ok(())
}

fn is_as_written(path: &Path, file: &Written) -> Result<bool, String> {
    match fs::read(path) {
        Ok(bytes) => Ok(bytes == file.text.as_bytes()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}
