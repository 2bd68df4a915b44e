//! Who goes first, and what is refused.

use super::*;

const TEXT: &str = "\
package = \"mygame\"
plan = \"plans/all.toml\"
bots = 50

[profiles.ci]
bots = 300
homes = [\"lambda\"]

[profiles.own]
duration = \"90s\"
";

fn resolve(text: &str, args: &SettingArgs, env: &'static [(&str, &str)]) -> Result<Settings, Failure> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE), text).unwrap();
    let inside = folder.path().join("inside");
    std::fs::create_dir(&inside).unwrap();
    let variable = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    Settings::resolve_in(args, folder.path(), &variable)
}

fn args(profile: Option<&str>, set: &[&str]) -> SettingArgs {
    SettingArgs {
        profile: profile.map(str::to_owned),
        set: set.iter().map(|set| (*set).to_owned()).collect(),
        ..SettingArgs::default()
    }
}

#[test]
fn flags_go_before_the_environment_before_the_profile_before_the_file() {
    let bots = |args: &SettingArgs, env| {
        let settings = resolve(TEXT, args, env).unwrap();
        let bots = settings.get("bots").unwrap().clone();
        format!("{} from {}", bots.value, bots.origin)
    };
    let none: &[(&str, &str)] = &[];
    assert_eq!(bots(&args(None, &[]), none), "50 from loadkit.toml:3");
    assert_eq!(bots(&args(Some("soak"), &[]), none), "1000 from profile soak");
    assert_eq!(bots(&args(Some("ci"), &[]), none), "300 from loadkit.toml:6, profile ci");
    assert_eq!(bots(&args(None, &[]), &[("LOADKIT_PROFILE", "ci")]), "300 from loadkit.toml:6, profile ci");
    assert_eq!(bots(&args(Some("ci"), &[]), &[("LOADKIT_BOTS", "7")]), "7 from LOADKIT_BOTS");
    assert_eq!(bots(&args(Some("ci"), &["bots=1_000"]), &[("LOADKIT_BOTS", "7")]), "1000 from --set bots");
}

#[test]
fn values_have_their_types() {
    let settings = resolve(TEXT, &args(Some("own"), &[]), &[("LOADKIT_TOKEN", "secret")]).unwrap();
    assert_eq!(settings.duration("duration"), Some(Duration::from_secs(90)));
    assert_eq!((settings.whole("bots"), settings.text("runner")), (Some(50), Some("auto")));
    assert_eq!(settings.path("plan"), Some(PathBuf::from("plans/all.toml")));
    assert_eq!((settings.text("fleet"), settings.text("token")), (None, Some("secret")));
    let ci = resolve(TEXT, &args(Some("ci"), &[]), &[]).unwrap();
    assert_eq!(ci.text("homes"), Some("lambda"));
}

#[test]
fn what_makes_no_sense_is_told_with_its_place() {
    let none: &[(&str, &str)] = &[];
    for (text, args, env, why) in [
        ("bots = 0", args(None, &[]), none, "loadkit.toml:1: bots: \"0\" is none; write a whole number"),
        ("\nboots = 5", args(None, &[]), none, "loadkit.toml:2: there is no setting \"boots\"; did you mean \"bots\"?"),
        ("bots = ", args(None, &[]), none, "loadkit.toml:1: "),
        ("duration = \"soon\"", args(None, &[]), none, "loadkit.toml:1: duration: "),
        ("token = \"x\"", args(None, &[]), none, "does not belong into a file that others read; set LOADKIT_TOKEN"),
        ("bots = true", args(None, &[]), none, "bots is a text or a number"),
        ("profiles = 3", args(None, &[]), none, "write [profiles.NAME]"),
        ("[profiles.ci]\nramp = 1.5", args(None, &[]), none, "loadkit.toml:2: "),
        ("", args(Some("launchday"), &[]), none, "--profile: there is no profile \"launchday\""),
        ("", args(None, &["bots"]), none, "write KEY=VALUE"),
        ("", args(None, &["runner=moon"]), none, "--set runner: runner: \"moon\" is none; write auto, local"),
        ("", args(None, &[]), &[("LOADKIT_FLEET", "ftp://x")], "LOADKIT_FLEET: fleet: \"ftp://x\" is none; write http"),
    ] {
        let failure = resolve(text, &args, env).unwrap_err().to_string();
        assert!(failure.contains(why), "{failure}");
    }
}
