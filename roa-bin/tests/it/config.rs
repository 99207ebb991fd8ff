//! `roa config`, the layers of the configuration, and what wrong input gets.

use crate::run::{Place, Ran};

#[track_caller]
fn assert_refused(place: &Place, expected: &str) {
    assert_eq!(place.refusal(), expected);
}

#[track_caller]
fn shown(place: &Place, arguments: &[&str]) -> String {
    let ran = place.roa(&[&["config", "show"], arguments].concat());
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
    ran.stdout
}

#[track_caller]
fn assert_line(shown: &str, expected: &str) {
    let squeezed: Vec<_> = shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert!(squeezed.iter().any(|line| line == expected), "no line `{expected}` in\n{shown}");
}

#[test]
fn check_says_ok_on_stdout() {
    let expected = Ran { status: Some(0), stdout: "ok\n".into(), stderr: String::new() };
    assert_eq!(Place::empty().roa(&["config", "check"]), expected);
    assert_eq!(Place::with_config("[lab]\nprofile = 'production'\n").roa(&["config", "check"]), expected);
}

#[test]
fn an_unknown_key_is_named_with_file_line_and_the_nearest_known_one() {
    assert_refused(
        &Place::with_config("[store]\nbackend = 'memory'\nbackned = 'memory'\n"),
        "error: roa.toml:3: store.backned: unknown key\nhint: did you mean `store.backend`?\n",
    );
}

#[test]
fn a_wrong_type_is_named_with_what_was_expected() {
    assert_refused(
        &Place::with_config("[runtime]\nworkers = 'many'\n"),
        "error: roa.toml:2: runtime.workers: expected a whole number of workers from 1 to 4096, found \"many\"\n",
    );
}

#[test]
fn a_bad_duration_is_named_with_what_was_expected() {
    assert_refused(
        &Place::with_config("lab.poll_interval = '2 fortnights'\n"),
        "error: roa.toml:1: lab.poll_interval: expected a duration from 1ms to 1h such as \"90s\" or \"1h30m\", \
         found \"2 fortnights\"\n",
    );
}

#[test]
fn a_value_out_of_range_is_named_with_the_range() {
    assert_refused(
        &Place::with_config("[time]\nscale = 1001\n"),
        "error: roa.toml:2: time.scale: expected a whole number of seconds from 1 to 1000, found 1001\n",
    );
}

#[test]
fn broken_toml_is_named_with_line_and_column() {
    let refusal = Place::with_config("[store]\nbackend = \n").refusal();
    assert!(refusal.starts_with("error: roa.toml:2: not valid TOML in column 11: "), "{refusal}");
    assert_eq!(refusal.lines().count(), 1, "{refusal}");
}

#[test]
fn a_missing_file_is_an_error_if_it_was_named_by_flag_or_variable() {
    let expected = "error: lost.toml: no such file\n\
                    hint: create it, or leave --config and ROA_CONFIG away to run on defaults\n";
    assert_refused(&Place::empty().variable("ROA_CONFIG", "lost.toml"), expected);
    let ran = Place::empty().roa(&["config", "check", "--config", "lost.toml"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(2), expected));
}

#[test]
fn a_wrong_variable_is_named_itself() {
    assert_refused(
        &Place::empty().variable("ROA_LEASE__DURATION", "long"),
        "error: environment variable ROA_LEASE__DURATION: lease.duration: expected a duration from 1s to 1h such as \
         \"90s\" or \"1h30m\", found \"long\"\n",
    );
    assert_refused(
        &Place::empty().variable("ROA_STORE_BACKEND", "memory"),
        "error: environment variable ROA_STORE_BACKEND: store_backend: unknown key\n\
         hint: did you mean ROA_STORE__BACKEND?\n",
    );
}

#[test]
fn an_unknown_store_is_refused_with_those_that_there_are() {
    let ran = Place::empty().roa(&["config", "check", "--store-backend", "mysql"]);
    let expected = "error: flag --store-backend: store.backend: expected one of \"sqlite\", \"redis\", \"memory\", found \"mysql\"\n";
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(2), expected));
}

#[test]
fn every_problem_is_named_in_one_run() {
    let place =
        Place::with_config("[lab]\nmax_retries = -1\n[log]\nformat = 'xml'\n").variable("ROA_TIME__SCALE", "fast");
    let refusal = place.refusal();
    for part in ["roa.toml:2: lab.max_retries:", "roa.toml:4: log.format:", "ROA_TIME__SCALE: time.scale:"] {
        assert!(refusal.contains(part), "{part} is not in {refusal}");
    }
    assert_eq!(refusal.lines().filter(|line| line.starts_with("error: ")).count(), 3, "{refusal}");
}

#[test]
fn l3_a_lease_that_could_have_two_holders_is_refused() {
    assert_refused(
        &Place::with_config("[lease]\nduration = '10s'\n"),
        "error: roa.toml:2: lease.duration: expected more than lease.renew_deadline (10s), found 10s\n",
    );
}

#[test]
fn flags_win_over_variables_over_the_file_over_the_profile_over_defaults() {
    let file = "data_dir = 'file'\n[lab]\nprofile = 'production'\nsweep_interval = '9s'\n[log]\nfilter = 'warn'\n";
    let place = Place::with_config(file).variable("ROA_LOG__FILTER", "error").variable("ROA_DATA_DIR", "variable");
    let shown = shown(&place, &["--data-dir", "flag"]);
    assert_line(&shown, "data_dir = \"flag\" # flag --data-dir");
    assert_line(&shown, "socket = \"flag/admin.sock\" # default in data_dir");
    assert_line(&shown, "filter = \"error\" # environment variable ROA_LOG__FILTER");
    assert_line(&shown, "sweep_interval = \"9s\" # roa.toml:4");
    assert_line(&shown, "poll_interval = \"5s\" # default of profile production");
    assert_line(&shown, "backend = \"sqlite\" # default");
    assert_line(&shown, "path = \"flag/roa.db\" # default in data_dir");
}

