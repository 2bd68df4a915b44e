//! HTTP against hyper's server, and against servers that misbehave.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};

use ::http::{Request as Asked, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use loadkit_core::SourcePool;
use loadkit_core::network::Profile;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::servers::serve;
use super::*;
use crate::Http;
use crate::http::HttpClient;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Account {
    id: u64,
    name: String,
}

/// The lobby: what it answers depends on the path.
async fn lobby(asked: Asked<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = asked.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let token = head.headers.get("authorization").and_then(|token| token.to_str().ok()).unwrap_or("none").to_owned();
    let reply = Response::builder();
    let reply = match head.uri.to_string().as_str() {
        "/api/login" => {
            assert_eq!(
                (head.method.as_str(), &head.headers["content-type"]),
                ("POST", &"application/json".parse().unwrap())
            );
            reply.header("x-token", "123").body(Full::new(body))
        }
        "/api/who?am=i" => reply.body(Full::from(token)),
        "/api/large" => reply.body(Full::from(vec![b'x'; 100_000])),
        "/api/away" => reply.status(StatusCode::FOUND).header("location", "/elsewhere").body(Full::default()),
        "/api/broken" => reply.status(StatusCode::INTERNAL_SERVER_ERROR).body(Full::from("no database")),
        "/api/bye" => reply.header("connection", "close").body(Full::from("bye")),
        _ => reply.status(StatusCode::NOT_FOUND).body(Full::default()),
    };
    Ok(reply.unwrap())
}

async fn serve_http(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(lobby)).await;
}

/// The lobby's address, and how many connections it has had.
fn lobby_server() -> (SocketAddr, Arc<AtomicU32>) {
    let connections = Arc::new(AtomicU32::new(0));
    let addr = serve({
        let connections = connections.clone();
        move |stream| {
            connections.fetch_add(1, Ordering::Relaxed);
            serve_http(stream)
        }
    });
    (addr, connections)
}

/// A target that no bot here plays against.
fn elsewhere() -> Target {
    Target::new("mem://elsewhere", vec![])
}

#[test]
fn requests_come_from_the_plans_addresses_and_over_its_network() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let addr = serve({
        let seen = seen.clone();
        move |stream: TcpStream| {
            seen.lock().unwrap().push(stream.peer_addr().unwrap().ip().to_string());
            serve_http(stream)
        }
    });
    let pool: SourcePool = "127.0.0.21-127.0.0.22".parse().unwrap();
    let plan = each_once(2).sources(pool).network(Profile::lte(), 1.0).build().unwrap();
    let play: Play = Box::new(move |cx| {
        Box::pin(async move {
            let lobby = cx.connect(Http::to(format!("http://{addr}"))).await?;
            cx.step("ask", lobby.get("/api/who?am=i").send()).await?;
            Ok(())
        })
    });
    let totals = play_plan(plan, elsewhere(), None, Arc::new(Real), play);
    seen.lock().unwrap().sort();
    assert_eq!(*seen.lock().unwrap(), ["127.0.0.21", "127.0.0.22"]);
    let least = Profile::lte().mean_round_trip().as_micros() as u64;
    for step in ["connect", "ask"] {
        assert_eq!(totals.steps[step].succeeded(), 2);
        assert!(totals.steps[step].response.min() >= least, "{step}");
    }
}

#[test]
fn a_bot_logs_in_and_asks_over_one_connection() {
    let (addr, connections) = lobby_server();
    let totals = bots!(5, elsewhere(), None, Real, move |cx, addr| {
        let lobby = cx.connect(Http::to(format!("http://{addr}/api/")).header("authorization", "early")).await?;
        let account = Account { id: cx.seat().index(), name: "Ann".into() };
        let reply = cx.step("login", lobby.post("/login").json(&account).send()).await?;
        assert_eq!((reply.status(), reply.header("x-token"), reply.json::<Account>()?), (200, Some("123"), account));
        assert_eq!(lobby.get("/who?am=i").send().await?.text()?, "early");
        lobby.set_header("authorization", "123")?;
        assert_eq!(lobby.get("who?am=i").send().await?.text()?, "123");
        assert_eq!(lobby.get("/who?am=i").header("authorization", "other").send().await?.text()?, "other");
        assert_eq!(lobby.get("/large").send().await?.body().len(), 100_000);
        let away = lobby.get("/away").send().await?;
        assert_eq!((away.status(), away.header("location")), (302, Some("/elsewhere")));
        Ok(())
    });
    assert_eq!((totals.finished, totals.failed()), (5, 0), "{:?}", totals.samples);
    assert_eq!(connections.load(Ordering::Relaxed), 5);
    assert_eq!((totals.counts["net.http_requests"], totals.counts["net.packets_received"]), (30, 30));
    assert!(totals.counts["net.bytes_received"] > 500_000 && totals.counts["net.bytes_sent"] > 1_000);
    assert_eq!((totals.steps["login"].succeeded(), totals.steps["connect"].succeeded()), (5, 5));
    assert!(!totals.counts.contains_key("net.http_reconnects"));
}

