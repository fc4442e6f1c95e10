//! One headless Chromium, driven over WebDriver; ended when the value is dropped. It knows how to
//! look, click and type, and what a quiet page is; what must be there is said by the tests.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::common::capture::Capture;
use crate::common::{Curl, PATIENCE};

/// Between two looks at a page that is awaited.
const GLANCE: Duration = Duration::from_millis(20);

/// It takes a free port of IPv4 and gives up if another program has the same one of IPv6.
const DRIVERS_MAX: usize = 5;

/// Keeps what must not happen: it is there before any script of a page.
const WATCHMAN: &str = "window.violations = []; window.pwned = false;
    window.alert = () => { window.pwned = true; };
    addEventListener('securitypolicyviolation', (e) => violations.push(
        e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sample));";

/// A browser with one window.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    client: Option<Client>,
    runtime: Runtime,
}

impl Browser {
    /// Starts chromedriver on a free port, and Chromium.
    pub fn start() -> Browser {
        let (driver, port) =
            (0..DRIVERS_MAX).find_map(|_| start_driver()).expect("chromedriver prints its port");
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let client = runtime.block_on(connect(port));
        let session = runtime.block_on(client.session_id()).unwrap().expect("there is a session");
        let browser = Browser { driver, port, session, client: Some(client), runtime };
        browser.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": WATCHMAN }));
        browser
    }

    fn client(&self) -> &Client {
        self.client.as_ref().expect("it is closed only when dropped")
    }

