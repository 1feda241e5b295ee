//! Reads a module's migrations while the module is compiled. They are in `migrations/<module>/` at
//! the root of the workspace, or beside the module's package.

use proc_macro2::TokenStream;
use quote::quote;
use std::path::PathBuf;

/// The files as an array of `(name, text)`. Each file is tracked for changes. A new file does not
/// trigger a rebuild: the module's `build.rs` has to watch the folder.
pub(crate) fn of(places: [&PathBuf; 2], module: &str) -> Result<TokenStream, String> {
    let folders = places.map(|place| place.join("migrations").join(module));
    let Some(folder) = folders.iter().find(|folder| folder.is_dir()) else {
        return Ok(quote!([]));
    };
    let listed = std::fs::read_dir(folder)
        .and_then(|entries| entries.collect::<Result<Vec<_>, _>>())
        .map_err(|error| format!("{} cannot be read: {error}", folder.display()))?;
    let mut files: Vec<PathBuf> = listed.into_iter().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    files.sort();
    let migrations = files.iter().map(|path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let path = path.to_string_lossy();
        quote!((#name, ::core::include_str!(#path)))
    });
    Ok(quote!([#(#migrations),*]))
}
