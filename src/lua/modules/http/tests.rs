//! Against services on this machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::config::permissions::HostRule;
use crate::lua::ScriptError;
use crate::lua::testing::Bench;
use crate::session::permissions::{Grants, Origin};

/// A service that answers each path in one way and keeps what it was asked.
pub(in crate::lua) struct Service {
    pub(in crate::lua) port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Service {
    pub(in crate::lua) fn start(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (kept, answer) = (Arc::clone(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &kept, &*answer));
            }
        });
        Self { port, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, kept: &Mutex<Vec<String>>, answer: &dyn Fn(&str) -> String) {
    let mut reader = BufReader::new(&stream);
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let text = answer(&path);
    kept.lock()
        .unwrap()
        .push(head + &String::from_utf8(body).unwrap());
    // The client may have gone: some tests want just that.
    let _ = (&stream).write_all(text.as_bytes());
}

pub(in crate::lua) fn ok(headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

fn redirect(code: u16, to: &str) -> String {
    format!("HTTP/1.1 {code} X\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}

fn bench(hosts: &[String]) -> Bench {
    let hosts: Vec<_> = hosts
        .iter()
        .map(|host| HostRule::parse(host).unwrap())
        .collect();
    let mut grants = Grants::default();
    grants.add_script(&Origin::Flag, &hosts, &[], &[]);
    let mut bench = Bench::new();
    bench.grant(grants);
    bench
}

fn here(port: u16) -> Vec<String> {
    vec![format!("127.0.0.1:{port}")]
}

fn fails(bench: &Bench, text: &str) -> ScriptError {
    bench.run(text).expect_err(text)
}

#[test]
fn an_answer_has_status_headers_and_body() {
    let service = Service::start(|path| match path {
        "/a?b=c" => ok("X-Two: 1\r\nX-Two: 2\r\n", "hello"),
        _ => "HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\nconnection: close\r\n\r\ngone"
            .to_owned(),
    });
    let port = service.port;
    bench(&here(port))
        .run(&format!(
            r#"
            local url = "http://127.0.0.1:{port}"
            local r = kstate.http.request(url .. "/a?b=c#d", {{
              method = "POST", body = "sent", headers = {{ authorization = "Bearer x", ["X-N"] = 7 }},
            }})
            assert(r.status == 200 and r.body == "hello" and r.headers["x-two"] == "1, 2")
            r = kstate.http.request(url .. "/none")
            assert(r.status == 404 and r.body == "gone")
            "#
        ))
        .unwrap();
    let first = service.asked()[0].to_lowercase();
    for part in [
        "post /a?b=c http/1.1",
        "authorization: bearer x",
        "x-n: 7",
        "sent",
        "user-agent: kstate/",
    ] {
        assert!(first.contains(part), "{first}");
    }
    assert!(
        first.contains(&format!("host: 127.0.0.1:{port}")),
        "{first}"
    );
}

#[test]
fn a_redirect_is_followed_only_where_that_was_granted() {
    let other = Service::start(|_| ok("", "other"));
    let to = other.port;
    let service = Service::start(move |path| match path {
        "/away" => redirect(302, &format!("http://127.0.0.1:{to}/x")),
        "/name" => redirect(302, &format!("http://localhost:{to}/x")),
        "/user" => redirect(302, &format!("http://me:hunter2@127.0.0.1:{to}/x")),
        "/file" => redirect(302, "file:///etc/passwd"),
        "/round" => redirect(307, "/round"),
        "/post" => redirect(303, "there"),
        "/keep" => redirect(307, "/there"),
        _ => ok("", "here"),
    });
    let port = service.port;
    let alone = bench(&here(port));
    let ask = |path: &str, options: &str| {
        format!(r#"r = kstate.http.request("http://127.0.0.1:{port}{path}", {{{options}}})"#)
    };
    for path in ["/away", "/name"] {
        let error = fails(&alone, &format!("local {}", ask(path, "")));
        assert_eq!(
            (error.kind(), error.exit_code()),
            ("permission_denied", 3),
            "{error}"
        );
        assert!(error.message().contains("redirects to"), "{error}");
    }
    assert_eq!(other.asked().len(), 0);
    for path in ["/user", "/file"] {
        let error = fails(&alone, &format!("local {}", ask(path, "")));
        assert_eq!(error.kind(), "invalid");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    let both = bench(&[here(port), here(to)].concat());
    let secret = r#"headers = { authorization = "hunter2", accept = "text/plain" }"#;
    both.run(&format!(
        "local {} assert(r.body == 'other')",
        ask("/away", secret)
    ))
    .unwrap();
    let asked = other.asked()[0].clone();
    assert!(
        !asked.contains("hunter2") && asked.contains("accept: text/plain"),
        "{asked}"
    );

    both.run(&format!(
        "local {} assert(r.status == 302 and r.headers.location)",
        ask("/away", "follow = 0")
    ))
    .unwrap();
    both.run(&format!(
        "local {} assert(r.status == 307)",
        ask("/round", "")
    ))
    .unwrap();
    both.run(&format!(
        "local {} assert(r.body == 'here')",
        ask("/post", "method = 'POST', body = 'b'")
    ))
    .unwrap();
    assert!(service.asked().last().unwrap().starts_with("GET /there"));
    both.run(&format!(
        "local {} assert(r.body == 'here')",
        ask("/keep", "method = 'PUT', body = 'b'")
    ))
    .unwrap();
    let last = service.asked().last().unwrap().clone();
    assert!(
        last.starts_with("PUT /there") && last.ends_with('b'),
        "{last}"
    );
}

#[test]
fn what_may_not_be_asked_is_not_asked() {
    let service = Service::start(|_| ok("", "x"));
    let port = service.port;
    let bench = bench(&[format!("localhost:{port}"), format!("*.example.com:{port}")]);
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://0x7f.1:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://example.com:{port}/"),
        format!("http://localhost.evil.test:{port}/"),
        "http://localhost/".to_owned(),
        "https://localhost/".to_owned(),
    ] {
        let error = fails(&bench, &format!("kstate.http.request('{url}')"));
        assert_eq!(
            (error.kind(), error.exit_code()),
            ("permission_denied", 3),
            "{url}"
        );
        assert!(
            error.hint_text().unwrap().contains("--allow-http "),
            "{url}"
        );
    }
    for call in [
        format!("'http://localhost:{port}@evil.test/'"),
        format!("'http://me:hunter2@localhost:{port}/'"),
        "'ftp://localhost/'".to_owned(),
        "'file:///etc/passwd'".to_owned(),
        "'localhost'".to_owned(),
        format!("'http://localhost:{port}/', {{ headers = {{ Host = 'evil.test' }} }}"),
        format!("'http://localhost:{port}/', {{ headers = {{ ['a\\r\\nb'] = 'c' }} }}"),
        format!("'http://localhost:{port}/', {{ headers = {{ a = 'b\\r\\nhost: evil.test' }} }}"),
        format!("'http://localhost:{port}/', {{ method = 'GET / HTTP/1.1\\r\\n\\r\\n' }}"),
        format!("'http://localhost:{port}/', {{ method = 'CONNECT' }}"),
        format!("'http://localhost:{port}/', {{ follow = -1 }}"),
    ] {
        let error = fails(&bench, &format!("kstate.http.request({call})"));
        assert_eq!(error.kind(), "invalid", "{call}");
        assert!(
            !format!("{error} {:?}", error.hint_text()).contains("hunter2"),
            "{error}"
        );
    }
    assert_eq!(service.asked().len(), 0);
    bench
        .run(&format!("kstate.http.request('http://LOCALHOST:{port}/')"))
        .unwrap();
}

#[test]
fn what_is_too_large_or_never_comes_ends() {
    let (send, receive) = std::sync::mpsc::channel::<()>();
    let receive = Mutex::new(receive);
    let service = Service::start(move |path| match path {
        "/large" => ok("", &"x".repeat(2000)),
        "/chunks" => format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}",
            "400\r\n".to_owned()
                + &"x".repeat(1024)
                + "\r\n400\r\n"
                + &"x".repeat(1024)
                + "\r\n0\r\n\r\n"
        ),
        "/short" => {
            "HTTP/1.1 200 OK\r\ncontent-length: 10\r\nconnection: close\r\n\r\nx".to_owned()
        }
        _ => {
            let _ = receive.lock().unwrap().recv();
            String::new()
        }
    });
    let port = service.port;
    let bench = bench(&[here(port), vec!["127.0.0.1:1".to_owned()]].concat());
    let ask = |path: &str, options: &str| {
        let text = format!("kstate.http.request('http://127.0.0.1:{port}{path}', {{{options}}})");
        fails(&bench, &text)
    };
    assert_eq!(ask("/large", "limit = 1999").kind(), "unsupported");
    assert_eq!(ask("/chunks", "limit = 2047").kind(), "unsupported");
    assert_eq!(ask("/short", "").kind(), "unavailable");
    let error = ask("/never?token=hunter2", "timeout = '50ms'");
    assert_eq!(error.kind(), "timeout");
    assert_eq!(
        error.to_string(),
        format!("cannot ask http://127.0.0.1:{port}: no answer within 50ms")
    );
    let error = fails(&bench, "kstate.http.request('http://127.0.0.1:1/')");
    assert!(
        error.kind() == "unavailable" && error.is_retryable(),
        "{error}"
    );
    drop(send);
}

#[test]
fn a_rehearsal_only_looks() {
    let service = Service::start(|_| ok("", "x"));
    let port = service.port;
    let mut bench = bench(&here(port));
    bench.set_dry_run();
    let url = format!("http://127.0.0.1:{port}/");
    for method in ["POST", "PUT", "DELETE", "PATCH", "PURGE", "post"] {
        let error = fails(
            &bench,
            &format!("kstate.http.request('{url}', {{ method = '{method}' }})"),
        );
        assert_eq!(
            (error.kind(), error.exit_code()),
            ("refused", 3),
            "{method}"
        );
    }
    assert_eq!(service.asked().len(), 0);
    bench.run(&format!("kstate.http.request('{url}')")).unwrap();
}
