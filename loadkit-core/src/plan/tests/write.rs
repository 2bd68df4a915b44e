//! Plans as text.

use super::network::OWN;
use super::{WHOLE, parse};
use crate::plan::{Overrides, Plan};
use crate::seed::Seed;
use crate::shape::{Rate, Stage};
use proptest::prelude::*;
use std::time::Duration;

/// What the plan's text reads back as.
fn again(plan: &Plan) -> Plan {
    let text = plan.to_toml();
    Plan::parse(&text, "plan").unwrap_or_else(|error| panic!("{text}\n{error}"))
}

#[test]
fn a_plan_reads_back_as_it_was() {
    for text in [
        "",
        WHOLE,
        OWN,
        "arrivals = \"7/m\"\nramp = \"1s\"\nflight = \"off\"",
        "flight = 7\nseed = \"0xffffffffffffffff\"",
    ] {
        let plan = parse(text).unwrap();
        let read = again(&plan);
        assert_eq!(read.to_toml(), plan.to_toml());
        assert_eq!(format!("{:?}", read.shape()), format!("{:?}", plan.shape()));
        assert_eq!(
            (read.seed(), read.party(), read.refill(), read.grace()),
            (plan.seed(), plan.party(), plan.refill(), plan.grace())
        );
        assert_eq!((read.flight(), read.sockets(), read.split()), (plan.flight(), plan.sockets(), plan.split()));
        assert_eq!((read.accounts(), read.data().count()), (plan.accounts(), plan.data().count()));
        assert_eq!(read.personas().collect::<Vec<_>>(), plan.personas().collect::<Vec<_>>());
    }
}

#[test]
fn own_networks_read_back_and_everyone_has_the_same() {
    let plan = parse(OWN)
        .unwrap()
        .with(Overrides { network: Some("tunnel=2,lte=0.1,slow-dsl=1".into()), ..Overrides::default() });
    let (plan, read) = (plan.as_ref().unwrap(), again(plan.as_ref().unwrap()));
    let (was, is) = (plan.networks().unwrap(), read.networks().unwrap());
    for seat in 0..500 {
        let [was, is] = [was, is].map(|networks| networks.get(networks.pick(Seed(7), seat)).unwrap());
        assert_eq!((was.name(), was.outages(), was.new_address()), (is.name(), is.outages(), is.new_address()));
        for (was, is) in [(was.up(), is.up()), (was.down(), is.down())] {
            assert_eq!((was.latency, was.line, was.mtu), (is.latency, is.line, is.mtu));
            assert!(was.mean_delay().abs_diff(is.mean_delay()) < Duration::from_micros(1));
            assert!((was.loss_rate() - is.loss_rate()).abs() < 1e-9 && (was.duplicate - is.duplicate).abs() < 1e-9);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_texts_and_stages_read_back(
        name in "\\PC{1,20}|[\"\\\\\\n\\t\\u{1}\\u{7f}é]{1,9}", persona in "\\PC{0,9}|[\"\\\\\\n.=]{1,5}",
        level in 1_u64..1_000, micros in 1_u64..1_000_000_000, rate in 1_u32..1_000, seed: u64, weight in 0.001_f64..1e6,
    ) {
        prop_assume!(!name.trim().is_empty());
        let over = Duration::from_micros(micros);
        let rate = Rate::per_second(rate).unwrap();
        let plan = Plan::builder()
            .scenario(&name)
            .target(&name)
            .seed(seed)
            .persona(persona, weight)
            .stages([
                Stage::ramp(level, over),
                Stage::hold(over),
                Stage::arrivals_between(Rate::ZERO, rate, Duration::from_secs(5)).poisson(),
                Stage::spike(level + 1, over).at(over * 2 + Duration::from_secs(9)),
            ])
            .build();
        let plan = plan.unwrap();
        let read = again(&plan);
        prop_assert_eq!(format!("{:?}", read.shape()), format!("{:?}", plan.shape()));
        prop_assert_eq!((read.scenario(), read.target(), read.seed()), (plan.scenario(), plan.target(), plan.seed()));
        prop_assert_eq!(read.personas().collect::<Vec<_>>(), plan.personas().collect::<Vec<_>>());
    }
}
