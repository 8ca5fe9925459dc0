//! A browser driven through its DevTools protocol: messages over two pipes, each ended by a zero byte.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

/// Names of the browser, the first that is there wins.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Longer than any answer takes, even under load.
const PATIENCE: Duration = Duration::from_secs(60);

/// The protocol is spoken on file descriptors 3 and 4, which a process can be given by a shell alone.
const LAUNCH: &str = r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#;

/// A running browser with one page.
pub(super) struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    sent: u64,
    session: Option<String>,
    /// Errors, warnings and requests that left the page, since it was opened.
    pub(super) complaints: Vec<String>,
}

impl Browser {
    /// Starts a browser without a window; `profile` is an empty folder for its own files.
    pub(super) fn launch(profile: &Path) -> Result<Self> {
        let there = |name: &&&str| {
            Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
        };
        let name = NAMES.iter().find(there).context("no Chromium is installed: apt-get install -y chromium")?;
        let mut child = Command::new("sh")
            .args(["-c", LAUNCH, "sh", name, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-component-update"])
            .args(["--disable-sync", "--remote-debugging-pipe", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let to = child.stdin.take().context("the browser has no input")?;
        let output = child.stdout.take().context("the browser has no output")?;
        let (send, from) = channel();
        std::thread::spawn(move || {
            let messages = BufReader::new(output).split(0).map_while(Result::ok);
            for message in messages.filter_map(|bytes| serde_json::from_slice(&bytes).ok()) {
                if send.send(message).is_err() {
                    break;
                }
            }
        });
        Ok(Browser { child, to, from, sent: 0, session: None, complaints: Vec::new() })
    }

    /// Opens a file in a new page of `size`, for a user who prefers a color scheme, and waits until it is loaded.
    pub(super) fn open(&mut self, file: &Path, scheme: &str, size: [u32; 2]) -> Result<()> {
        self.session = None;
        self.complaints.clear();
        let target = self.call("Target.createTarget", json!({"url": "about:blank"}))?;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = self.call("Target.attachToTarget", attach)?;
        self.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Runtime", "Log", "Network", "Page"] {
            self.call(&format!("{domain}.enable"), json!({}))?;
        }
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}))?;
        let [width, height] = size;
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", metrics)?;
        self.call("Page.navigate", json!({"url": format!("file://{}", file.display())}))?;
        while self.receive()?["method"] != "Page.loadEventFired" {}
        Ok(())
    }

    /// The value of an expression in the page.
    pub(super) fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let mut answer = self.call("Runtime.evaluate", json!({"expression": expression, "returnByValue": true}))?;
        match answer.get("exceptionDetails") {
            Some(exception) => bail!("{expression}: {exception}"),
            None => Ok(answer["result"]["value"].take()),
        }
    }

    /// Presses and releases a key, by its name and the number that browsers know it by.
    pub(super) fn press(&mut self, key: &str, number: u32) -> Result<()> {
        for kind in ["rawKeyDown", "keyUp"] {
            let event = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": number});
            self.call("Input.dispatchKeyEvent", event)?;
        }
        Ok(())
    }

    /// The whole page, of this width, as a PNG in base64.
    pub(super) fn screenshot(&mut self, width: u32) -> Result<String> {
        let height = self.evaluate("document.documentElement.scrollHeight")?;
        let clip = json!({"x": 0, "y": 0, "width": width, "height": height, "scale": 1});
        let shot = self.call("Page.captureScreenshot", json!({"captureBeyondViewport": true, "clip": clip}))?;
        Ok(shot["data"].as_str().context("the browser's picture is no text")?.to_owned())
    }

    fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        self.sent += 1;
        let mut message = json!({"id": self.sent, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        write!(self.to, "{message}\0")?;
        self.to.flush()?;
        loop {
            let mut answer = self.receive()?;
            if answer["id"] == self.sent {
                return match answer.get("error") {
                    Some(error) => Err(anyhow!("{method}: {error}")),
                    None => Ok(answer["result"].take()),
                };
            }
        }
    }

    /// The next message; notes what the page should not do.
    fn receive(&mut self) -> Result<Value> {
        let message = self.from.recv_timeout(PATIENCE).context("the browser does not answer")?;
        let params = &message["params"];
        match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => self.complaints.push(params["exceptionDetails"].to_string()),
            Some("Runtime.consoleAPICalled") => self.complaints.push(format!("console: {}", params["args"])),
            Some("Log.entryAdded") => self.complaints.push(format!("log: {}", params["entry"]["text"])),
            Some("Network.requestWillBeSent") => {
                let url = params["request"]["url"].as_str().unwrap_or_default();
                if !url.starts_with("file://") {
                    self.complaints.push(format!("request: {url}"));
                }
            }
            _ => (),
        }
        Ok(message)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