    /// Loads a page.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.runtime.block_on(self.client().goto(url)).unwrap();
    }

    /// The value of a JavaScript expression in the page.
    #[track_caller]
    pub fn get(&self, expression: &str) -> Value {
        self.run(&format!("return {expression}"))
    }

    /// What a script in the page returns.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        self.runtime.block_on(self.client().execute(script, vec![])).unwrap()
    }

    /// The text or the value of an element.
    #[track_caller]
    pub fn text(&self, css: &str) -> String {
        let found = format!("document.querySelector({})", json!(css));
        let text = self.get(&format!("{found}.value ?? {found}.textContent"));
        text.as_str().expect("it is a text").to_owned()
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub fn until(&self, expression: &str) {
        let start = Instant::now();
        while self.get(expression) != Value::Bool(true) {
            if start.elapsed() > PATIENCE {
                let page = self.get("document.body.innerText");
                panic!("never: {expression}; the page says {}", page.as_str().unwrap_or_default());
            }
            std::thread::sleep(GLANCE);
        }
    }

    /// Waits until the text of an element begins with `text`.
    #[track_caller]
    pub fn until_text(&self, css: &str, text: &str) {
        let (css, text) = (json!(css), json!(text));
        self.until(&format!(
            "document.querySelector({css})?.textContent.startsWith({text}) ?? false"
        ));
    }

    /// Clicks an element.
    #[track_caller]
    pub fn click(&self, css: &str) {
        self.runtime.block_on(async {
            self.client().find(Locator::Css(css)).await.unwrap().click().await.unwrap();
        });
    }

    /// Types into an element; for a file input that is the path of a file.
    #[track_caller]
    pub fn type_into(&self, css: &str, text: &str) {
        self.runtime.block_on(async {
            self.client().find(Locator::Css(css)).await.unwrap().send_keys(text).await.unwrap();
        });
    }

    /// Types where the focus is.
    #[track_caller]
    pub fn press(&self, keys: &str) {
        self.runtime.block_on(async {
            self.client().active_element().await.unwrap().send_keys(keys).await.unwrap();
        });
    }

    /// Makes the window this large, in CSS pixels.
    pub fn resize(&self, width: u16, height: u16) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Sets a media feature such as `forced-colors`.
    pub fn emulate(&self, feature: &str, value: &str) {
        let features = json!({ "features": [{ "name": feature, "value": value }] });
        self.devtools("Emulation.setEmulatedMedia", &features);
    }

    /// Calls a method of the DevTools protocol.
    #[track_caller]
    pub fn devtools(&self, method: &str, parameters: &Value) -> Value {
        self.ask("goog/cdp/execute", &json!({ "cmd": method, "params": parameters }))
    }

    /// Everything that the console was told since the last look.
    #[track_caller]
    pub fn console(&self) -> Vec<String> {
        let log = self.ask("se/log", &json!({ "type": "browser" }));
        let lines = log.as_array().expect("a log is a list").iter();
        lines.map(|line| line["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Fails if a script was blocked, a payload ran, or anything is in the console.
    #[track_caller]
    pub fn assert_quiet(&self) {
        self.assert_quiet_but_for("\0");
    }

    /// The same, but lines of the console with `expected` in it are fine.
    #[track_caller]
    pub fn assert_quiet_but_for(&self, expected: &str) {
        assert_eq!(self.get("window.violations"), json!([]));
        assert_eq!(self.get("window.pwned"), json!(false));
        let mut console = self.console();
        console.retain(|line| !line.contains(expected));
        assert_eq!(console, [] as [String; 0]);
    }

    /// What fantoccini has no method for, asked with curl.
    #[track_caller]
    fn ask(&self, command: &str, body: &Value) -> Value {
        let url = format!("http://127.0.0.1:{}/session/{}/{command}", self.port, self.session);
        let body = body.to_string();
        let answer = Curl::run(&["-sS", "-H", "Content-Type: application/json", "-d", &body, &url]);
        let answer: Value = serde_json::from_slice(&answer.expect(0).stdout).unwrap();
        answer["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            // Chromium ends with its session, so that comes before its driver.
            let closing = async { tokio::time::timeout(PATIENCE, client.close()).await };
            let _ = self.runtime.block_on(closing);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Chromedriver and its port; `None` if it gave up.
fn start_driver() -> Option<(Child, u16)> {
    let mut command = Command::new("chromedriver");
    command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut driver = command.spawn().expect("chromedriver is installed");
    let stdout = Capture::of(driver.stdout.take().expect("stdout is piped"));
    let mut port = None;
    stdout.wait_until(PATIENCE, |bytes| {
        port = printed_port(&String::from_utf8_lossy(bytes));
        port.is_some()
    });
    if port.is_none() {
        let _ = driver.kill();
        let _ = driver.wait();
    }
    Some((driver, port?))
}

async fn connect(port: u16) -> Client {
    let options = json!({
        "args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage",
            "--disable-background-networking", "--window-size=1280,800",
            // Certificates of tests are nobody's.
            "--ignore-certificate-errors"],
    });
    let mut capabilities = Capabilities::new();
    capabilities.insert("goog:chromeOptions".into(), options);
    capabilities.insert("goog:loggingPrefs".into(), json!({ "browser": "ALL" }));
    let mut builder = ClientBuilder::new(HttpConnector::new());
    let connected =
        builder.capabilities(capabilities).connect(&format!("http://127.0.0.1:{port}")).await;
    connected.expect("Chromium starts")
}

fn printed_port(text: &str) -> Option<u16> {
    let complete = &text[..text.rfind('\n')?];
    let line = complete.lines().find(|line| line.contains("started successfully on port"))?;
    line.trim_end_matches('.').rsplit(' ').next()?.parse().ok()
}

/// A file for an upload, removed when dropped.
pub struct Upload(PathBuf);

impl Upload {
    /// Writes a file of this name in a folder of its own.
    pub fn new(name: &str, bytes: &[u8]) -> Upload {
        let unique = crate::common::unique().replace('/', "");
        let folder = std::env::temp_dir().join(format!("hoody-pipe-{unique}"));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        Upload(path)
    }

    /// Where it is.
    pub fn path(&self) -> &str {
        self.0.to_str().expect("test names are UTF-8")
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.0.parent().unwrap_or(Path::new("/nowhere")));
    }
}
