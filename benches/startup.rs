//! From starting the program to `/readyz` saying yes, and what it holds in memory when nothing happens.

use crate::figures::Figures;
use crate::process::{Server, free_addr, serve};
use anyhow::{Context, ensure};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

const ROUNDS: usize = 15;
const READY: Duration = Duration::from_secs(10);
/// Before memory is read.
const REST: Duration = Duration::from_secs(1);

pub fn run() -> anyhow::Result<()> {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let playbooks = dir.path().join("playbooks");
    std::fs::create_dir_all(&playbooks)?;
    println!("\nstart and memory: {ROUNDS} rounds");
    let (mut fresh, mut again, mut resident) = (Figures::default(), Figures::default(), Figures::default());
    for round in 0..ROUNDS {
        let data = dir.path().join(format!("data{round}"));
        std::fs::create_dir_all(&data)?;
        for times in [&mut fresh, &mut again] {
            let (server, ready) = start(&data, &playbooks, dir.path())?;
            times.add(ready.as_secs_f64() * 1e3);
            if round < 3 {
                std::thread::sleep(REST);
                resident.add(server.memory()?.0);
            }
            server.stop()?;
        }
    }
    println!("start to ready, empty directory  {fresh:.0} ms   (goal < 200)");
    println!("start to ready, second start     {again:.0} ms");
    println!("idle resident memory             {resident:.1} MiB   (goal < 40)");
    Ok(())
}

fn start(data: &Path, playbooks: &Path, logs: &Path) -> anyhow::Result<(Server, Duration)> {
    let addr = free_addr()?;
    let mut command = serve(data, playbooks, addr);
    let started = Instant::now();
    let server = Server::spawn("pointsman", addr, &mut command, &logs.join("pointsman.log"))?;
    while !is_ready(addr).unwrap_or(false) {
        ensure!(started.elapsed() < READY, "it does not get ready");
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok((server, started.elapsed()))
}

fn is_ready(addr: SocketAddr) -> anyhow::Result<bool> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text.split(' ').nth(1).context("no HTTP")? == "200")
}
