//! `cargo monolift certs`: an authority for development, and a certificate for each process of a manifest.

use clap::Args;
use monolift_manifest::{Manifest, TlsFiles};
use monolift_seam::wire::{Tls, spiffe_id};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, SanType, date_time_ymd,
};
use std::{
    collections::BTreeSet,
    error::Error,
    fs::{self, File, OpenOptions, Permissions},
    io::Write as _,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the authority is valid.
const AUTHORITY_DAYS: u32 = 3650;
/// How long ago certificates have become valid, for machines whose clocks differ.
const BEFORE: Duration = Duration::from_secs(60 * 60);

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
        folder(&self.out)?;
        if self.statements {
            return statement_keys(&self.out);
        }
        let authority = authority(&self.out, &manifest.app)?;
        let files = self.files();
        for process in processes(&manifest) {
            let key = KeyPair::generate()?;
            let params = params(&manifest.app, &process, self.days)?;
            let certificate = params.signed_by(&key, &authority)?;
            let (file, key_file) = (files.certificate_of(&process), files.key_of(&process));
            write(&key_file, &key.serialize_pem())?;
            write(&file, &certificate.pem())?;
            // As the process will read them.
            let read = Tls::read(&files, &manifest.app, &process)?;
            if !read.leads_to_its_authority() {
                return Err(format!(
                    "{} is not the certificate of the key in {}: remove both, and all certificates are made anew",
                    files.authority.display(),
                    authority_key(&self.out).display(),
                )
                .into());
            }
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

    fn files(&self) -> TlsFiles {
        let file = |name: &str| self.out.join(name).display().to_string();
        TlsFiles {
            authority: self.out.join("authority.pem"),
            certificate: file("{process}.pem"),
            key: file("{process}.key"),
        }
    }
}

/// The processes of a manifest, and its modules: each can be served on its own.
fn processes(manifest: &Manifest) -> BTreeSet<String> {
    let modules = manifest.modules.iter().map(|placed| placed.module.as_str());
    manifest.all_processes().chain(modules).map(str::to_owned).collect()
}

/// A folder that git ignores.
fn folder(out: &Path) -> Result<(), Box<dyn Error>> {
    let is_new = !out.exists();
    fs::create_dir_all(out)
        .map_err(|error| format!("{} cannot be made: {error}", out.display()))?;
    if is_new {
        fs::set_permissions(out, Permissions::from_mode(0o700))?;
    }
    let ignore = out.join(".gitignore");
    if !ignore.exists() {
        fs::write(&ignore, "*\n")?;
    }
    Ok(())
}

fn authority_key(out: &Path) -> PathBuf {
    out.join("authority.key")
}

/// The authority of the folder. One that is there is never replaced: running processes trust it.
fn authority(out: &Path, app: &str) -> Result<Issuer<'static, KeyPair>, Box<dyn Error>> {
    let (file, key_file) = (out.join("authority.pem"), authority_key(out));
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("{app} development authority"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid_for(&mut params, AUTHORITY_DAYS);
    match (file.exists(), key_file.exists()) {
        (true, true) => {
            let key = KeyPair::from_pem(&fs::read_to_string(&key_file)?)
                .map_err(|error| format!("{}: {error}", key_file.display()))?;
            println!("{}  is there, and signs", file.display());
            Ok(Issuer::new(params, key))
        }
        (false, false) => {
            let key = KeyPair::generate()?;
            let certificate = params.self_signed(&key)?;
            make(&key_file, &key.serialize_pem())?;
            make(&file, &certificate.pem())?;
            println!("{}  a new authority", file.display());
            Ok(Issuer::new(params, key))
        }
        (is_there, _) => {
            let (there, missing) = if is_there { (&file, &key_file) } else { (&key_file, &file) };
            Err(format!(
                "{} is there and {} is not: an authority is not overwritten, so remove it or name another folder by `--out`",
                there.display(),
                missing.display()
            )
            .into())
        }
    }
}

fn params(app: &str, process: &str, days: u32) -> Result<CertificateParams, Box<dyn Error>> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, process);
    params.subject_alt_names = vec![SanType::URI(spiffe_id(app, process).try_into()?)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    valid_for(&mut params, days);
    Ok(params)
}

fn valid_for(params: &mut CertificateParams, days: u32) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let at = |since: Duration| date_time_ymd(1970, 1, 1) + since;
    params.not_before = at(now.saturating_sub(BEFORE));
    params.not_after = at(now + DAY * days);
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

/// Writes a new file. One that is there is left as it is.
fn make(file: &Path, text: &str) -> Result<(), Box<dyn Error>> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    put(opened, file, text)
}

/// Writes a file, also in place of one that is there. A process never reads half of it.
fn write(file: &Path, text: &str) -> Result<(), Box<dyn Error>> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let opened =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside);
    put(opened, &beside, text)?;
    fs::rename(&beside, file)
        .map_err(|error| format!("{} cannot be written: {error}", file.display()).into())
}

fn put(opened: std::io::Result<File>, file: &Path, text: &str) -> Result<(), Box<dyn Error>> {
    let written = opened.and_then(|mut opened| opened.write_all(text.as_bytes()));
    written.map_err(|error| format!("{} cannot be written: {error}", file.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

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
        let files = scratch.certs().files();
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
