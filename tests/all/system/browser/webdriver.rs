//! The least of a WebDriver client: Chromium without a window, driven over plain HTTP.

use crate::system::processes::{SOON, free_port};
use serde_json::{Value, json};
use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// A browser with one page. It ends with the test.
pub struct Browser {
    driver: Child,
    address: String,
    session: String,
    profile: PathBuf,
}

impl Browser {
    /// Starts it. Without Chromium the test fails.
    pub fn start(name: &str) -> Self {
        let address = free_port();
        let port = address.rsplit(':').next().unwrap();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let driver = driver.unwrap_or_else(|error| {
            panic!(
                "chromedriver does not start ({error}), and this test is of a browser: \
                 as root, apt-get install chromium chromium-driver"
            )
        });
        let profile =
            std::env::temp_dir().join(format!("ml-browser-{}-{name}", std::process::id()));
        let mut browser = Self { driver, address, session: String::new(), profile };
        let by = Instant::now() + SOON;
        while request(&browser.address, "GET", "/status", "").is_err() {
            assert!(Instant::now() < by, "chromedriver does not answer");
            sleep(Duration::from_millis(20));
        }
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-sync".to_owned(),
            format!("--user-data-dir={}", browser.profile.display()),
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": { "args": arguments } } } });
        let made = browser.command("POST", "/session", &wanted);
        let id = made["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {made}"));
        browser.session = format!("/session/{id}");
        browser.size(1280, 900);
        browser
    }

    /// What the driver answers.
    #[track_caller]
    fn command(&self, verb: &str, path: &str, body: &Value) -> Value {
        let body = if verb == "GET" { String::new() } else { body.to_string() };
        let answer = request(&self.address, verb, path, &body).unwrap();
        let value: Value = serde_json::from_str(&answer).unwrap();
        assert!(value["value"]["error"].is_null(), "{verb} {path} {body}: {value:#}");
        value["value"].clone()
    }

    #[track_caller]
    fn of_session(&self, path: &str, body: &Value) -> Value {
        self.command("POST", &format!("{}{path}", self.session), body)
    }

    /// Goes to a page.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.of_session("/url", &json!({ "url": url }));
    }

    /// What a script returns: the body of a function.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        self.of_session("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub fn until(&self, what: &str, expression: &str) {
        self.within(SOON, what, expression);
    }

    /// Waits for so long until an expression is true.
    #[track_caller]
    pub fn within(&self, limit: Duration, what: &str, expression: &str) {
        let by = Instant::now() + limit;
        loop {
            if self.run(&format!("return Boolean({expression})")) == true {
                return;
            }
            if Instant::now() > by {
                let page = self.run("return document.body.innerText");
                panic!("not within {limit:?}: {what}\n{}", page.as_str().unwrap_or_default());
            }
            sleep(Duration::from_millis(50));
        }
    }

    /// Clicks on the first element that a selector finds.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.of_session(&format!("/element/{element}/click"), &json!({}));
    }

    /// Types into the element, in place of what is there.
    #[track_caller]
    pub fn fill(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.of_session(&format!("/element/{element}/clear"), &json!({}));
        self.of_session(&format!("/element/{element}/value"), &json!({ "text": text }));
    }

    /// Presses keys, one after the other, wherever the focus is.
    #[track_caller]
    pub fn press(&self, keys: &[&str]) {
        let each = keys
            .iter()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key })));
        let keyboard =
            json!({ "type": "key", "id": "keyboard", "actions": each.collect::<Vec<_>>() });
        self.of_session("/actions", &json!({ "actions": [keyboard] }));
    }

    /// A page of this size, also smaller than a window can be.
    pub fn size(&self, width: u32, height: u32) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.chromium("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// The colours that the person prefers: `light` or `dark`.
    pub fn prefer(&self, colours: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": colours }]);
        self.chromium("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// Writes what is seen to a file.
    pub fn picture(&self, file: &Path) {
        let answer = self.command("GET", &format!("{}/screenshot", self.session), &Value::Null);
        fs::write(file, decoded(answer.as_str().unwrap())).unwrap();
    }

    fn chromium(&self, command: &str, parameters: &Value) {
        self.of_session("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }));
    }

    #[track_caller]
    fn element(&self, selector: &str) -> String {
        let wanted = json!({ "using": "css selector", "value": selector });
        let found = self.of_session("/element", &wanted);
        // An object with one member, whose name the standard states.
        let id = found.as_object().and_then(|found| found.values().next()?.as_str());
        id.unwrap_or_else(|| panic!("{selector}: {found}")).to_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _ = request(&self.address, "DELETE", &self.session, "");
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        let _ = fs::remove_dir_all(&self.profile);
    }
}

/// The body of an answer. The driver keeps its connections open, so the body is as long as it says.
fn request(address: &str, verb: &str, path: &str, body: &str) -> io::Result<String> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(SOON))?;
    let length = body.len();
    let head =
        format!("{verb} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n");
    socket.write_all((head + body).as_bytes())?;
    let mut answer = BufReader::new(socket);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if answer.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line == "\r\n" {
            break;
        }
        if let Some(stated) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = stated.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    answer.read_exact(&mut body)?;
    String::from_utf8(body).map_err(io::Error::other)
}

/// Bytes from base64.
fn decoded(text: &str) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        let digit = DIGITS.iter().position(|known| *known == byte).unwrap();
        bits = bits << 6 | u32::try_from(digit).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    bytes
}
