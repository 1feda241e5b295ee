//! `cargo monolift certs`: an authority for development, and a certificate for each process of a manifest.

use clap::Args;
use monolift_cli::certificates::{Folder, make, processes};
use monolift_manifest::Manifest;
use monolift_seam::wire::spiffe_id;
use rcgen::{KeyPair, PKCS_ED25519};
use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};

/// Make an authority for development, and a certificate and a key for each process
///
/// The authority is made once: later runs sign with it again. With its key a program can pass for every process, so keep it
/// for development: in production have cert-manager, SPIRE or an authority of your own sign. All files are readable by you
/// alone, and the folder is ignored by git.
#[derive(Debug, Args)]
pub(crate) struct Certs {
    /// The manifest
    #[arg(long, default_value = "deployment.toml", value_name = "FILE")]
    manifest: PathBuf,
    /// The folder for the files
    #[arg(long, default_value = "tls", value_name = "FOLDER")]
    out: PathBuf,
    /// How long the certificates of processes are valid
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// Make keys for statements about users in place of certificates, for an application without `[tls]`
    #[arg(long, conflicts_with = "days")]
    statements: bool,
}

impl Certs {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        let text = fs::read_to_string(&self.manifest)
            .map_err(|error| format!("{} cannot be read: {error}", self.manifest.display()))?;
        let manifest = Manifest::parse(&text, &self.manifest)?;
        let folder = Folder::open(&self.out, &manifest.app)?;
        if self.statements {
            return statement_keys(&self.out);
        }
        let (authority, files) = (folder.authority()?, folder.files());
        let what = if authority.is_new { "a new authority" } else { "is there, and signs" };
        println!("{}  {what}", files.authority.display());
        for process in processes(&manifest) {
            let file = folder.sign(&authority, &process, self.days)?;
            println!("{}  {}", file.display(), spiffe_id(&manifest.app, &process));
        }
        println!(
            "\nvalid for {} days. Have the processes use them, in {}:\n\n[tls]\nauthority   = \"{}\"\ncertificate = \"{}\"\n\
             key         = \"{}\"",
            self.days,
            self.manifest.display(),
            files.authority.display(),
            files.certificate,
            files.key
        );
        Ok(())
    }
}

/// A key pair for statements about users, where processes have no certificates.
fn statement_keys(out: &Path) -> Result<(), Box<dyn Error>> {
    let (file, public) = (out.join("statements.key"), out.join("statements.pub"));
    let key = KeyPair::generate_for(&PKCS_ED25519)?;
    make(&file, &key.serialize_pem())?;
    make(&public, &key.public_key_pem())?;
    println!(
        "{}  for the gateways alone\n{}  for all processes\n\n[identity]\nstatement_keys = \"{}\"\n\
         # Of the gateways only:\n# statement_key = \"{}\"",
        file.display(),
        public.display(),
        public.display(),
        file.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use monolift_manifest::TlsFiles;
    use monolift_seam::wire::Tls;
    use std::{collections::BTreeMap, os::unix::fs::PermissionsExt};

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("monolift-certs-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            let manifest = "app = \"shop\"\n[modules]\norders = \"monolith\"\nstock = \"stock\"\n\
                            [process.monolith]\nhttp = \"127.0.0.1:0\"\n[process.stock]\nlisten = \"127.0.0.1:0\"\n";
            fs::write(path.join("deployment.toml"), manifest).unwrap();
            Self(path)
        }

        fn certs(&self) -> Certs {
            let (manifest, out) = (self.0.join("deployment.toml"), self.0.join("tls"));
            Certs { manifest, out, days: 1, statements: false }
        }

        fn texts(&self) -> BTreeMap<String, String> {
            let files = fs::read_dir(self.0.join("tls")).unwrap().map(|file| file.unwrap());
            let text = |file: fs::DirEntry| {
                let name = file.file_name().into_string().unwrap();
                (name, fs::read_to_string(file.path()).unwrap())
            };
            files.map(text).collect()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn each_process_gets_a_certificate_and_the_authority_stays() {
        let scratch = Scratch::new("twice");
        scratch.certs().run().unwrap();
        let first = scratch.texts();
        let names: Vec<&str> = first.keys().map(String::as_str).collect();
        let expected = [
            ".gitignore",
            "authority.key",
            "authority.pem",
            "monolith.key",
            "monolith.pem",
            "orders.key",
            "orders.pem",
            "stock.key",
            "stock.pem",
        ];
        assert_eq!(names, expected);
        assert_eq!(first[".gitignore"], "*\n");
        for name in &expected[1..] {
            let mode = fs::metadata(scratch.0.join("tls").join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        scratch.certs().run().unwrap();
        let second = scratch.texts();
        for (name, text) in &second {
            let is_kept = name.starts_with("authority") || name.starts_with('.');
            assert_eq!(first[name] == *text, is_kept, "{name}");
        }
        // The process of another application, or another process, cannot use it.
        let files = Folder::open(&scratch.0.join("tls"), "shop").unwrap().files();
        assert!(Tls::read(&files, "shop", "stock").is_ok());
        assert!(Tls::read(&files, "other", "stock").is_err());
        let taken =
            TlsFiles { certificate: files.certificate_of("orders").display().to_string(), ..files };
        assert!(Tls::read(&taken, "shop", "stock").is_err());
    }

    #[test]
    fn an_authority_is_not_overwritten() {
        let scratch = Scratch::new("kept");
        scratch.certs().run().unwrap();
        let key = scratch.0.join("tls/authority.key");
        let before = fs::read_to_string(&key).unwrap();
        fs::remove_file(scratch.0.join("tls/authority.pem")).unwrap();
        let refused = scratch.certs().run().unwrap_err().to_string();
        assert!(refused.contains("an authority is not overwritten"), "{refused}");
        assert_eq!(fs::read_to_string(&key).unwrap(), before);
        // A key of another one signs nothing that is trusted.
        let other = Scratch::new("other");
        other.certs().run().unwrap();
        fs::copy(other.0.join("tls/authority.pem"), scratch.0.join("tls/authority.pem")).unwrap();
        let refused = scratch.certs().run().unwrap_err().to_string();
        assert!(refused.contains("is not the certificate of the key"), "{refused}");
    }

    #[test]
    fn keys_of_statements_are_made_once() {
        let scratch = Scratch::new("statements");
        let statements = || Certs { statements: true, ..scratch.certs() };
        statements().run().unwrap();
        let (public, own) =
            (scratch.0.join("tls/statements.pub"), scratch.0.join("tls/statements.key"));
        monolift_seam::wire::StatementFiles::read(&public, Some(&own)).unwrap();
        assert!(statements().run().is_err());
    }
}
