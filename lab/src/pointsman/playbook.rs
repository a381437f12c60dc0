//! The lab's copies of the playbooks that Pointsman ships for a PostgreSQL pair. Names and addresses of the lab are put in; steps, guards
//! and their order stay as shipped, so that what is shown here is what users get.

use std::path::Path;

use anyhow::{Context, ensure};

use super::Options;
use crate::dns::ZONE;
use crate::{Lab, Site};

/// The service that the shipped playbook is about.
pub const SERVICE: &str = "shop";
/// Its name.
pub const PLAYBOOK: &str = "shop-failover";

/// The planned move of the same service.
pub const SWITCHOVER: &str = "shop-switchover";

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../playbooks");

/// One change to the text. The old text must be there: a list that no longer fits the shipped file is an error.
#[derive(Clone, Debug)]
pub struct Edit {
    old: String,
    new: String,
}

impl Edit {
    pub fn new(old: impl Into<String>, new: impl Into<String>) -> Edit {
        Edit { old: old.into(), new: new.into() }
    }
}

/// Everything in which the lab's copies differ from what is shipped.
fn edits(lab: &Lab, options: &Options) -> Vec<Edit> {
    let app = |site: Site| site.app(0).to_string();
    vec![
        Edit::new("mode: observe ", format!("mode: {} ", options.mode)),
        Edit::new("198.51.100.10", app(Site::Gra)),
        Edit::new("203.0.113.20", app(Site::Sbg)),
        Edit::new("2001:db8:a::10", Site::Gra.ipv6()),
        Edit::new("2001:db8:b::20", Site::Sbg.ipv6()),
        Edit::new("https://shop.example.com/", format!("http://{ZONE}:{}/", lab.apps().port())),
        Edit::new("shop.example.com", ZONE),
        Edit::new("blackbox-ams", "blackbox-sbg"),
    ]
}

pub fn text(lab: &Lab, options: &Options) -> anyhow::Result<String> {
    let hold = match options.confirmed_for.as_millis() {
        0 => String::new(),
        millis => format!("    confirmed_for: {millis}ms\n"),
    };
    let own = [Edit::new("    confirmed_for: 30s\n", hold)];
    copy("postgres-two-sites.yaml", edits(lab, options).iter().chain(&own).chain(&options.edits))
}

/// `more`: what a test changes of it.
pub fn switchover(lab: &Lab, options: &Options, more: &[Edit]) -> anyhow::Result<String> {
    copy("postgres-switchover.yaml", edits(lab, options).iter().chain(more))
}

fn copy<'a>(file: &str, edits: impl Iterator<Item = &'a Edit>) -> anyhow::Result<String> {
    let path = Path::new(SHIPPED).join(file);
    let mut text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    for edit in edits {
        ensure!(text.contains(&edit.old), "the shipped playbook has no {:?} to replace", edit.old);
        text = text.replace(&edit.old, &edit.new);
    }
    Ok(text)
}
