//! An answer that is read as it comes.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use tokio::time::timeout;

use crate::client::{Http, prepare, words};
use crate::error::HttpError;

/// An answer whose head is there, and whose body is read as it comes. Its connection is its own, and ends with it.
pub struct Streamed {
    head: response::Parts,
    body: Incoming,
    from: String,
    _sender: SendRequest<Full<Bytes>>,
}

impl fmt::Debug for Streamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streamed").field("from", &self.from).field("status", &self.head.status).finish_non_exhaustive()
    }
}

impl Http {
    /// Sends a request, and waits for the answer's head alone, as long as a whole answer may take. Whatever status is
    /// answered is no error.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn open(&self, request: Request<Bytes>) -> Result<Streamed, HttpError> {
        let (origin, request) = prepare(request)?;
        let mut sender = self.connect(&origin).await?;
        let (from, limit) = (origin.to_string(), self.limits().call);
        match timeout(limit, sender.send_request(request)).await {
            Err(_) => Err(HttpError::TimedOut { to: from, limit }),
            Ok(Err(error)) => Err(HttpError::Broken { to: from, why: words(&error) }),
            Ok(Ok(response)) => {
                let (head, body) = response.into_parts();
                Ok(Streamed { head, body, from, _sender: sender })
            }
        }
    }
}

impl Streamed {
    /// Status and headers.
    pub fn head(&self) -> &response::Parts {
        &self.head
    }

    /// The next bytes of the body; none at its end. After a silence it can be asked again: nothing is lost.
    ///
    /// # Errors
    /// [`HttpError::TimedOut`] if nothing comes for so long, [`HttpError::Broken`] if the body ends before its end.
    pub async fn next(&mut self, silence: Duration) -> Result<Option<Bytes>, HttpError> {
        loop {
            let frame = timeout(silence, self.body.frame()).await;
            match frame.map_err(|_| HttpError::TimedOut { to: self.from.clone(), limit: silence })? {
                None => return Ok(None),
                Some(Err(error)) => return Err(HttpError::Broken { to: self.from.clone(), why: words(&error) }),
                // Trailers are nothing to us.
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The whole answer, which must be there within this time and be no longer than this.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn whole(self, limit: Duration, bytes: usize) -> Result<Response<Bytes>, HttpError> {
        let Streamed { head, body, from, _sender } = self;
        match timeout(limit, Limited::new(body, bytes).collect()).await {
            Err(_) => Err(HttpError::TimedOut { to: from, limit }),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                Err(HttpError::TooLong { from, limit: bytes })
            }
            Ok(Err(error)) => Err(HttpError::Broken { to: from, why: words(&*error) }),
            Ok(Ok(body)) => Ok(Response::from_parts(head, body.to_bytes())),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::oneshot;

    use super::*;
    use crate::Limits;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_body_is_read_as_it_comes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (go, gone) = oneshot::channel::<()>();
        let server = async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 1_024];
            assert!(stream.read(&mut asked).await.unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n").await.unwrap();
            gone.await.unwrap();
            stream.write_all(b"3\r\ntwo\r\n").await.unwrap();
        };
        let client = async move {
            let request = Request::get(format!("http://{at}/events")).body(Bytes::new()).unwrap();
            let mut body = Http::new(Limits::default()).open(request).await.unwrap();
            assert_eq!(body.head().status, 200);
            assert_eq!(body.next(LONG).await.unwrap().unwrap(), "one");
            let silent = body.next(Duration::from_millis(1)).await;
            assert!(matches!(silent, Err(HttpError::TimedOut { .. })), "{silent:?}");
            go.send(()).unwrap();
            assert_eq!(body.next(LONG).await.unwrap().unwrap(), "two");
            let cut = body.next(LONG).await;
            assert!(matches!(cut, Err(HttpError::Broken { .. })), "a cut is no end: {cut:?}");
        };
        tokio::join!(server, client);
    }
}
