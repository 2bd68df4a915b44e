//! The players on the stub server, in memory and in virtual time: half a minute of play in no time, the same each time.

use std::error::Error;
use std::time::Duration;

use loadkit::Plan;
use loadkit::sim::Simulation;
use {{ident}}::{{{scenario}}, stub};

#[test]
fn ten_players_play_for_half_a_minute() -> Result<(), Box<dyn Error>> {
    let plan = Plan::builder().bots(10).duration(Duration::from_secs(30)).build()?;
    let players = Simulation::new({{scenario}}).plan(plan);
    let outcome = players.{{server}}(async |end| drop(stub::serve(end).await)).run()?;
    assert_eq!(outcome.totals.failed(), 0, "{:?}", outcome.totals.samples);
    assert_eq!(outcome.totals.steps["login"].succeeded(), 10);
    assert!(outcome.totals.steps["tick"].succeeded() > 2_900);
    Ok(())
}
