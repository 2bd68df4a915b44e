//! A whole run of a hundred players against a server in memory, in virtual time.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use loadkit_core::{Collector, Control, Host, Job, Plan, RunId, RunInfo, Scenario, Seat, Seed, Target, Virtual, run};
use loadkit_transport::mem;

use crate::bot::Paddler;

struct River;

impl Scenario for River {
    type Bot = Paddler;

    fn bot(&self, _: Seat) -> Paddler {
        Paddler
    }

    /// The server, on the same thread: it welcomes, acks, and answers each shout with the raft's number.
    fn shard(&self, _: &RunInfo) {
        tokio::task::spawn_local(async {
            let mut listener = mem::listen("driftwood").unwrap();
            let mut buf = [0; 2_048];
            loop {
                let (received, from) = poll_fn(|cx| listener.poll_recv_from(cx, &mut buf)).await;
                let packet = &buf[..received.len];
                let token = 0xDEAD_BEEF_u32.to_le_bytes();
                match packet {
                    [b'D', b'W', 1, nonce @ ..] => {
                        listener.send_to(&[b"DW\x02", &nonce[..4], &token].concat(), from);
                    }
                    [b'D', b'W', 3, rest @ ..] if rest.starts_with(&token) => {
                        listener.send_to(&[b"DW\x04", &rest[..6]].concat(), from);
                        listener.send_to(&[b"DW\x03", &rest[..6], &[1, 7]].concat(), from);
                    }
                    _ => {}
                }
            }
        });
    }
}

#[test]
fn a_hundred_play_in_virtual_time() {
    let plan = Plan::builder().bots(100).total(100).duration(Duration::from_secs(30)).refill(None).build().unwrap();
    let mut collector = Collector::new(plan.interval());
    let target = Target::new("mem://driftwood", vec![]);
    let job = Job { shards: 1, ..Job::whole(RunId(1), plan, target, Seed(7)) };
    let host: Arc<dyn Host> = Arc::new(Virtual);
    run(&Arc::new(River), &job, &host, &Control::new(), &mut collector).unwrap();
    let totals = collector.totals();
    assert_eq!((totals.finished, totals.failed()), (100, 0), "{:?}", totals.samples);
    assert_eq!(totals.steps["shout"].succeeded(), 100);
    assert_eq!(totals.trends["net.rtt"].values.count(), 100);
}
