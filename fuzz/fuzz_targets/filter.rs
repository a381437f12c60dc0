//! Any text: the parser of the audit log's filter ends, does not panic, and reads what it prints.
#![no_main]

use audit::filter::parse;
use libfuzzer_sys::fuzz_target;
use pointsman_kernel as kernel;

#[path = "../../src/audit"]
mod audit {
    pub mod filter;
}
#[path = "../../src/units.rs"]
mod units;

fuzz_target!(|text: &str| {
    if let Ok(filter) = parse(text) {
        let printed = filter.to_string();
        // What is printed has more quotes than what was typed, and may become too long to be read.
        match parse(&printed) {
            Ok(again) => assert_eq!(again, filter, "{printed}"),
            Err(error) => assert!(error.says.contains("bytes; at most"), "{printed}: {error}"),
        }
    }
});
