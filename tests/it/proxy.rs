//! A faulty line to a bucket: an HTTP/1.1 proxy that does to chosen requests what a test
//! wants, and counts all of them.
//!
//! It passes on what it was given, Host header included, for that is signed. The surprise:
//! each request is held whole before the server sees it, and each answer before the client
//! does, so that half of either can be had.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The server never hears of it; the client gets this status and body.
    Answer(u16, &'static str),
    /// The server never hears of it, and nobody answers.
    Silence,
    /// The connection is cut in the middle of the request's body.
    CutRequest,
    /// The server does it; the connection is cut before a byte of its answer.
    LoseAnswer,
    /// The connection is cut in the middle of the answer's body.
    CutAnswer,
    /// Half of the answer's body, with a Content-Length that says it is all.
    ShortAnswer,
    /// The answer stops in the middle, and the connection stays.
    StallAnswer,
    /// The answer to the first request that this matched, again and again.
    Stale,
    /// The request's body is taken in at so many bytes a second.
    SlowRequest(u64),
    /// The answer comes late.
    Late(Duration),
    /// Words of the answer's head and body are replaced.
    Forge(fn(&mut Answer)),
}

/// An answer, as the server gave it.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status_line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// Sets a header, whose name is in lower case.
    pub fn set(&mut self, name: &str, value: &str) {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.into(), value.into()));
    }
}

struct Rule {
    method: &'static str,
    part: &'static str,
    fault: Fault,
    skip: usize,
    times: usize,
    stale: Option<Answer>,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    seen: Vec<String>,
    hit: usize,
    /// Connections that nobody answers.
    held: Vec<TcpStream>,
}

/// A proxy on loopback; it ends with this value.
pub struct Proxy {
    port: u16,
    state: Arc<Mutex<State>>,
    is_over: Arc<AtomicBool>,
}

