//! The HTTP server of a mounted vault, and a client that can be as rude as a test needs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::{Mount, PATIENCE, Setup, keepfs_binary, output};

/// A mounted vault with the server, and a key for it.
pub struct Served {
    pub mount: Mount,
    pub address: SocketAddr,
    pub key: String,
    pub secret: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// A port that nobody listens on at the moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("its number").port()
}

impl Served {
    /// A vault called `demo`.
    #[track_caller]
    pub fn start(setup: Setup) -> Self {
        Self::with_settings(setup, "")
    }

    /// The same, with lines in the table `[api]`.
    #[track_caller]
    pub fn with_settings(setup: Setup, api: &str) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let setup = setup
            .init(&["--name", "demo"])
            .mount(&["--listen", &address.to_string()]);
        let mut mount = setup.unmounted();
        if !api.is_empty() {
            let path = mount.vault.join("keepfs.toml");
            let settings = std::fs::read_to_string(&path).expect("keepfs.toml");
            std::fs::write(&path, format!("{settings}\n[api]\n{api}\n")).expect("keepfs.toml");
        }
        let (key, secret) = make_key(&mount.vault);
        mount.remount();
        Self {
            mount,
            address,
            key,
            secret,
        }
    }

    /// What the SDKs read.
    pub fn url(&self) -> String {
        format!(
            "cloudinary://{}:{}@demo?upload_prefix=http://{}",
            self.key, self.secret, self.address
        )
    }

    /// A call with the key; `body` is JSON.
    #[track_caller]
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let body = body.map(Value::to_string).unwrap_or_default();
        let authorization = self.authorization();
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
        ];
        self.raw(method, path, &headers, body.as_bytes())
    }

    /// A call with the key that must go through.
    #[track_caller]
    pub fn done(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let answer = self.call(method, path, body);
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text());
        answer.json()
    }

    /// A multipart upload with the key.
    #[track_caller]
    pub fn upload(&self, kind: &str, fields: &[(&str, &str)], name: &str, bytes: &[u8]) -> Answer {
        let (content_type, body) = multipart(fields, name, bytes);
        let authorization = self.authorization();
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", content_type.as_str()),
        ];
        self.raw(
            "POST",
            &format!("/v1_1/demo/{kind}/upload"),
            &headers,
            &body,
        )
    }

    pub fn authorization(&self) -> String {
        use base64::Engine;
        let pair = format!("{}:{}", self.key, self.secret);
        let encoded = base64::prelude::BASE64_STANDARD.encode(pair);
        format!("Basic {encoded}")
    }

    /// Any call.
    #[track_caller]
    pub fn raw(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut stream = self.connect();
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!(
            "content-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        ));
        stream.write_all(head.as_bytes()).expect("a call");
        // A refusal may come before the whole body was taken.
        let _ = stream.write_all(body);
        read(&mut stream)
    }

    /// Begins an upload and sends so much of its body.
    pub fn begin_upload(&self, content_type: &str, body: &[u8], sent: usize) -> TcpStream {
        let mut stream = self.connect();
        let head = format!(
            "POST /v1_1/demo/raw/upload HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\n\
             content-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
            self.authorization(),
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("a head");
        stream.write_all(&body[..sent]).expect("a part of the body");
        stream
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("the server");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    }
}

/// Reads one answer to its end.
#[track_caller]
pub fn read(stream: &mut TcpStream) -> Answer {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).expect("a status line");
    let status = line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status in {line:?}"));
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a header");
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
            None => break,
        }
    }
    let mut body = Vec::new();
    let mut answer = Answer {
        status,
        headers,
        body: Vec::new(),
    };
    if answer.header("transfer-encoding") == Some("chunked") {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a length");
            let length = usize::from_str_radix(line.trim(), 16).expect("a length");
            let start = body.len();
            body.resize(start + length, 0);
            reader.read_exact(&mut body[start..]).expect("a chunk");
            reader.read_line(&mut line).expect("its end");
            if length == 0 {
                break;
            }
        }
    } else {
        let length = answer.header("content-length").map(str::parse);
        let length = length.transpose().expect("a length").unwrap_or(u64::MAX);
        let _ = reader.take(length).read_to_end(&mut body);
    }
    answer.body = body;
    answer
}

/// A multipart body, and its content type.
pub fn multipart(fields: &[(&str, &str)], name: &str, bytes: &[u8]) -> (String, Vec<u8>) {
    let boundary = "----keepfs-test-boundary";
    let mut body = Vec::new();
    for (field, value) in fields {
        body.extend_from_slice(
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n")
                .as_bytes(),
        );
    }
    body.extend_from_slice(
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        )
        .as_bytes(),
    );
    body.extend_from_slice(bytes);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body)
}

/// A new key of a vault, and its secret.
#[track_caller]
pub fn make_key(vault: &Path) -> (String, String) {
    let mut command = Command::new(keepfs_binary());
    let made = output(command.args(["api-key", "create", "--json"]).arg(vault));
    assert!(made.status.success(), "{made:?}");
    let made: Value = serde_json::from_slice(&made.stdout).expect("JSON");
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    (text("key"), text("secret"))
}

/// Where `scripts/setup` put the SDKs.
pub fn test_servers() -> PathBuf {
    std::env::var_os("KEEPFS_TEST_SERVERS")
        .map_or_else(|| "/var/tmp/keepfs-test-servers".into(), PathBuf::from)
}

/// What a directory shows beside the history.
pub fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| !matches!(name.as_str(), ".versions" | ".deleted"))
        .collect()
}
