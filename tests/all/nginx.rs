//! A real NGINX with the file that `cargo monolift deploy nginx` writes, gone with the test.

use crate::system::{Process, Run, free_port, target};
use std::{fs, net::TcpStream, path::Path, process::Command};

const MISSING: &str = "nginx is needed: apt-get install nginx-light";

pub(crate) struct Nginx {
    /// Where it listens.
    pub(crate) address: String,
    _process: Process,
    _run: Run,
}

impl Nginx {
    /// NGINX in front of the gateways of the shop at these addresses.
    pub(crate) fn in_front_of(gateways: &[String]) -> Self {
        let run = Run::new(&format!("nginx-{}", free_port().rsplit_once(':').unwrap().1));
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut manifest = fs::read_to_string(root.join("app-split/deployment.toml")).unwrap();
        manifest = manifest.replace("127.0.0.1:8080", &gateways[0]);
        for (at, gateway) in gateways.iter().enumerate().skip(1) {
            manifest += &format!("\n[process.gateway-{at}]\nhttp = \"{gateway}\"\n");
        }
        fs::write(run.data.join("deployment.toml"), manifest).unwrap();
        let written = Command::new(target().join("debug/cargo-monolift"))
            .args(["deploy", "nginx", "--manifest"])
            .arg(run.data.join("deployment.toml"))
            .arg("--out")
            .arg(&run.data)
            .current_dir(root)
            .output()
            .unwrap();
        assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
        let address = free_port();
        // What is changed is where it listens, and where a person's own files are.
        let file = run.data.join("shop.conf");
        let text = fs::read_to_string(&file).unwrap();
        let (listen, include) = ("    listen 80;\n", "/etc/nginx/shop.d/");
        assert!(text.contains(listen) && text.contains(include), "{text}");
        let here = run.data.display().to_string();
        let text = text.replace(listen, &format!("    listen {address};\n"));
        fs::write(&file, text.replace(include, &format!("{here}/shop.d/"))).unwrap();
        let main = format!(
            "daemon off;\nmaster_process off;\npid {here}/nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n    access_log off;\n    \
             client_body_temp_path {here}/body;\n    proxy_temp_path {here}/proxy;\n    fastcgi_temp_path {here}/f;\n    \
             uwsgi_temp_path {here}/u;\n    scgi_temp_path {here}/s;\n    include {here}/shop.conf;\n}}\n"
        );
        let config = run.data.join("nginx.conf");
        fs::write(&config, main).unwrap();
        let config = config.display().to_string();
        let tested = Command::new(NGINX).args(["-t", "-c", &config]).output();
        let tested = tested.unwrap_or_else(|error| panic!("{MISSING}: {error}"));
        let said = String::from_utf8_lossy(&tested.stderr);
        assert!(tested.status.success() && !said.contains("[warn]"), "{said}");
        let process = Process::start_in(Path::new(NGINX), &["-c", &config], &[], Path::new("."));
        crate::system::eventually("nginx listens", || TcpStream::connect(&address).is_ok());
        Self { address, _process: process, _run: run }
    }
}

const NGINX: &str = "/usr/sbin/nginx";
