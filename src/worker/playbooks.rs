//! The playbooks this instance was started with: checked, kept by digest, inactive where they have problems.

use crate::config::Config;
use crate::kernel::domain::{Digest, Mode, Name, Record, Stream};
use crate::kernel::journal::{Batch, Journal, Row};
use crate::kernel::port::{Registry, World};
use crate::playbook::{self, Playbook};
use std::path::{Path, PathBuf};

/// Files beyond this are not read.
const MAX_FILES: usize = 1_000;

pub struct Loaded {
    pub name: Name,
    pub file: PathBuf,
    pub text: String,
    pub digest: Digest,
    /// `None`: it has problems and cannot start anything.
    pub playbook: Option<Playbook>,
    pub problems: Vec<String>,
    pub warnings: Vec<String>,
}

impl Loaded {
    pub fn service(&self) -> Option<&Name> {
        self.playbook.as_ref().map(|p| &p.service)
    }
    pub fn mode(&self) -> Option<Mode> {
        self.playbook.as_ref().map(|p| p.mode)
    }
}

#[derive(Default)]
pub struct Playbooks(Vec<Loaded>);

impl Playbooks {
    /// Reads every playbook of a folder. A missing folder is an empty one, said aloud.
    pub fn read(dir: &Path, config: &Config, registry: &dyn Registry) -> Playbooks {
        let mut files: Vec<PathBuf> = match std::fs::read_dir(dir) {
            Ok(entries) => {
                entries.flatten().map(|e| e.path()).filter(|p| is_playbook(p)).take(MAX_FILES).collect()
            }
            Err(error) => {
                tracing::warn!(dir = %dir.display(), %error, "there are no playbooks: alerts are recorded, nothing can start");
                vec![]
            }
        };
        files.sort();
        let mut all: Vec<Loaded> = files.into_iter().map(|file| load(file, config, registry)).collect();
        refuse_twins(&mut all);
        for loaded in &all {
            match &loaded.playbook {
                Some(p) => {
                    tracing::info!(playbook = %loaded.name, mode = ?p.mode, digest = %loaded.digest.short(), "playbook is active")
                }
                None => {
                    tracing::error!(file = %loaded.file.display(), problems = ?loaded.problems, "playbook is NOT active")
                }
            }
            for warning in &loaded.warnings {
                tracing::warn!(playbook = %loaded.name, "{warning}");
            }
        }
        Playbooks(all)
    }

    pub fn all(&self) -> impl Iterator<Item = &Loaded> {
        self.0.iter()
    }
    pub fn active(&self) -> impl Iterator<Item = (&Loaded, &Playbook)> {
        self.0.iter().filter_map(|l| Some((l, l.playbook.as_ref()?)))
    }
    pub fn rejected(&self) -> impl Iterator<Item = &Loaded> {
        self.0.iter().filter(|l| l.playbook.is_none())
    }
    pub fn find(&self, name: &str) -> Option<&Loaded> {
        self.0.iter().find(|l| l.name.as_str() == name)
    }

    /// Writes down what was loaded, text by digest; what is on record already is not written again.
    pub async fn record(&self, journal: &Journal, world: &dyn World) -> anyhow::Result<()> {
        for loaded in &self.0 {
            let stream = Stream::Playbook(loaded.name.clone());
            let records = journal.read(&stream, 1).await?;
            let record = Record::Loaded {
                playbook: loaded.name.clone(),
                digest: loaded.digest,
                active: loaded.playbook.is_some(),
                problems: loaded.problems.clone(),
            };
            if records.last().is_some_and(|last| last.record == record) {
                continue;
            }
            let seq = journal.backend().last_seq(&stream).await?;
            let batch = Batch::new(world.now())
                .part(stream, Some(seq), vec![record])
                .row(Row::Content { digest: loaded.digest, bytes: loaded.text.clone().into_bytes() });
            journal.append(batch).await?;
        }
        Ok(())
    }
}

/// The playbook files among `paths`; a folder stands for those in it.
pub fn playbook_files(paths: &[PathBuf]) -> std::io::Result<Vec<PathBuf>> {
    let mut files = vec![];
    for path in paths {
        if path.is_dir() {
            let entries = std::fs::read_dir(path)?;
            let mut found: Vec<PathBuf> =
                entries.flatten().map(|e| e.path()).filter(|p| is_playbook(p)).collect();
            found.sort();
            files.extend(found);
        } else {
            files.push(path.clone());
        }
    }
    files.truncate(MAX_FILES);
    Ok(files)
}

fn is_playbook(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let test = name.contains(".test.");
    let kind = [".yaml", ".yml", ".toml"].iter().any(|end| name.ends_with(end));
    kind && !test && !name.starts_with('.') && !name.starts_with("pointsman")
}

fn load(file: PathBuf, config: &Config, registry: &dyn Registry) -> Loaded {
    let stem = file.file_stem().and_then(|n| n.to_str()).unwrap_or("unnamed").to_owned();
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) => {
            let problems = vec![format!("PM1200: {} cannot be read: {error}", file.display())];
            let (name, digest) = (stem.into(), Digest::of(b""));
            return Loaded {
                name,
                file,
                text: String::new(),
                digest,
                playbook: None,
                problems,
                warnings: vec![],
            };
        }
    };
    let (checked, found) = playbook::check(&text, &file.display().to_string(), config, registry);
    let (errors, warnings): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|p| p.severity == playbook::Severity::Error);
    let show = |list: Vec<playbook::Problem>| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let name = checked.as_ref().map_or_else(|| stem.into(), |p| p.name.clone());
    let digest = playbook::digest(&text);
    let playbook = checked.filter(|_| errors.is_empty());
    Loaded { name, file, text, digest, playbook, problems: show(errors), warnings: show(warnings) }
}

/// Two files with one name: neither is active, since nobody can say which is meant.
fn refuse_twins(all: &mut [Loaded]) {
    let names: Vec<Name> = all.iter().map(|l| l.name.clone()).collect();
    for loaded in all {
        if names.iter().filter(|n| **n == loaded.name).count() > 1 {
            loaded.playbook = None;
            loaded.problems.push(format!("PM1235: another file also defines the playbook {}", loaded.name));
        }
    }
}