impl Proxy {
    /// Before the server on that port.
    pub fn before(upstream: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(Mutex::new(State::default()));
        let is_over = Arc::new(AtomicBool::new(false));
        let (shared, ends) = (Arc::clone(&state), Arc::clone(&is_over));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                let state = Arc::clone(&shared);
                // An error is the end of one connection, and what a client makes of it is
                // what the tests look at.
                thread::spawn(move || serve(client, upstream, &state));
            }
        });
        Self {
            port,
            state,
            is_over,
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The next `times` requests with this method (`*`: any) whose target contains `part`
    /// meet a fault. Of several rules, the first that is not used up counts.
    pub fn fault(&self, method: &'static str, part: &'static str, times: usize, fault: Fault) {
        self.fault_after(0, method, part, times, fault);
    }

    /// The same, after `skip` such requests went through.
    pub fn fault_after(
        &self,
        skip: usize,
        method: &'static str,
        part: &'static str,
        times: usize,
        fault: Fault,
    ) {
        locked(&self.state).rules.push(Rule {
            method,
            part,
            fault,
            skip,
            times,
            stale: None,
        });
    }

    /// From here on everything goes through.
    pub fn heal(&self) {
        let mut state = locked(&self.state);
        state.rules.clear();
        state.held.clear();
    }

    /// How many requests met a fault so far.
    pub fn hit(&self) -> usize {
        locked(&self.state).hit
    }

    /// How many requests with this method had `part` in their target so far.
    pub fn requests(&self, method: &str, part: &str) -> usize {
        let head = format!("{method} ");
        let state = locked(&self.state);
        let seen = state.seen.iter();
        seen.filter(|line| line.starts_with(&head) && line.contains(part))
            .count()
    }

    /// Method and target of every request so far.
    pub fn seen(&self) -> Vec<String> {
        locked(&self.state).seen.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.heal();
        // Its listener looks up once more.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Head {
    first_line: String,
    headers: Vec<(String, String)>,
}

impl Head {
    /// `None`: the other side has nothing more to say.
    fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if from.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let mut lines = lines.into_iter();
        let first_line = lines.next().unwrap_or_default();
        let headers = lines
            .filter_map(|line| {
                let (name, value) = line.split_once(':')?;
                Some((name.to_ascii_lowercase(), value.trim().to_owned()))
            })
            .collect();
        Ok(Some(Self {
            first_line,
            headers,
        }))
    }

    fn get(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    fn length(&self) -> usize {
        let length = self.get("content-length");
        length.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    fn write(&self, to: &mut impl Write, body: &[u8]) -> io::Result<()> {
        let mut text = format!("{}\r\n", self.first_line);
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        to.write_all((text + "\r\n").as_bytes())?;
        to.write_all(body)?;
        to.flush()
    }
}

fn serve(client: TcpStream, upstream: u16, state: &Mutex<State>) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut from = BufReader::new(client.try_clone()?);
    let mut to = client.try_clone()?;
    while let Some(head) = Head::read(&mut from)? {
        let mut words = head.first_line.split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        let target = words.next().unwrap_or_default().to_owned();
        let rule = choose(state, &method, &target);
        let fault = rule.as_ref().map(|(_, fault)| fault);
        let Some(body) = read_body(&head, &mut from, fault)? else {
            return client.shutdown(Shutdown::Both);
        };
        match fault {
            Some(Fault::Silence) => {
                locked(state).held.push(client);
                return Ok(());
            }
            Some(Fault::Answer(status, text)) => {
                let answer = Answer {
                    status_line: format!("HTTP/1.1 {status} Fault"),
                    headers: vec![("content-type".into(), "application/xml".into())],
                    body: text.as_bytes().to_vec(),
                };
                respond(&mut to, &method, answer)?;
                continue;
            }
            _ => {}
        }
        let stale = match rule {
            Some((index, Fault::Stale)) => locked(state).rules[index].stale.clone(),
            _ => None,
        };
        let mut answer = match stale {
            Some(answer) => answer,
            None => ask(upstream, &head, &method, &body)?,
        };
        match rule {
            Some((_, Fault::LoseAnswer)) => return client.shutdown(Shutdown::Both),
            Some((_, Fault::CutAnswer)) => {
                write_half(&mut to, answer)?;
                return client.shutdown(Shutdown::Both);
            }
            Some((_, Fault::StallAnswer)) => {
                write_half(&mut to, answer)?;
                locked(state).held.push(client);
                return Ok(());
            }
            Some((_, Fault::ShortAnswer)) => answer.body.truncate(answer.body.len() / 2),
            Some((index, Fault::Stale)) => locked(state).rules[index].stale = Some(answer.clone()),
            Some((_, Fault::Late(by))) => thread::sleep(by),
            Some((_, Fault::Forge(forge))) => forge(&mut answer),
            _ => {}
        }
        respond(&mut to, &method, answer)?;
    }
    Ok(())
}

/// The fault that a request meets, and the place of its rule.
fn choose(state: &Mutex<State>, method: &str, target: &str) -> Option<(usize, Fault)> {
    let mut state = locked(state);
    // Google's clients encode the slashes of a key, too.
    let target = target.replace("%2F", "/");
    state.seen.push(format!("{method} {target}"));
    let index = state.rules.iter().position(|rule| {
        let fits = rule.method == "*" || rule.method == method;
        fits && rule.times > 0 && target.contains(rule.part)
    })?;
    let rule = &mut state.rules[index];
    if rule.skip > 0 {
        rule.skip -= 1;
        return None;
    }
    rule.times -= 1;
    let fault = rule.fault.clone();
    state.hit += 1;
    Some((index, fault))
}

/// The request's body. `None`: the connection is to be cut in the middle of it.
fn read_body(
    head: &Head,
    from: &mut impl Read,
    fault: Option<&Fault>,
) -> io::Result<Option<Vec<u8>>> {
    let mut body = vec![0; head.length()];
    match fault {
        Some(Fault::CutRequest) => {
            let half = body.len() / 2;
            from.read_exact(&mut body[..half])?;
            return Ok(None);
        }
        Some(Fault::SlowRequest(bytes_per_second)) => {
            let step = (bytes_per_second / 20).max(1) as usize;
            for part in body.chunks_mut(step) {
                // This is the line's speed; it waits for no condition.
                thread::sleep(Duration::from_millis(50));
                from.read_exact(part)?;
            }
        }
        _ => from.read_exact(&mut body)?,
    }
    Ok(Some(body))
}

/// A hostile object can be terabytes long. Of an answer this is more than keepfs may take
/// into memory, and less than would hurt the tests.
const RELAYED_BYTES_MAX: usize = 256 << 20;

/// Asks the server, on a connection of its own.
fn ask(upstream: u16, head: &Head, method: &str, body: &[u8]) -> io::Result<Answer> {
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream))?;
    let mut request = Head {
        first_line: head.first_line.clone(),
        headers: head.headers.clone(),
    };
    request.headers.retain(|(name, _)| name != "connection");
    request.headers.push(("connection".into(), "close".into()));
    request.write(&mut server, body)?;
    let mut from = BufReader::new(server);
    let Some(head) = Head::read(&mut from)? else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let mut body = Vec::new();
    let is_chunked = head.get("transfer-encoding") == Some("chunked");
    if method == "HEAD" {
    } else if is_chunked {
        read_chunks(&mut from, &mut body)?;
    } else if head.get("content-length").is_some() {
        body = vec![0; head.length().min(RELAYED_BYTES_MAX)];
        from.read_exact(&mut body)?;
    } else {
        from.read_to_end(&mut body)?;
    }
    let mut headers = head.headers;
    headers.retain(|(name, _)| name != "transfer-encoding" && name != "connection");
    Ok(Answer {
        status_line: head.first_line,
        headers,
        body,
    })
}

fn read_chunks(from: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        let size = line.trim().split(';').next().unwrap_or_default();
        let bytes = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
        let start = body.len();
        body.resize(start + bytes, 0);
        from.read_exact(&mut body[start..])?;
        from.read_line(&mut line)?;
        if bytes == 0 {
            return Ok(());
        }
    }
}

/// Its length is that of the body, unless the answer is to HEAD or a forger set it.
fn respond(to: &mut impl Write, method: &str, mut answer: Answer) -> io::Result<()> {
    let is_forged = answer.headers.iter().any(|(name, _)| name == "x-forged");
    if method == "HEAD" {
        // Bytes behind such an answer would be taken for the next one, if they come in time.
        answer.body.clear();
    } else if !is_forged {
        answer.set("content-length", &answer.body.len().to_string());
    }
    let head = Head {
        first_line: answer.status_line,
        headers: answer.headers,
    };
    head.write(to, &answer.body)
}

fn write_half(to: &mut impl Write, mut answer: Answer) -> io::Result<()> {
    answer.set("content-length", &answer.body.len().to_string());
    let head = Head {
        first_line: answer.status_line,
        headers: answer.headers,
    };
    head.write(to, &answer.body[..answer.body.len() / 2])
}