#[test]
fn what_show_prints_can_be_used_as_the_file() {
    let place = Place::with_config("[lab]\nprofile = 'development'\nworker.cpu = '500m'\n[time]\nscale = 12\n");
    let first = shown(&place, &[]);
    let second = shown(&Place::with_config(&first), &[]);
    let values = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split(" # ").next().unwrap_or_default().trim_end().to_owned()).collect()
    };
    assert_eq!(values(&first), values(&second));
}

#[test]
fn the_flags_of_the_log_are_part_of_the_configuration() {
    let place = Place::with_config("[log]\nfilter = 'warn'\n");
    assert_line(&shown(&place, &["-v"]), "filter = \"info,roa=debug\" # flag -v");
    assert_line(&shown(&place, &["--log-format", "json"]), "format = \"json\" # flag --log-format");
    let ran = place.roa(&["config", "check", "--log-filter", "roa=loud"]);
    assert_eq!(ran.status, Some(2));
    assert!(ran.stderr.starts_with("error: flag --log-filter: log.filter: expected log directives"), "{}", ran.stderr);
}

#[test]
fn help_is_data_and_shows_no_hidden_command() {
    let ran = Place::empty().roa(&["--help"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""));
    for part in ["demo", "run", "config", "--log-format", "Exit status: 0 done, 1 failed, 2"] {
        assert!(ran.stdout.contains(part), "{part} is not in {}", ran.stdout);
    }
    for part in ["lab-shim", "static-site", "\u{1b}"] {
        assert!(!ran.stdout.contains(part), "{part} is in {}", ran.stdout);
    }
    let ran = Place::empty().roa(&["run", "--help"]);
    assert!(ran.stdout.contains("--config <FILE>") && ran.stdout.contains("ROA_CONFIG"), "{}", ran.stdout);
}

#[test]
fn a_wrong_command_line_ends_with_status_2_and_says_nothing_on_stdout() {
    for arguments in
        [&["bogus"] as &[&str], &["run", "--bogus"], &["config"], &[], &["-v", "--log-filter", "x", "config", "check"]]
    {
        let ran = Place::empty().roa(arguments);
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(!ran.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn colour_is_for_terminals_unless_it_is_forced_and_never_where_it_is_forbidden() {
    let wrong = || Place::with_config("x = 1\n");
    assert!(!wrong().refusal().contains('\u{1b}'), "stderr is no terminal");
    assert!(wrong().variable("CLICOLOR_FORCE", "1").refusal().contains('\u{1b}'));
    assert!(!wrong().variable("CLICOLOR_FORCE", "1").variable("NO_COLOR", "1").refusal().contains('\u{1b}'));
}

#[test]
fn a_profile_is_a_word_that_decides_how_often_labs_are_looked_at() {
    for (profile, poll, sweep) in [("development", "1s", "5s"), ("default", "2s", "10s"), ("production", "5s", "30s")] {
        let shown = Place::empty().variable("ROA_LAB__PROFILE", profile).roa(&["config", "show"]).stdout;
        for line in [format!("poll_interval = \"{poll}\""), format!("sweep_interval = \"{sweep}\"")] {
            assert!(shown.contains(&line), "{line} is not in {shown}");
        }
    }
    let overruled = Place::with_config("[lab]\nprofile = \"production\"\nsweep_interval = \"7s\"\n");
    assert!(overruled.roa(&["config", "show"]).stdout.contains("sweep_interval = \"7s\""));
}

#[test]
fn an_issuer_of_tokens_is_configured_by_its_keys_and_half_of_it_is_refused() {
    let whole =
        "[server.auth.oidc]\nissuer = 'https://issuer.example.com'\naudience = 'roa'\njwks_file = 'keys.json'\n";
    let ran = Place::with_config(whole).roa(&["config", "check"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (Some(0), ""));
    let refusal = Place::with_config(whole).variable("ROA_SERVER__AUTH__OIDC__JWKS_URL", "https://a/keys").refusal();
    assert!(refusal.contains("server.auth.oidc.jwks_url: expected at most one of jwks_file and jwks_url"), "{refusal}");
    let refusal = Place::with_config("[server.auth.oidc]\nissuer = 'https://issuer.example.com'\n").refusal();
    assert!(refusal.contains("server.auth.oidc.audience: must not be empty"), "{refusal}");
}

#[test]
fn t15_a_token_goes_to_stdout_alone_and_its_hash_to_stderr() {
    let made = Place::empty().roa(&["token", "alice", "--group", "ops", "--group", "staff"]);
    assert_eq!(made.status, Some(0), "{}", made.stderr);
    let token = made.stdout.trim_end();
    assert!(token.starts_with("roa_") && !token.contains(char::is_whitespace), "one line, the token");
    assert!(made.stderr.contains("sha256:") && made.stderr.trim_end().ends_with(" alice ops,staff"), "{}", made.stderr);
    assert!(!made.stderr.contains(token));
    assert_eq!(Place::empty().roa(&["token", "a b"]).status, Some(1));
}
