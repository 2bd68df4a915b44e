//! A link of any kind, dispatched without a table where it is one of ours.

use std::io;
use std::task::{Context, Poll};

use crate::link::{Link, Received};
use crate::mem::Mem;
use crate::tcp::Tcp;
use crate::udp::Udp;
#[cfg(feature = "ws")]
use crate::ws::WebSocket;

pub(crate) enum AnyLink {
    Udp(Udp),
    Tcp(Box<Tcp>),
    #[cfg(feature = "ws")]
    WebSocket(Box<WebSocket>),
    Mem(Box<Mem>),
    Other(Box<dyn Link>),
}

macro_rules! each {
    ($link:expr, $inner:ident => $call:expr) => {
        match $link {
            AnyLink::Udp($inner) => $call,
            AnyLink::Tcp($inner) => $call,
            #[cfg(feature = "ws")]
            AnyLink::WebSocket($inner) => $call,
            AnyLink::Mem($inner) => $call,
            AnyLink::Other($inner) => $call,
        }
    };
}

impl Link for AnyLink {
    fn poll_recv(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<Received>> {
        each!(self, link => link.poll_recv(cx, buf))
    }

    fn try_send(&mut self, message: &[u8]) -> io::Result<()> {
        each!(self, link => link.try_send(message))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, link => link.poll_flush(cx))
    }

    fn queued(&self) -> usize {
        each!(self, link => link.queued())
    }

    fn close(&mut self) {
        each!(self, link => link.close());
    }

    fn max_message(&self) -> usize {
        each!(self, link => link.max_message())
    }

    fn is_stream(&self) -> bool {
        each!(self, link => link.is_stream())
    }
}
