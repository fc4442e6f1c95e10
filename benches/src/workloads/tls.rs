//! Large bodies through TLS, beside a relay that does nothing but encrypt.

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::{Bench, Heading, target};
use crate::cores::Who;
use crate::load::Target;
use crate::load::bulk::Bulk;
use crate::load::tls::{Clients, HOST, Version};
use crate::program::{self, Program};
use crate::report::{Column, Pass, column};

const COLUMNS: &[Column] = &[column("CPU s/GB", 3, true), column("GB/s", 2, true)];

/// The row of encryption alone.
const ALONE: &str = "limit tls";

/// Receivers, and bytes at full scale.
const RECEIVERS: usize = 30;
const SIZE: u64 = 100_000_000;

pub(super) fn run(bench: &Bench) -> Result<()> {
    let folder = TempDir::new()?;
    let certified = rcgen::generate_simple_self_signed([HOST.to_owned()])?;
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, certified.cert.pem())?;
    std::fs::write(&key, certified.signing_key.serialize_pem())?;
    let (cert, key) = (cert.to_str().context("a path")?, key.to_str().context("a path")?);
    let pem = certified.cert.pem();
    let speak = |version| Clients::new(version, pem.as_bytes(), bench.pattern.clone());
    let (one, two) = (speak(Version::One)?, speak(Version::Two)?);

    let (mut programs, mut targets) = (Vec::new(), Vec::new());
    for build in &bench.builds {
        let flags =
            ["--listen", "127.0.0.1:0", "--admin-listen", "", "--tls-listen", "127.0.0.1:0"];
        let mut command = program::relay(&build.path, &flags);
        command.args(["--tls-cert", cert, "--tls-key", key]);
        let program = Program::start(&bench.cores, Who::Server, &mut command, program::RELAY)?;
        let server = target(&build.name, &program);
        for (clients, version) in [(&one, "HTTP/1.1"), (&two, "HTTP/2")] {
            let name = format!("{}, {version}", build.name);
            targets.push((Target { name, ..server.clone() }, clients.clone()));
        }
        programs.push(program);
    }
    let mut command = program::limit(&["tls", "--cert", cert, "--key", key])?;
    let program = Program::start(&bench.cores, Who::Server, &mut command, program::LIMIT)?;
    targets.push((target(ALONE, &program), one));
    programs.push(program);

    let size = bench.amount.bytes(SIZE);
    let title = format!("TLS: {} MB to {RECEIVERS}, Content-Length", size / 1_000_000);
    eprintln!("{title}");
    let goal = "Wanted: CPU ≤ 1.3 × limit tls. GB/s are those of the driver, which decrypts.";
    let what = Heading { title, goal, columns: COLUMNS, reference: ALONE };
    bench.table(
        what,
        &targets,
        |(target, _)| target,
        |(target, clients), pass| {
            let verify = pass == Pass::Verify;
            let bulk = Bulk { receivers: RECEIVERS, size, chunked: false, verify };
            let took = clients.carry(target, bulk)?;
            Ok(vec![took.cpu_per_gb(), took.gb_per_second()])
        },
    );
    Ok(())
}
