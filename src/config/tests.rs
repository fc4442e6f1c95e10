//! What the command line, the environment and the file make together.

use std::path::PathBuf;
use std::process::Command as Process;

use super::errand::Origin;
use super::*;

/// Set for the copy of the test binary that looks at its environment.
const CHILD: &str = "TEST_OF_THE_ENVIRONMENT";

fn parsed(args: &[&str]) -> Result<Invocation, Error> {
    match parse(["hoody-pipe"].iter().chain(args).map(OsString::from))? {
        Asked::Relay(invocation) => Ok(*invocation),
        other => panic!("{args:?} asks for {other:?}"),
    }
}

fn config(args: &[&str]) -> Config {
    parsed(args).unwrap().config
}

/// A file that is removed at the end of its test.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let name = format!("hoody-pipe-{}-{name}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn nothing_said_is_the_defaults_of_the_specification() {
    let Invocation { action, config } = parsed(&[]).unwrap();
    assert_eq!(action, Action::Serve);
    assert_eq!(config, Config::default());
    assert_eq!(config.listen, ["0.0.0.0:8080".parse().unwrap()]);
    assert_eq!(config.admin_listen, "127.0.0.1:9090".parse().ok());
    assert_eq!((config.node_id.as_str(), config.region.as_str()), (host().as_str(), "default"));
    let nets: Vec<String> = config.trusted_proxies.iter().map(IpNet::to_string).collect();
    assert_eq!(nets, ["127.0.0.0/8", "::1/128"]);
    assert_eq!((config.public_url, config.allowed_hosts.len()), (None, 0));
    assert_eq!((config.tls, config.fleet), (None, None));
    assert!(!config.allow_private_network && !config.no_public_metrics && config.workers >= 1);
    assert_eq!(config.wait, Duration::from_secs(300));
    assert_eq!((config.stall, config.idle_timeout), (Some(Duration::from_secs(300)), None));
    assert_eq!((config.drain_timeout, config.window), (Duration::from_secs(30), 262_144));
    assert!(!config.copy);
    assert_eq!((config.max_pending, config.max_active), (100_000, 100_000));
    assert_eq!((config.max_waiting_per_address, config.max_receipts), (1024, 10_000));
    assert_eq!((config.max_spectators_per_pipe, config.max_spectators), (256, 20_000));
    assert_eq!((config.log_format, config.log_level), (LogFormat::Auto, LogLevel::Info));
}

/// The host name as the kernel tells it to everybody.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    name.trim_end().to_owned()
}

#[test]
fn the_admin_listener_can_be_switched_off_everywhere() {
    let file = File::new("admin", "admin_listen = \"\"\nnode_id = \"a\"\nno_public_metrics = true");
    let got = config(&["--config", file.path()]);
    assert_eq!((got.admin_listen, got.node_id.as_str(), got.no_public_metrics), (None, "a", true));
    assert_eq!(config(&["--admin-listen", ""]).admin_listen, None);
    assert_eq!(config(&["--admin-listen="]).admin_listen, None);
}

