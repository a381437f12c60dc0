//! Figures of docs/PERFORMANCE.md. `cargo bench` runs all; `cargo bench -- NAME` one of `intake`, `startup`, `alarm`,
//! `failover`, `books`, `looks`, `audit` (only by name), or those of criterion whose name contains NAME.
//!
//! What is compared with peers runs in interleaved rounds, with all peers up and the disk measured in the same
//! minute: on a shared machine only ratios inside a round mean something. Criterion measures the parts alone.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod alarm;
mod audit;
mod books;
mod disk;
mod failover;
mod figures;
mod intake;
mod load;
mod looks;
mod parts;
mod process;
mod runs;
mod startup;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [verb, port] = words.as_slice()
        && verb == intake::NOOP
    {
        return intake::serve_noop(port.parse()?);
    }
    if let [verb, config, playbook] = words.as_slice()
        && verb == failover::by_hand::BY_HAND
    {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        return failover::by_hand::run(config, playbook);
    }
    // Fails only when a provider is already installed, which is then the same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let asked = words.iter().find(|word| !word.starts_with('-')).map(String::as_str);
    let wanted = |name: &str| asked.is_none_or(|asked| asked == name);
    // Test runners start benchmarks too, to list them or to see that they start.
    if words.iter().any(|word| word == "--bench") {
        if wanted("startup") {
            startup::run()?;
        }
        if wanted("alarm") {
            alarm::run()?;
        }
        if wanted("failover") {
            failover::run()?;
        }
        if asked == Some("audit") {
            audit::run()?;
            return Ok(());
        }
        if wanted("looks") {
            looks::run()?;
        }
        if wanted("intake") {
            intake::run()?;
        }
    }
    let mut criterion = criterion::Criterion::default().configure_from_args();
    parts::run(&mut criterion);
    // 10,000 playbooks are checked to begin with.
    if words.iter().any(|word| word == "--bench") && wanted("books") {
        books::run(&mut criterion);
    }
    criterion.final_summary();
    Ok(())
}
