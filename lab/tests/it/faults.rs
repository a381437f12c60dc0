//! Disks that are full, read-only, or fail to flush.

use lab::{Lab, faults};

#[tokio::test]
async fn disks_fill_refuse_writes_and_fail_to_flush() {
    if !faults::root_or_skip("disks_fill_refuse_writes_and_fail_to_flush") {
        return;
    }
    let lab = Lab::builder().start().await.expect("an empty lab");
    let disk = faults::small_disk(&lab.dir().join("disk"), "1m").await.expect("a disk");
    let ballast = faults::fill(&disk).expect("filled");
    let error = std::fs::write(disk.path().join("more"), "x".repeat(8192)).expect_err("no room");
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    std::fs::remove_file(ballast).expect("room again");
    std::fs::write(disk.path().join("more"), "x").expect("room again");
    let frozen = faults::read_only(disk.path(), &lab.dir().join("frozen")).await.expect("a second view");
    let error = std::fs::write(frozen.path().join("more"), "y").expect_err("read-only");
    assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    let (target, log) = (lab.dir().join("flushed"), lab.dir().join("log/strace.log"));
    let mut words = faults::strace_prefix("fdatasync", "error=EIO", &log);
    let dd = format!("of={}", target.display());
    words.extend(["dd", "if=/dev/zero", &dd, "count=1", "conv=fdatasync"].map(String::from));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let error = lab::children::run(&words, &[]).await.expect_err("the flush fails");
    assert!(format!("{error:#}").contains("Input/output error"), "{error:#}");
}