#[test]
fn every_flag_is_heard_with_and_without_the_word_serve() {
    let flags = "--listen 127.0.0.1:1 --listen [::1]:2 --tls-listen [::]:3 --tls-listen 127.0.0.1:4 \
                 --tls-cert c.pem --tls-key k.pem \
                 --admin-listen [::1]:3 --no-public-metrics --node-id a --region eu --public-url https://p.example/ \
                 --trusted-proxies 10.0.0.0/8 --allowed-hosts a.example,B.example \
                 --allow-private-network --wait 1m --stall 0 --idle-timeout 9 --drain-timeout 0 \
                 --window 16KiB --copy --workers 3 --max-pending 4 --max-active 5 \
                 --max-waiting-per-address 6 --max-spectators-per-pipe 7 \
                 --max-spectators 8 --max-receipts 0 --log-format json --log-level debug";
    let flags: Vec<&str> = flags.split_whitespace().collect();
    let got = config(&flags);
    assert_eq!(got.listen, ["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()]);
    let tls = got.tls.clone().unwrap();
    assert_eq!(tls.listen, ["[::]:3".parse().unwrap(), "127.0.0.1:4".parse().unwrap()]);
    assert_eq!((tls.cert, tls.key), ("c.pem".into(), "k.pem".into()));
    assert_eq!(got.public_url.as_deref(), Some("https://p.example"));
    assert_eq!(got.trusted_proxies, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(got.allowed_hosts, ["a.example", "b.example"]);
    assert!(got.allow_private_network && got.no_public_metrics);
    assert_eq!(got.admin_listen, "[::1]:3".parse().ok());
    assert_eq!((got.node_id.as_str(), got.region.as_str()), ("a", "eu"));
    assert_eq!((got.wait, got.stall), (Duration::from_secs(60), None));
    assert_eq!(
        (got.idle_timeout, got.drain_timeout),
        (Some(Duration::from_secs(9)), Duration::ZERO)
    );
    assert_eq!((got.window, got.workers, got.max_pending, got.max_active), (16384, 3, 4, 5));
    assert!(got.copy);
    assert_eq!((got.max_waiting_per_address, got.max_receipts), (6, 0));
    assert_eq!((got.max_spectators_per_pipe, got.max_spectators), (7, 8));
    assert_eq!((got.log_format, got.log_level), (LogFormat::Json, LogLevel::Debug));
    assert_eq!(config(&[&["serve"], flags.as_slice()].concat()), got);
}

/// The flags of a node in a fleet of three.
fn of_a_fleet(secret: &File) -> Vec<&str> {
    let flags = "--cluster-listen 0.0.0.0:7946 --cluster-advertise b:7946 --cluster-peers a:7946,b:7946 \
                 --cluster-peers c:7946 --bootstrap-expect 2 --data-dir /d --cluster-secret-file";
    flags.split_whitespace().chain([secret.path()]).collect()
}

#[test]
fn a_fleet_is_set_up_by_its_flags_or_by_the_file() {
    let secret = File::new("flags-secret", "a secret of 24 characters\n");
    let fleet = config(&of_a_fleet(&secret)).fleet.unwrap();
    assert_eq!(fleet.listen, "0.0.0.0:7946".parse().unwrap());
    assert_eq!((fleet.advertise.as_str(), fleet.expect), ("b:7946", 2));
    assert_eq!(fleet.peers, ["a:7946", "b:7946", "c:7946"]);
    assert_eq!(fleet.secret.bytes(), b"a secret of 24 characters");
    assert_eq!(fleet.data_dir, PathBuf::from("/d"));
    let text = format!(
        "cluster_listen = \"0.0.0.0:7946\"\ncluster_advertise = \"b:7946\"\n\
         cluster_peers = [\"a:7946\", \"b:7946\", \"c:7946\"]\nbootstrap_expect = 2\n\
         data_dir = \"/d\"\ncluster_secret_file = \"{}\"\n",
        secret.path()
    );
    let file = File::new("fleet", &text);
    assert_eq!(config(&["--config", file.path()]).fleet, Some(fleet));
    let none = File::new("no-peers", "cluster_peers = []");
    let error = parsed(&["--config", none.path()]).unwrap_err().to_string();
    assert!(error.contains("give at least one address"), "{error}");
}

#[test]
fn print_config_and_check_are_actions_of_either_spelling() {
    for (args, action) in [
        (vec!["--check"], Action::Check),
        (vec!["serve", "--check"], Action::Check),
        (vec!["--print-config", "--wait", "7"], Action::PrintConfig),
        (vec!["serve", "--print-config"], Action::PrintConfig),
    ] {
        assert_eq!(parsed(&args).unwrap().action, action, "{args:?}");
    }
    assert_eq!(parsed(&["--check", "--print-config"]).unwrap_err().exit_code(), 2);
}

#[test]
fn what_is_printed_reads_back_to_the_same() {
    let flags = ["--public-url", "http://p", "--stall", "0", "--idle-timeout", "60"];
    let tls = ["--tls-listen", "[::]:3", "--tls-cert", "c.pem", "--tls-key", "k.pem"];
    let secret = File::new("printed-secret", "a secret of 24 characters\n");
    for config in [
        config(&of_a_fleet(&secret)),
        Config::default(),
        config(&flags),
        config(&tls),
        config(&["--trusted-proxies", "", "--admin-listen", ""]),
    ] {
        assert!(!config.to_toml().contains("24 characters"), "{}", config.to_toml());
        let file = File::new("printed", &config.to_toml());
        assert_eq!(parsed(&["--config", file.path()]).unwrap().config, config);
    }
}

#[test]
fn mistakes_exit_with_2_and_say_what_to_do() {
    for (args, want) in [
        (vec!["--wiat", "5"], "similar argument exists: '--wait'"),
        (vec!["srve"], "similar subcommand exists: 'serve'"),
        (vec!["status", "x"], "write it as http://HOST:PORT/NAME"),
        (vec!["sned", "x"], "similar subcommand exists: 'send'"),
        (vec!["send", "--wiat", "5", "http://h/x"], "similar argument exists: '--wait'"),
        (vec!["send", "f", "h:8080/x"], "write it as http://HOST:PORT/NAME"),
        (vec!["send", "-n", "257", "http://h/x"], "it must be a whole number from 1 to 256"),
        (vec!["send", "f", "http://h/x", "--", "true"], "either FILE or a command"),
        (vec!["send", "a", "b", "http://h/x"], "give FILE and URL, or URL alone"),
        (vec!["send"], "required arguments were not provided"),
        (vec!["send", "--header", "nonsense", "http://h/x"], "write it as 'Name: value'"),
        (vec!["cancel"], "required arguments were not provided"),
        (vec!["completions", "tcsh"], "[possible values: bash, zsh, fish]"),
        (vec!["--tls-listen", "0.0.0.0:1"], "add --tls-cert FILE and --tls-key FILE, both PEM"),
        (vec!["--tls-listen", "[::]:1", "--tls-cert", "c"], "add --tls-key FILE"),
        (vec!["--tls-listen", "[::]:1", "--tls-key", "k"], "add --tls-cert FILE"),
        (vec!["--tls-cert", "c", "--tls-key", "k"], "add --tls-listen ADDRESS:PORT"),
        (vec!["--cluster-listen", "0.0.0.0:1"], "add --cluster-advertise HOST:PORT"),
        (vec!["--cluster-listen", "10.0.0.1:1"], "a fleet needs --cluster-peers HOST:PORT,..."),
        (vec!["--cluster-listen", "node-a:1"], "write it as address:port"),
        (vec!["--cluster-peers", "node-a"], "write it as host:port, such as pipe-a.internal:7946"),
        (vec!["--cluster-peers", "a:7946"], "--cluster-peers is for a fleet"),
        (vec!["--cluster-advertise", "[::]:1"], "not where others reach it"),
        (vec!["--cluster-secret-file", "x"], "--cluster-secret-file is for a fleet"),
        (vec!["--cluster-secret", "x"], "similar argument exists: '--cluster-secret-file'"),
        (vec!["--bootstrap-expect", "3"], "--bootstrap-expect is for a fleet"),
        (vec!["--bootstrap-expect", "101"], "it must be a whole number from 1 to 100"),
        (vec!["--data-dir", "x"], "--data-dir is for a fleet"),
        (vec!["--cluster-listen", "10.0.0.1:1", "--cluster-peers", "10.0.0.1:1"], "needs a secret"),
        (vec!["--admin-listen", "9090"], "127.0.0.1:8080 or [::]:8080, or '' for none"),
        (vec!["--admin-lisen", ""], "similar argument exists: '--admin-listen'"),
        (vec!["--no-public-metrics=perhaps"], "invalid value 'perhaps'"),
        (vec!["--node-id", "a b"], "use 1 to 63 of A-Z a-z 0-9 . _ -"),
        (vec!["--region", ""], "use 1 to 63 of A-Z a-z 0-9 . _ -"),
        (vec!["--wait", "0"], "it must be from 1 to 3600 seconds"),
        (vec!["--wait", "3601"], "it must be from 1 to 3600 seconds"),
        (vec!["--stall", "1.5"], "such as 300, or as a time, such as 5m"),
        (vec!["--window", "8KiB"], "it must be from 16KiB to 8MiB"),
        (vec!["--workers", "0"], "it must be a whole number from 1 to 1024"),
        (vec!["--listen", ":8080"], "such as 0.0.0.0:8080"),
        (vec!["--public-url", "p.example"], "write it as https://pipe.example.com"),
        (vec!["--trusted-proxies", "all"], "'all' is not a network"),
        (vec!["--log-format", "xml"], "[possible values: auto, json, text]"),
        (vec!["--config", "/nonexistent"], "/nonexistent of --config cannot be read"),
    ] {
        let error = parsed(&args).unwrap_err();
        assert!(error.to_string().contains(want), "{args:?}: {error}");
        assert_eq!(error.exit_code(), 2, "{args:?}");
    }
}

#[test]
fn flags_of_a_client_that_make_no_sense_together_are_refused() {
    const PLAIN: &str = "http://h/x";
    const SECURE: &str = "https://h/x";
    let form = "multipart/form-data; boundary=x";
    for (args, want) in [
        (vec!["receive", PLAIN, "--cacert", "f"], "--cacert is for https:// URLs"),
        (vec!["status", PLAIN, "--insecure"], "--insecure is for https:// URLs"),
        (vec!["cancel", SECURE, "--insecure", "--cacert", "f"], "cannot be used with"),
        (vec!["send", "http://h/x?a&n=3", "-n", "3"], "'n' is in the URL and in the flags"),
        (vec!["receive", "http://h/x?wait=3", "--wait", "3"], "'wait' is in the URL"),
        (vec!["send", "f", PLAIN, "--length", "3"], "a file has its own length"),
        (vec!["send", PLAIN, "--length", "9223372036854775808"], "not in 0..="),
        (vec!["send", PLAIN, "--type", form], "takes multipart/form-data apart"),
        (vec!["send", PLAIN, "--transfer-id", "short"], "it must be 16 to 64 characters"),
        (
            vec!["send", PLAIN, "--filename", "f", "--header", "Content-Disposition: inline"],
            "exclude each other",
        ),
        (vec!["receive", PLAIN, "-o", "/"], "-o names a folder"),
        (vec!["receive", PLAIN, "-o", "/nonexistent/f"], "a folder that does not exist"),
        (vec!["receive", "http://h/../x"], "no segments '.' or '..'"),
        (vec!["send", "http://h/x "], "begins or ends with a space"),
        (vec!["cancel", "http:///x"], "it names no host"),
        (vec!["receive", "http://h/?n=3"], "it has no name behind the host"),
        (vec!["receive", "http://h/x?n=3&status"], "leave it out, or use `hoody-pipe status`"),
        (vec!["receive", "http://h/x?progress=1"], "or use `hoody-pipe progress`"),
        (vec!["progress", "http://h/x?status"], "or use `hoody-pipe status`"),
        (vec!["receive", PLAIN, "--transfer-id", "0123456789abcdef"], "unexpected argument"),
    ] {
        let error = parsed(&args).unwrap_err();
        assert!(error.to_string().contains(want), "{args:?}: {error}");
        assert_eq!(error.exit_code(), 2, "{args:?}");
    }
    let error = parsed(&["receive", PLAIN, "--require-all"]).unwrap_err().to_string();
    assert!(error.contains("unexpected argument '--require-all'"), "{error}");
    assert!(!error.contains("-- --require-all"), "{error}");
    for args in [
        vec!["receive", SECURE, "--cacert", "f", "--http1"],
        vec!["send", "http://h/x?m=3&wait=5", "-n", "3", "--http1", "--length", "0"],
        vec!["receive", PLAIN, "-o", "-"],
    ] {
        let words = ["hoody-pipe"].iter().chain(&args).map(OsString::from);
        assert!(matches!(parse(words), Ok(Asked::Client(_))), "{args:?}");
    }
}

#[test]
fn under_check_a_bad_value_is_the_answer_no() {
    let file = File::new("check", "wait = 0");
    assert_eq!(parsed(&["--check", "--wait", "0"]).unwrap_err().exit_code(), 1);
    assert_eq!(parsed(&["--check", "--config", file.path()]).unwrap_err().exit_code(), 1);
    assert_eq!(parsed(&["--check", "--wiat", "0"]).unwrap_err().exit_code(), 2);
}

#[test]
fn help_and_version_are_not_mistakes() {
    let version = parsed(&["--version"]).unwrap_err();
    assert_eq!(version.to_string(), format!("hoody-pipe {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!((version.fault(), version.exit_code()), (Fault::Asked, 0));
    for command in ["send", "receive", "status", "progress", "cancel", "health"] {
        let help = parsed(&[command, "--help"]).unwrap_err().to_string();
        let example = format!("\n  hoody-pipe {command} ");
        assert!(help.contains(&example) && help.contains("Exit codes: 0"), "{help}");
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    }
    for args in [vec!["--help"], vec!["-h"], vec!["serve", "--help"]] {
        let help = parsed(&args).unwrap_err();
        assert_eq!(help.exit_code(), 0);
        for key in Settings::keys() {
            let flag = format!("--{}", key.replace('_', "-"));
            assert!(help.to_string().contains(&flag), "{flag} is missing");
        }
    }
}

#[test]
fn help_states_the_defaults_that_hold() {
    let help = parsed(&["--help"]).unwrap_err().to_string();
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let nets = defaults::trusted_proxies().iter().map(IpNet::to_string).collect::<Vec<_>>();
    let wait = format!(
        "--wait <TIME> How long a client waits for its peers, unless it says ?wait=: \
                        1 s to 1 h [default: {}]",
        defaults::WAIT_S
    );
    for want in [
        wait,
        format!("[default: {}]", defaults::LISTEN),
        format!("'' for nowhere [default: {}]", defaults::ADMIN_LISTEN),
        format!("in /cluster [default: {}]", defaults::REGION),
        format!("and nothing else [default: {}]", defaults::DATA_DIR),
        format!("[default: {}]", nets.join(",")),
        format!("0 = never [default: {}]", defaults::STALL_S),
        format!("0 = never [default: {}]", defaults::IDLE_TIMEOUT_S),
        format!("after SIGTERM [default: {}]", defaults::DRAIN_TIMEOUT_S),
        format!("[default: {}KiB]", defaults::WINDOW_BYTES / 1024),
        format!("may run at once; more get 429 [default: {}]", defaults::MAX_ACTIVE),
        format!("may wait at once; more get 429 [default: {}]", defaults::MAX_PENDING),
        format!("may wait at once [default: {}]", defaults::MAX_WAITING_PER_ADDRESS),
        format!("10 minutes [default: {}]", defaults::MAX_RECEIPTS),
    ] {
        assert!(words.contains(&want), "{want:?} is not in the help:\n{words}");
    }
    let widest = help.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(100), "{help}");
}

#[test]
fn the_file_beats_the_defaults_and_flags_beat_the_file() {
    let file = File::new("flags", "wait = 20\nstall = \"2m\"\nallow_private_network = true");
    let got = config(&["--config", file.path(), "--wait", "10", "--allow-private-network=false"]);
    assert_eq!(got.wait, Duration::from_secs(10));
    assert_eq!(got.stall, Some(Duration::from_secs(120)));
    assert!(!got.allow_private_network);
}

/// The environment belongs to the whole process, so a copy of this binary runs with its own.
#[test]
fn variables_beat_the_file_and_flags_beat_variables() {
    if std::env::var_os(CHILD).is_some() {
        return in_the_environment();
    }
    let file = File::new("variables", "wait = 20\nstall = 21\nmax_active = 22");
    let this = "config::tests::variables_beat_the_file_and_flags_beat_variables";
    let output = Process::new(std::env::current_exe().unwrap())
        .args(["--exact", this, "--nocapture"])
        .env(CHILD, "1")
        .env("HOODY_PIPE_CONFIG", file.path())
        .env("HOODY_PIPE_WAIT", "30")
        .env("HOODY_PIPE_STALL", "31s")
        .env("HOODY_PIPE_LISTEN", "127.0.0.1:1,127.0.0.1:2")
        .env("HOODY_PIPE_ALLOW_PRIVATE_NETWORK", "yes")
        .env("HOODY_PIPE_TRUSTED_PROXIES", "")
        .env("HOODY_PIPE_ADMIN_LISTEN", "")
        .env("HOODY_PIPE_NO_PUBLIC_METRICS", "1")
        .env("HOODY_PIPE_NODE_ID", "b")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// The relay only: a client takes no variables.
#[test]
fn unknown_variables_are_refused() {
    if std::env::var_os(CHILD).is_some() {
        let error = parsed(&[]).unwrap_err();
        assert!(error.to_string().contains("did you mean HOODY_PIPE_WAIT?"), "{error}");
        assert_eq!(error.exit_code(), 2);
        let client = ["hoody-pipe", "status", "http://h/x"].map(OsString::from);
        return assert!(matches!(parse(client), Ok(Asked::Client(_))));
    }
    let output = Process::new(std::env::current_exe().unwrap())
        .args(["--exact", "config::tests::unknown_variables_are_refused", "--nocapture"])
        .env(CHILD, "1")
        .env("HOODY_PIPE_WIAT", "30")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// The secret itself is for the environment only, and never printed.
#[test]
fn the_secret_of_a_fleet_can_be_a_variable() {
    let words = ["--cluster-listen", "10.0.0.1:1", "--cluster-peers", "10.0.0.1:1"];
    if std::env::var_os(CHILD).is_some() {
        let config = config(&words);
        let printed = config.to_toml();
        assert_eq!(config.fleet.unwrap().secret.bytes(), b"a secret of 24 characters");
        assert!(printed.starts_with("# HOODY_PIPE_CLUSTER_SECRET is set, and not shown.\n"));
        assert!(!printed.contains("24 characters") && !printed.contains("\ncluster_secret"));
        let file = File::new("printed-without", &printed);
        assert_eq!(parsed(&["--config", file.path()]).unwrap().config.to_toml(), printed);
        let twice = parsed(&[&words[..], &["--cluster-secret-file", "x"]].concat()).unwrap_err();
        assert!(twice.to_string().contains("given twice"), "{twice}");
        let alone = parsed(&[]).unwrap_err().to_string();
        return assert!(alone.contains("HOODY_PIPE_CLUSTER_SECRET is for a fleet"), "{alone}");
    }
    let this = "config::tests::the_secret_of_a_fleet_can_be_a_variable";
    let output = Process::new(std::env::current_exe().unwrap())
        .args(["--exact", this, "--nocapture"])
        .env(CHILD, "1")
        .env("HOODY_PIPE_CLUSTER_SECRET", "a secret of 24 characters")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn in_the_environment() {
    for words in [&[] as &[&str], &["serve"]] {
        let got = config(&[words, &["--wait", "40"]].concat());
        assert_eq!(got.wait, Duration::from_secs(40));
        assert_eq!(got.stall, Some(Duration::from_secs(31)));
        assert_eq!(got.max_active, 22);
        assert_eq!(got.listen.len(), 2);
        assert!(got.allow_private_network && got.trusted_proxies.is_empty());
        assert!(got.admin_listen.is_none() && got.no_public_metrics && got.node_id == "b");
    }
}

#[test]
fn a_client_is_told_from_the_relay_and_a_file_from_a_url() {
    const URL: &str = "http://h/x";
    for (args, want) in [
        (vec!["send", URL], Origin::Stdin),
        (vec!["send", "-", URL, "-n", "3"], Origin::Stdin),
        (vec!["send", "-n", "3", "a b", URL], Origin::File("a b".into())),
        (vec!["send", URL, "--", "cat", "-n"], Origin::Command(vec!["cat".into(), "-n".into()])),
    ] {
        let words = ["hoody-pipe"].iter().chain(&args).map(OsString::from);
        let Ok(Asked::Client(errand)) = parse(words) else { panic!("{args:?} is for a client") };
        let Errand::Send(upload) = *errand else { panic!("{args:?} is an upload") };
        assert_eq!((upload.from, upload.url.0.as_str()), (want, URL), "{args:?}");
    }
}
