//! A link of any kind, dispatched without a table where it is one of ours.

use std::io;
use std::net::IpAddr;
use std::task::{Context, Poll};

use tokio::time::Instant;

use crate::conditions::Conditioned;
use crate::link::{Link, Losses, Received};
use crate::mem::Mem;
use crate::shared::Shared;
use crate::tcp::Tcp;
use crate::udp::Udp;
#[cfg(feature = "ws")]
use crate::ws::WebSocket;

pub(crate) enum AnyLink {
    Udp(Udp),
    Shared(Box<Shared>),
    Tcp(Box<Tcp>),
    #[cfg(feature = "ws")]
    WebSocket(Box<WebSocket>),
    Mem(Box<Mem>),
    Conditioned(Box<Conditioned<AnyLink>>),
    Other(Box<dyn Link>),
}

macro_rules! each {
    ($link:expr, $inner:ident => $call:expr) => {
        match $link {
            AnyLink::Udp($inner) => $call,
            AnyLink::Shared($inner) => $call,
            AnyLink::Tcp($inner) => $call,
            #[cfg(feature = "ws")]
            AnyLink::WebSocket($inner) => $call,
            AnyLink::Mem($inner) => $call,
            AnyLink::Conditioned($inner) => $call,
            AnyLink::Other($inner) => $call,
        }
    };
}

impl Link for AnyLink {
    fn name(&self) -> &'static str {
        each!(self, link => link.name())
    }

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

    fn deadline(&self) -> Option<Instant> {
        each!(self, link => link.deadline())
    }

    fn rebind(&mut self, from: Option<IpAddr>) -> io::Result<()> {
        each!(self, link => link.rebind(from))
    }

    fn max_message(&self) -> usize {
        each!(self, link => link.max_message())
    }

    fn is_stream(&self) -> bool {
        each!(self, link => link.is_stream())
    }

    fn take_losses(&mut self) -> Losses {
        each!(self, link => link.take_losses())
    }
}
