//! The players on the stub server, in memory and in virtual time: a minute of play in no time, the same each time.

use std::error::Error;
use std::time::Duration;

use loadkit::Plan;
use loadkit::sim::Simulation;
use {{ident}}::{{{scenario}}, stub};

#[test]
fn twenty_players_play_for_a_minute() -> Result<(), Box<dyn Error>> {
    let plan = Plan::builder().bots(20).duration(Duration::from_secs(60)).build()?;
    let players = Simulation::new({{scenario}}).plan(plan);
    let outcome = players.{{server}}(async |end| drop(stub::serve(end).await)).run()?;
    assert_eq!(outcome.totals.failed(), 0, "{:?}", outcome.totals.samples);
    assert_eq!(outcome.totals.steps["login"].succeeded(), 20);
    assert!(outcome.totals.steps["tick"].succeeded() > 11_000);
    Ok(())
}
