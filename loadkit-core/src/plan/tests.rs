use super::*;
#[test]
fn show() {
    let text = r#"
scenaro = "arena"
seed = -1
ramp = 5
duration = "20"
bots = 12
party = 0
thresholds = ["p99(login) over 3s < 1s", "errors"]
[[stages]]
ramp = 0
over = "3s"
at = "-1s"
[[stages]]
ramp = 5
step = 6
over = "3s"
[[stages]]
over = "3s"
[personas]
a = 0
[accounts]
file = "x.txt"
"#;
    println!("{}", Plan::parse(text, "plans/arena.toml").unwrap_err());
    println!("{}", Plan::parse("a = \nb = [1", "x.toml").unwrap_err());
    println!("{}", Plan::parse("bots = 5\nduration=\"10s\"\nramp=\"1m\"", "x.toml").unwrap_err());
    println!("{}", Plan::default().with(Overrides { ramp: Some(Duration::from_secs(70)), ..Overrides::default()}).unwrap_err());
    println!("{}", Plan::parse("[[stages]]\nstep=5\nover='3s'\n[[stages]]\nramp=0\nover='3s'\nat='1s'\n[[stages]]\nramp=0\nover='0s'\n", "x.toml").unwrap_err());
    println!("{}", Plan::load("/nonexistent/x.toml").unwrap_err());
}