#[test]
fn statuses_are_failures_of_their_own_kinds_unless_any_will_do() {
    let (addr, _) = lobby_server();
    let totals = bots!(1, at("http://", addr), None, Real, |cx| {
        let lobby = cx.connect(Http::target()).await?;
        let missing = cx.step("missing", lobby.get("/api/no").send()).await.unwrap_err();
        assert_eq!((missing.kind(), missing.to_string().as_str()), ("http-404", "GET /api/no: 404 Not Found"));
        let broken = lobby.delete("/api/broken").send().await.unwrap_err();
        assert_eq!(broken.message(), "DELETE /api/broken: 500 Internal Server Error: \"no database\"");
        let broken = lobby.put("/api/broken").any_status().send().await?;
        assert_eq!((broken.status(), broken.text()?), (500, "no database"));
        let unread = broken.json::<Account>().unwrap_err();
        assert!(unread.kind() == Kind::MALFORMED && unread.message().contains("no database"), "{unread}");
        for wrong in [lobby.get("/api/no").header("x", "\n"), lobby.get("/a b")] {
            assert_eq!(wrong.send().await.unwrap_err().kind(), Kind::MALFORMED);
        }
        Ok(())
    });
    assert_eq!(totals.failed(), 0, "{:?}", totals.samples);
    assert_eq!(totals.steps["missing"].failures, [("http-404".to_owned(), 1)]);
}

#[test]
fn a_connection_that_the_server_closes_is_replaced() {
    let (addr, connections) = lobby_server();
    let totals = bots!(1, at("http://", addr), None, Real, |cx| {
        let lobby = cx.connect(Http::target()).await?;
        for _ in 0..3 {
            assert_eq!(lobby.post("/api/bye").send().await?.text()?, "bye");
        }
        // Two at once, each over its own.
        let (one, two) = tokio::join!(lobby.get("/api/who?am=i").send(), lobby.get("/api/large").send());
        assert_eq!((one?.body().len(), two?.body().len()), (4, 100_000));
        Ok(())
    });
    assert_eq!(totals.failed(), 0, "{:?}", totals.samples);
    assert_eq!(connections.load(Ordering::Relaxed), 5);
    assert!(!totals.counts.contains_key("net.http_reconnects"), "the server had said so");
}

/// Reads one request to the end of its head.
async fn read_request(stream: &mut TcpStream) -> bool {
    let mut request = Vec::new();
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return false,
        }
    }
    true
}

/// Answers the first request of its first connection and closes that: when another has come, or when it has read the
/// next request.
fn forgetful(reads_on: bool) -> SocketAddr {
    let another = Arc::new(Notify::new());
    let first = Cell::new(true);
    serve(move |mut stream| {
        let is_first = first.replace(false);
        let another = another.clone();
        async move {
            if !is_first {
                another.notify_one();
            }
            while read_request(&mut stream).await {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                match (is_first, reads_on) {
                    (false, _) => {}
                    (true, false) => return another.notified().await,
                    (true, true) => {
                        read_request(&mut stream).await;
                        return;
                    }
                }
            }
        }
    })
}

#[test]
fn only_what_does_no_harm_is_repeated_and_only_once() {
    for (reads_on, method, kind) in [(false, "POST", None), (true, "GET", None), (true, "POST", Some(Kind::CLOSED))] {
        let given = (forgetful(reads_on), reads_on, method, kind);
        let totals = bots!(1, elsewhere(), None, Real, move |cx, given| {
            let (addr, reads_on, method, kind) = given;
            let lobby = cx.connect(Http::to(format!("http://{addr}"))).await?;
            assert_eq!(lobby.get("/").send().await?.text()?, "ok");
            let _another = if reads_on { None } else { Some(cx.connect(Http::to(format!("http://{addr}"))).await?) };
            // Until the end of the first connection has come here.
            while !reads_on && !lobby.was_closed() {
                tokio::task::yield_now().await;
            }
            let again = lobby.request(method.parse().unwrap(), "/").send().await;
            assert_eq!(again.err().map(|failure| failure.kind()), kind);
            Ok(())
        });
        assert_eq!(totals.failed(), 0, "{:?}", totals.samples);
        assert_eq!(totals.counts.get("net.http_reconnects").copied(), kind.is_none().then_some(1));
    }
}

