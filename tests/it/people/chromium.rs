//! A real browser without a window, spoken to through a pipe (its DevTools protocol): no driver, no network but loopback.

use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const ANSWER: Duration = Duration::from_secs(20);

pub struct Chromium {
    child: Child,
    to: File,
    from: Receiver<Value>,
    session: String,
    last: u64,
    _folder: TempDir,
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // It leaves with its own children when it is asked; else it is ended.
        let bye = json!({ "id": 0, "method": "Browser.close" }).to_string();
        let _ = self.to.write_all(format!("{bye}\0").as_bytes());
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until && self.child.try_wait().is_ok_and(|status| status.is_none()) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pipe(folder: &Path, name: &str) -> File {
    let path = folder.join(name);
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// As `scripts/install` puts it beside the lab's other tools.
fn axe_script() -> String {
    let exe = std::env::current_exe().unwrap();
    let lib = exe.ancestors().map(|dir| dir.join("lab-venv/lib")).find(|path| path.is_dir());
    let pythons = std::fs::read_dir(lib.expect("there is no lab-venv: run scripts/install")).unwrap();
    let mut places =
        pythons.map(|python| python.unwrap().path().join("site-packages/axe_playwright_python/axe.min.js"));
    let found = places.find(|place| place.exists()).expect("axe is missing: run scripts/install");
    std::fs::read_to_string(found).unwrap()
}

impl Chromium {
    pub fn start() -> Chromium {
        let folder = tempfile::tempdir().unwrap();
        let (to, mut read) = (pipe(folder.path(), "in"), pipe(folder.path(), "out"));
        let script = "exec chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
            --disable-background-networking --disable-component-update --disable-sync --disable-extensions \
            --host-resolver-rules='MAP * ~NOTFOUND, EXCLUDE 127.0.0.1' --user-data-dir=\"$0/profile\" \
            --remote-debugging-pipe 3<\"$0/in\" 4>\"$0/out\"";
        let log = File::create(folder.path().join("log")).unwrap();
        let child = Command::new("sh")
            .args(["-c", script, folder.path().to_str().unwrap()])
            .env("HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let (send, from) = channel();
        // Ends with the test's process: the pipe is open on our side too.
        std::thread::spawn(move || {
            let (mut waiting, mut bytes) = (vec![], [0; 65_536]);
            while let Ok(count @ 1..) = read.read(&mut bytes) {
                waiting.extend_from_slice(&bytes[..count]);
                while let Some(end) = waiting.iter().position(|byte| *byte == 0) {
                    let message: Vec<u8> = waiting.drain(..=end).collect();
                    let value = serde_json::from_slice(&message[..end]).unwrap();
                    if send.send(value).is_err() {
                        return;
                    }
                }
            }
        });
        let mut chromium = Chromium { child, to, from, session: String::new(), last: 0, _folder: folder };
        let target = chromium.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session =
            chromium.call("Target.attachToTarget", attach)["sessionId"].as_str().unwrap().to_owned();
        chromium.session = session;
        chromium.call("Page.enable", json!({}));
        chromium.call("Emulation.setFocusEmulationEnabled", json!({ "enabled": true }));
        chromium
    }

    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.answer(method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// What the browser answers, or its error.
    fn answer(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": params });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        let until = Instant::now() + ANSWER;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let answer = self.from.recv_timeout(left).unwrap_or_else(|_| panic!("{method}: no answer"));
            if answer["id"] == self.last {
                return match &answer["error"] {
                    Value::Null => Ok(answer["result"].clone()),
                    error => Err(error.clone()),
                };
            }
        }
    }

    /// A phone: that wide, light or dark, and without any script.
    pub fn become_phone(&mut self, width: u32, scheme: &str) {
        let metrics = json!({ "width": width, "height": 640, "deviceScaleFactor": 2, "mobile": true });
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        let dark = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", dark);
        self.call("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    }

    pub fn open(&mut self, url: &str) {
        let gone = self.call("Page.navigate", json!({ "url": url }));
        assert!(gone["errorText"].is_null(), "{gone}");
        self.until("document.readyState", |state| state == "complete");
    }

    /// For looking, from outside of the page; the page itself runs nothing.
    pub fn ask(&mut self, expression: &str) -> Value {
        self.evaluate(expression).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    fn evaluate(&mut self, expression: &str) -> Result<Value, Value> {
        let asked = json!({ "expression": expression, "returnByValue": true });
        Ok(self.answer("Runtime.evaluate", asked)?["result"]["value"].clone())
    }

    pub fn until(&mut self, expression: &str, good: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + ANSWER;
        loop {
            let value = match self.evaluate(expression) {
                Ok(value) => value,
                // The page went while it was asked; the next one has not been asked yet.
                Err(error) if error["message"] == "Inspected target navigated or closed" => Value::Null,
                Err(error) => panic!("{expression}: {error}"),
            };
            if good(&value) {
                return value;
            }
            assert!(Instant::now() < until, "{expression}: {value}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn text(&mut self) -> String {
        self.ask("document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    pub fn key(&mut self, key: &str, code: u32) {
        let text = if key == "Enter" {
            "\r"
        } else if key == " " {
            " "
        } else {
            ""
        };
        for kind in ["keyDown", "keyUp"] {
            let name = if key == " " { "Space" } else { key };
            let event = json!({ "type": kind, "key": key, "code": name, "windowsVirtualKeyCode": code, "text": text });
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    pub fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// By the tabulator, until the focus is on what `expression` describes.
    pub fn tab_to(&mut self, expression: &str) {
        for _ in 0..30 {
            if self.ask(&format!("(e => {expression})(document.activeElement)")) == true {
                return;
            }
            self.key("Tab", 9);
        }
        panic!("the keyboard does not reach {expression}: {}", self.text());
    }

    /// What axe finds, in words: for each rule that is broken, where. Needs its script to run, and the page's still does not.
    pub fn axe(&mut self) -> Vec<String> {
        self.call("Emulation.setScriptExecutionDisabled", json!({ "value": false }));
        self.call(
            "Runtime.evaluate",
            json!({ "expression": format!("{};0", axe_script()), "returnByValue": true }),
        );
        let run = "axe.run(document).then(found => ({ passed: found.passes.length, \
            broken: found.violations.map(v => v.id + ': ' + v.help + ': ' + v.nodes.map(n => n.target.join(' ')).join(', ')) }))";
        let asked = json!({ "expression": run, "returnByValue": true, "awaitPromise": true });
        let found = self.call("Runtime.evaluate", asked)["result"]["value"].clone();
        self.call("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
        // One that looked at nothing finds nothing.
        assert!(found["passed"].as_u64().unwrap_or(0) >= 10, "{found}");
        serde_json::from_value(found["broken"].clone()).unwrap()
    }

    /// The whole page, for people to look at, where they ask for it.
    pub fn picture(&mut self, name: &str) {
        let Some(folder) = pointsman::config::env("POINTSMAN_SCREENSHOTS") else { return };
        let size = self.call("Page.getLayoutMetrics", json!({}))["cssContentSize"].clone();
        let clip = json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
        let taken =
            self.call("Page.captureScreenshot", json!({ "captureBeyondViewport": true, "clip": clip }));
        let bytes = base64::Engine::decode(
            &base64::engine::general_purpose::STANDARD,
            taken["data"].as_str().unwrap(),
        );
        std::fs::write(Path::new(&folder).join(name), bytes.unwrap()).unwrap();
    }
}