/// What a request fails with when the server answers it so, byte by byte, and closes.
fn answered(answer: &'static [u8]) -> (String, String) {
    let addr = serve(move |mut stream| async move {
        while read_request(&mut stream).await {
            for byte in answer {
                let _ = stream.write_u8(*byte).await;
                tokio::task::yield_now().await;
            }
            let _ = stream.shutdown().await;
        }
    });
    let totals = bots!(1, at("http://", addr), None, Real, |cx| {
        let lobby = cx.connect(Http::target().max_body(100)).await?;
        let reply = cx.step("ask", lobby.post("/").send()).await?;
        Err(Error::new("reply", reply.text()?.to_owned()))
    });
    let sample = totals.samples.first().unwrap();
    (sample.kind.clone(), sample.message.clone())
}

#[test]
fn what_a_server_must_not_answer_is_a_failure() {
    const LONG: &[u8] = &[b'x'; 10_000];
    let head = [b"HTTP/1.1 200 OK\r\nx: ".as_slice(), LONG].concat();
    let chunk = [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\n".as_slice(), LONG].concat();
    for (answer, kind, part) in [
        (&b"HTTP/1.1 200 OK\r\n\r\nuntil the end"[..], "reply", "until the end"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "reply", "abc"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n", "too-large", "POST /: a body of more than 100 bytes"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nno more", "closed", "before the reply was whole"),
        (b"HTTP/1.1 200 OK\r\ncontent-len", "closed", "before the reply was whole"),
        (b"", "closed", "before the reply was whole"),
        (b"SSH-2.0-OpenSSH_9.7\r\n", "malformed", "not HTTP"),
        (head.leak(), "malformed", "too large"),
        (chunk.leak(), "too-large", "more than 100"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "malformed", "not HTTP"),
    ] {
        let (got, message) = answered(answer);
        assert!(got == kind && message.contains(part), "{part}: {got}, {message}");
    }
}

#[test]
fn who_never_answers_is_given_up() {
    let addr = serve(|mut stream| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let totals = bots!(1, at("http://", addr), None, Real, |cx| {
        let lobby = cx.connect(Http::target()).await?;
        lobby.get("/slow").within(Duration::from_millis(50)).send().await?;
        Ok(())
    });
    let sample = totals.samples.first().unwrap();
    assert_eq!((sample.kind.as_str(), sample.message.as_str()), ("timed-out", "GET /slow: no reply within 0.05 s"));
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (url, kind) in [
        (format!("http://{unused}"), "refused"),
        ("ftp://127.0.0.1".into(), "target"),
        ("http://127.0.0.1:http".into(), "target"),
        ("http://no-such-host.invalid".into(), "target"),
    ] {
        let totals = bots!(1, elsewhere(), None, Real, move |cx, url| {
            cx.connect(Http::to(url)).await?;
            Ok(())
        });
        assert_eq!(totals.steps["connect"].failures, [(kind.to_owned(), 1)], "{:?}", totals.samples);
    }
}

#[cfg(feature = "tls")]
#[test]
fn https_verifies_and_says_when_it_does_not() {
    let (pem, acceptor) = super::tls::acceptor(&["shop.test"], &tokio_rustls::rustls::version::TLS13);
    let addr = serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve_http(stream).await;
            }
        }
    });
    let given = (addr, crate::Trust::roots(pem).unwrap());
    let totals = bots!(2, elsewhere(), None, Real, move |cx, given| {
        let url = format!("https://{}/api", given.0);
        let shop = cx.connect(Http::to(&url).trust(given.1).server_name("shop.test")).await?;
        for _ in 0..3 {
            assert_eq!(shop.get("/large").send().await?.body().len(), 100_000);
        }
        let refused = cx.connect(Http::to(&url)).await.err().unwrap();
        assert!(refused.kind() == "certificate" && refused.to_string().contains("--insecure"), "{refused}");
        Ok(())
    });
    assert_eq!((totals.finished, totals.failed()), (2, 0), "{:?}", totals.samples);
    assert!(!totals.counts.contains_key("net.tls_unverified"));
    let url = format!("https://{addr}/api");
    let totals = bots!(1, elsewhere().unverified(), None, Real, move |cx, url| {
        let shop: HttpClient = cx.connect(Http::to(url)).await?;
        assert_eq!(shop.get("/who?am=i").send().await?.text()?, "none");
        Ok(())
    });
    assert_eq!((totals.failed(), totals.counts["net.tls_unverified"]), (0, 1), "{:?}", totals.samples);
}
